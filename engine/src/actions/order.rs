//! Writing a job down.

use dct::types::{Job, JobEngine, JobStatus, ProvisionAnswer, Vdb};

use crate::model::{ENGINE_ID, Intent, JobRecord, Kind, Object, Phase};
use crate::store::Draft;
use crate::{clock, document};

/// An unfinished job with what it is about.
pub(crate) struct Order<'a> {
    pub(crate) kind: &'a str,
    pub(crate) target: &'a str,
    pub(crate) name: &'a str,
    pub(crate) intent: Intent,
    pub(crate) warning: Option<&'a str>,
}

impl Order<'_> {
    /// Writes the job down; the answer to the caller still says PENDING.
    pub(crate) fn begin(self, draft: &mut Draft<'_>) -> Job {
        let now = clock::now();
        let job = Job {
            id: hex::encode(rand::random::<[u8; 16]>()),
            status: JobStatus::Pending,
            kind: Some(self.kind.to_owned()),
            localized_type: Some(self.kind.replace('_', " ").to_lowercase()),
            percent_complete: Some(0),
            is_waiting_for_telemetry: Some(false),
            warning_message: self.warning.map(str::to_owned),
            target_id: Some(self.target.to_owned()),
            target_name: Some(self.name.to_owned()),
            start_time: Some(now.clone()),
            update_time: Some(now),
            engines: Some(vec![JobEngine {
                engine_id: Some(ENGINE_ID.to_owned()),
                engine_name: None,
            }]),
            engine_ids: Some(vec![ENGINE_ID.to_owned()]),
            ..Job::default()
        };
        let number = draft.number();
        draft.job(JobRecord {
            number,
            job: job.clone(),
            intent: Some(self.intent),
        });
        job
    }
    /// The same for a VDB that is not there yet, with the VDB.
    pub(crate) fn create(
        self,
        draft: &mut Draft<'_>,
        number: u64,
        vdb: &Vdb,
        group: String,
        parent: Option<String>,
    ) -> ProvisionAnswer {
        let name = self.name.to_owned();
        let job = self.begin(draft);
        draft.put(Object {
            number,
            kind: Kind::Vdb,
            id: vdb.id.clone(),
            name,
            scope: group,
            phase: Phase::Creating,
            parent,
            doc: document(vdb),
        });
        ProvisionAnswer {
            job: Some(job),
            vdb_id: Some(vdb.id.clone()),
        }
    }
}
