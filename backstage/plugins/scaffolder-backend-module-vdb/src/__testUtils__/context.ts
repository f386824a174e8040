import { mockServices } from '@backstage/backend-test-utils';
import type { TemplateAction } from '@backstage/plugin-scaffolder-node';
import { createMockActionContext } from '@backstage/plugin-scaffolder-node-test-utils';
import { createActions } from '../actions.ts';
import { VdbClient } from '../client.ts';
import type { Sidecar } from './sidecar.ts';

/** The sidecar's client as the module makes it, with short pauses. */
export function clientOf(sidecar: Pick<Sidecar, 'url'>): VdbClient {
  return new VdbClient({
    auth: mockServices.auth({ pluginId: 'scaffolder' }),
    discovery: {
      getBaseUrl: async () => sidecar.url,
      getExternalBaseUrl: async () => sidecar.url,
    },
    pausesMs: [1, 1],
  });
}

/** One of the module's actions, at that sidecar. */
export function actionOf(id: string, sidecar: Pick<Sidecar, 'url'>) {
  const found = createActions({
    client: clientOf(sidecar),
    auth: mockServices.auth({ pluginId: 'scaffolder' }),
  }).find(action => action.id === id);
  if (!found) {
    throw new Error(`there is no action ${id}`);
  }
  return found;
}

export interface Run {
  input: any;
  task?: string;
  step?: string;
  isDryRun?: boolean;
  signal?: AbortSignal;
  /** What the scaffolder has kept of the task, when it runs again. */
  checkpoints?: Checkpoints;
}

export type Checkpoints = Map<string, any>;

/** Runs an action as the scaffolder does: its outputs and its log lines. */
export async function run(action: TemplateAction<any, any>, options: Run) {
  const logger = mockServices.logger.mock();
  const lines: string[] = [];
  logger.info.mockImplementation(line => lines.push(line));
  logger.warn.mockImplementation(line => lines.push(line));
  const checkpoints = options.checkpoints ?? new Map();
  const outputs: Record<string, any> = {};
  const error = await action
    .handler({
      ...createMockActionContext({
        input: options.input,
        logger,
        task: { id: options.task ?? 'task-1' },
      }),
      step: { id: options.step ?? 'publish', name: 'Open the pull request' },
      isDryRun: options.isDryRun,
      signal: options.signal,
      output: (name, value) => {
        outputs[String(name)] = value;
      },
      async checkpoint<T>({ key, fn }: { key: string; fn: () => T }) {
        if (!checkpoints.has(key)) {
          checkpoints.set(key, await fn());
        }
        return checkpoints.get(key);
      },
    })
    .catch(caught => caught);
  return { outputs, lines, error, text: lines.join('\n') };
}

export const ORDER = {
  name: 'feat-1',
  owner: 'group:default/team-orders',
  source: '10.0.1.54:largedb',
  database: 'largedb',
  user: 'app',
};
