import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { startTestBackend } from '@backstage/backend-test-utils';
import {
  scaffolderActionsExtensionPoint,
  type TemplateAction,
} from '@backstage/plugin-scaffolder-node';
import { parse } from 'yaml';
import module from './index.ts';

/** What the sidecar answers to a portal without this module. A test of the sidecar keeps the file fresh. */
const { actions: theirs } = JSON.parse(
  readFileSync(
    resolve(__dirname, '../../../../src/serve/actions.json'),
    'utf8',
  ),
);

async function registered(): Promise<TemplateAction[]> {
  const addActions = jest.fn();
  await startTestBackend({
    extensionPoints: [[scaffolderActionsExtensionPoint, { addActions }]],
    features: [module],
  });
  return addActions.mock.calls[0];
}

it('is made of what the sidecar lists', () => {
  const script = resolve(__dirname, '../scripts/generate.mjs');
  // Its message says what to run.
  expect(() =>
    execFileSync(process.execPath, [script, '--check'], { stdio: 'pipe' }),
  ).not.toThrow();
});

it('brings the actions that the sidecar lists, with the same inputs and outputs', async () => {
  const look = (action: any) => ({
    id: action.id,
    description: action.description,
    input: action.schema.input,
    output: action.schema.output,
  });
  const ours = await registered();
  expect(ours.map(look)).toEqual(theirs.map(look));
  expect(ours.every(action => action.supportsDryRun)).toBe(true);
});

it('has examples whose inputs its own schema takes', async () => {
  for (const action of await registered()) {
    expect(action.examples?.length).toBeGreaterThan(0);
    const input: any = action.schema?.input;
    for (const { example } of action.examples ?? []) {
      const [step] = parse(example).steps;
      expect(step.action).toBe(action.id);
      const given = Object.keys(step.input);
      expect(Object.keys(input.properties)).toEqual(
        expect.arrayContaining(given),
      );
      expect(given).toEqual(expect.arrayContaining(input.required));
    }
  }
});
