//! Defects that are sown to see that the check finds them: each rule is broken by one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use operator::cluster::{Kind, Name};
use operator::crd::PostgresVdb;

use super::time;

/// Between the operator and its world, something is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// An order that was sent cannot be found again.
    OrderUnseen,
    /// The finalizer is gone with the first status that is written in a deletion.
    EarlyRelease,
    /// The server's pod is not seen.
    PodUnseen,
    /// Every query is answered.
    AnswersAnything,
    /// A virtual database that is to go is taken for gone.
    TakenForGone,
    /// Nobody hears of the end of a job.
    JobsUnheard,
    /// The set is never kept: it is written again and again.
    SetForgotten,
    /// A deletion is not seen.
    DeletionUnseen,
    /// A deletion is seen that nobody asked for.
    DeletionImagined,
    /// The order is taken for one that rests.
    RestImagined,
    /// Volumes of other generations than the present one are taken for gone.
    OldVolumesUnseen,
    /// Every volume is made of the first directory.
    FirstDirectory,
}

impl Defect {
    /// The resource as it is read.
    pub(crate) fn shown(self, cr: &mut PostgresVdb) {
        let ordered = cr
            .status
            .as_ref()
            .is_some_and(|s| s.vdb.as_ref().is_some_and(|v| v.id.is_some()));
        match self {
            Self::DeletionUnseen => cr.metadata.deletion_timestamp = None,
            Self::DeletionImagined if ordered => {
                cr.metadata.deletion_timestamp = Some(Time(time::now()));
            }
            Self::RestImagined => cr.spec.enabled = false,
            _ => {}
        }
    }

    /// Whether an object that is there is not shown.
    pub(crate) fn hides(self, name: &Name, present: Option<u32>) -> bool {
        match self {
            Self::PodUnseen => name.kind == Kind::Pod,
            Self::OldVolumesUnseen => {
                let own = format!("-g{}", present.unwrap_or(1));
                name.kind == Kind::PersistentVolume && !name.name.ends_with(&own)
            }
            _ => false,
        }
    }
}
