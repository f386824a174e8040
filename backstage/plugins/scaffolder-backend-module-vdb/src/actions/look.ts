import { InputError } from '@backstage/errors';
import type { JsonObject } from '@backstage/types';
import type { Order } from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import type { Handle } from '../actions.ts';
import { output } from '../propose.ts';
import { lines } from '../refusal.ts';

/** `vdb:validate`: everything that is wrong with an order, at once, before anything is made. */
export const validate: Handle<Order & { reportOnly?: boolean }> = async (
  ctx,
  { client },
) => {
  const { reportOnly, ...order } = ctx.input;
  const checked = await client.validate(order, {
    credentials: await ctx.getInitiatorCredentials(),
    signal: ctx.signal,
  });
  if (!checked.ok && !reportOnly) {
    throw new InputError(`the order is refused:\n${lines(checked.problems)}`);
  }
  ctx.logger.info(checked.report);
  output(ctx, checked);
};

/** `vdb:render`: the files that the pull request of an order would add. */
export const render: Handle<Order> = async (ctx, { client }) => {
  const files = await client.render(ctx.input, {
    credentials: await ctx.getInitiatorCredentials(),
    signal: ctx.signal,
  });
  output(ctx, files);
};

/** An action that only reads, and that the sidecar carries out as it does for portals without this module. */
export function ask(id: string): Handle<JsonObject> {
  return async (ctx, { client }) => {
    const answer = await client.ask(id, ctx.input, {
      credentials: await ctx.getInitiatorCredentials(),
      signal: ctx.signal,
    });
    output(ctx, answer);
  };
}
