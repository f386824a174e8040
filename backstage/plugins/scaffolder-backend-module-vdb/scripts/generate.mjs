// Writes src/listed.ts from the sidecar's own list of actions. With --check it writes nothing and fails where the file is stale.
import { readFile, writeFile } from 'node:fs/promises';

const list = new URL('../../../../src/serve/actions.json', import.meta.url);
const file = new URL('../src/listed.ts', import.meta.url);

const { actions } = JSON.parse(await readFile(list, 'utf8'));
const fresh = `/**
 * The actions as the sidecar lists them, generated from src/serve/actions.json: \`npm run generate\`. Not to be edited by hand.
 */
/* eslint-disable */
import type { Listed } from './actions.ts';

export const listed: Listed[] = ${JSON.stringify(actions, undefined, 2)};
`;

if (process.argv.includes('--check')) {
  if ((await readFile(file, 'utf8').catch(() => '')) !== fresh) {
    process.stderr.write(
      'src/listed.ts is stale: run `npm run generate` in backstage/\n',
    );
    process.exitCode = 1;
  }
} else {
  await writeFile(file, fresh);
}
