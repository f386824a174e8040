import { Sidecar } from '../__testUtils__/sidecar.ts';
import {
  actionOf,
  type Checkpoints,
  ORDER,
  run,
} from '../__testUtils__/context.ts';

let sidecar: Sidecar;
beforeEach(async () => {
  sidecar = await Sidecar.start();
});
afterEach(() => sidecar.stop());

const action = () => actionOf('vdb:publish', sidecar);

it('orders on behalf of the user and answers the pull request', async () => {
  const { outputs, lines, error } = await run(action(), { input: ORDER });
  expect(error).toBeUndefined();
  expect(outputs).toEqual({
    requestId: expect.stringMatching(/^feat-1\.create-[0-9a-f]{10}$/),
    remoteUrl: 'http://forge/pulls/1',
    pullRequestNumber: 1,
    targetBranchName: expect.stringMatching(/^vdb\/feat-1\.create-/),
    commitHash: 'abc',
    entityRef: 'resource:default/feat-1',
    state: 'PROPOSED',
    statusUrl: expect.stringContaining('/v1/requests/feat-1.create-'),
  });
  expect(lines).toEqual([
    'Ordering environment feat-1',
    'Pull request #1 (PROPOSED): http://forge/pulls/1',
  ]);
  const [call] = sidecar.arrived;
  expect(call?.body).toEqual({ operation: 'create', order: ORDER });
  expect(call?.key).toMatch(/^task-1:publish:[0-9a-f]{32}$/);
  expect(call?.token).toContain('user:default/mock');
  expect(call?.token).toContain('"target":"vdb"');
});

it('asks once, whatever happens to the task', async () => {
  const checkpoints: Checkpoints = new Map();
  const first = await run(action(), { input: ORDER, checkpoints });
  const recovered = await run(action(), { input: ORDER, checkpoints });
  expect(recovered.outputs).toEqual(first.outputs);
  expect(sidecar.arrived).toHaveLength(1);
  // The portal was killed before it could keep the answer: the key is the same, and so is the pull request.
  const again = await run(action(), { input: ORDER });
  expect(again.outputs).toEqual(first.outputs);
  expect(sidecar.arrived.map(call => call.key)).toEqual(
    Array(2).fill(sidecar.arrived[0]?.key),
  );
  expect(sidecar.pulls.size).toBe(1);
});

it.each(['lost', 'lostWithin'] as const)(
  'asks again with the same key where an answer got %s',
  async how => {
    sidecar[how] = 1;
    const { error } = await run(action(), { input: ORDER });
    expect(error).toBeUndefined();
    expect(sidecar.arrived).toHaveLength(2);
    expect(sidecar.arrived[0]?.key).toBe(sidecar.arrived[1]?.key);
    expect(sidecar.pulls.size).toBe(1);
  },
);

it('keeps the turns of a step with each apart', async () => {
  const checkpoints: Checkpoints = new Map();
  await run(action(), { input: ORDER, checkpoints });
  const other = { ...ORDER, name: 'feat-2' };
  const { outputs } = await run(action(), { input: other, checkpoints });
  expect(outputs.entityRef).toBe('resource:default/feat-2');
  expect(sidecar.arrived).toHaveLength(2);
});

it('takes the key that the template gives', async () => {
  await run(action(), { input: { ...ORDER, requestId: 'mine' } });
  expect(sidecar.arrived[0]?.key).toBe('mine');
  expect(sidecar.arrived[0]?.body.order).toEqual(ORDER);
});

