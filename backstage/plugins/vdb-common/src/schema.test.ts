import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';

it('is what the sidecar describes', () => {
  const script = resolve(__dirname, '../scripts/generate.mjs');
  // Its message says what to run.
  expect(() =>
    execFileSync(process.execPath, [script, '--check'], { stdio: 'pipe' }),
  ).not.toThrow();
});
