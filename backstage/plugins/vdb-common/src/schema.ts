/**
 * The sidecar's HTTP API, generated from src/serve/openapi.json: `npm run generate`. Not to be edited by hand.
 */
/* eslint-disable */
export interface paths {
    "/v1/environments": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All environments that the cluster runs or a pull request asks for. */
        get: operations["list_environments"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/environments/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One environment: status, timeline, how to connect. */
        get: operations["environment"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/render": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** The files that the pull request of an order would add. */
        post: operations["render"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/requests": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Opens the pull request of an order, a change or a retirement, once for each idempotency key.
         * @description 201: the pull request is open, made now or before. 200: it is merged, or Git holds what was asked for already.
         */
        post: operations["create"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/requests/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** How far a request has come, and what has happened since. */
        get: operations["follow"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/sources": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What can be copied. */
        get: operations["sources"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/validate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Everything that is wrong with an order, as an answer and not as a refusal. */
        post: operations["validate"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description One thing to do with an environment that exists, and why not where the platform cannot. */
        CapabilityView: {
            action: components["schemas"]["Doing"];
            possible: boolean;
            /** @description Why it is not possible */
            reason?: string | null;
            /** @description What to do instead */
            hint?: string | null;
        };
        /** @description An order to look at. */
        Check: {
            order: components["schemas"]["Order"];
        };
        /** @description What is wrong with an order. */
        Checked: {
            ok: boolean;
            problems: components["schemas"]["Problem"][];
            /** @description All problems as a list in Markdown, and the age of the data */
            report: string;
            /** @description The time of the newest snapshot, where the order names none */
            dataAsOf?: string | null;
        };
        /** @description The state of one database. */
        DatabaseView: {
            name: string;
            phase: string;
            state: components["schemas"]["State"];
            ready: boolean;
            reason: string;
            message: string;
            hint: string;
            source?: string | null;
            /** @description The point in time whose data the copy holds. */
            dataAsOf?: string | null;
            endpoint?: components["schemas"]["EndpointView"] | null;
            stages: components["schemas"]["StageView"][];
        };
        /** @description A dataset that an order can name. */
        Dataset: {
            /** @description What an order writes: `host:name`. */
            reference: string;
            id: string;
            name: string;
            engine?: string | null;
            /** @description Version of the database server. */
            version?: string | null;
            /**
             * Format: int64
             * @description Bytes of the source.
             */
            size?: number | null;
        };
        DatasetList: {
            items: components["schemas"]["Dataset"][];
        };
        /** @enum {string} */
        Doing: "update" | "refresh" | "extend" | "bookmark" | "retire";
        EndpointView: {
            host: string;
            /** Format: int32 */
            port: number;
            database: string;
            user: string;
            /** @description Holds the password; read it with your own rights. */
            secret: string;
            namespace: string;
        };
        EnvironmentList: {
            items: components["schemas"]["EnvironmentView"][];
        };
        /** @description An environment: its first database at the top, all of them below. */
        EnvironmentView: components["schemas"]["DatabaseView"] & {
            owner?: string | null;
            request?: components["schemas"]["RequestView"] | null;
            databases: components["schemas"]["DatabaseView"][];
            /** @description What can be done with it; absent in lists. */
            capabilities?: components["schemas"]["CapabilityView"][];
        };
        /** @description One thing that has happened to a request. */
        Event: {
            /**
             * Format: int32
             * @description Its place, the same in every answer. Not every place is taken.
             */
            position: number;
            kind: components["schemas"]["EventKind"];
            /** @description When it happened (RFC 3339), where that is known. */
            at?: string | null;
            message: string;
        };
        /** @enum {string} */
        EventKind: "proposed" | "rejected" | "merged" | "application" | "applied" | "stage" | "failed" | "ready" | "retired" | "superseded";
        /**
         * New expiry of a database
         * @description Either a point in time or days to add.
         */
        Extend: {
            /** @description Name of the environment */
            name: string;
            /** @description Until when it is needed, for example 2030-01-31T12:00:00Z */
            expiresAt?: string;
            /** @description Days to add to its expiry, or from now on where it has none */
            days?: number;
            /** @description Shown in the pull request */
            reason?: string;
            /** @description Idempotency key: the same key never leads to a second pull request */
            requestId?: string;
        };
        /** @description The files of an order. */
        Files: {
            /** @description environments/<name>/values.yaml */
            values: string;
            /** @description environments/<name>/catalog-info.yaml */
            catalogInfo: string;
        };
        /** @description A request, and what has happened to it after the cursor that was sent. */
        Following: components["schemas"]["Progress"] & {
            events: components["schemas"]["Event"][];
            /**
             * Format: int32
             * @description To be sent with the next call.
             */
            cursor: number;
        };
        /** @description What is asked for. */
        NewRequest: {
            order: components["schemas"]["Order"];
            /**
             * Format: password
             * @description A token of the user for the forge: commit and pull request are made as that user. Used once, kept nowhere
             */
            userToken?: string | null;
            /** @enum {string} */
            operation: "create";
        } | {
            change: components["schemas"]["Update"];
            /**
             * Format: password
             * @description A token of the user for the forge: commit and pull request are made as that user. Used once, kept nowhere
             */
            userToken?: string | null;
            /** @enum {string} */
            operation: "update";
        } | {
            change: components["schemas"]["Refresh"];
            /**
             * Format: password
             * @description A token of the user for the forge: commit and pull request are made as that user. Used once, kept nowhere
             */
            userToken?: string | null;
            /** @enum {string} */
            operation: "refresh";
        } | {
            change: components["schemas"]["Extend"];
            /**
             * Format: password
             * @description A token of the user for the forge: commit and pull request are made as that user. Used once, kept nowhere
             */
            userToken?: string | null;
            /** @enum {string} */
            operation: "extend";
        } | {
            /** @description Name of the environment */
            name: string;
            /** @description Shown in the pull request */
            reason?: string | null;
            /**
             * Format: password
             * @description A token of the user for the forge: the pull request is made as that user. Used once, kept nowhere
             */
            userToken?: string | null;
            /** @enum {string} */
            operation: "retire";
        };
        /**
         * Order of a database
         * @description The fields are flat: forms, command-line flags and agents fill them in one by one.
         */
        Order: {
            /** @description Name of the environment: lower-case letters, digits and '-', at most 36 characters */
            name: string;
            /** @description Who owns it: a catalog entity, for example group:default/team-orders */
            owner: string;
            /** @description The source of the data, for example 10.0.1.54:largedb */
            source: string;
            /** @description A snapshot of the source; the latest where absent */
            snapshotId?: string;
            /** @description The database that the application connects to */
            database: string;
            /** @description The application's role */
            user: string;
            /** @description Creates the database when the copy lacks it */
            createIfMissing?: boolean;
            /** @description The image; postgres:16.9 where absent */
            image?: string;
            /** @description CPU of the database, for example 500m or 2 */
            cpu?: string;
            /** @description Memory of the database, for example 512Mi */
            memory?: string;
            /** @description Settings of the server */
            postgresConfig?: {
                name: string;
                /** @description Bare or in one pair of single quotes. */
                value: string;
            }[];
            /** @description SQL that runs once, as the application's role, before anybody gets in */
            initSql?: string;
            /** @description What it is for */
            description?: string;
            /** @description Idempotency key: the same key never leads to a second pull request */
            requestId?: string;
        };
        /** @description One thing to change. */
        Problem: {
            /** @description JSON pointer into the order */
            pointer: string;
            /** @description The form's field, where one field is to blame */
            field?: string | null;
            message: string;
            /** @description What to change */
            hint?: string | null;
            /** @description A warning refuses nothing */
            warning?: boolean | null;
        };
        /** @description Where a request stands. */
        Progress: components["schemas"]["Readiness"] & {
            requestId: string;
            environment: string;
            /** @description create, update, refresh, extend or retire */
            operation: string;
            remoteUrl?: string | null;
            /** Format: int64 */
            pullRequestNumber?: number | null;
            requestedBy?: string | null;
            endpoint?: components["schemas"]["EndpointView"] | null;
        };
        /** @description The pull request of a request. */
        Proposed: {
            /** @description Names the request from now on */
            requestId: string;
            /** @description The pull request */
            remoteUrl: string;
            /** @description The branch of the request */
            targetBranchName: string;
            /** @description The catalog entity of the environment */
            entityRef: string;
            state: components["schemas"]["State"];
            /** @description Where the state is read as JSON */
            statusUrl: string;
            /**
             * Format: int64
             * @description Absent where Git holds it without a pull request that is known
             */
            pullRequestNumber?: number | null;
            /** @description The commit of the request */
            commitHash?: string | null;
        };
        Readiness: {
            state: components["schemas"]["State"];
            ready: boolean;
            /** @description One word of a closed list. */
            reason: string;
            message: string;
            /** @description What to do, where there is something to do. */
            hint: string;
        };
        /**
         * Refresh of a database
         * @description A refresh replaces the data by that of the newest snapshot of the same source.
         */
        Refresh: {
            /** @description Name of the environment */
            name: string;
            /** @description Shown in the pull request */
            reason?: string;
            /** @description Idempotency key: the same key never leads to a second pull request */
            requestId?: string;
        };
        /** @description A refusal: Backstage's error body, and all problems at once. The reason phrase says the message in one line. */
        Refusal: {
            error: components["schemas"]["RefusalError"];
            problems: components["schemas"]["Problem"][];
        };
        RefusalError: {
            /** @description The name of Backstage's error class */
            name: string;
            message: string;
        };
        /** @description The order that an environment came from, or that is about to change it. */
        RequestView: {
            id: string;
            state: components["schemas"]["State"];
            /** @description Address of the pull request. */
            pullRequest?: string | null;
            by?: string | null;
        };
        StageView: {
            name: string;
            startedAt: string;
            finishedAt?: string | null;
            /** Format: double */
            seconds?: number | null;
        };
        /** @enum {string} */
        State: "REQUESTED" | "PROPOSED" | "MERGED" | "SYNCING" | "PROVISIONING" | "READY" | "BLOCKED" | "REJECTED" | "SUPERSEDED" | "FAILED" | "RETIRED";
        /**
         * Change of a database
         * @description What is left out stays as it is.
         */
        Update: {
            /** @description Name of the environment */
            name: string;
            /** @description The image; its major version must be that of the data */
            image?: string;
            /** @description CPU of the database, for example 500m or 2 */
            cpu?: string;
            /** @description Memory of the database, for example 512Mi */
            memory?: string;
            /** @description Settings of the server to set; others stay as they are */
            postgresConfig?: {
                name: string;
                /** @description Bare or in one pair of single quotes. */
                value: string;
            }[];
            /** @description Shown in the pull request */
            reason?: string;
            /** @description Idempotency key: the same key never leads to a second pull request */
            requestId?: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    list_environments: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EnvironmentList"];
                };
            };
            /** @description The request is not right. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            /** @description There is no token, or it is not valid. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            /** @description The caller may not. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            /** @description Something that is needed does not answer; the message says what. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
        };
    };
    environment: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EnvironmentView"];
                };
            };
            /** @description The request is not right. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            /** @description There is no token, or it is not valid. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            /** @description The caller may not. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            /** @description Something that is needed does not answer; the message says what. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
        };
    };
    render: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Check"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Files"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
        };
    };
    create: {
        parameters: {
            query?: never;
            header: {
                /** @description The same for every repetition of one call */
                "Idempotency-Key": string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewRequest"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Proposed"];
                };
            };
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Proposed"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
        };
    };
    follow: {
        parameters: {
            query?: {
                /** @description How long to hold the answer back, at most 25 seconds: `25s` or `25`. */
                wait?: string;
                /**
                 * @description The cursor of the answer before: it is answered when there is an event after it, or another state.
                 *     Without a cursor it is answered when the request has come to an end.
                 */
                cursor?: string;
            };
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Following"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
        };
    };
    sources: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DatasetList"];
                };
            };
            /** @description The request is not right. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            /** @description There is no token, or it is not valid. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            /** @description The caller may not. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            /** @description Something that is needed does not answer; the message says what. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
        };
    };
    validate: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Check"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Checked"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Refusal"];
                };
            };
        };
    };
}
