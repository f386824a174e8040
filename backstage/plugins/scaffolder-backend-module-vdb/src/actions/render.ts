import { createTemplateAction } from '@backstage/plugin-scaffolder-node';
import type { VdbClient } from '../client.ts';
import { order } from '../schema.ts';
import { examples } from './render.examples.ts';

/** `vdb:render`: the files that the pull request of an order would add. */
export function createRenderAction(options: { client: VdbClient }) {
  const { client } = options;
  return createTemplateAction({
    id: 'vdb:render',
    description:
      'Shows the values file and the catalog file that the pull request of an order would add. Changes nothing.',
    examples,
    supportsDryRun: true,
    schema: {
      input: order,
      output: {
        values: z => z.string().describe('environments/<name>/values.yaml'),
        catalogInfo: z =>
          z.string().describe('environments/<name>/catalog-info.yaml'),
      },
    },
    async handler(ctx) {
      const { values, catalogInfo } = await client.render(ctx.input, {
        credentials: await ctx.getInitiatorCredentials(),
        signal: ctx.signal,
      });
      ctx.output('values', values);
      ctx.output('catalogInfo', catalogInfo);
    },
  });
}
