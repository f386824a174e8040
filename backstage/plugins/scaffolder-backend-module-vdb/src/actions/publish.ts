import { InputError } from '@backstage/errors';
import type { Order } from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import type { Handle } from '../actions.ts';
import { type Given, pretend, propose } from '../propose.ts';
import { lines } from '../refusal.ts';

/** `vdb:publish`: the order's pull request, made exactly once. */
export const publish: Handle<Order & Given> = async (ctx, { client }) => {
  const { userToken, ...asked } = ctx.input;
  const { requestId, ...order } = asked;
  if (!ctx.isDryRun) {
    const given = { requestId, userToken };
    await propose(ctx, client, { operation: 'create', order }, given);
    return;
  }
  const call = {
    credentials: await ctx.getInitiatorCredentials(),
    signal: ctx.signal,
  };
  const { ok, problems, report } = await client.validate(asked, call);
  if (!ok) {
    throw new InputError(`the order is refused:\n${lines(problems)}`);
  }
  const { values } = await client.render(asked, call);
  ctx.logger.info(
    `${report} A pull request would add environments/${order.name}/values.yaml:\n${values}`,
  );
  pretend(ctx, order.name);
};
