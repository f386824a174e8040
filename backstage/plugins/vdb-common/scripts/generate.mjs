// Writes src/schema.ts from the sidecar's OpenAPI document. With --check it writes nothing and fails where the file is stale.
import { readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';

const document = new URL('../../../../src/serve/openapi.json', import.meta.url);
const file = new URL('../src/schema.ts', import.meta.url);

const header = `/**
 * The sidecar's HTTP API, generated from src/serve/openapi.json: \`npm run generate\`. Not to be edited by hand.
 */
/* eslint-disable */
`;
const fresh = header + astToString(await openapiTS(document));

if (process.argv.includes('--check')) {
  if ((await readFile(file, 'utf8').catch(() => '')) !== fresh) {
    process.stderr.write(
      'src/schema.ts is stale: run `npm run generate` in backstage/\n',
    );
    process.exitCode = 1;
  }
} else {
  await writeFile(file, fresh);
}
