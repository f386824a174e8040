/**
 * Shows the state of virtual databases on their entity pages.
 *
 * @packageDocumentation
 */
export { vdbPlugin as default, vdbFormFields } from './plugin';
export { vdbApiRef, type VdbApi, UnreachableError } from './api/client';
