import { Sidecar } from '../__testUtils__/sidecar.ts';
import { clientOf, ORDER, run } from '../__testUtils__/context.ts';
import { createValidateAction } from './validate.ts';

let sidecar: Sidecar;
beforeEach(async () => {
  sidecar = await Sidecar.start();
});
afterEach(() => sidecar.stop());

const action = () => createValidateAction({ client: clientOf(sidecar) });
const problem = { pointer: '/name', field: 'name', message: 'name is taken' };

it.each([false, true])(
  'accepts a right order (dry run: %s)',
  async isDryRun => {
    const { outputs, lines } = await run(action(), { input: ORDER, isDryRun });
    const report = 'The order is right.';
    expect(outputs).toEqual({ ok: true, problems: [], report });
    expect(lines).toEqual([report]);
    expect(sidecar.arrived[0]?.body).toEqual({ order: ORDER });
  },
);

it('fails its step with all problems', async () => {
  sidecar.problems = [problem];
  const { error, outputs } = await run(action(), { input: ORDER });
  expect(error.name).toBe('InputError');
  expect(error.message).toBe('the order is refused:\n* name is taken');
  expect(outputs).toEqual({});
});

it('reports them where that was asked for', async () => {
  sidecar.problems = [problem];
  const input = { ...ORDER, reportOnly: true };
  const { outputs } = await run(action(), { input });
  expect(outputs).toMatchObject({ ok: false, problems: [problem] });
});
