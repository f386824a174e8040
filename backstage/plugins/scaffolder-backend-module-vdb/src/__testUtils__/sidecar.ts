import { createHash } from 'node:crypto';
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type {
  Following,
  Problem,
} from '@postgres-vdb-platform/backstage-plugin-vdb-common';

/** A call as it arrived. */
export interface Arrived {
  method: string;
  path: string;
  key?: string;
  token: string;
  body: any;
}

/** A small sidecar in this process: it keeps its pull requests in memory, and loses answers on demand. */
export class Sidecar {
  readonly arrived: Arrived[] = [];
  /** The pull requests by content and key, as the real one finds them again. */
  readonly pulls = new Map<string, number>();
  /** What a request looks like, answer by answer; the last one stays. */
  looks: Partial<Following>[] = [];
  problems: Problem[] = [];
  /** What the platform cannot do with an environment. */
  impossible?: string;
  /** How many of the next calls are carried out without a whole answer: none at all, or its beginning. */
  lost = 0;
  lostWithin = 0;
  /** Carries calls out but does not answer them after so many. */
  silentAfter = Infinity;
  /** Refuses the next call with this. */
  refusal?: {
    status: number;
    name: string;
    message: string;
    problems?: Problem[];
  };
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(error => response.destroy(error));
    });
  }

  static async start(): Promise<Sidecar> {
    const sidecar = new Sidecar();
    await new Promise<void>(resolve =>
      sidecar.#server.listen(0, '127.0.0.1', resolve),
    );
    return sidecar;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise(resolve => this.#server.close(resolve));
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') {
      throw new Error('the server does not listen');
    }
    return `http://127.0.0.1:${address.port}/api/vdb`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse) {
    const call = await read(request);
    this.arrived.push(call);
    const { status, body } = this.#carryOut(call);
    if (this.arrived.length > this.silentAfter) {
      return;
    }
    if (this.lost > 0) {
      this.lost -= 1;
      response.destroy();
      return;
    }
    response.writeHead(status, { 'Content-Type': 'application/json' });
    if (this.lostWithin > 0) {
      this.lostWithin -= 1;
      response.write('{"requestId":', () => response.destroy());
      return;
    }
    response.end(JSON.stringify(body));
  }

  #carryOut({ method, path, key, body }: Arrived): {
    status: number;
    body: unknown;
  } {
    if (this.refusal) {
      const { status, name, message, problems = [] } = this.refusal;
      return { status, body: { error: { name, message }, problems } };
    }
    if (method === 'POST' && path === '/v1/requests') {
      return { status: 201, body: this.#propose(body, key ?? '') };
    }
    if (path === '/v1/validate') {
      const ok = this.problems.length === 0;
      const report = ok ? 'The order is right.' : 'The order is wrong.';
      return { status: 200, body: { ok, problems: this.problems, report } };
    }
    if (path === '/v1/render') {
      const values = `owner: ${body.order.owner}\n`;
      return { status: 200, body: { values, catalogInfo: 'kind: Resource\n' } };
    }
    if (path.startsWith('/v1/requests/')) {
      const look =
        this.looks.length > 1 ? this.looks.shift() : this.looks.at(0);
      return { status: 200, body: following(look ?? {}) };
    }
    const action = /^\/\.backstage\/actions\/v1\/actions\/(.*)\/invoke$/.exec(path);
    if (action?.[1]) {
      const output = { id: decodeURIComponent(action[1]), ...body };
      return { status: 200, body: { output } };
    }
    return { status: 200, body: this.#environment() };
  }

  #environment() {
    const actions = ['update', 'refresh', 'extend', 'bookmark', 'retire'];
    const capabilities = actions.map(action =>
      action === this.impossible
        ? {
            action,
            possible: false,
            reason: 'the operator cannot',
            hint: 'do this instead',
          }
        : { action, possible: true },
    );
    const dataAsOf = '2026-11-23T10:00:00Z';
    return { name: 'feat-1', dataAsOf, databases: [{}], capabilities };
  }

  #propose(body: any, key: string) {
    const content = createHash('sha256').update(JSON.stringify(body) + key);
    const name = content.digest('hex').slice(0, 10);
    const number = this.pulls.get(name) ?? this.pulls.size + 1;
    this.pulls.set(name, number);
    const environment = (body.order ?? body.change ?? body).name;
    const requestId = `${environment}.${body.operation}-${name}`;
    return {
      requestId,
      remoteUrl: `http://forge/pulls/${number}`,
      pullRequestNumber: number,
      targetBranchName: `vdb/${requestId}`,
      commitHash: 'abc',
      entityRef: `resource:default/${environment}`,
      state: 'PROPOSED',
      statusUrl: `http://portal/api/proxy/vdb/v1/requests/${requestId}`,
    };
  }
}

/** A request that waits for its reviewer, but for what is given. */
export function following(change: Partial<Following>): Following {
  return {
    requestId: 'feat-1.create-0123456789',
    environment: 'feat-1',
    operation: 'create',
    state: 'PROPOSED',
    ready: false,
    reason: 'PullRequestOpen',
    message: 'pull request #1 waits for review and merge',
    hint: '',
    remoteUrl: 'http://forge/pulls/1',
    pullRequestNumber: 1,
    events: [],
    cursor: 1,
    ...change,
  };
}

async function read(request: IncomingMessage): Promise<Arrived> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  return {
    method: request.method ?? '',
    path: (request.url ?? '').replace('/api/vdb', ''),
    key: request.headers['idempotency-key']?.toString(),
    token: request.headers.authorization ?? '',
    body: text ? JSON.parse(text) : undefined,
  };
}
