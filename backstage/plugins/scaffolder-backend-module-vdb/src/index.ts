/**
 * The scaffolder's actions of postgres-vdb-platform.
 *
 * @packageDocumentation
 */
export { scaffolderModuleVdb as default } from './module.ts';
