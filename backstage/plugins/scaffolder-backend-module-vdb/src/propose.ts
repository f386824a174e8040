import type { ActionContext } from '@backstage/plugin-scaffolder-node';
import type { JsonObject, JsonValue } from '@backstage/types';
import type {
  NewRequest,
  Proposed,
} from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import type { VdbClient } from './client.ts';
import { digest, idempotencyKey } from './key.ts';

/** What a dry run says in the place of a state. */
export const DRY_RUN = 'DRY_RUN';

type Context = ActionContext<JsonObject, JsonObject>;

/** What a template gives beside what it wants: the idempotency key, and the user's own token for the forge. */
export type Given = { requestId?: string; userToken?: string };

/** What all proposing actions have in common: the pull request, made once, and what became of it as outputs. */
export async function propose(
  ctx: Context,
  client: VdbClient,
  wanted: NewRequest,
  given: Given,
): Promise<void> {
  const answer = await request(ctx, client, wanted, given);
  const number = answer.pullRequestNumber;
  ctx.logger.info(
    number
      ? `Pull request #${number} (${answer.state}): ${answer.remoteUrl}`
      : `Git holds this already: ${answer.remoteUrl}`,
  );
  output(ctx, answer);
}

/** Asks once, however often the step runs. */
async function request(
  ctx: Context,
  client: VdbClient,
  wanted: NewRequest,
  given: Given = {},
): Promise<Proposed> {
  // Without the token: neither the key nor the checkpoint depends on it or holds it.
  const input: JsonValue = { ...wanted };
  const key = given.requestId || idempotencyKey(ctx, input);
  const credentials = await ctx.getInitiatorCredentials();
  ctx.logger.info(announce(wanted));
  return ctx
    .checkpoint({
      // With the content: the scaffolder's own key is the same for each turn of a step with `each`.
      key: `vdb.${wanted.operation}.${digest(input)}`,
      fn: async (): Promise<Proposed> =>
        client.request(withToken(wanted, given.userToken), key, {
          credentials,
          signal: ctx.signal,
        }),
    })
    .catch(error => {
      if (ctx.signal?.aborted) {
        ctx.logger.warn(
          'Cancelled. The pull request may be open all the same: what was sent is carried out. Close it to stop it, or run this again to find it.',
        );
        throw new Error('cancelled before the answer came', { cause: error });
      }
      throw error;
    });
}

/** A secret that a task does not have comes as empty text. */
function withToken(wanted: NewRequest, userToken?: string): NewRequest {
  return userToken ? { ...wanted, userToken } : wanted;
}

function announce(wanted: NewRequest): string {
  switch (wanted.operation) {
    case 'create':
      return `Ordering environment ${wanted.order.name}`;
    case 'update':
      return `Asking for a change of environment ${wanted.change.name}`;
    case 'refresh':
      return `Asking for fresh data in environment ${wanted.change.name}`;
    case 'extend':
      return `Asking for a later expiry of environment ${wanted.change.name}`;
    default:
      return `Asking for the removal of environment ${wanted.name}`;
  }
}

/** The outputs of a dry run: nothing was made, and they say so. */
export function pretend(ctx: Context, environment: string): void {
  output(ctx, {
    requestId: 'dry-run',
    // Without an address the result shows no link.
    remoteUrl: '',
    targetBranchName: 'dry-run',
    entityRef: `resource:default/${environment}`,
    state: DRY_RUN,
    statusUrl: '',
  });
}

/** Each field of an answer as an output. */
export function output(ctx: Context, answer: JsonObject): void {
  for (const [name, value] of Object.entries(answer)) {
    if (value !== undefined && value !== null) {
      ctx.output(name, value);
    }
  }
}
