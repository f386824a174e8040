import { Sidecar } from '../__testUtils__/sidecar.ts';
import { actionOf, run } from '../__testUtils__/context.ts';

let sidecar: Sidecar;
beforeEach(async () => {
  sidecar = await Sidecar.start();
});
afterEach(() => sidecar.stop());

const action = () => actionOf('vdb:wait', sidecar);
const requestId = 'feat-1.create-0123456789';
const event = (position: number, message: string) => ({
  position,
  kind: 'stage' as const,
  message,
});

it('logs what happens as it happens, and answers where the database is', async () => {
  const endpoint = {
    host: 'h',
    port: 5432,
    database: 'd',
    user: 'u',
    secret: 's',
    namespace: 'n',
  };
  sidecar.looks = [
    { events: [event(1, 'pull request #1 is open')], cursor: 1 },
    {
      events: [event(3, 'pull request #1 was merged')],
      cursor: 3,
      state: 'PROVISIONING',
      message: 'working',
    },
    {
      events: [event(91, 'Verified: answered')],
      cursor: 91,
      state: 'READY',
      ready: true,
      message: 'answered',
      endpoint,
    },
  ];
  const { outputs, lines } = await run(action(), { input: { requestId } });
  expect(lines).toEqual([
    'pull request #1 is open',
    'PROPOSED: pull request #1 waits for review and merge',
    'pull request #1 was merged',
    'PROVISIONING: working',
    'Verified: answered',
  ]);
  expect(outputs).toEqual({
    state: 'READY',
    ready: true,
    reason: 'PullRequestOpen',
    message: 'answered',
    hint: '',
    remoteUrl: 'http://forge/pulls/1',
    endpoint,
  });
  expect(sidecar.arrived.map(call => call.path)).toEqual([
    `/v1/requests/${requestId}?wait=25s&cursor=0`,
    `/v1/requests/${requestId}?wait=25s&cursor=1`,
    `/v1/requests/${requestId}?wait=25s&cursor=3`,
  ]);
  // The scaffolder itself waits: a user's token would end within the hour.
  expect(sidecar.arrived[0]?.token).not.toContain('user:');
});

it('answers with the state that is reached when the time is over', async () => {
  const { outputs, error } = await run(action(), {
    input: { requestId, timeoutSeconds: 0 },
  });
  expect(error).toBeUndefined();
  expect(outputs).toMatchObject({ state: 'PROPOSED', ready: false });
  expect(sidecar.arrived).toHaveLength(1);
});

it.each(['FAILED', 'REJECTED'] as const)(
  'fails its step when the request is %s',
  async state => {
    sidecar.looks = [
      { state, reason: 'HookFailed', message: 'm', hint: 'do x' },
    ];
    const { error } = await run(action(), { input: { requestId } });
    expect(error).toMatchObject({
      name: 'ConflictError',
      message: 'HookFailed: m; do x',
    });
  },
);

it('ends at once when it is cancelled, and says what goes on', async () => {
  const cancel = new AbortController();
  // The second call is held back, as it is while a reviewer thinks.
  sidecar.silentAfter = 1;
  sidecar.looks = [{ events: [event(1, 'pull request #1 is open')] }];
  const running = run(action(), {
    input: { requestId },
    signal: cancel.signal,
  });
  while (sidecar.arrived.length < 2) {
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  const since = Date.now();
  cancel.abort();
  const { error, lines } = await running;
  expect(Date.now() - since).toBeLessThan(1000);
  expect(error.message).toBe('the wait was cancelled');
  expect(lines.at(-1)).toBe(
    'Cancelled: this step waits no more. Pull request #1 stays open and can be merged; close it to stop the request: http://forge/pulls/1',
  );
});

it('has nothing to wait for in a dry run', async () => {
  const { outputs } = await run(action(), {
    input: { requestId: 'dry-run' },
    isDryRun: true,
  });
  expect(outputs).toMatchObject({ state: 'DRY_RUN', ready: false });
  expect(sidecar.arrived).toEqual([]);
});

it('follows a bookmark, which has no pull request, through the action of the sidecar', async () => {
  const input = { requestId: 'feat-1.bookmark-0123456789', timeoutSeconds: 60 };
  const { outputs } = await run(action(), { input });
  expect(outputs).toMatchObject({ id: 'vdb:wait', timeoutSeconds: 40 });
  expect(sidecar.arrived.map(call => call.body)).toEqual([
    { ...input, timeoutSeconds: 40 },
  ]);
});
