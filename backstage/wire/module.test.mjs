// The module in a real portal: what survives `kill -9`, what a cancelled task says, which of two ways in is taken.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Portal, sidecar, until } from './portal.mjs';

const requestId = 'feat-1.create-0123456789';
const proposed = {
  requestId,
  remoteUrl: 'http://forge/pulls/1',
  targetBranchName: `vdb/${requestId}`,
  entityRef: 'resource:default/feat-1',
  state: 'PROPOSED',
  statusUrl: `http://portal/api/proxy/vdb/v1/requests/${requestId}`,
  pullRequestNumber: 1,
};
const open = {
  requestId,
  environment: 'feat-1',
  operation: 'create',
  state: 'PROPOSED',
  ready: false,
  reason: 'PullRequestOpen',
  message: 'pull request #1 waits for review and merge',
  hint: '',
  remoteUrl: 'http://forge/pulls/1',
  pullRequestNumber: 1,
  events: [
    { position: 1, kind: 'proposed', message: 'pull request #1 is open' },
  ],
  cursor: 1,
};
const ready = {
  ...open,
  state: 'READY',
  ready: true,
  message: 'answered',
  events: [],
  cursor: 91,
};

/** Neither answered nor refused: the caller waits. */
const never = () => new Promise(() => {});

/** A sidecar whose answers to orders and looks are the caller's, and that lists the same actions over HTTP. */
async function platform(answers) {
  const listed = ['publish', 'wait'].map(name => ({
    id: `vdb:${name}`,
    name,
    title: name,
    description: name,
    pluginId: 'vdb',
    attributes: { readOnly: false, destructive: false, idempotent: true },
    schema: { input: { type: 'object' }, output: { type: 'object' } },
  }));
  const started = await sidecar(call => {
    if (call.path.endsWith('/actions')) {
      return { body: { actions: listed } };
    }
    if (call.path.endsWith('/invoke')) {
      return { body: { output: { environments: [], count: 3 } } };
    }
    return call.method === 'POST' ? answers.order(call) : answers.look(call);
  });
  started.orders = () =>
    started.arrived.filter(call => call.path === '/api/vdb/v1/requests');
  started.looks = () =>
    started.arrived.filter(call => call.path.includes(requestId));
  return started;
}

