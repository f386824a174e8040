/**
 * The actions as the sidecar lists them, generated from src/serve/actions.json: `npm run generate`. Not to be edited by hand.
 */
/* eslint-disable */
import type { Listed } from './actions.ts';

export const listed: Listed[] = [
  {
    "id": "vdb:validate",
    "name": "validate",
    "title": "Validate the order of a database",
    "description": "Checks an order for a PostgreSQL copy and reports every problem at once: fields, name free, source exists, image and source allowed, data not too old, owner is a group of the caller. Changes nothing.",
    "pluginId": "vdb",
    "attributes": {
      "readOnly": true,
      "destructive": false,
      "idempotent": true
    },
    "schema": {
      "input": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
          "name": {
            "type": "string",
            "description": "Name of the environment: lower-case letters, digits and '-', at most 36 characters",
            "minLength": 1,
            "maxLength": 36,
            "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"
          },
          "owner": {
            "type": "string",
            "description": "Who owns it: a catalog entity, for example group:default/team-orders",
            "minLength": 1,
            "maxLength": 200,
            "pattern": "^([a-z]+:)?([A-Za-z0-9._-]+/)?[A-Za-z0-9._-]+$"
          },
          "source": {
            "type": "string",
            "description": "The source of the data, for example 10.0.1.54:largedb",
            "minLength": 1,
            "maxLength": 255,
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"
          },
          "snapshotId": {
            "type": "string",
            "description": "A snapshot of the source; the latest where absent",
            "maxLength": 128,
            "pattern": "^([A-Za-z0-9][A-Za-z0-9._:@-]*)?$"
          },
          "database": {
            "type": "string",
            "description": "The database that the application connects to",
            "minLength": 1,
            "maxLength": 63,
            "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"
          },
          "user": {
            "type": "string",
            "description": "The application's role",
            "minLength": 1,
            "maxLength": 63,
            "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"
          },
          "createIfMissing": {
            "type": "boolean",
            "description": "Creates the database when the copy lacks it"
          },
          "image": {
            "type": "string",
            "description": "The image; postgres:16.9 where absent",
            "maxLength": 255,
            "pattern": "^([a-zA-Z0-9][a-zA-Z0-9._:/@-]*)?$"
          },
          "cpu": {
            "type": "string",
            "description": "CPU of the database, for example 500m or 2",
            "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
          },
          "memory": {
            "type": "string",
            "description": "Memory of the database, for example 512Mi",
            "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
          },
          "postgresConfig": {
            "type": "array",
            "items": {
              "type": "object",
              "properties": {
                "name": {
                  "type": "string",
                  "minLength": 1,
                  "maxLength": 63,
                  "pattern": "^[a-zA-Z_][a-zA-Z0-9_.]*$"
                },
                "value": {
                  "description": "Bare or in one pair of single quotes.",
                  "type": "string",
                  "maxLength": 256,
                  "pattern": "^('[^'\"\\\\\\n\\r]*'|[^'\"\\\\\\n\\r]*)$"
                }
              },
              "additionalProperties": false,
              "required": [
                "name",
                "value"
              ]
            },
            "description": "Settings of the server",
            "maxItems": 100
          },
          "initSql": {
            "type": "string",
            "description": "SQL that runs once, as the application's role, before anybody gets in",
            "maxLength": 65536
          },
          "description": {
            "type": "string",
            "description": "What it is for",
            "maxLength": 300
          },
          "requestId": {
            "type": "string",
            "description": "Idempotency key: the same key never leads to a second pull request",
            "maxLength": 200,
            "pattern": "^[A-Za-z0-9._:-]*$"
          },
          "reportOnly": {
            "type": "boolean",
            "description": "Answer with the problems instead of failing the step"
          }
        },
        "required": [
          "name",
          "owner",
          "source",
          "database",
          "user"
        ],
        "description": "The fields are flat: forms, command-line flags and agents fill them in one by one.",
        "title": "Order of a database",
        "$schema": "http://json-schema.org/draft-07/schema#"
      },
      "output": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "ok": {
            "type": "boolean"
          },
          "problems": {
            "type": "array",
            "items": {
              "type": "object",
              "additionalProperties": true
            }
          },
          "report": {
            "type": "string",
            "description": "All problems as a list in Markdown, and the age of the data"
          },
          "dataAsOf": {
            "type": "string",
            "description": "The time of the newest snapshot, where the order names none"
          }
        },
        "required": [
          "ok",
          "problems",
          "report"
        ],
        "additionalProperties": false
      }
    },
    "examples": [
      {
        "title": "Check an order",
        "input": {
          "name": "feat-123",
          "owner": "group:default/team-orders",
          "source": "10.0.1.54:largedb",
          "database": "largedb",
          "user": "app",
          "memory": "512Mi",
          "requestId": "${{ context.task.id }}"
        },
        "output": {
          "ok": true,
          "problems": [],
          "report": "The order is right: the name is free and the source exists."
        }
      }
    ]
  },
  {
    "id": "vdb:render",
    "name": "render",
    "title": "Render the files of an order",
    "description": "Shows the values file and the catalog file that the pull request of an order would add. Changes nothing.",
    "pluginId": "vdb",
    "attributes": {
      "readOnly": true,
      "destructive": false,
      "idempotent": true
    },
    "schema": {
      "input": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
          "name": {
            "type": "string",
            "description": "Name of the environment: lower-case letters, digits and '-', at most 36 characters",
            "minLength": 1,
            "maxLength": 36,
            "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"
          },
          "owner": {
            "type": "string",
            "description": "Who owns it: a catalog entity, for example group:default/team-orders",
            "minLength": 1,
            "maxLength": 200,
            "pattern": "^([a-z]+:)?([A-Za-z0-9._-]+/)?[A-Za-z0-9._-]+$"
          },
          "source": {
            "type": "string",
            "description": "The source of the data, for example 10.0.1.54:largedb",
            "minLength": 1,
            "maxLength": 255,
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"
          },
          "snapshotId": {
            "type": "string",
            "description": "A snapshot of the source; the latest where absent",
            "maxLength": 128,
            "pattern": "^([A-Za-z0-9][A-Za-z0-9._:@-]*)?$"
          },
          "database": {
            "type": "string",
            "description": "The database that the application connects to",
            "minLength": 1,
            "maxLength": 63,
            "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"
          },
          "user": {
            "type": "string",
            "description": "The application's role",
            "minLength": 1,
            "maxLength": 63,
            "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"
          },
          "createIfMissing": {
            "type": "boolean",
            "description": "Creates the database when the copy lacks it"
          },
          "image": {
            "type": "string",
            "description": "The image; postgres:16.9 where absent",
            "maxLength": 255,
            "pattern": "^([a-zA-Z0-9][a-zA-Z0-9._:/@-]*)?$"
          },
          "cpu": {
            "type": "string",
            "description": "CPU of the database, for example 500m or 2",
            "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
          },
          "memory": {
            "type": "string",
            "description": "Memory of the database, for example 512Mi",
            "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
          },
          "postgresConfig": {
            "type": "array",
            "items": {
              "type": "object",
              "properties": {
                "name": {
                  "type": "string",
                  "minLength": 1,
                  "maxLength": 63,
                  "pattern": "^[a-zA-Z_][a-zA-Z0-9_.]*$"
                },
                "value": {
                  "description": "Bare or in one pair of single quotes.",
                  "type": "string",
                  "maxLength": 256,
                  "pattern": "^('[^'\"\\\\\\n\\r]*'|[^'\"\\\\\\n\\r]*)$"
                }
              },
              "additionalProperties": false,
              "required": [
                "name",
                "value"
              ]
            },
            "description": "Settings of the server",
            "maxItems": 100
          },
          "initSql": {
            "type": "string",
            "description": "SQL that runs once, as the application's role, before anybody gets in",
            "maxLength": 65536
          },
          "description": {
            "type": "string",
            "description": "What it is for",
            "maxLength": 300
          },
          "requestId": {
            "type": "string",
            "description": "Idempotency key: the same key never leads to a second pull request",
            "maxLength": 200,
            "pattern": "^[A-Za-z0-9._:-]*$"
          }
        },
        "required": [
          "name",
          "owner",
          "source",
          "database",
          "user"
        ],
        "description": "The fields are flat: forms, command-line flags and agents fill them in one by one.",
        "title": "Order of a database",
        "$schema": "http://json-schema.org/draft-07/schema#"
      },
      "output": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "values": {
            "type": "string",
            "description": "environments/<name>/values.yaml"
          },
          "catalogInfo": {
            "type": "string",
            "description": "environments/<name>/catalog-info.yaml"
          }
        },
        "required": [
          "values",
          "catalogInfo"
        ],
        "additionalProperties": false
      }
    },
    "examples": [
      {
        "title": "Show what would be written",
        "input": {
          "name": "feat-123",
          "owner": "group:default/team-orders",
          "source": "10.0.1.54:largedb",
          "database": "largedb",
          "user": "app",
          "memory": "512Mi",
          "requestId": "${{ context.task.id }}"
        },
        "output": {
          "values": "owner: …",
          "catalogInfo": "kind: Resource …"
        }
      }
    ]
  },
  {
    "id": "vdb:publish",
    "name": "publish",
    "title": "Order a database",
    "description": "Opens the pull request that creates an environment with a PostgreSQL copy, exactly once. Needs a signed-in user who is a member of the owning group. Nothing runs before the pull request is merged.",
    "pluginId": "vdb",
    "attributes": {
      "readOnly": false,
      "destructive": false,
      "idempotent": true
    },
    "schema": {
      "input": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
          "name": {
            "type": "string",
            "description": "Name of the environment: lower-case letters, digits and '-', at most 36 characters",
            "minLength": 1,
            "maxLength": 36,
            "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"
          },
          "owner": {
            "type": "string",
            "description": "Who owns it: a catalog entity, for example group:default/team-orders",
            "minLength": 1,
            "maxLength": 200,
            "pattern": "^([a-z]+:)?([A-Za-z0-9._-]+/)?[A-Za-z0-9._-]+$"
          },
          "source": {
            "type": "string",
            "description": "The source of the data, for example 10.0.1.54:largedb",
            "minLength": 1,
            "maxLength": 255,
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"
          },
          "snapshotId": {
            "type": "string",
            "description": "A snapshot of the source; the latest where absent",
            "maxLength": 128,
            "pattern": "^([A-Za-z0-9][A-Za-z0-9._:@-]*)?$"
          },
          "database": {
            "type": "string",
            "description": "The database that the application connects to",
            "minLength": 1,
            "maxLength": 63,
            "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"
          },
          "user": {
            "type": "string",
            "description": "The application's role",
            "minLength": 1,
            "maxLength": 63,
            "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"
          },
          "createIfMissing": {
            "type": "boolean",
            "description": "Creates the database when the copy lacks it"
          },
          "image": {
            "type": "string",
            "description": "The image; postgres:16.9 where absent",
            "maxLength": 255,
            "pattern": "^([a-zA-Z0-9][a-zA-Z0-9._:/@-]*)?$"
          },
          "cpu": {
            "type": "string",
            "description": "CPU of the database, for example 500m or 2",
            "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
          },
          "memory": {
            "type": "string",
            "description": "Memory of the database, for example 512Mi",
            "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
          },
          "postgresConfig": {
            "type": "array",
            "items": {
              "type": "object",
              "properties": {
                "name": {
                  "type": "string",
                  "minLength": 1,
                  "maxLength": 63,
                  "pattern": "^[a-zA-Z_][a-zA-Z0-9_.]*$"
                },
                "value": {
                  "description": "Bare or in one pair of single quotes.",
                  "type": "string",
                  "maxLength": 256,
                  "pattern": "^('[^'\"\\\\\\n\\r]*'|[^'\"\\\\\\n\\r]*)$"
                }
              },
              "additionalProperties": false,
              "required": [
                "name",
                "value"
              ]
            },
            "description": "Settings of the server",
            "maxItems": 100
          },
          "initSql": {
            "type": "string",
            "description": "SQL that runs once, as the application's role, before anybody gets in",
            "maxLength": 65536
          },
          "description": {
            "type": "string",
            "description": "What it is for",
            "maxLength": 300
          },
          "requestId": {
            "type": "string",
            "description": "Idempotency key: the same key never leads to a second pull request",
            "maxLength": 200,
            "pattern": "^[A-Za-z0-9._:-]*$"
          },
          "userToken": {
            "type": [
              "string",
              "null"
            ],
            "format": "password",
            "description": "The user's own token for the forge, ${{ secrets.USER_OAUTH_TOKEN }}: commit and pull request are made as that user. Used once, kept nowhere. Where absent the platform's account makes them"
          }
        },
        "required": [
          "name",
          "owner",
          "source",
          "database",
          "user"
        ],
        "description": "The fields are flat: forms, command-line flags and agents fill them in one by one.",
        "title": "Order of a database",
        "$schema": "http://json-schema.org/draft-07/schema#"
      },
      "output": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "requestId": {
            "type": "string",
            "description": "Names the request in vdb:wait"
          },
          "remoteUrl": {
            "type": "string",
            "description": "The pull request"
          },
          "pullRequestNumber": {
            "type": "integer"
          },
          "targetBranchName": {
            "type": "string",
            "description": "The branch of the request"
          },
          "commitHash": {
            "type": "string",
            "description": "The commit of the request"
          },
          "entityRef": {
            "type": "string",
            "description": "The catalog entity of the environment"
          },
          "state": {
            "type": "string",
            "description": "PROPOSED, or what it has become since"
          },
          "statusUrl": {
            "type": "string",
            "description": "Where the state is read as JSON"
          }
        },
        "required": [
          "requestId",
          "remoteUrl",
          "targetBranchName",
          "entityRef",
          "state",
          "statusUrl"
        ],
        "additionalProperties": false
      }
    },
    "examples": [
      {
        "title": "Order a copy of largedb",
        "input": {
          "name": "feat-123",
          "owner": "group:default/team-orders",
          "source": "10.0.1.54:largedb",
          "database": "largedb",
          "user": "app",
          "memory": "512Mi",
          "requestId": "${{ context.task.id }}"
        },
        "output": {
          "requestId": "feat-123.create-0123456789",
          "remoteUrl": "https://git.example.com/acme/databases/pulls/7",
          "pullRequestNumber": 7,
          "targetBranchName": "vdb/feat-123.create-0123456789",
          "commitHash": "0123…",
          "entityRef": "resource:default/feat-123",
          "state": "PROPOSED",
          "statusUrl": "https://portal.example.com/api/proxy/vdb/v1/requests/feat-123.create-0123456789"
        }
      }
    ]
  },
  {
    "id": "vdb:wait",
    "name": "wait",
    "title": "Wait for a request",
    "description": "Answers with the state that a request has reached when the time is over or nothing more can happen: REQUESTED, PROPOSED, MERGED, SYNCING, PROVISIONING, READY, BLOCKED, SUPERSEDED or RETIRED. A failed or rejected request fails the step. Call it again to wait longer. Changes nothing.",
    "pluginId": "vdb",
    "attributes": {
      "readOnly": true,
      "destructive": false,
      "idempotent": true
    },
    "schema": {
      "input": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "requestId": {
            "type": "string",
            "description": "Output requestId of vdb:publish, vdb:update, vdb:refresh, vdb:extend, vdb:bookmark or vdb:retire"
          },
          "timeoutSeconds": {
            "type": "integer",
            "minimum": 0,
            "maximum": 3600,
            "description": "How long to wait at most; 40 where absent. Without the platform's module, an answer comes after 40 at the latest"
          }
        },
        "required": [
          "requestId"
        ],
        "additionalProperties": false
      },
      "output": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "state": {
            "type": "string",
            "description": "How far the request has come"
          },
          "ready": {
            "type": "boolean"
          },
          "reason": {
            "type": "string",
            "description": "Why, in one word of a closed list (docs/operations.md)"
          },
          "message": {
            "type": "string",
            "description": "What is going on"
          },
          "hint": {
            "type": "string",
            "description": "What to do, where there is something to do"
          },
          "remoteUrl": {
            "type": "string",
            "description": "The pull request"
          },
          "endpoint": {
            "type": "object",
            "description": "Where the database answers, once it is ready",
            "additionalProperties": true
          }
        },
        "required": [
          "state",
          "ready",
          "message",
          "hint",
          "remoteUrl"
        ],
        "additionalProperties": false
      }
    },
    "examples": [
      {
        "title": "Wait for an order",
        "input": {
          "requestId": "${{ steps.publish.output.requestId }}"
        },
        "output": {
          "state": "READY",
          "ready": true,
          "reason": "Verified",
          "message": "a query through the Service was answered",
          "hint": "",
          "remoteUrl": "https://git.example.com/acme/databases/pulls/7"
        }
      }
    ]
  },
  {
    "id": "vdb:retire",
    "name": "retire",
    "title": "Retire an environment",
    "description": "Opens the pull request that removes an environment. Merging it deletes its databases and all data in them for good. Needs a signed-in user who is a member of the owning group.",
    "pluginId": "vdb",
    "attributes": {
      "readOnly": false,
      "destructive": true,
      "idempotent": true
    },
    "schema": {
      "input": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "name": {
            "type": "string",
            "description": "Name of the environment"
          },
          "reason": {
            "type": "string",
            "maxLength": 300,
            "description": "Shown in the pull request"
          },
          "requestId": {
            "type": "string",
            "maxLength": 200,
            "description": "Idempotency key: the same key never leads to a second pull request"
          },
          "userToken": {
            "type": [
              "string",
              "null"
            ],
            "format": "password",
            "description": "The user's own token for the forge, ${{ secrets.USER_OAUTH_TOKEN }}: commit and pull request are made as that user. Used once, kept nowhere. Where absent the platform's account makes them"
          }
        },
        "required": [
          "name"
        ],
        "additionalProperties": false
      },
      "output": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "requestId": {
            "type": "string",
            "description": "Names the request in vdb:wait"
          },
          "remoteUrl": {
            "type": "string",
            "description": "The pull request"
          },
          "pullRequestNumber": {
            "type": "integer"
          },
          "targetBranchName": {
            "type": "string",
            "description": "The branch of the request"
          },
          "commitHash": {
            "type": "string",
            "description": "The commit of the request"
          },
          "entityRef": {
            "type": "string",
            "description": "The catalog entity of the environment"
          },
          "state": {
            "type": "string",
            "description": "PROPOSED, or what it has become since"
          },
          "statusUrl": {
            "type": "string",
            "description": "Where the state is read as JSON"
          }
        },
        "required": [
          "requestId",
          "remoteUrl",
          "targetBranchName",
          "entityRef",
          "state",
          "statusUrl"
        ],
        "additionalProperties": false
      }
    },
    "examples": [
      {
        "title": "Retire an environment",
        "input": {
          "name": "feat-123",
          "reason": "merged",
          "requestId": "${{ context.task.id }}"
        },
        "output": {
          "requestId": "feat-123.retire-0123456789",
          "remoteUrl": "https://git.example.com/acme/databases/pulls/9",
          "pullRequestNumber": 9,
          "targetBranchName": "vdb/feat-123.retire-0123456789",
          "commitHash": "0123…",
          "entityRef": "resource:default/feat-123",
          "state": "PROPOSED",
          "statusUrl": "https://portal.example.com/api/proxy/vdb/v1/requests/feat-123.retire-0123456789"
        }
      }
    ]
  },
  {
    "id": "vdb:update",
    "name": "update",
    "title": "Update a database",
    "description": "Opens the pull request that changes image, CPU, memory or settings of a database and leaves everything else of its values file as it is, exactly once. Merging it restarts the server; the data stays. Needs a signed-in user who is a member of the owning group.",
    "pluginId": "vdb",
    "attributes": {
      "readOnly": false,
      "destructive": false,
      "idempotent": true
    },
    "schema": {
      "input": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
          "name": {
            "type": "string",
            "description": "Name of the environment",
            "minLength": 1,
            "maxLength": 36
          },
          "image": {
            "type": "string",
            "description": "The image; its major version must be that of the data",
            "maxLength": 255,
            "pattern": "^([a-zA-Z0-9][a-zA-Z0-9._:/@-]*)?$"
          },
          "cpu": {
            "type": "string",
            "description": "CPU of the database, for example 500m or 2",
            "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
          },
          "memory": {
            "type": "string",
            "description": "Memory of the database, for example 512Mi",
            "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
          },
          "postgresConfig": {
            "type": "array",
            "items": {
              "type": "object",
              "properties": {
                "name": {
                  "type": "string",
                  "minLength": 1,
                  "maxLength": 63,
                  "pattern": "^[a-zA-Z_][a-zA-Z0-9_.]*$"
                },
                "value": {
                  "description": "Bare or in one pair of single quotes.",
                  "type": "string",
                  "maxLength": 256,
                  "pattern": "^('[^'\"\\\\\\n\\r]*'|[^'\"\\\\\\n\\r]*)$"
                }
              },
              "additionalProperties": false,
              "required": [
                "name",
                "value"
              ]
            },
            "description": "Settings of the server to set; others stay as they are",
            "maxItems": 100
          },
          "reason": {
            "type": "string",
            "description": "Shown in the pull request",
            "maxLength": 300
          },
          "requestId": {
            "type": "string",
            "description": "Idempotency key: the same key never leads to a second pull request",
            "maxLength": 200,
            "pattern": "^[A-Za-z0-9._:-]*$"
          },
          "userToken": {
            "type": [
              "string",
              "null"
            ],
            "format": "password",
            "description": "The user's own token for the forge, ${{ secrets.USER_OAUTH_TOKEN }}: commit and pull request are made as that user. Used once, kept nowhere. Where absent the platform's account makes them"
          }
        },
        "required": [
          "name"
        ],
        "description": "What is left out stays as it is.",
        "title": "Change of a database",
        "$schema": "http://json-schema.org/draft-07/schema#"
      },
      "output": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "requestId": {
            "type": "string",
            "description": "Names the request in vdb:wait"
          },
          "remoteUrl": {
            "type": "string",
            "description": "The pull request"
          },
          "pullRequestNumber": {
            "type": "integer"
          },
          "targetBranchName": {
            "type": "string",
            "description": "The branch of the request"
          },
          "commitHash": {
            "type": "string",
            "description": "The commit of the request"
          },
          "entityRef": {
            "type": "string",
            "description": "The catalog entity of the environment"
          },
          "state": {
            "type": "string",
            "description": "PROPOSED, or what it has become since"
          },
          "statusUrl": {
            "type": "string",
            "description": "Where the state is read as JSON"
          }
        },
        "required": [
          "requestId",
          "remoteUrl",
          "targetBranchName",
          "entityRef",
          "state",
          "statusUrl"
        ],
        "additionalProperties": false
      }
    },
    "examples": [
      {
        "title": "Give a database more memory",
        "input": {
          "name": "feat-123",
          "memory": "1Gi",
          "postgresConfig": [
            {
              "name": "work_mem",
              "value": "64MB"
            }
          ],
          "requestId": "${{ context.task.id }}"
        },
        "output": {
          "requestId": "feat-123.update-0123456789",
          "remoteUrl": "https://git.example.com/acme/databases/pulls/8",
          "pullRequestNumber": 8,
          "targetBranchName": "vdb/feat-123.update-0123456789",
          "commitHash": "0123…",
          "entityRef": "resource:default/feat-123",
          "state": "PROPOSED",
          "statusUrl": "https://portal.example.com/api/proxy/vdb/v1/requests/feat-123.update-0123456789"
        }
      }
    ]
  },
  {
    "id": "vdb:refresh",
    "name": "refresh",
    "title": "Refresh a database",
    "description": "Opens the pull request that replaces all data of a copy by that of the newest snapshot of its source, exactly once. What was written to the copy is lost. Needs a signed-in user who is a member of the owning group.",
    "pluginId": "vdb",
    "attributes": {
      "readOnly": false,
      "destructive": true,
      "idempotent": true
    },
    "schema": {
      "input": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
          "name": {
            "type": "string",
            "description": "Name of the environment",
            "minLength": 1,
            "maxLength": 36
          },
          "reason": {
            "type": "string",
            "description": "Shown in the pull request",
            "maxLength": 300
          },
          "requestId": {
            "type": "string",
            "description": "Idempotency key: the same key never leads to a second pull request",
            "maxLength": 200,
            "pattern": "^[A-Za-z0-9._:-]*$"
          },
          "userToken": {
            "type": [
              "string",
              "null"
            ],
            "format": "password",
            "description": "The user's own token for the forge, ${{ secrets.USER_OAUTH_TOKEN }}: commit and pull request are made as that user. Used once, kept nowhere. Where absent the platform's account makes them"
          }
        },
        "required": [
          "name"
        ],
        "description": "A refresh replaces the data by that of the newest snapshot of the same source.",
        "title": "Refresh of a database",
        "$schema": "http://json-schema.org/draft-07/schema#"
      },
      "output": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "requestId": {
            "type": "string",
            "description": "Names the request in vdb:wait"
          },
          "remoteUrl": {
            "type": "string",
            "description": "The pull request"
          },
          "pullRequestNumber": {
            "type": "integer"
          },
          "targetBranchName": {
            "type": "string",
            "description": "The branch of the request"
          },
          "commitHash": {
            "type": "string",
            "description": "The commit of the request"
          },
          "entityRef": {
            "type": "string",
            "description": "The catalog entity of the environment"
          },
          "state": {
            "type": "string",
            "description": "PROPOSED, or what it has become since"
          },
          "statusUrl": {
            "type": "string",
            "description": "Where the state is read as JSON"
          }
        },
        "required": [
          "requestId",
          "remoteUrl",
          "targetBranchName",
          "entityRef",
          "state",
          "statusUrl"
        ],
        "additionalProperties": false
      }
    },
    "examples": [
      {
        "title": "Get fresh data",
        "input": {
          "name": "feat-123",
          "requestId": "${{ context.task.id }}"
        },
        "output": {
          "requestId": "feat-123.refresh-0123456789",
          "remoteUrl": "https://git.example.com/acme/databases/pulls/10",
          "pullRequestNumber": 10,
          "targetBranchName": "vdb/feat-123.refresh-0123456789",
          "commitHash": "0123…",
          "entityRef": "resource:default/feat-123",
          "state": "PROPOSED",
          "statusUrl": "https://portal.example.com/api/proxy/vdb/v1/requests/feat-123.refresh-0123456789"
        }
      }
    ]
  },
  {
    "id": "vdb:extend",
    "name": "extend",
    "title": "Extend the life of a database",
    "description": "Opens the pull request that lets a database expire later: expiresAt, or days to add, exactly once. Needs a signed-in user who is a member of the owning group.",
    "pluginId": "vdb",
    "attributes": {
      "readOnly": false,
      "destructive": false,
      "idempotent": true
    },
    "schema": {
      "input": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
          "name": {
            "type": "string",
            "description": "Name of the environment",
            "minLength": 1,
            "maxLength": 36
          },
          "expiresAt": {
            "type": "string",
            "description": "Until when it is needed, for example 2030-01-31T12:00:00Z",
            "maxLength": 40
          },
          "days": {
            "type": "integer",
            "maximum": 3650,
            "minimum": 1,
            "description": "Days to add to its expiry, or from now on where it has none"
          },
          "reason": {
            "type": "string",
            "description": "Shown in the pull request",
            "maxLength": 300
          },
          "requestId": {
            "type": "string",
            "description": "Idempotency key: the same key never leads to a second pull request",
            "maxLength": 200,
            "pattern": "^[A-Za-z0-9._:-]*$"
          },
          "userToken": {
            "type": [
              "string",
              "null"
            ],
            "format": "password",
            "description": "The user's own token for the forge, ${{ secrets.USER_OAUTH_TOKEN }}: commit and pull request are made as that user. Used once, kept nowhere. Where absent the platform's account makes them"
          }
        },
        "required": [
          "name"
        ],
        "description": "Either a point in time or days to add.",
        "title": "New expiry of a database",
        "$schema": "http://json-schema.org/draft-07/schema#"
      },
      "output": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "requestId": {
            "type": "string",
            "description": "Names the request in vdb:wait"
          },
          "remoteUrl": {
            "type": "string",
            "description": "The pull request"
          },
          "pullRequestNumber": {
            "type": "integer"
          },
          "targetBranchName": {
            "type": "string",
            "description": "The branch of the request"
          },
          "commitHash": {
            "type": "string",
            "description": "The commit of the request"
          },
          "entityRef": {
            "type": "string",
            "description": "The catalog entity of the environment"
          },
          "state": {
            "type": "string",
            "description": "PROPOSED, or what it has become since"
          },
          "statusUrl": {
            "type": "string",
            "description": "Where the state is read as JSON"
          }
        },
        "required": [
          "requestId",
          "remoteUrl",
          "targetBranchName",
          "entityRef",
          "state",
          "statusUrl"
        ],
        "additionalProperties": false
      }
    },
    "examples": [
      {
        "title": "Two more weeks",
        "input": {
          "name": "feat-123",
          "days": 14,
          "requestId": "${{ context.task.id }}"
        },
        "output": {
          "requestId": "feat-123.extend-0123456789",
          "remoteUrl": "https://git.example.com/acme/databases/pulls/11",
          "pullRequestNumber": 11,
          "targetBranchName": "vdb/feat-123.extend-0123456789",
          "commitHash": "0123…",
          "entityRef": "resource:default/feat-123",
          "state": "PROPOSED",
          "statusUrl": "https://portal.example.com/api/proxy/vdb/v1/requests/feat-123.extend-0123456789"
        }
      }
    ]
  },
  {
    "id": "vdb:bookmark",
    "name": "bookmark",
    "title": "Bookmark the data of a database",
    "description": "Keeps the present data of a copy, exactly once, without a pull request: a PostgresRewind or an order goes back to it. Answers with the state reached within half a minute; call it again, or vdb:wait, to wait longer. Needs a signed-in user who is a member of the owning group.",
    "pluginId": "vdb",
    "attributes": {
      "readOnly": false,
      "destructive": false,
      "idempotent": true
    },
    "schema": {
      "input": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "name": {
            "type": "string",
            "description": "Name of the environment"
          },
          "bookmark": {
            "type": [
              "string",
              "null"
            ],
            "maxLength": 128,
            "description": "Name of the bookmark, of which there is one in Data Control Tower; made up where absent"
          },
          "database": {
            "type": [
              "string",
              "null"
            ],
            "maxLength": 40,
            "description": "Which database, where the environment has several: the name of its PostgresVDB"
          },
          "retentionDays": {
            "type": [
              "integer",
              "null"
            ],
            "minimum": 1,
            "maximum": 3650,
            "description": "Days until it goes by itself; 30 where absent"
          },
          "requestId": {
            "type": [
              "string",
              "null"
            ],
            "maxLength": 200,
            "description": "The same for every repetition of one call; ${{ context.task.id }}. Where absent, the bookmark's name is"
          }
        },
        "required": [
          "name"
        ],
        "additionalProperties": false
      },
      "output": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "requestId": {
            "type": "string",
            "description": "Names the bookmark in vdb:wait"
          },
          "entityRef": {
            "type": "string",
            "description": "The catalog entity of the environment"
          },
          "database": {
            "type": "string",
            "description": "The name of its PostgresVDB"
          },
          "bookmark": {
            "type": "string",
            "description": "The bookmark's name, once it is made"
          },
          "dataAsOf": {
            "type": "string",
            "description": "The point in time whose data it holds"
          },
          "state": {
            "type": "string",
            "description": "REQUESTED, PROVISIONING or READY"
          },
          "ready": {
            "type": "boolean"
          },
          "reason": {
            "type": "string",
            "description": "Why it waits"
          },
          "message": {
            "type": "string",
            "description": "What is going on"
          },
          "hint": {
            "type": "string",
            "description": "What to do, where there is something to do"
          },
          "remoteUrl": {
            "type": "string",
            "description": "Empty: there is no pull request"
          }
        },
        "required": [
          "requestId",
          "entityRef",
          "database",
          "state",
          "ready",
          "reason",
          "message",
          "hint"
        ],
        "additionalProperties": false
      }
    },
    "examples": [
      {
        "title": "Keep the data before a migration",
        "input": {
          "name": "feat-123",
          "bookmark": "feat-123 before the migration",
          "requestId": "${{ context.task.id }}"
        },
        "output": {
          "requestId": "feat-123.bookmark-0123456789",
          "entityRef": "resource:default/feat-123",
          "database": "feat-123-vdb",
          "bookmark": "feat-123 before the migration",
          "dataAsOf": "2026-11-25T10:00:00Z",
          "state": "READY",
          "ready": true,
          "reason": "",
          "message": "bookmark feat-123 before the migration",
          "hint": "",
          "remoteUrl": ""
        }
      }
    ]
  },
  {
    "id": "vdb:list",
    "name": "list",
    "title": "List databases",
    "description": "The PostgreSQL copies of the caller's groups, or all of them, with their states. Changes nothing.",
    "pluginId": "vdb",
    "attributes": {
      "readOnly": true,
      "destructive": false,
      "idempotent": true
    },
    "schema": {
      "input": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "all": {
            "type": "boolean",
            "description": "Those of other groups, too"
          },
          "owner": {
            "type": "string",
            "description": "Those of one owner alone, for example group:default/team-orders"
          }
        },
        "required": [],
        "additionalProperties": false
      },
      "output": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "environments": {
            "type": "array",
            "items": {
              "$schema": "http://json-schema.org/draft-07/schema#",
              "type": "object",
              "properties": {
                "name": {
                  "type": "string",
                  "description": "Name of the environment"
                },
                "state": {
                  "type": "string",
                  "description": "PROPOSED, MERGED, PROVISIONING, READY, BLOCKED, SUPERSEDED or FAILED"
                },
                "ready": {
                  "type": "boolean"
                },
                "message": {
                  "type": "string",
                  "description": "What is going on"
                },
                "hint": {
                  "type": "string",
                  "description": "What to do, where there is something to do"
                },
                "owner": {
                  "type": "string",
                  "description": "Who owns it"
                },
                "dataAsOf": {
                  "type": "string",
                  "description": "The point in time whose data the copy holds"
                }
              },
              "required": [
                "name",
                "state",
                "ready",
                "message",
                "hint"
              ],
              "additionalProperties": false
            }
          },
          "count": {
            "type": "integer"
          }
        },
        "required": [
          "environments",
          "count"
        ],
        "additionalProperties": false
      }
    },
    "examples": [
      {
        "title": "My databases",
        "input": {},
        "output": {
          "environments": [
            {
              "name": "feat-123",
              "state": "READY",
              "ready": true,
              "message": "a query through the Service was answered",
              "hint": "",
              "owner": "group:default/team-orders",
              "dataAsOf": "2026-11-23T10:00:00Z"
            }
          ],
          "count": 1
        }
      }
    ]
  },
  {
    "id": "vdb:status",
    "name": "status",
    "title": "Show one database",
    "description": "State of one PostgreSQL copy, with the reason and what to do, how to connect, how old its data is, and how long each stage took. No password is shown. Changes nothing.",
    "pluginId": "vdb",
    "attributes": {
      "readOnly": true,
      "destructive": false,
      "idempotent": true
    },
    "schema": {
      "input": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "name": {
            "type": "string",
            "description": "Name of the environment"
          }
        },
        "required": [
          "name"
        ],
        "additionalProperties": false
      },
      "output": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
          "name": {
            "type": "string",
            "description": "Name of the environment"
          },
          "state": {
            "type": "string",
            "description": "PROPOSED, MERGED, PROVISIONING, READY, BLOCKED, SUPERSEDED or FAILED"
          },
          "ready": {
            "type": "boolean"
          },
          "reason": {
            "type": "string",
            "description": "One word of a closed list"
          },
          "message": {
            "type": "string",
            "description": "What is going on"
          },
          "hint": {
            "type": "string",
            "description": "What to do, where there is something to do"
          },
          "owner": {
            "type": "string",
            "description": "Who owns it"
          },
          "source": {
            "type": "string",
            "description": "What it is a copy of"
          },
          "dataAsOf": {
            "type": "string",
            "description": "The point in time whose data the copy holds"
          },
          "dataAge": {
            "type": "string",
            "description": "How old that is"
          },
          "endpoint": {
            "type": "object",
            "description": "Host, port, database, user, and the Secret that holds the password",
            "additionalProperties": true
          },
          "request": {
            "type": "object",
            "description": "The request that it carries out or that is under way, with its pull request",
            "additionalProperties": true
          },
          "timeline": {
            "type": "array",
            "description": "The stages with their times",
            "items": {
              "type": "object",
              "additionalProperties": true
            }
          }
        },
        "required": [
          "name",
          "state",
          "ready",
          "reason",
          "message",
          "hint",
          "timeline"
        ],
        "additionalProperties": false
      }
    },
    "examples": [
      {
        "title": "How is feat-123?",
        "input": {
          "name": "feat-123"
        },
        "output": {
          "name": "feat-123",
          "state": "READY",
          "ready": true,
          "reason": "Answered",
          "message": "a query through the Service was answered",
          "hint": "",
          "owner": "group:default/team-orders",
          "source": "10.0.1.54:largedb",
          "dataAsOf": "2026-11-23T10:00:00Z",
          "dataAge": "2 d 1 h",
          "timeline": [
            {
              "name": "Provision",
              "startedAt": "2026-11-25T10:00:00Z",
              "finishedAt": "2026-11-25T10:00:02Z",
              "seconds": 2
            }
          ]
        }
      }
    ]
  }
];
