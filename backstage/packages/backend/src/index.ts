import { createBackend } from '@backstage/backend-defaults';

/**
 * The portal's backend. It serves the built app itself, so that one port is enough.
 *
 * The platform's own actions come in one of two ways: the sidecar brings them over HTTP, by two keys of app-config.yaml
 * (`backend.actions.pluginSources` and `discovery.endpoints`), or, with `VDB_WAY=module`, the scaffolder's module does.
 */
const backend = createBackend();

backend.add(import('@backstage/plugin-app-backend'));
backend.add(import('@backstage/plugin-auth-backend'));
backend.add(import('@backstage/plugin-auth-backend-module-guest-provider'));
backend.add(import('@backstage/plugin-catalog-backend'));
backend.add(
  import('@backstage/plugin-catalog-backend-module-scaffolder-entity-model'),
);
backend.add(import('@backstage/plugin-catalog-backend-module-logs'));
backend.add(import('@backstage/plugin-permission-backend'));
backend.add(
  import('@backstage/plugin-permission-backend-module-allow-all-policy'),
);
backend.add(import('@backstage/plugin-proxy-backend'));
backend.add(import('@backstage/plugin-scaffolder-backend'));
backend.add(import('@backstage/plugin-notifications-backend'));
backend.add(import('@backstage/plugin-signals-backend'));
backend.add(import('@backstage/plugin-mcp-actions-backend'));

if (process.env.VDB_WAY === 'module') {
  backend.add(
    import('@postgres-vdb-platform/backstage-plugin-scaffolder-backend-module-vdb'),
  );
}

backend.start();
