/**
 * What the sidecar answers about an environment. Fields that it does not know yet are absent or null.
 */

/** Where a database answers, and where its credentials are. */
export interface Endpoint {
  host: string;
  port: number;
  database: string;
  user: string;
  /** The Secret that holds the credentials, and its namespace. */
  secret?: string | null;
  namespace?: string | null;
}

/** One step on the way to ready. */
export interface Stage {
  name: string;
  startedAt: string;
  finishedAt?: string | null;
  seconds?: number | null;
}

export type RequestState =
  | 'REQUESTED'
  | 'PROPOSED'
  | 'MERGED'
  | 'SYNCING'
  | 'PROVISIONING'
  | 'READY'
  | 'BLOCKED'
  | 'REJECTED'
  | 'SUPERSEDED'
  | 'FAILED'
  | 'RETIRED';

/** The order that an environment came from. */
export interface OrderRequest {
  id: string;
  state?: RequestState | null;
  /** The address of the pull request. */
  pullRequest?: string | null;
  by?: string | null;
}

/** The state of one database. */
export interface DatabaseStatus {
  name: string;
  phase?: string | null;
  ready: boolean;
  reason?: string | null;
  message?: string | null;
  hint?: string | null;
  source?: string | null;
  /** The point in time whose data the copy holds. */
  dataAsOf?: string | null;
  endpoint?: Endpoint | null;
  stages?: Stage[] | null;
}

/** An environment: usually one database, with the order that it came from. */
export interface Environment extends DatabaseStatus {
  owner?: string | null;
  request?: OrderRequest | null;
  databases?: DatabaseStatus[] | null;
}
