//! Data Control Tower's objects, as far as the platform uses them. Names and meanings are the vendor's.
//!
//! Only an object's own id is required; everything else may be absent, because versions differ in what they send.
//! Unknown fields are ignored. Points in time stay text (RFC 3339, UTC), as they came.

mod dataset;
mod hook;
mod infrastructure;
mod job;
mod page;
mod points;
mod requests;

pub use dataset::{ContainerizationState, DSource, Snapshot, Source, Tag, Vdb};
pub use hook::{Hook, Hooks};
pub use infrastructure::{Engine, Environment, Group, Host, ProductInfo, Repository, Toolkit};
pub use job::{Job, JobEngine, JobEvent, JobStatus, JobTask};
pub use page::{ErrorResponse, Page, PartialError, ResponseMetadata, SearchBody};
pub use points::{Bookmark, BookmarkVdb, Timeflow, VdbGroup, VdbGroupMember};
pub use requests::{
    BookmarkAnswer, BySnapshot, CreateBookmark, DeleteDSource, DeleteSnapshot, DeleteTags,
    DeleteVdb, DisableVdb, EnableVdb, FromBookmark, JobAnswer, LinkAnswer, LinkAppdata, LockVdb,
    PointInTime, ProvisionAnswer, ProvisionBySnapshot, ProvisionByTimestamp, ProvisionFromBookmark,
    StopVdb, TagsBody, UpdateBookmark, UpdateDSource, UpdateSnapshot, UpdateVdb, VdbGroupAnswer,
    VdbGroupBody,
};

/// Declares an object: required fields before the bar, optional ones after it, then objects whose fields stand beside them.
macro_rules! wire {
    ($(#[$meta:meta])* $name:ident {
        $($required:ident: $rtype:ty,)* | $($(#[$fmeta:meta])* $field:ident: $ftype:ty,)* $(& $flat:ident: $flattype:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $(pub $required: $rtype,)*
            $($(#[$fmeta])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $field: Option<$ftype>,)*
            $(#[serde(flatten)] pub $flat: $flattype,)*
        }
    };
}
pub(crate) use wire;
