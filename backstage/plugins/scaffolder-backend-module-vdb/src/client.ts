import type {
  AuthService,
  BackstageCredentials,
  DiscoveryService,
} from '@backstage/backend-plugin-api';
import { CustomErrorBase, ServiceUnavailableError } from '@backstage/errors';
import type { JsonObject } from '@backstage/types';
import type {
  Checked,
  Environment,
  Files,
  Following,
  NewRequest,
  Order,
  Proposed,
} from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import { refusal } from './refusal.ts';

/** The sidecar's plugin id: where discovery finds it, and the audience of the tokens for it. */
const PLUGIN_ID = 'vdb';
/** The sidecar ends every call within 45 seconds. */
const DEADLINE_MS = 60_000;
/** Pauses before a call is sent again that did not arrive, or whose answer got lost: a sidecar restarts within these. */
const PAUSES_MS = [1_000, 3_000, 10_000];

/** On whose behalf a call is made, and what ends it early. */
export interface Call {
  credentials: BackstageCredentials;
  signal?: AbortSignal;
}

interface Sent {
  method?: 'GET' | 'POST';
  body?: unknown;
  headers?: Record<string, string>;
}

/** Calls the sidecar as the scaffolder, on behalf of whoever the credentials are of. */
export class VdbClient {
  readonly #auth: AuthService;
  readonly #discovery: DiscoveryService;
  readonly #pauses: number[];

  constructor(options: {
    auth: AuthService;
    discovery: DiscoveryService;
    pausesMs?: number[];
  }) {
    this.#auth = options.auth;
    this.#discovery = options.discovery;
    this.#pauses = options.pausesMs ?? PAUSES_MS;
  }

  /** The pull request of what is asked for. The same key never leads to a second one, so a lost answer is asked for again. */
  async request(wanted: NewRequest, key: string, call: Call) {
    const headers = { 'Idempotency-Key': key };
    return this.#patiently<Proposed>(call, '/v1/requests', {
      method: 'POST',
      body: wanted,
      headers,
    });
  }

  /** What has happened since the cursor; held back for so many seconds where nothing has. */
  async follow(
    id: string,
    since: { cursor: number; seconds: number },
    call: Call,
  ) {
    const query = `wait=${since.seconds}s&cursor=${since.cursor}`;
    const path = `/v1/requests/${encodeURIComponent(id)}?${query}`;
    return this.#send<Following>(call, path);
  }

  /** Everything that is wrong with an order. */
  async validate(order: Order, call: Call) {
    const sent: Sent = { method: 'POST', body: { order } };
    return this.#patiently<Checked>(call, '/v1/validate', sent);
  }

  /** The files of an order. */
  async render(order: Order, call: Call) {
    const sent: Sent = { method: 'POST', body: { order } };
    return this.#patiently<Files>(call, '/v1/render', sent);
  }

  /** The output of an action that only reads, as the sidecar carries it out for portals without this module. */
  async ask(id: string, input: JsonObject, call: Call): Promise<JsonObject> {
    const path = `/.backstage/actions/v1/actions/${encodeURIComponent(id)}/invoke`;
    const sent: Sent = { method: 'POST', body: input };
    const answer = await this.#patiently<{ output: JsonObject }>(
      call,
      path,
      sent,
    );
    return answer.output;
  }

  /** An environment, as it is now. */
  async environment(name: string, call: Call) {
    const path = `/v1/environments/${encodeURIComponent(name)}`;
    return this.#patiently<Environment>(call, path);
  }

  /** Sends again what did not come through. Every call of the sidecar may be repeated. */
  async #patiently<T>(call: Call, path: string, sent?: Sent): Promise<T> {
    for (const pause of this.#pauses) {
      try {
        return await this.#send<T>(call, path, sent);
      } catch (error) {
        if (!isTransient(error)) {
          throw error;
        }
        await sleep(pause, call.signal);
      }
    }
    return this.#send<T>(call, path, sent);
  }

  async #send<T>(call: Call, path: string, sent: Sent = {}): Promise<T> {
    const base = await this.#discovery.getBaseUrl(PLUGIN_ID);
    const { token } = await this.#auth.getPluginRequestToken({
      onBehalfOf: call.credentials,
      targetPluginId: PLUGIN_ID,
    });
    const deadline = AbortSignal.timeout(DEADLINE_MS);
    try {
      const response = await fetch(`${base}${path}`, {
        method: sent.method,
        body: sent.body === undefined ? undefined : JSON.stringify(sent.body),
        headers: {
          ...sent.headers,
          'Content-Type': 'application/json',
          Authorization: `Bearer ${token}`,
        },
        signal: call.signal
          ? AbortSignal.any([call.signal, deadline])
          : deadline,
      });
      if (!response.ok) {
        throw await refusal(response);
      }
      return await response.json();
    } catch (error) {
      call.signal?.throwIfAborted();
      throw error instanceof CustomErrorBase
        ? error
        : unreachable(error, deadline.aborted);
    }
  }
}

/** A call that did not come through. `fetch` hides why in the cause: a refused connection, an unknown host. */
function unreachable(error: unknown, late: boolean): Error {
  const said = error instanceof Error ? error : new Error(String(error));
  const cause = said.cause instanceof Error ? said.cause : said;
  const why = late
    ? `within ${DEADLINE_MS / 1000} seconds`
    : `(${cause.message})`;
  return new ServiceUnavailableError(
    `the sidecar does not answer ${why}; check that it is up and that discovery.endpoints names it`,
    error,
  );
}

/** Whether the same call may come through later without anybody changing anything. */
export function isTransient(error: unknown): boolean {
  return error instanceof ServiceUnavailableError;
}

/** Ends at once, with an error, when the signal says so. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(done, ms);
    function done() {
      signal?.removeEventListener('abort', aborted);
      resolve();
    }
    function aborted() {
      clearTimeout(timer);
      reject(signal?.reason);
    }
    signal?.addEventListener('abort', aborted, { once: true });
  });
}
