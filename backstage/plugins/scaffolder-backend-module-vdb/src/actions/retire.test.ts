import { Sidecar } from '../__testUtils__/sidecar.ts';
import { type Checkpoints, clientOf, run } from '../__testUtils__/context.ts';
import { createRetireAction } from './retire.ts';

let sidecar: Sidecar;
beforeEach(async () => {
  sidecar = await Sidecar.start();
});
afterEach(() => sidecar.stop());

const action = () => createRetireAction({ client: clientOf(sidecar) });
const input = { name: 'feat-1', reason: 'merged' };

it('asks once for the removal, on behalf of the user', async () => {
  const checkpoints: Checkpoints = new Map();
  const { outputs } = await run(action(), { input, checkpoints });
  expect(outputs).toMatchObject({
    requestId: expect.stringMatching(/^feat-1\.retire-/),
    pullRequestNumber: 1,
    state: 'PROPOSED',
  });
  await run(action(), { input, checkpoints });
  expect(sidecar.arrived).toHaveLength(1);
  expect(sidecar.arrived[0]?.body).toEqual({ operation: 'retire', ...input });
  expect(sidecar.arrived[0]?.token).toContain('user:default/mock');
});

it('opens nothing in a dry run', async () => {
  const { outputs, text } = await run(action(), { input, isDryRun: true });
  expect(sidecar.pulls.size).toBe(0);
  expect(outputs.state).toBe('DRY_RUN');
  expect(text).toContain('would remove environment feat-1 with 1 database(s)');
});

it('finds in a dry run that there is no such environment', async () => {
  const message = 'there is no environment feat-1';
  sidecar.refusal = { status: 404, name: 'NotFoundError', message };
  const { error } = await run(action(), { input, isDryRun: true });
  expect(error).toMatchObject({ name: 'NotFoundError', message });
});
