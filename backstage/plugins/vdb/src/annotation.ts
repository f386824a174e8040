/** On an entity: the environment that it stands for. */
export const ENVIRONMENT_ANNOTATION = 'postgres-vdb-platform/environment';
