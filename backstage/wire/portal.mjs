// A portal with its own folder and ports, and a stand-in of the sidecar, for tests that need the real scaffolder.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const here = import.meta.dirname;
const START_MS = 120_000;
const TASK_MS = 120_000;

/** Answers every call with what `answer` says, and keeps what arrived. */
export async function sidecar(answer) {
  const arrived = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) {
      text += chunk;
    }
    const call = {
      method: request.method,
      path: request.url,
      headers: request.headers,
      body: text ? JSON.parse(text) : undefined,
    };
    arrived.push(call);
    const { status = 200, body } = await answer(call, request);
    response.writeHead(status, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(body));
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    arrived,
    url: `http://127.0.0.1:${server.address().port}`,
    async stop() {
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

/** The portal of `backend.mts`. It can be killed and started again on the same database. */
export class Portal {
  static async create(sidecarUrl, way = 'config') {
    const portal = new Portal();
    portal.folder = await mkdtemp(join(tmpdir(), 'vdb-wire-'));
    const port = await freePort();
    portal.url = `http://127.0.0.1:${port}`;
    portal.environment = {
      ...process.env,
      NODE_ENV: 'production',
      VDB_WAY: way,
      WIRE_PORT: String(port),
      WIRE_DATABASE: portal.folder,
      WIRE_SIDECAR: sidecarUrl,
      WIRE_TEMPLATES: join(here, 'templates.yaml'),
      WIRE_FORMS: join(here, '../../backstage-templates/*/template.yaml'),
    };
    portal.log = '';
    await portal.start().catch(async error => {
      await portal.remove();
      throw error;
    });
    return portal;
  }

  async start() {
    const args = ['backend.mts', '--config', join(here, 'app-config.yaml')];
    const child = spawn(process.execPath, args, {
      cwd: here,
      env: this.environment,
    });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', chunk => {
        this.log += chunk;
      });
    }
    const ready = `${this.url}/.backstage/health/v1/readiness`;
    await until('the portal to start', START_MS, async () => {
      if (child.exitCode !== null || this.log.includes('startup failed')) {
        throw new Error(`the portal does not start:\n${this.log}`);
      }
      return (await fetch(ready).catch(() => undefined))?.ok;
    });
    this.token = await this.signIn();
  }

  /** As a machine that loses its power: nothing is told, nothing is finished. */
  async kill() {
    const ended = new Promise(resolve => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await ended;
  }

  async remove() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      await this.kill();
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  async signIn() {
    return until('the sign-in', START_MS, async () => {
      const answer = await fetch(`${this.url}/api/auth/guest/refresh`, {
        method: 'POST',
        headers: { 'X-Requested-With': 'XMLHttpRequest' },
      });
      return answer.ok && (await answer.json()).backstageIdentity.token;
    });
  }

  async call(path, body, headers) {
    return fetch(`${this.url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        Authorization: `Bearer ${this.token}`,
        'Content-Type': 'application/json',
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  }

  /** Starts a template's task, once the catalog has read the template. */
  async order(template, values) {
    const body = { templateRef: `template:default/${template}`, values };
    return until(`template ${template}`, START_MS, async () => {
      const answer = await this.call('/api/scaffolder/v2/tasks', body);
      return answer.status === 201 && (await answer.json()).id;
    });
  }

  async task(id) {
    return (await this.call(`/api/scaffolder/v2/tasks/${id}`)).json();
  }

  async lines(id) {
    const events = await this.call(`/api/scaffolder/v2/tasks/${id}/events`);
    return (await events.json()).map(event => event.body.message);
  }

  /** The task, when it has come to an end. */
  async end(id) {
    return until(`task ${id}`, TASK_MS, async () => {
      const task = await this.task(id);
      return !['open', 'processing'].includes(task.status) && task;
    });
  }
}

/** Waits for an answer that is true. */
export async function until(what, ms, look) {
  const deadline = Date.now() + ms;
  for (;;) {
    const seen = await look();
    if (seen) {
      return seen;
    }
    if (Date.now() > deadline) {
      throw new Error(`waited ${ms} ms for ${what}`);
    }
    await new Promise(resolve => setTimeout(resolve, 100));
  }
}

async function freePort() {
  const server = createSocket();
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise(resolve => server.close(resolve));
  return port;
}
