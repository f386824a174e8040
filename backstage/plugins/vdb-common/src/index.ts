/**
 * The sidecar's HTTP API as types. Everything here comes from `schema.ts`, which is generated.
 *
 * @packageDocumentation
 */
import type { components } from './schema';

export type { components, operations, paths } from './schema';

type Schemas = components['schemas'];

/** The order of a database: the input of `vdb:publish`. */
export type Order = Schemas['Order'];
/** The inputs of `vdb:update`, `vdb:refresh` and `vdb:extend`. */
export type Update = Schemas['Update'];
export type Refresh = Schemas['Refresh'];
export type Extend = Schemas['Extend'];
export type NewRequest = Schemas['NewRequest'];
export type Proposed = Schemas['Proposed'];
export type Following = Schemas['Following'];
export type RequestEvent = Schemas['Event'];
export type RequestState = Schemas['State'];
export type Endpoint = Schemas['EndpointView'];
export type Environment = Schemas['EnvironmentView'];
export type EnvironmentRequest = Schemas['RequestView'];
export type Database = Schemas['DatabaseView'];
export type Stage = Schemas['StageView'];
export type Capability = Schemas['CapabilityView'];
export type Checked = Schemas['Checked'];
export type Files = Schemas['Files'];
export type Problem = Schemas['Problem'];
export type Refusal = Schemas['Refusal'];
