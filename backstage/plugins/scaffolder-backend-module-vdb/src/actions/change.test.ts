import { Sidecar } from '../__testUtils__/sidecar.ts';
import {
  actionOf,
  type Checkpoints,
  run,
} from '../__testUtils__/context.ts';

let sidecar: Sidecar;
beforeEach(async () => {
  sidecar = await Sidecar.start();
});
afterEach(() => sidecar.stop());

const name = 'feat-1';
/** Each action with its input, what is sent of it, and what a dry run says. */
const ACTIONS = [
  {
    id: 'vdb:update',
    input: { name, memory: '1Gi', reason: 'grown' },
    wanted: { change: { name, memory: '1Gi', reason: 'grown' } },
    said: 'would change the values of environment feat-1: {"memory":"1Gi"}',
  },
  {
    id: 'vdb:refresh',
    input: { name, reason: 'stale' },
    wanted: { change: { name, reason: 'stale' } },
    said: 'would replace the data of 2026-11-23T10:00:00Z of environment feat-1',
  },
  {
    id: 'vdb:extend',
    input: { name, days: 14 },
    wanted: { change: { name, days: 14 } },
    said: 'would let environment feat-1 expire 14 days later',
  },
  {
    id: 'vdb:retire',
    input: { name, reason: 'merged' },
    wanted: { name, reason: 'merged' },
    said: 'would remove environment feat-1 with 1 database(s)',
  },
];

describe.each(ACTIONS)('$id', ({ id, input, wanted, said }) => {
  const operation = id.replace('vdb:', '');
  const action = () => actionOf(id, sidecar);

  it('passes the token of the user on, and keeps it nowhere', async () => {
    const checkpoints: Checkpoints = new Map();
    const given = { ...input, userToken: 'gho_swordfish' };
    const { outputs, text } = await run(action(), { input: given, checkpoints });
    const body = { operation, ...wanted, userToken: 'gho_swordfish' };
    expect(sidecar.arrived[0]?.body).toEqual(body);
    const kept = JSON.stringify([outputs, text, [...checkpoints]]);
    expect(kept).toContain(`feat-1.${operation}-`);
    expect(kept).not.toContain('swordfish');
    // Nothing is written in a dry run, so no token is sent and none is printed.
    const dry = await run(action(), { input: given, isDryRun: true });
    expect(`${dry.text}${dry.error}`).not.toContain('swordfish');
    expect(JSON.stringify(sidecar.arrived.slice(1))).not.toContain('swordfish');
  });

  it('asks once, on behalf of the user, and answers the pull request', async () => {
    const checkpoints: Checkpoints = new Map();
    const { outputs, lines } = await run(action(), { input, checkpoints });
    expect(outputs).toMatchObject({
      requestId: expect.stringContaining(`feat-1.${operation}-`),
      pullRequestNumber: 1,
      state: 'PROPOSED',
    });
    expect(lines).toEqual([
      expect.stringMatching(/^Asking for .* environment feat-1$/),
      'Pull request #1 (PROPOSED): http://forge/pulls/1',
    ]);
    await run(action(), { input, checkpoints });
    expect(sidecar.arrived).toHaveLength(1);
    const [call] = sidecar.arrived;
    expect(call?.path).toBe('/v1/requests');
    expect(call?.body).toEqual({ operation, ...wanted });
    expect(call?.key).toMatch(/^task-1:publish:[0-9a-f]{32}$/);
    expect(call?.token).toContain('user:default/mock');
  });

  it('asks again with the same key where the answer got lost', async () => {
    sidecar.lost = 1;
    const { error } = await run(action(), { input });
    expect(error).toBeUndefined();
    expect(sidecar.arrived.map(call => call.key)).toEqual(
      Array(2).fill(sidecar.arrived[0]?.key),
    );
    expect(sidecar.pulls.size).toBe(1);
  });

  it('takes the key that the template gives', async () => {
    await run(action(), { input: { ...input, requestId: 'mine' } });
    expect(sidecar.arrived[0]?.key).toBe('mine');
    expect(sidecar.arrived[0]?.body).toEqual({ operation, ...wanted });
  });

  it('opens nothing in a dry run', async () => {
    const { outputs, text } = await run(action(), { input, isDryRun: true });
    expect(sidecar.pulls.size).toBe(0);
    expect(outputs).toMatchObject({ state: 'DRY_RUN', remoteUrl: '' });
    expect(text).toContain(said);
  });

  it('finds in a dry run what the run would be refused for', async () => {
    sidecar.impossible = operation;
    const { error } = await run(action(), { input, isDryRun: true });
    expect(error).toMatchObject({
      name: 'ConflictError',
      message: 'the operator cannot; do this instead',
    });
    const message = 'there is no environment feat-1';
    sidecar.refusal = { status: 404, name: 'NotFoundError', message };
    const other = await run(action(), { input, isDryRun: true });
    expect(other.error).toMatchObject({ name: 'NotFoundError', message });
  });

  it('ends at once when it is cancelled', async () => {
    sidecar.silentAfter = 0;
    const cancel = new AbortController();
    const running = run(action(), { input, signal: cancel.signal });
    while (sidecar.arrived.length === 0) {
      await new Promise(resolve => setTimeout(resolve, 5));
    }
    cancel.abort();
    const { error, text } = await running;
    expect(error.message).toBe('cancelled before the answer came');
    expect(text).toContain('The pull request may be open all the same');
  });
});

it('keeps a bookmark through the action of the sidecar, with a key of its own', async () => {
  const action = actionOf('vdb:bookmark', sidecar);
  const { outputs } = await run(action, { input: { name, bookmark: 'b' } });
  expect(outputs).toMatchObject({ id: 'vdb:bookmark', name, bookmark: 'b' });
  const [first] = sidecar.arrived;
  expect(first?.body.requestId).toMatch(/^[^:]+:[^:]+:[0-9a-f]{32}$/);
  await run(action, { input: { name, bookmark: 'b' } });
  expect(sidecar.arrived[1]?.body).toEqual(first?.body);
  await run(action, { input: { name, requestId: 'mine' } });
  expect(sidecar.arrived[2]?.body).toEqual({ name, requestId: 'mine' });
});

it('hands on why no bookmark can be kept', async () => {
  const message = 'NameTaken: a bookmark of that name exists';
  sidecar.refusal = { status: 409, name: 'ConflictError', message };
  const action = actionOf('vdb:bookmark', sidecar);
  const { error, outputs } = await run(action, { input: { name } });
  expect(error).toMatchObject({ name: 'ConflictError', message });
  expect(outputs).toEqual({});
  sidecar.refusal = undefined;
  sidecar.impossible = 'bookmark';
  const dry = await run(action, { input: { name }, isDryRun: true });
  expect(dry.error.message).toBe('the operator cannot; do this instead');
});
