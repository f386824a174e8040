import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { startTestBackend } from '@backstage/backend-test-utils';
import {
  scaffolderActionsExtensionPoint,
  type TemplateAction,
} from '@backstage/plugin-scaffolder-node';
import { parse } from 'yaml';
import module from './index.ts';

const document = JSON.parse(
  readFileSync(
    resolve(__dirname, '../../../../src/serve/openapi.json'),
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

it('brings the actions with the ids that the sidecar lists', async () => {
  const actions = await registered();
  expect(actions.map(action => action.id)).toEqual([
    'vdb:validate',
    'vdb:render',
    'vdb:publish',
    'vdb:wait',
    'vdb:retire',
  ]);
  for (const action of actions) {
    expect(action.supportsDryRun).toBe(true);
    expect(action.description).not.toBe('');
  }
});

it('asks for the fields of the order that the sidecar describes', async () => {
  const theirs = document.components.schemas.Order;
  for (const action of await registered()) {
    if (!['vdb:validate', 'vdb:render', 'vdb:publish'].includes(action.id)) {
      continue;
    }
    const input: any = action.schema?.input;
    const { reportOnly, ...ours } = input.properties;
    const look = (properties: any) =>
      Object.entries<any>(properties).map(([name, { type, description }]) => ({
        name,
        type,
        description,
      }));
    expect(look(ours)).toEqual(look(theirs.properties));
    expect(input.required).toEqual(theirs.required);
    expect(input.additionalProperties).toBe(false);
  }
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
