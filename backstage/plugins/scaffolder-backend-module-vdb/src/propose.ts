import type { ActionContext } from '@backstage/plugin-scaffolder-node';
import type { JsonObject, JsonValue } from '@backstage/types';
import type {
  NewRequest,
  Proposed,
} from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import type { z } from 'zod/v3';
import type { VdbClient } from './client.ts';
import { digest, idempotencyKey } from './key.ts';
import type { proposed } from './schema.ts';

/** What a dry run says in the place of a state. */
export const DRY_RUN = 'DRY_RUN';

/** What both proposing actions have in common: the pull request, made once, and what became of it as outputs. */
export async function propose(
  ctx: ActionContext<JsonObject, Outputs>,
  client: VdbClient,
  wanted: NewRequest,
  givenKey: string | undefined,
): Promise<void> {
  const input: JsonValue = { ...wanted };
  const key = givenKey || idempotencyKey(ctx, input);
  const credentials = await ctx.getInitiatorCredentials();
  ctx.logger.info(
    wanted.operation === 'create'
      ? `Ordering environment ${wanted.order.name}`
      : `Asking for the removal of environment ${wanted.name}`,
  );
  const answer = await ctx
    .checkpoint({
      // With the content: the scaffolder's own key is the same for each turn of a step with `each`.
      key: `vdb.${wanted.operation}.${digest(input)}`,
      fn: async (): Promise<Proposed> =>
        client.request(wanted, key, { credentials, signal: ctx.signal }),
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
  const number = answer.pullRequestNumber;
  ctx.logger.info(
    number
      ? `Pull request #${number} (${answer.state}): ${answer.remoteUrl}`
      : `Git holds this already: ${answer.remoteUrl}`,
  );
  output(ctx, answer);
}

/** The outputs of a dry run: nothing was made, and they say so. */
export function pretend(
  ctx: ActionContext<JsonObject, Outputs>,
  environment: string,
): void {
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

/** What both proposing actions answer. */
type Outputs = {
  [name in keyof typeof proposed]: z.infer<ReturnType<(typeof proposed)[name]>>;
};

function output(
  ctx: ActionContext<JsonObject, Outputs>,
  answer: Omit<Proposed, 'state'> & { state: string },
): void {
  ctx.output('requestId', answer.requestId);
  ctx.output('remoteUrl', answer.remoteUrl);
  ctx.output('targetBranchName', answer.targetBranchName);
  ctx.output('entityRef', answer.entityRef);
  ctx.output('state', answer.state);
  ctx.output('statusUrl', answer.statusUrl);
  if (typeof answer.pullRequestNumber === 'number') {
    ctx.output('pullRequestNumber', answer.pullRequestNumber);
  }
  if (typeof answer.commitHash === 'string') {
    ctx.output('commitHash', answer.commitHash);
  }
}
