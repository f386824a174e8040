import { ConflictError } from '@backstage/errors';
import type { ActionContext } from '@backstage/plugin-scaffolder-node';
import type { JsonObject } from '@backstage/types';
import type {
  Capability,
  Environment,
  Extend,
  Refresh,
  Update,
} from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import type { Handle } from '../actions.ts';
import type { VdbClient } from '../client.ts';
import { idempotencyKey } from '../key.ts';
import { DRY_RUN, type Given, output, pretend, propose } from '../propose.ts';

/** Said of every dry run: it looks at the environment alone. */
const LATER = 'Whether you may is checked when it is opened.';

/** `vdb:update`: another image, size or setting. */
export const update: Handle<Update & Given> = async (ctx, { client }) => {
  const { requestId, userToken, ...change } = ctx.input;
  if (!ctx.isDryRun) {
    const given = { requestId, userToken };
    await propose(ctx, client, { operation: 'update', change }, given);
    return;
  }
  await possible(ctx, client, change.name, 'update');
  const { name, reason, ...wanted } = change;
  ctx.logger.info(
    `A pull request would change the values of environment ${name}: ${JSON.stringify(wanted)}. ${LATER}`,
  );
  pretend(ctx, name);
};

/** `vdb:refresh`: the data of the newest snapshot in the place of the copy's own. */
export const refresh: Handle<Refresh & Given> = async (ctx, { client }) => {
  const { requestId, userToken, ...change } = ctx.input;
  if (!ctx.isDryRun) {
    const given = { requestId, userToken };
    await propose(ctx, client, { operation: 'refresh', change }, given);
    return;
  }
  const { dataAsOf } = await possible(ctx, client, change.name, 'refresh');
  const since = dataAsOf ? ` of ${dataAsOf}` : '';
  ctx.logger.info(
    `A pull request would replace the data${since} of environment ${change.name}; what was written to it would be lost. ${LATER}`,
  );
  pretend(ctx, change.name);
};

/** `vdb:extend`: another day on which the database is no longer needed. */
export const extend: Handle<Extend & Given> = async (ctx, { client }) => {
  const { requestId, userToken, ...change } = ctx.input;
  if (!ctx.isDryRun) {
    const given = { requestId, userToken };
    await propose(ctx, client, { operation: 'extend', change }, given);
    return;
  }
  await possible(ctx, client, change.name, 'extend');
  const until = change.expiresAt ?? `${change.days} days later than now`;
  ctx.logger.info(
    `A pull request would let environment ${change.name} expire ${until}. ${LATER}`,
  );
  pretend(ctx, change.name);
};

/** `vdb:retire`: the pull request that removes an environment with all its data. */
export const retire: Handle<
  { name: string; reason?: string } & Given
> = async (ctx, { client }) => {
  const { name, reason, ...given } = ctx.input;
  if (!ctx.isDryRun) {
    const wanted = { operation: 'retire' as const, name, reason };
    await propose(ctx, client, wanted, given);
    return;
  }
  const { databases } = await possible(ctx, client, name, 'retire');
  ctx.logger.info(
    `A pull request would remove environment ${name} with ${databases.length} database(s) and all their data. ${LATER}`,
  );
  pretend(ctx, name);
};

/** `vdb:bookmark`: no change in Git, so there is no pull request. The sidecar makes it once for each key. */
export const bookmark: Handle<{ name: string } & JsonObject> = async (
  ctx,
  { client },
) => {
  const { name, requestId, ...wanted } = ctx.input;
  if (ctx.isDryRun) {
    await possible(ctx, client, name, 'bookmark');
    ctx.logger.info(`The data of environment ${name} would be kept. ${LATER}`);
    output(ctx, {
      ...{ requestId: 'dry-run', state: DRY_RUN, ready: false, database: '' },
      ...{ reason: '', message: '', hint: '' },
      entityRef: `resource:default/${name}`,
    });
    return;
  }
  ctx.logger.info(`Asking for a bookmark of environment ${name}`);
  const key = requestId || idempotencyKey(ctx, { name, ...wanted });
  const answer = await client.ask(
    'vdb:bookmark',
    { name, ...wanted, requestId: key },
    { credentials: await ctx.getInitiatorCredentials(), signal: ctx.signal },
  );
  ctx.logger.info(`${answer.state}: ${answer.message}`);
  output(ctx, answer);
};

/** The environment, if the platform can do this with it. A dry run fails where the run would. */
async function possible(
  ctx: ActionContext<JsonObject, JsonObject>,
  client: VdbClient,
  name: string,
  action: Capability['action'],
): Promise<Environment> {
  const environment = await client.environment(name, {
    credentials: await ctx.getInitiatorCredentials(),
    signal: ctx.signal,
  });
  const told = environment.capabilities?.find(one => one.action === action);
  if (told && !told.possible) {
    throw new ConflictError([told.reason, told.hint].filter(Boolean).join('; '));
  }
  return environment;
}
