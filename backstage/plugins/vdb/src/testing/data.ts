/** Answers of the sidecar as recorded, for tests. */
import type { Environment } from '@postgres-vdb-platform/backstage-plugin-vdb-common';

export const ready: Environment = {
  name: 'feat-1',
  owner: 'group:default/team-orders',
  phase: 'Running',
  state: 'READY',
  ready: true,
  reason: 'QueryAnswered',
  message: 'A query through the Service was answered.',
  hint: 'nothing to do',
  source: '10.0.1.54:largedb',
  dataAsOf: '2026-11-23T08:30:00Z',
  endpoint: {
    host: 'feat-1-vdb.postgres-vdbs-feat-1.svc.cluster.local',
    port: 5432,
    database: 'largedb',
    user: 'app',
    secret: 'feat-1-vdb-credentials',
    namespace: 'postgres-vdbs-feat-1',
  },
  stages: [
    {
      name: 'provision',
      startedAt: '2026-11-23T10:00:00Z',
      finishedAt: '2026-11-23T10:00:01Z',
      seconds: 1,
    },
    {
      name: 'post-create',
      startedAt: '2026-11-23T10:00:01Z',
      finishedAt: '2026-11-23T10:00:04Z',
    },
  ],
  request: {
    id: 'feat-1.create-0123456789',
    state: 'READY',
    pullRequest: 'http://gitea.localhost:3000/acme/databases/pulls/7',
    by: 'user:default/guest',
  },
  databases: [],
  capabilities: [
    { action: 'update', possible: true },
    {
      action: 'refresh',
      possible: false,
      reason: 'the operator cannot refresh yet',
      hint: 'order it again',
    },
    { action: 'extend', possible: true },
    {
      action: 'bookmark',
      possible: false,
      reason: 'the operator cannot keep bookmarks yet',
    },
    { action: 'retire', possible: true },
  ],
};

export const provisioning: Environment = {
  name: 'feat-1',
  phase: 'Provisioning',
  state: 'FAILED',
  ready: false,
  reason: 'HookFailed',
  message: 'hook init ended with exit code 3',
  hint: 'correct the script: the hook runs again when it changes',
  source: '10.0.1.54:largedb',
  stages: [{ name: 'provision', startedAt: '2026-11-23T11:59:58Z' }],
  request: { id: 'feat-1.create-0123456789', state: 'PROVISIONING' },
  databases: [],
};

/** The moment at which the recordings are looked at. */
export const now = new Date('2026-11-23T12:00:00Z');
