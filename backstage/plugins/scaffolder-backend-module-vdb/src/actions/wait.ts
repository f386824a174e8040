import type { AuthService } from '@backstage/backend-plugin-api';
import { ConflictError } from '@backstage/errors';
import { createTemplateAction } from '@backstage/plugin-scaffolder-node';
import type { Following } from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import type { VdbClient } from '../client.ts';
import { Follower } from '../follower.ts';
import { DRY_RUN } from '../propose.ts';
import { examples } from './wait.examples.ts';

/** Where absent: what the sidecar's own action takes, so that a template means the same both ways. */
const DEFAULT_SECONDS = 40;
/** A step that waits holds one of the scaffolder's ten places. */
const LONGEST_SECONDS = 3600;

/** `vdb:wait`: the state that a request reaches within a bounded time. "Not yet" is an answer, not a failure. */
export function createWaitAction(options: {
  client: VdbClient;
  auth: AuthService;
}) {
  const { client, auth } = options;
  return createTemplateAction({
    id: 'vdb:wait',
    description:
      'Waits for a request and logs what happens to it. Answers with the state that it has reached when the time is over or nothing more can happen: PROPOSED, MERGED, SYNCING, PROVISIONING, READY, BLOCKED, SUPERSEDED or RETIRED. A failed or rejected request fails the step. Changes nothing.',
    examples,
    supportsDryRun: true,
    schema: {
      input: {
        requestId: z =>
          z.string().describe('Output requestId of vdb:publish or vdb:retire'),
        // Defaults of the schema are not applied when a step runs.
        timeoutSeconds: z =>
          z
            .number()
            .int()
            .min(0)
            .max(LONGEST_SECONDS)
            .describe(
              `How long to wait at most; ${DEFAULT_SECONDS} where absent`,
            )
            .optional(),
      },
      output: {
        state: z => z.string().describe('How far the request has come'),
        ready: z => z.boolean(),
        message: z => z.string().describe('What is going on'),
        hint: z =>
          z.string().describe('What to do, where there is something to do'),
        remoteUrl: z => z.string().describe('The pull request'),
        endpoint: z =>
          z
            .record(z.any())
            .describe('Where the database answers, once it is ready')
            .optional(),
      },
    },
    async handler(ctx) {
      const { requestId, timeoutSeconds = DEFAULT_SECONDS } = ctx.input;
      if (ctx.isDryRun) {
        ctx.output('state', DRY_RUN);
        ctx.output('ready', false);
        ctx.output('message', 'a dry run has nothing to wait for');
        ctx.output('hint', '');
        ctx.output('remoteUrl', '');
        return;
      }
      const follower = new Follower(client, ctx.logger, requestId, {
        // Waiting only reads, and a user's token would end within the hour.
        credentials: await auth.getOwnServiceCredentials(),
        signal: ctx.signal,
      });
      const seen = await follower.wait(timeoutSeconds);
      refuseFailure(seen);
      ctx.output('state', seen.state);
      ctx.output('ready', seen.ready);
      ctx.output('message', seen.message);
      ctx.output('hint', seen.hint);
      ctx.output('remoteUrl', seen.remoteUrl ?? '');
      if (seen.endpoint) {
        ctx.output('endpoint', { ...seen.endpoint });
      }
    },
  });
}

/** What failed or was turned down must not look like a success in the portal. */
function refuseFailure({ state, reason, message, hint }: Following): void {
  if (state === 'FAILED' || state === 'REJECTED') {
    throw new ConflictError(`${reason}: ${message}${hint ? `; ${hint}` : ''}`);
  }
}
