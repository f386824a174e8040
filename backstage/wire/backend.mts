import { createBackend } from '@backstage/backend-defaults';
import { createBackendModule } from '@backstage/backend-plugin-api';
import { actionsServiceRef } from '@backstage/backend-plugin-api/alpha';
import {
  createTemplateAction,
  scaffolderActionsExtensionPoint,
} from '@backstage/plugin-scaffolder-node';

/** The smallest portal that runs templates: what it sends to the sidecar is what any portal of its release sends. */
const backend = createBackend();

backend.add(import('@backstage/plugin-auth-backend'));
backend.add(import('@backstage/plugin-auth-backend-module-guest-provider'));
backend.add(import('@backstage/plugin-catalog-backend'));
backend.add(
  import('@backstage/plugin-catalog-backend-module-scaffolder-entity-model'),
);
backend.add(import('@backstage/plugin-scaffolder-backend'));
backend.add(import('@backstage/plugin-mcp-actions-backend'));

if (process.env.VDB_WAY === 'module') {
  backend.add(
    import(
      '@postgres-vdb-platform/backstage-plugin-scaffolder-backend-module-vdb'
    ),
  );
}

// Secrets are what makes the actions service speak version 2. The scaffolder of this release never sends any itself.
backend.add(
  createBackendModule({
    pluginId: 'scaffolder',
    moduleId: 'wire',
    register(registry) {
      registry.registerInit({
        deps: {
          actions: scaffolderActionsExtensionPoint,
          service: actionsServiceRef,
        },
        async init({ actions, service }) {
          actions.addActions(
            createTemplateAction({
              id: 'wire:render-with-secrets',
              schema: { input: { name: z => z.string() } },
              async handler(ctx) {
                await service.invoke({
                  id: 'vdb:render',
                  input: {
                    name: ctx.input.name,
                    owner: 'group:default/team-orders',
                    source: '10.0.1.54:largedb',
                    database: 'largedb',
                    user: 'app',
                  },
                  secrets: { example: 'not a secret' },
                  credentials: await ctx.getInitiatorCredentials(),
                });
              },
            }),
          );
        },
      });
    },
  }),
);

backend.start();
