import { useApi } from '@backstage/frontend-plugin-api';
import { useEffect, useState } from 'react';
import { vdbApiRef } from '../api/client';
import type { Environment } from '@postgres-vdb-platform/backstage-plugin-vdb-common';

export type EnvironmentState =
  | { kind: 'loading' }
  | { kind: 'found'; environment: Environment }
  | { kind: 'absent' }
  /** `last` is what was known before the sidecar went silent. */
  | { kind: 'unreachable'; message: string; last?: Environment };

/** Seconds make the difference while a database comes up; later the card only has to notice a change. */
const SOON_MS = 2_000;
const LATER_MS = 20_000;

/** When to ask again. */
export function refreshAfter(state: EnvironmentState): number {
  return state.kind === 'found' && state.environment.ready ? LATER_MS : SOON_MS;
}

/** The state of the environment, asked again for as long as the component is shown. */
export function useEnvironment(name: string): EnvironmentState {
  const api = useApi(vdbApiRef);
  const [state, setState] = useState<EnvironmentState>({ kind: 'loading' });

  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let last: Environment | undefined;

    const ask = async () => {
      const next = await api.environment(name, abort.signal).then(
        (environment): EnvironmentState => {
          last = environment;
          return environment
            ? { kind: 'found', environment }
            : { kind: 'absent' };
        },
        (error: unknown): EnvironmentState => ({
          kind: 'unreachable',
          message: error instanceof Error ? error.message : String(error),
          last,
        }),
      );
      if (!abort.signal.aborted) {
        setState(next);
        timer = setTimeout(ask, refreshAfter(next));
      }
    };

    setState({ kind: 'loading' });
    void ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [api, name]);

  return state;
}
