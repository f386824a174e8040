import { ConflictError } from '@backstage/errors';
import type { Following } from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import type { Handle } from '../actions.ts';
import { Follower } from '../follower.ts';
import { DRY_RUN, output } from '../propose.ts';

/** Where absent: what the sidecar's own action takes, so that a template means the same both ways. */
const DEFAULT_SECONDS = 40;

const IS_BOOKMARK = /\.bookmark-[0-9a-f]{10}$/;

/** `vdb:wait`: the state that a request reaches within a bounded time. "Not yet" is an answer, not a failure. */
export const wait: Handle<{
  requestId: string;
  timeoutSeconds?: number;
}> = async (ctx, { client, auth }) => {
  // Defaults of the schema are not applied when a step runs.
  const { requestId, timeoutSeconds = DEFAULT_SECONDS } = ctx.input;
  if (ctx.isDryRun) {
    output(ctx, {
      state: DRY_RUN,
      ready: false,
      reason: '',
      message: 'a dry run has nothing to wait for',
      hint: '',
      remoteUrl: '',
    });
    return;
  }
  if (IS_BOOKMARK.test(requestId)) {
    // It has no pull request whose events could be followed.
    const input = { requestId, timeoutSeconds: Math.min(timeoutSeconds, DEFAULT_SECONDS) };
    const credentials = await auth.getOwnServiceCredentials();
    output(ctx, await client.ask('vdb:wait', input, { credentials, signal: ctx.signal }));
    return;
  }
  const follower = new Follower(client, ctx.logger, requestId, {
    // Waiting only reads, and a user's token would end within the hour.
    credentials: await auth.getOwnServiceCredentials(),
    signal: ctx.signal,
  });
  const seen = await follower.wait(timeoutSeconds);
  refuseFailure(seen);
  const { state, ready, reason, message, hint, endpoint } = seen;
  const remoteUrl = seen.remoteUrl ?? '';
  output(ctx, { state, ready, reason, message, hint, remoteUrl, endpoint });
};

/** What failed or was turned down must not look like a success in the portal. */
function refuseFailure({ state, reason, message, hint }: Following): void {
  if (state === 'FAILED' || state === 'REJECTED') {
    throw new ConflictError(`${reason}: ${message}${hint ? `; ${hint}` : ''}`);
  }
}
