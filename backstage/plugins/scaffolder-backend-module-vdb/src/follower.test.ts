import { mockCredentials, mockServices } from '@backstage/backend-test-utils';
import { ServiceUnavailableError } from '@backstage/errors';
import type { VdbClient } from './client.ts';
import { Follower } from './follower.ts';
import { following } from './__testUtils__/sidecar.ts';

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

type Follow = VdbClient['follow'];

function follower(follow: Follow) {
  const logger = mockServices.logger.mock();
  const credentials = mockCredentials.service();
  return { logger, it: new Follower({ follow }, logger, 'r', { credentials }) };
}

it('is never silent for longer than thirty seconds', async () => {
  const follow = jest.fn<ReturnType<Follow>, Parameters<Follow>>(
    async (_id, { seconds }) => {
      await new Promise(resolve => setTimeout(resolve, seconds * 1000));
      return following({});
    },
  );
  const { logger, it: patient } = follower(follow);
  const said: number[] = [];
  const start = Date.now();
  logger.info.mockImplementation(() => said.push((Date.now() - start) / 1000));
  const waiting = patient.wait(300);
  await jest.advanceTimersByTimeAsync(300_000);
  expect((await waiting).state).toBe('PROPOSED');
  const gaps = said.map((at, i) => at - (said[i - 1] ?? 0));
  expect(Math.max(...gaps)).toBeLessThanOrEqual(30);
  expect(logger.info).toHaveBeenLastCalledWith(
    expect.stringContaining('s: PROPOSED: pull request #1 waits'),
  );
  expect(follow).toHaveBeenCalledTimes(12);
});

it('goes on where an answer got lost, and says so', async () => {
  const follow = jest
    .fn<ReturnType<Follow>, Parameters<Follow>>()
    .mockRejectedValueOnce(new ServiceUnavailableError('nobody answers'))
    .mockResolvedValue(following({ state: 'READY', ready: true }));
  const { logger, it: patient } = follower(follow);
  const waiting = patient.wait(60);
  await jest.advanceTimersByTimeAsync(10_000);
  expect((await waiting).state).toBe('READY');
  expect(logger.warn).toHaveBeenCalledWith(
    expect.stringMatching(/nobody answers; trying again$/),
  );
});

it('fails where nobody answers until the time is over', async () => {
  const follow = jest
    .fn<ReturnType<Follow>, Parameters<Follow>>()
    .mockRejectedValue(new ServiceUnavailableError('nobody answers'));
  const waiting = follower(follow)
    .it.wait(20)
    .catch(error => error);
  await jest.advanceTimersByTimeAsync(30_000);
  expect(await waiting).toMatchObject({ message: 'nobody answers' });
  expect(follow.mock.calls.length).toBeLessThan(6);
});

it('does not turn in circles where answers are not held back', async () => {
  const follow = jest
    .fn<ReturnType<Follow>, Parameters<Follow>>()
    .mockResolvedValue(following({}));
  const waiting = follower(follow).it.wait(10);
  await jest.advanceTimersByTimeAsync(12_000);
  await waiting;
  expect(follow.mock.calls.length).toBeLessThanOrEqual(11);
});
