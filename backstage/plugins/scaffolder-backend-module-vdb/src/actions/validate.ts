import { InputError } from '@backstage/errors';
import { createTemplateAction } from '@backstage/plugin-scaffolder-node';
import type { VdbClient } from '../client.ts';
import { lines } from '../refusal.ts';
import { order } from '../schema.ts';
import { examples } from './validate.examples.ts';

/** `vdb:validate`: everything that is wrong with an order, at once, before anything is made. */
export function createValidateAction(options: { client: VdbClient }) {
  const { client } = options;
  return createTemplateAction({
    id: 'vdb:validate',
    description:
      'Checks an order for a PostgreSQL copy and reports every problem at once: fields, name free, source exists, image and source allowed, owner is a group of the caller. Changes nothing.',
    examples,
    supportsDryRun: true,
    schema: {
      input: {
        ...order,
        reportOnly: z =>
          z
            .boolean()
            .describe('Answer with the problems instead of failing the step')
            .optional(),
      },
      output: {
        ok: z => z.boolean(),
        problems: z => z.array(z.record(z.any())),
        report: z => z.string().describe('All problems as a list in Markdown'),
      },
    },
    async handler(ctx) {
      const { reportOnly, ...wanted } = ctx.input;
      const { ok, problems, report } = await client.validate(wanted, {
        credentials: await ctx.getInitiatorCredentials(),
        signal: ctx.signal,
      });
      if (!ok && !reportOnly) {
        throw new InputError(`the order is refused:\n${lines(problems)}`);
      }
      ctx.logger.info(report);
      ctx.output('ok', ok);
      ctx.output('problems', problems);
      ctx.output('report', report);
    },
  });
}
