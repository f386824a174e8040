import { Sidecar } from '../__testUtils__/sidecar.ts';
import { clientOf, ORDER, run } from '../__testUtils__/context.ts';
import { createRenderAction } from './render.ts';

let sidecar: Sidecar;
beforeEach(async () => {
  sidecar = await Sidecar.start();
});
afterEach(() => sidecar.stop());

it.each([false, true])('shows both files (dry run: %s)', async isDryRun => {
  const action = createRenderAction({ client: clientOf(sidecar) });
  const { outputs } = await run(action, { input: ORDER, isDryRun });
  expect(outputs).toEqual({
    values: 'owner: group:default/team-orders\n',
    catalogInfo: 'kind: Resource\n',
  });
});
