import { createTemplateAction } from '@backstage/plugin-scaffolder-node';
import type { VdbClient } from '../client.ts';
import { pretend, propose } from '../propose.ts';
import { proposed } from '../schema.ts';
import { examples } from './retire.examples.ts';

/** `vdb:retire`: the pull request that removes an environment with all its data. */
export function createRetireAction(options: { client: VdbClient }) {
  const { client } = options;
  return createTemplateAction({
    id: 'vdb:retire',
    description:
      'Opens the pull request that removes an environment. Merging it deletes its databases and all data in them for good. Needs a signed-in user who is a member of the owning group.',
    examples,
    supportsDryRun: true,
    schema: {
      input: {
        name: z => z.string().describe('Name of the environment'),
        reason: z =>
          z.string().describe('Shown in the pull request').optional(),
        requestId: z =>
          z
            .string()
            .describe(
              'Idempotency key: the same key never leads to a second pull request',
            )
            .optional(),
      },
      output: proposed,
    },
    async handler(ctx) {
      const { name, reason, requestId } = ctx.input;
      if (!ctx.isDryRun) {
        await propose(
          ctx,
          client,
          { operation: 'retire', name, reason },
          requestId,
        );
        return;
      }
      const { databases } = await client.environment(name, {
        credentials: await ctx.getInitiatorCredentials(),
        signal: ctx.signal,
      });
      ctx.logger.info(
        `A pull request would remove environment ${name} with ${databases.length} database(s) and all their data. Whether you may is checked when it is opened.`,
      );
      pretend(ctx, name);
    },
  });
}
