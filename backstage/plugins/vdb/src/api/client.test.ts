import { ready } from '../testing/data';
import { UnreachableError, VdbClient } from './client';

function clientWith(answer: () => Promise<Response>) {
  const fetch = jest.fn(answer);
  const client = new VdbClient({
    discoveryApi: { getBaseUrl: async id => `http://portal/api/${id}` },
    fetchApi: { fetch },
  });
  return { client, fetch };
}

const json = (status: number, body: unknown) => async () =>
  new Response(JSON.stringify(body), { status, statusText: 'Said So' });

it('asks through the proxy and cannot leave its path', async () => {
  const { client, fetch } = clientWith(json(200, ready));
  await expect(client.environment('../sources')).resolves.toEqual(ready);
  expect(fetch).toHaveBeenCalledWith(
    'http://portal/api/proxy/vdb/v1/environments/..%2Fsources',
    expect.anything(),
  );
});

it('an environment that is not there is no error', async () => {
  const { client } = clientWith(json(404, {}));
  await expect(client.environment('gone')).resolves.toBeUndefined();
});

it('a refusal carries the message of the answer', async () => {
  const { client } = clientWith(json(401, { error: { message: 'no token' } }));
  await expect(client.environment('feat-1')).rejects.toEqual(
    new UnreachableError('no token'),
  );
});

it('an answer without a body carries its status', async () => {
  const { client } = clientWith(
    async () => new Response('', { status: 504, statusText: 'Timeout' }),
  );
  await expect(client.environment('feat-1')).rejects.toThrow('504 Timeout');
});

it('a network that fails is an unreachable platform', async () => {
  const { client } = clientWith(async () => {
    throw new TypeError('Failed to fetch');
  });
  await expect(client.environment('feat-1')).rejects.toBeInstanceOf(
    UnreachableError,
  );
});