it('passes the token of the user on, and keeps it nowhere', async () => {
  const checkpoints: Checkpoints = new Map();
  const token = 'gho_swordfish';
  const input = { ...ORDER, userToken: token };
  const { outputs, text } = await run(action(), { input, checkpoints });
  expect(sidecar.arrived[0]?.body).toEqual({
    operation: 'create',
    order: ORDER,
    userToken: token,
  });
  const kept = JSON.stringify([outputs, text, [...checkpoints]]);
  expect(kept).toContain('feat-1.create-');
  expect(kept).not.toContain('swordfish');
  // A recovered task has lost its secrets: the key is the same all the same.
  await run(action(), { input: { ...ORDER, userToken: '' } });
  expect(sidecar.arrived[1]?.body).toEqual({
    operation: 'create',
    order: ORDER,
  });
  expect(sidecar.arrived[1]?.key).toBe(sidecar.arrived[0]?.key);
});

it('sends no token where nothing is written', async () => {
  const input = { ...ORDER, userToken: 'gho_swordfish' };
  await run(action(), { input, isDryRun: true });
  expect(sidecar.arrived).toHaveLength(2);
  expect(JSON.stringify(sidecar.arrived)).not.toContain('swordfish');
});

it('names every problem in a line of its own', async () => {
  sidecar.refusal = {
    status: 400,
    name: 'InputError',
    message: 'one line of both',
    problems: [
      {
        pointer: '/name',
        field: 'name',
        message: 'name "X" has upper-case letters',
        hint: 'use lower-case letters',
      },
      { pointer: '/memory', field: 'memory', message: '"1GB" is no quantity' },
    ],
  };
  const { error } = await run(action(), { input: ORDER });
  expect(error.name).toBe('InputError');
  expect(error.message).toBe(
    '2 problems:\n* name "X" has upper-case letters; use lower-case letters\n* memory: "1GB" is no quantity',
  );
});

it.each([
  [403, 'NotAllowedError'],
  [401, 'NotAllowedError'],
  [404, 'NotFoundError'],
  [409, 'ConflictError'],
  [429, 'NotAllowedError'],
  [503, 'ServiceUnavailableError'],
])('says why it is refused with %s', async (status, name) => {
  sidecar.refusal = { status, name, message: 'you are not in group x' };
  const { error, outputs } = await run(action(), { input: ORDER });
  expect(error).toMatchObject({ name, message: 'you are not in group x' });
  expect(outputs).toEqual({});
  // Only what may pass by itself is asked again.
  expect(sidecar.arrived).toHaveLength(status === 503 ? 3 : 1);
});

it('says where to look when nobody answers', async () => {
  const nobody = { url: 'http://127.0.0.1:9/api/vdb' };
  const { error } = await run(actionOf('vdb:publish', nobody), {
    input: ORDER,
  });
  expect(error.name).toBe('ServiceUnavailableError');
  expect(error.message).toMatch(/does not answer .*discovery\.endpoints/);
});

it('checks and renders in a dry run, and opens nothing', async () => {
  const { outputs, text } = await run(action(), {
    input: ORDER,
    isDryRun: true,
  });
  expect(sidecar.arrived.map(call => call.path)).toEqual([
    '/v1/validate',
    '/v1/render',
  ]);
  expect(sidecar.pulls.size).toBe(0);
  expect(outputs).toMatchObject({ state: 'DRY_RUN', remoteUrl: '' });
  expect(text).toContain('owner: group:default/team-orders');
  sidecar.problems = [
    { pointer: '/name', field: 'name', message: 'name is taken' },
  ];
  const refused = await run(action(), { input: ORDER, isDryRun: true });
  expect(refused.error).toMatchObject({
    name: 'InputError',
    message: 'the order is refused:\n* name is taken',
  });
});

it('ends at once when it is cancelled, and says what goes on', async () => {
  sidecar.silentAfter = 0;
  const cancel = new AbortController();
  const running = run(action(), { input: ORDER, signal: cancel.signal });
  while (sidecar.arrived.length === 0) {
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  const since = Date.now();
  cancel.abort();
  const { error, text } = await running;
  expect(Date.now() - since).toBeLessThan(1000);
  expect(error.message).toBe('cancelled before the answer came');
  expect(text).toContain('The pull request may be open all the same');
});
