import { InputError } from '@backstage/errors';
import { createTemplateAction } from '@backstage/plugin-scaffolder-node';
import type { VdbClient } from '../client.ts';
import { pretend, propose } from '../propose.ts';
import { lines } from '../refusal.ts';
import { order, proposed } from '../schema.ts';
import { examples } from './publish.examples.ts';

/** `vdb:publish`: the order's pull request, made exactly once. */
export function createPublishAction(options: { client: VdbClient }) {
  const { client } = options;
  return createTemplateAction({
    id: 'vdb:publish',
    description:
      'Opens the pull request that creates an environment with a PostgreSQL copy, exactly once. Needs a signed-in user who is a member of the owning group. Nothing runs before the pull request is merged.',
    examples,
    supportsDryRun: true,
    schema: { input: order, output: proposed },
    async handler(ctx) {
      const { requestId, ...wanted } = ctx.input;
      if (!ctx.isDryRun) {
        await propose(
          ctx,
          client,
          { operation: 'create', order: wanted },
          requestId,
        );
        return;
      }
      const call = {
        credentials: await ctx.getInitiatorCredentials(),
        signal: ctx.signal,
      };
      const { ok, problems, report } = await client.validate(ctx.input, call);
      if (!ok) {
        throw new InputError(`the order is refused:\n${lines(problems)}`);
      }
      const { values } = await client.render(ctx.input, call);
      ctx.logger.info(
        `${report} A pull request would add environments/${wanted.name}/values.yaml:\n${values}`,
      );
      pretend(ctx, wanted.name);
    },
  });
}
