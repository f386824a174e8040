import type { AuthService } from '@backstage/backend-plugin-api';
import type {
  ActionContext,
  TemplateAction,
  TemplateExample,
} from '@backstage/plugin-scaffolder-node';
import type { JsonObject } from '@backstage/types';
import { stringify } from 'yaml';
import { bookmark, extend, refresh, retire, update } from './actions/change.ts';
import { publish } from './actions/publish.ts';
import { ask, render, validate } from './actions/look.ts';
import { wait } from './actions/wait.ts';
import type { VdbClient } from './client.ts';
import { listed } from './listed.ts';

/** What an action works with. */
export interface Access {
  client: VdbClient;
  auth: AuthService;
}

/** One entry of the sidecar's list. */
export interface Listed {
  id: string;
  name: string;
  title: string;
  description: string;
  pluginId: string;
  attributes: { readOnly: boolean; destructive: boolean; idempotent: boolean };
  schema: Required<NonNullable<TemplateAction['schema']>>;
  examples: { title: string; input: JsonObject; output: JsonObject }[];
}

/** What a step does. Its input has been held against the listed schema before. */
export type Handle<Input extends JsonObject> = (
  ctx: ActionContext<Input, JsonObject>,
  to: Access,
) => Promise<void>;

/** What each action of the list does. Ids, schemas and descriptions are the list's, so both ways in offer the same. */
const HANDLES: Record<string, Handle<any>> = {
  'vdb:validate': validate,
  'vdb:render': render,
  'vdb:publish': publish,
  'vdb:wait': wait,
  'vdb:retire': retire,
  'vdb:update': update,
  'vdb:refresh': refresh,
  'vdb:extend': extend,
  'vdb:bookmark': bookmark,
  'vdb:list': ask('vdb:list'),
  'vdb:status': ask('vdb:status'),
};

/** All actions, in the order of the list. */
export function createActions(to: Access): TemplateAction<any, any>[] {
  return listed.map(action => create(action, to));
}

function create(
  { id, description, schema, examples }: Listed,
  to: Access,
): TemplateAction<any, any> {
  const handle = HANDLES[id];
  if (!handle) {
    throw new Error(`nothing is written down for action ${id}`);
  }
  return {
    id,
    description,
    schema,
    examples: examples.map(({ title, input }) => example(id, title, input)),
    supportsDryRun: true,
    handler: ctx => handle(ctx, to),
  };
}

function example(
  action: string,
  description: string,
  input: JsonObject,
): TemplateExample {
  const id = action.replace(/^vdb:/, '');
  const steps = [{ id, name: description, action, input }];
  return { description, example: stringify({ steps }) };
}
