// Backstage's own `fetch:template` over the skeleton of an order, run as the scaffolder runs it: one workspace per task.
import { createRequire } from 'node:module';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const require = createRequire(import.meta.url);
const { createFetchTemplateAction } = require('@backstage/plugin-scaffolder-backend');
const { ScmIntegrations } = require('@backstage/integration');
const { ConfigReader } = require('@backstage/config');

const root = fileURLToPath(new URL('../..', import.meta.url));
const template = path.join(root, 'backstage-templates', 'create', 'template.yaml');

const quiet = { info() {}, warn() {}, debug() {}, error: console.error, child: () => quiet };

/** Renders with the given values, hands the two files' texts to `use`, and leaves nothing behind. */
export async function prepare() {
  const integrations = ScmIntegrations.fromConfig(new ConfigReader({}));
  const action = createFetchTemplateAction({
    integrations,
    // Only what is relative to the template is fetched: nothing is read from anywhere else.
    reader: {
      readTree: () => Promise.reject(new Error('not here')),
      readUrl: () => Promise.reject(new Error('not here')),
      search: () => Promise.reject(new Error('not here')),
    },
  });
  const base = await mkdtemp(path.join(tmpdir(), 'vdb-differential-'));
  let number = 0;
  return {
    async render(values) {
      const folder = path.join(base, String(number++));
      const workspacePath = path.join(folder, 'workspace');
      await mkdir(workspacePath, { recursive: true });
      let temporary = 0;
      await action.handler({
        input: { url: './skeleton', values },
        workspacePath,
        templateInfo: { entityRef: 'template:default/vdb-create', baseUrl: pathToFileURL(template).href },
        logger: quiet,
        task: { id: String(number) },
        checkpoint: async ({ fn }) => fn(),
        output() {},
        getInitiatorCredentials: () => Promise.reject(new Error('not here')),
        async createTemporaryDirectory() {
          const directory = path.join(folder, `temporary-${temporary++}`);
          await mkdir(directory);
          return directory;
        },
      });
      const read = name => readFile(path.join(workspacePath, name), 'utf8');
      const files = {
        'values.yaml': await read('values.yaml'),
        'catalog-info.yaml': await read('catalog-info.yaml'),
      };
      await rm(folder, { recursive: true });
      return files;
    },
    done: () => rm(base, { recursive: true, force: true }),
  };
}
