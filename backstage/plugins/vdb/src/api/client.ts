import {
  createApiRef,
  type DiscoveryApi,
  type FetchApi,
} from '@backstage/frontend-plugin-api';
import type { Environment } from '@postgres-vdb-platform/backstage-plugin-vdb-common';

/** Reads the state of environments. */
export interface VdbApi {
  /** The environment, or undefined where the platform has none of this name. */
  environment(
    name: string,
    signal?: AbortSignal,
  ): Promise<Environment | undefined>;
}

export const vdbApiRef = createApiRef<VdbApi>({ id: 'plugin.vdb.client' });

/** The sidecar could not be reached, or could not answer. */
export class UnreachableError extends Error {
  override name = 'UnreachableError';
}

/** Asks the sidecar through the portal's proxy, as the signed-in user. */
export class VdbClient implements VdbApi {
  readonly #discovery: DiscoveryApi;
  readonly #fetch: FetchApi;

  constructor(options: { discoveryApi: DiscoveryApi; fetchApi: FetchApi }) {
    this.#discovery = options.discoveryApi;
    this.#fetch = options.fetchApi;
  }

  async environment(
    name: string,
    signal?: AbortSignal,
  ): Promise<Environment | undefined> {
    const proxy = await this.#discovery.getBaseUrl('proxy');
    const url = `${proxy}/vdb/v1/environments/${encodeURIComponent(name)}`;
    let response: Response;
    try {
      response = await this.#fetch.fetch(url, { signal });
    } catch (error) {
      throw new UnreachableError(
        error instanceof Error ? error.message : String(error),
      );
    }
    if (response.status === 404) {
      return undefined;
    }
    if (!response.ok) {
      throw new UnreachableError(await reason(response));
    }
    return response.json();
  }
}

/** The body's message where there is one: the proxy's own errors and the sidecar's have the same shape. */
async function reason(response: Response): Promise<string> {
  const status = `${response.status} ${response.statusText}`.trim();
  try {
    const body: { error?: { message?: string } } = await response.json();
    return body.error?.message ?? status;
  } catch {
    return status;
  }
}