test(
  'a killed portal opens one pull request and goes on waiting',
  { timeout: 300_000 },
  async () => {
    const answers = { order: never, look: never };
    const vdb = await platform(answers);
    const portal = await Portal.create(vdb.url, 'module');
    try {
      const task = await portal.order('keyless', { name: 'feat-1' });
      // The order has arrived; its answer never does.
      await until('the order', 60_000, async () => vdb.orders().length === 1);
      await portal.kill();

      answers.order = () => ({ status: 201, body: proposed });
      await portal.start();
      await until('the wait', 90_000, async () => vdb.looks().length >= 1);
      const keys = vdb.orders().map(call => call.headers['idempotency-key']);
      assert.equal(keys.length, 2);
      assert.equal(keys[0], keys[1], 'the same call, so the same pull request');
      assert.match(keys[0], new RegExp(`^${task}:publish:[0-9a-f]{32}$`));
      await portal.kill();

      // Now the pull request is known: what is done is not done again.
      answers.look = ({ path }) => ({
        body: path.includes('cursor=0') ? open : ready,
      });
      await portal.start();
      const end = await portal.end(task);
      assert.equal(end.status, 'completed', portal.log);
      assert.equal(vdb.orders().length, 2);
      const lines = (await portal.lines(task)).join('\n');
      assert.match(
        lines,
        /Pull request #1 \(PROPOSED\): http:\/\/forge\/pulls\/1/,
      );
      assert.match(lines, /pull request #1 is open/);
      // Both ways in are there: the module's actions ran, and the others were left out with a word.
      const invoked = vdb.arrived.filter(call => call.path.includes('/invoke'));
      assert.deepEqual(invoked, []);
      assert.match(
        portal.log,
        /'vdb:publish' has already been registered, skipping action provided by actions service/,
      );
    } finally {
      await portal.remove();
      await vdb.stop();
    }
  },
);

test(
  'a cancelled task ends at once and says what goes on',
  { timeout: 300_000 },
  async () => {
    const vdb = await platform({
      order: () => ({ status: 201, body: proposed }),
      look: ({ path }) =>
        path.includes('cursor=0') ? { body: open } : never(),
    });
    const portal = await Portal.create(vdb.url, 'module');
    try {
      const task = await portal.order('keyless', { name: 'feat-1' });
      await until(
        'the second look',
        60_000,
        async () => vdb.looks().length === 2,
      );
      const since = Date.now();
      const cancelled = await portal.call(
        `/api/scaffolder/v2/tasks/${task}/cancel`,
        {},
      );
      assert.equal(cancelled.status, 200, await cancelled.text());
      await portal.end(task);
      const said =
        /Pull request #1 stays open and can be merged; close it to stop the request: http:\/\/forge\/pulls\/1/;
      await until('the last line', 10_000, async () =>
        said.test((await portal.lines(task)).join('\n')),
      );
      assert.ok(Date.now() - since < 10_000);
      // This release of the portal calls a cancelled task failed once its step has ended.
      assert.equal((await portal.task(task)).status, 'failed');
    } finally {
      await portal.remove();
      await vdb.stop();
    }
  },
);

test(
  'a change goes through the module, with the inputs that the sidecar lists',
  { timeout: 300_000 },
  async () => {
    const vdb = await platform({
      order: () => ({ status: 201, body: proposed }),
      look: never,
    });
    const portal = await Portal.create(vdb.url, 'module');
    try {
      const task = await portal.order('grow', { name: 'feat-1' });
      const end = await portal.end(task);
      assert.equal(end.status, 'completed', (await portal.lines(task)).join());
      const [{ body, headers }] = vdb.orders();
      assert.deepEqual(body, {
        operation: 'update',
        change: { name: 'feat-1', memory: '1Gi', reason: 'One of 3' },
      });
      assert.equal(headers['idempotency-key'], task);
      // What the schema does not allow does not get as far as the sidecar.
      const wrong = await portal.order('grow', { name: 'x'.repeat(40) });
      assert.equal((await portal.end(wrong)).status, 'failed');
      const said = (await portal.lines(wrong)).join('\n');
      assert.match(said, /Invalid input passed to action vdb:update/);
      assert.equal(vdb.orders().length, 1);
    } finally {
      await portal.remove();
      await vdb.stop();
    }
  },
);

/** The platform's forms as the entity page opens them, and what reaches the sidecar. */
const name = 'feat-1';
const entity = `resource:default/${name}`;
const forms = [
  {
    form: 'vdb-update',
    values: { entity, memory: '1Gi', reason: 'grown' },
    body: {
      operation: 'update',
      change: { name, memory: '1Gi', reason: 'grown' },
    },
  },
  {
    form: 'vdb-refresh',
    values: { entity, confirmation: name },
    body: { operation: 'refresh', change: { name } },
  },
  {
    form: 'vdb-extend',
    values: { entity, days: 14 },
    body: { operation: 'extend', change: { name, days: 14 } },
  },
  {
    form: 'vdb-retire',
    values: { entity, confirmation: name },
    body: { operation: 'retire', name },
  },
];

test(
  'each form asks for what it promises',
  { timeout: 300_000 },
  async () => {
    const vdb = await platform({
      order: () => ({ status: 201, body: proposed }),
      look: () => ({ body: ready }),
    });
    const portal = await Portal.create(vdb.url, 'module');
    try {
      for (const { form, values, body } of forms) {
        const before = vdb.orders().length;
        const task = await portal.order(form, values);
        const { status } = await portal.end(task);
        const lines = (await portal.lines(task)).join('\n');
        assert.equal(status, 'completed', lines);
        const [order, ...more] = vdb.orders().slice(before);
        assert.deepEqual([order.body, more], [body, []], form);
        // What goes through Git is found again by the task's own key.
        assert.ok(order.headers['idempotency-key'].startsWith(task), form);
      }
      // A bookmark is no pull request: it goes to the action itself, under the task's own key.
      const task = await portal.order('vdb-bookmark', {
        entity,
        bookmark: 'b',
        retentionDays: 7,
      });
      const { status } = await portal.end(task);
      assert.equal(status, 'completed', (await portal.lines(task)).join('\n'));
      const asked = vdb.arrived.filter(call =>
        decodeURIComponent(call.path).endsWith('/vdb:bookmark/invoke'),
      );
      assert.deepEqual(
        asked.map(({ body }) => body),
        [{ name, bookmark: 'b', retentionDays: 7, requestId: task }],
      );
      // Another name than the database's is no name, and the sidecar refuses it with these words.
      const before = vdb.orders().length;
      const wrong = await portal.order('vdb-retire', {
        entity,
        confirmation: 'feat-2',
      });
      await portal.end(wrong);
      const sent = vdb.orders().slice(before);
      assert.deepEqual(
        sent.map(({ body }) => body.name),
        ['the confirmation is not the name of the database'],
      );
    } finally {
      await portal.remove();
      await vdb.stop();
    }
  },
);
