import { Sidecar } from '../__testUtils__/sidecar.ts';
import { actionOf, ORDER, run } from '../__testUtils__/context.ts';

let sidecar: Sidecar;
beforeEach(async () => {
  sidecar = await Sidecar.start();
});
afterEach(() => sidecar.stop());

const action = () => actionOf('vdb:validate', sidecar);
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

it.each([false, true])('shows both files (dry run: %s)', async isDryRun => {
  const shown = actionOf('vdb:render', sidecar);
  const { outputs } = await run(shown, { input: ORDER, isDryRun });
  expect(outputs).toEqual({
    values: 'owner: group:default/team-orders\n',
    catalogInfo: 'kind: Resource\n',
  });
});

it.each([
  ['vdb:list', { all: true }],
  ['vdb:status', { name: 'feat-1' }],
])('hands on what the sidecar answers to %s', async (id, input) => {
  for (const isDryRun of [false, true]) {
    const { outputs } = await run(actionOf(id, sidecar), { input, isDryRun });
    expect(outputs).toEqual({ id, ...input });
  }
  const [call] = sidecar.arrived;
  expect(call?.body).toEqual(input);
  // Whose databases are listed depends on who asks.
  expect(call?.token).toContain('user:default/mock');
});

it('says why the sidecar does not answer', async () => {
  const message = 'there is no environment feat-9';
  sidecar.refusal = { status: 404, name: 'NotFoundError', message };
  const { error } = await run(actionOf('vdb:status', sidecar), {
    input: { name: 'feat-9' },
  });
  expect(error).toMatchObject({ name: 'NotFoundError', message });
});
