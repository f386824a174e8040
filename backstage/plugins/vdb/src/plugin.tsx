import {
  ApiBlueprint,
  createFrontendModule,
  createFrontendPlugin,
  discoveryApiRef,
  fetchApiRef,
} from '@backstage/frontend-plugin-api';
import { EntityCardBlueprint } from '@backstage/plugin-catalog-react/alpha';
import { FormFieldBlueprint } from '@backstage/plugin-scaffolder-react/alpha';
import { VdbClient, vdbApiRef } from './api/client';

const client = ApiBlueprint.make({
  params: defineParams =>
    defineParams({
      api: vdbApiRef,
      deps: { discoveryApi: discoveryApiRef, fetchApi: fetchApiRef },
      factory: deps => new VdbClient(deps),
    }),
});

const databaseCard = EntityCardBlueprint.make({
  name: 'database',
  params: {
    type: 'content',
    filter: { kind: 'resource', 'spec.type': 'database' },
    loader: async () => {
      const { DatabaseCard } = await import('./components/DatabaseCard');
      return <DatabaseCard />;
    },
  },
});

/** The status card on entity pages of databases. */
export const vdbPlugin = createFrontendPlugin({
  pluginId: 'vdb',
  extensions: [client, databaseCard],
});

const nameConfirmationField = FormFieldBlueprint.make({
  name: 'vdb-name-confirmation',
  params: {
    field: async () =>
      (await import('./fields/NameConfirmation')).nameConfirmation,
  },
});

/** Fields of the forms. Optional: the templates work without. */
export const vdbFormFields = createFrontendModule({
  pluginId: 'scaffolder',
  extensions: [nameConfirmationField],
});
