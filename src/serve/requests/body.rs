//! What goes over the wire, as the API's description shows it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};

use crate::serve::progress::Progress;
use crate::serve::readiness::State;
use crate::serve::timeline::Event;

/// What is asked for.
// It may hold a token, so it cannot be printed.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(tag = "operation", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum NewRequest {
    /// A new environment.
    Create {
        #[schema(value_type = OrderSchema)]
        order: Value,
        /// A token of the user for the forge: commit and pull request are made as that user. Used once, kept nowhere
        #[serde(default, rename = "userToken")]
        #[schema(value_type = Option<String>, format = Password, write_only)]
        user_token: Value,
    },
    /// Another image, size or setting.
    Update {
        #[schema(value_type = UpdateSchema)]
        change: Value,
        /// A token of the user for the forge: commit and pull request are made as that user. Used once, kept nowhere
        #[serde(default, rename = "userToken")]
        #[schema(value_type = Option<String>, format = Password, write_only)]
        user_token: Value,
    },
    /// The data of the newest snapshot in the place of the copy's own.
    Refresh {
        #[schema(value_type = RefreshSchema)]
        change: Value,
        /// A token of the user for the forge: commit and pull request are made as that user. Used once, kept nowhere
        #[serde(default, rename = "userToken")]
        #[schema(value_type = Option<String>, format = Password, write_only)]
        user_token: Value,
    },
    /// Another day on which the database is no longer needed.
    Extend {
        #[schema(value_type = ExtendSchema)]
        change: Value,
        /// A token of the user for the forge: commit and pull request are made as that user. Used once, kept nowhere
        #[serde(default, rename = "userToken")]
        #[schema(value_type = Option<String>, format = Password, write_only)]
        user_token: Value,
    },
    /// The removal of an environment with all its data.
    Retire {
        /// Name of the environment
        name: String,
        /// Shown in the pull request
        #[serde(default)]
        #[schema(max_length = 300)]
        reason: Option<String>,
        /// A token of the user for the forge: the pull request is made as that user. Used once, kept nowhere
        #[serde(default, rename = "userToken")]
        #[schema(value_type = Option<String>, format = Password, write_only)]
        user_token: Value,
    },
}

/// An order to look at.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    #[schema(value_type = OrderSchema)]
    pub(crate) order: Value,
}

/// Input schemas of actions as components of the document: forms, chart and command line share them.
macro_rules! input_schemas {
    ($($schema:ident: $name:literal, $of:path;)*) => {$(
        pub(crate) struct $schema;

        impl utoipa::PartialSchema for $schema {
            fn schema() -> RefOr<Schema> {
                component($of())
            }
        }

        impl utoipa::ToSchema for $schema {
            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
        }
    )*};
}

input_schemas! {
    OrderSchema: "Order", environment::schema::order;
    UpdateSchema: "Update", environment::schema::update;
    RefreshSchema: "Refresh", environment::schema::refresh;
    ExtendSchema: "Extend", environment::schema::extend;
}

fn component(mut schema: Value) -> RefOr<Schema> {
    if let Some(fields) = schema.as_object_mut() {
        fields.shift_remove("$schema");
    }
    serde_json::from_value(schema).expect("a JSON Schema of plain keywords: a test compares them")
}

/// The pull request of a request.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Proposed {
    /// Names the request from now on
    pub(crate) request_id: String,
    /// The pull request
    pub(crate) remote_url: String,
    /// The branch of the request
    pub(crate) target_branch_name: String,
    /// The catalog entity of the environment
    pub(crate) entity_ref: String,
    pub(crate) state: State,
    /// Where the state is read as JSON
    pub(crate) status_url: String,
    /// Absent where Git holds it without a pull request that is known
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pull_request_number: Option<u64>,
    /// The commit of the request
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) commit_hash: Option<String>,
}

impl Proposed {
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Proposed
    }
}

/// A request, and what has happened to it after the cursor that was sent.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Following {
    #[serde(flatten)]
    pub(crate) progress: Progress,
    pub(crate) events: Vec<Event>,
    /// To be sent with the next call.
    pub(crate) cursor: u32,
}

/// What is wrong with an order.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Checked {
    pub(crate) ok: bool,
    #[schema(value_type = Vec<ProblemSchema>)]
    pub(crate) problems: Vec<environment::Problem>,
    /// All problems as a list in Markdown, and the age of the data
    pub(crate) report: String,
    /// The time of the newest snapshot, where the order names none
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data_as_of: Option<String>,
}

/// The files of an order.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Files {
    /// environments/<name>/values.yaml
    pub(crate) values: String,
    /// environments/<name>/catalog-info.yaml
    pub(crate) catalog_info: String,
}

/// One thing to change.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemSchema {
    /// JSON pointer into the order
    pointer: String,
    /// The form's field, where one field is to blame
    field: Option<String>,
    message: String,
    /// What to change
    hint: Option<String>,
    /// A warning refuses nothing
    warning: Option<bool>,
}

/// A refusal: Backstage's error body, and all problems at once. The reason phrase says the message in one line.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Refusal {
    error: RefusalError,
    #[schema(value_type = Vec<ProblemSchema>)]
    problems: Vec<environment::Problem>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct RefusalError {
    /// The name of Backstage's error class
    name: String,
    message: String,
}
