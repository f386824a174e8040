import { createApp } from '@backstage/frontend-defaults';
import { vdbFormFields } from '@postgres-vdb-platform/backstage-plugin-vdb';
import { navigation } from './navigation';

/** The plugins themselves are found by `app.packages` among this package's dependencies. */
export const app = createApp({ features: [navigation, vdbFormFields] });
