import { TestApiProvider } from '@backstage/frontend-test-utils';
import { act, renderHook } from '@testing-library/react';
import type { PropsWithChildren } from 'react';
import { vdbApiRef, type VdbApi } from '../api/client';
import { provisioning, ready } from '../testing/data';
import { refreshAfter, useEnvironment } from './useEnvironment';

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

async function start(environment: VdbApi['environment']) {
  const wrapper = ({ children }: PropsWithChildren) => (
    <TestApiProvider apis={[[vdbApiRef, { environment }]]}>
      {children}
    </TestApiProvider>
  );
  const hook = renderHook(() => useEnvironment('feat-1'), { wrapper });
  await act(() => jest.advanceTimersByTimeAsync(0));
  return hook;
}

it('asks again until the database is ready', async () => {
  const environment = jest
    .fn<ReturnType<VdbApi['environment']>, []>()
    .mockResolvedValueOnce(undefined)
    .mockResolvedValueOnce(provisioning)
    .mockResolvedValue(ready);
  const { result } = await start(environment);
  expect(result.current).toEqual({ kind: 'absent' });
  await act(() => jest.advanceTimersByTimeAsync(2_000));
  expect(result.current).toEqual({ kind: 'found', environment: provisioning });
  await act(() => jest.advanceTimersByTimeAsync(2_000));
  expect(result.current).toEqual({ kind: 'found', environment: ready });
  await act(() => jest.advanceTimersByTimeAsync(10_000));
  expect(environment).toHaveBeenCalledTimes(3);
});

it('keeps what it knew when the platform goes silent', async () => {
  const environment = jest
    .fn<ReturnType<VdbApi['environment']>, []>()
    .mockResolvedValueOnce(provisioning)
    .mockRejectedValue(new Error('504 Timeout'));
  const { result } = await start(environment);
  await act(() => jest.advanceTimersByTimeAsync(2_000));
  expect(result.current).toEqual({
    kind: 'unreachable',
    message: '504 Timeout',
    last: provisioning,
  });
});

it('stops asking when it is no longer shown', async () => {
  const environment = jest
    .fn<ReturnType<VdbApi['environment']>, []>()
    .mockResolvedValue(provisioning);
  const { unmount } = await start(environment);
  unmount();
  await jest.advanceTimersByTimeAsync(60_000);
  expect(environment).toHaveBeenCalledTimes(1);
});

it('a ready database is asked about less often', () => {
  const soon = refreshAfter({ kind: 'absent' });
  expect(refreshAfter({ kind: 'found', environment: ready })).toBeGreaterThan(
    soon,
  );
});
