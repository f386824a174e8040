//! Jobs: every action that takes time answers with one.

use serde::{Deserialize, Serialize};

use super::{dataset::Tag, wire};
use crate::lenient;

/// Where a job stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum JobStatus {
    Pending,
    Started,
    Running,
    Suspended,
    Waiting,
    Completed,
    Failed,
    Canceled,
    /// The tower stopped waiting; the work may still have been done.
    Timedout,
    /// Somebody stopped the tracking; the work may still have been done.
    Abandoned,
    /// A word of a later version: taken for "not over yet".
    #[default]
    #[serde(other)]
    Unknown,
}

impl JobStatus {
    /// Nothing more will happen under this job.
    pub fn is_over(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Canceled | Self::Timedout | Self::Abandoned
        )
    }

    /// Over, and says nothing about the object: look.
    pub fn is_inconclusive(self) -> bool {
        matches!(self, Self::Timedout | Self::Abandoned)
    }
}

wire! {
    Job {
        id: String,
        status: JobStatus,
        |
        #[serde(rename = "type")]
        kind: String,
        localized_type: String,
        #[serde(deserialize_with = "lenient::integer")]
        percent_complete: i64,
        is_waiting_for_telemetry: bool,
        error_details: String,
        warning_message: String,
        target_id: String,
        target_name: String,
        start_time: String,
        update_time: String,
        engines: Vec<JobEngine>,
        engine_ids: Vec<String>,
        tasks: Vec<JobTask>,
        account_name: String,
        trace_id: String,
        tags: Vec<Tag>,
    }
}

wire! {
    /// A part of a job, with what it says meanwhile.
    JobTask {
        |
        id: String,
        parent_job_id: String,
        title: String,
        status: String,
        #[serde(deserialize_with = "lenient::integer")]
        percent_complete: i64,
        start_time: String,
        end_time: String,
        events: Vec<JobEvent>,
    }
}

wire! {
    JobEvent {
        |
        message_details: String,
        message_action: String,
        message_command_output: String,
        timestamp: String,
    }
}

wire! {
    JobEngine {
        |
        engine_id: String,
        engine_name: String,
    }
}
