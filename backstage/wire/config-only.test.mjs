// What the portal's backend sends to the sidecar where no package of the platform is installed, call by call.
// The sidecar's own tests replay the recording. With UPDATE=1 it is written anew.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Portal, sidecar } from './portal.mjs';

const { version } = JSON.parse(
  await readFile(new URL('../backstage.json', import.meta.url)),
);
const line = version.split('.').slice(0, 2).join('.');
const file = new URL(
  `../../src/serve/wire/backstage-${line}.json`,
  import.meta.url,
);
/** What differs from run to run, and says nothing. */
const DROPPED = ['host', 'connection', 'content-length', 'authorization'];

const action = (name, readOnly) => ({
  id: `vdb:${name}`,
  name,
  title: name,
  description: name,
  pluginId: 'vdb',
  attributes: { readOnly, destructive: false, idempotent: true },
  schema: {
    input: { type: 'object' },
    output: { type: 'object' },
  },
});

const listed = [
  action('validate', true),
  action('render', true),
  action('publish', false),
  action('wait', true),
];

function decode(token) {
  const [header, claims] = token
    .split('.', 2)
    .map(part => JSON.parse(Buffer.from(part, 'base64url')));
  const decoded = { header: { ...header, kid: 'kid' }, claims };
  for (const time of ['iat', 'exp']) {
    assert.equal(typeof claims[time], 'number');
    claims[time] = 0;
  }
  if (claims.obo) {
    claims.obo = decode(claims.obo);
  }
  return decoded;
}

function recorded(name, call) {
  const { method, path, headers, body } = call;
  const [scheme, token] = headers.authorization.split(' ');
  assert.equal(scheme, 'Bearer');
  const kept = Object.entries(headers).filter(
    ([key]) => !DROPPED.includes(key),
  );
  return {
    name,
    method,
    path,
    headers: Object.fromEntries(kept),
    token: decode(token),
    body,
  };
}

test('the portal sends what was recorded', { timeout: 300_000 }, async () => {
  const platform = await sidecar(({ path }) => {
    if (path.endsWith('/actions')) {
      return { body: { actions: listed } };
    }
    const requestId = 'feat-1.create-0123456789';
    return { body: { output: { requestId, state: 'PROPOSED' } } };
  });
  const portal = await Portal.create(platform.url);
  try {
    const task = await portal.order('order', { name: 'feat-1' });
    assert.equal((await portal.end(task)).status, 'completed', portal.log);
    const secret = await portal.order('secrets', { name: 'feat-1' });
    assert.equal((await portal.end(secret)).status, 'completed', portal.log);
    const tool = await portal.call(
      '/api/mcp-actions/v1',
      {
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: {
          name: 'vdb.wait',
          arguments: {
            requestId: 'feat-1.create-0123456789',
            timeoutSeconds: 0,
          },
        },
      },
      { Accept: 'application/json, text/event-stream' },
    );
    assert.equal(tool.status, 200, await tool.text());

    const named = (name, wanted) => {
      const call = platform.arrived.find(wanted);
      assert.ok(call, `${name} did not arrive`);
      const text = JSON.stringify(recorded(name, call));
      return JSON.parse(text.replaceAll(task, 'task'));
    };
    const invoke = (name, version, caller) => call =>
      call.path.includes(`/actions/${version}/actions/vdb%3A${name}/`) &&
      decode(call.headers.authorization.split(' ')[1]).claims.sub === caller;
    const calls = [
      named('list', call => call.path.endsWith('/v1/actions')),
      named('validate, v1', invoke('validate', 'v1', 'scaffolder')),
      named('publish, v1', invoke('publish', 'v1', 'scaffolder')),
      named('wait, v1', invoke('wait', 'v1', 'scaffolder')),
      named('render with secrets, v2', invoke('render', 'v2', 'scaffolder')),
      named(
        'wait as a tool of an agent, v1',
        invoke('wait', 'v1', 'mcp-actions'),
      ),
    ];
    const fresh = `${JSON.stringify({ backstage: version, calls }, null, 2)}\n`;
    if (process.env.UPDATE) {
      await writeFile(file, fresh);
    }
    assert.equal(
      await readFile(file, 'utf8').catch(() => ''),
      fresh,
      'src/serve/wire is stale: run UPDATE=1 npm run test:wire in backstage/',
    );
  } finally {
    await portal.remove();
    await platform.stop();
  }
});
