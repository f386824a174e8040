import {
  coreServices,
  createBackendModule,
} from '@backstage/backend-plugin-api';
import { scaffolderActionsExtensionPoint } from '@backstage/plugin-scaffolder-node';
import { createActions } from './actions.ts';
import { VdbClient } from './client.ts';

/** Brings the actions `vdb:…` to the scaffolder. They have the ids that the sidecar lists, and go before those. */
export const scaffolderModuleVdb = createBackendModule({
  pluginId: 'scaffolder',
  moduleId: 'vdb',
  register(registry) {
    registry.registerInit({
      deps: {
        actions: scaffolderActionsExtensionPoint,
        auth: coreServices.auth,
        discovery: coreServices.discovery,
      },
      async init({ actions, auth, discovery }) {
        const client = new VdbClient({ auth, discovery });
        actions.addActions(...createActions({ client, auth }));
      },
    });
  },
});
