import type { z } from 'zod/v3';

type Zod = typeof z;

/**
 * The fields of an order. They are loose on purpose: the sidecar checks them, and names all problems at once. A test
 * holds names, types, descriptions and what is required against the sidecar's own schema.
 */
export const order = {
  name: (zod: Zod) =>
    zod
      .string()
      .describe(
        "Name of the environment: lower-case letters, digits and '-', at most 36 characters",
      ),
  owner: (zod: Zod) =>
    zod
      .string()
      .describe(
        'Who owns it: a catalog entity, for example group:default/team-orders',
      ),
  source: (zod: Zod) =>
    zod
      .string()
      .describe('The source of the data, for example 10.0.1.54:largedb'),
  snapshotId: (zod: Zod) =>
    zod
      .string()
      .describe('A snapshot of the source; the latest where absent')
      .optional(),
  database: (zod: Zod) =>
    zod.string().describe('The database that the application connects to'),
  user: (zod: Zod) => zod.string().describe("The application's role"),
  createIfMissing: (zod: Zod) =>
    zod
      .boolean()
      .describe('Creates the database when the copy lacks it')
      .optional(),
  image: (zod: Zod) =>
    zod.string().describe('The image; postgres:16.9 where absent').optional(),
  cpu: (zod: Zod) =>
    zod
      .string()
      .describe('CPU of the database, for example 500m or 2')
      .optional(),
  memory: (zod: Zod) =>
    zod
      .string()
      .describe('Memory of the database, for example 512Mi')
      .optional(),
  postgresConfig: (zod: Zod) =>
    zod
      .array(
        zod.object({
          name: zod.string(),
          value: zod.string().describe('Bare or in one pair of single quotes.'),
        }),
      )
      .describe('Settings of the server')
      .optional(),
  initSql: (zod: Zod) =>
    zod
      .string()
      .describe(
        "SQL that runs once, as the application's role, before anybody gets in",
      )
      .optional(),
  description: (zod: Zod) => zod.string().describe('What it is for').optional(),
  requestId: (zod: Zod) =>
    zod
      .string()
      .describe(
        'Idempotency key: the same key never leads to a second pull request',
      )
      .optional(),
};

/** What both proposing actions answer. */
export const proposed = {
  requestId: (zod: Zod) =>
    zod.string().describe('Names the request in vdb:wait'),
  remoteUrl: (zod: Zod) => zod.string().describe('The pull request'),
  pullRequestNumber: (zod: Zod) => zod.number().int().optional(),
  targetBranchName: (zod: Zod) =>
    zod.string().describe('The branch of the request'),
  commitHash: (zod: Zod) =>
    zod.string().describe('The commit of the request').optional(),
  entityRef: (zod: Zod) =>
    zod.string().describe('The catalog entity of the environment'),
  state: (zod: Zod) =>
    zod
      .string()
      .describe('PROPOSED, or what it has become since; DRY_RUN in a dry run'),
  statusUrl: (zod: Zod) =>
    zod.string().describe('Where the state is read as JSON'),
};
