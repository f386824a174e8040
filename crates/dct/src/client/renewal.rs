//! Other data for a virtual database that stays the same, and points to come back to.

use serde_json::json;

use super::{Client, absent, segment};
use crate::error::Error;
use crate::types::{
    Bookmark, BookmarkAnswer, BySnapshot, CreateBookmark, FromBookmark, Job, Page, PointInTime,
    ProvisionAnswer, ProvisionByTimestamp, ProvisionFromBookmark, Snapshot, Timeflow,
};

impl Client {
    pub async fn provision_by_timestamp(
        &self,
        request: &ProvisionByTimestamp,
    ) -> Result<ProvisionAnswer, Error> {
        self.write("/vdbs/provision_by_timestamp", request).await
    }

    pub async fn provision_from_bookmark(
        &self,
        request: &ProvisionFromBookmark,
    ) -> Result<ProvisionAnswer, Error> {
        self.write("/vdbs/provision_from_bookmark", request).await
    }

    /// Without a snapshot, the latest of the parent.
    pub async fn refresh_by_snapshot(&self, id: &str, request: &BySnapshot) -> Result<Job, Error> {
        self.action(&on_vdb(id, "refresh_by_snapshot"), request)
            .await
    }

    pub async fn refresh_from_bookmark(
        &self,
        id: &str,
        request: &FromBookmark,
    ) -> Result<Job, Error> {
        self.action(&on_vdb(id, "refresh_from_bookmark"), request)
            .await
    }

    pub async fn refresh_by_timestamp(
        &self,
        id: &str,
        request: &PointInTime,
    ) -> Result<Job, Error> {
        self.action(&on_vdb(id, "refresh_by_timestamp"), request)
            .await
    }

    pub async fn undo_refresh(&self, id: &str) -> Result<Job, Error> {
        self.action(&on_vdb(id, "undo_refresh"), &json!({})).await
    }

    /// Without a snapshot, the latest of its own.
    pub async fn rollback_by_snapshot(&self, id: &str, request: &BySnapshot) -> Result<Job, Error> {
        self.action(&on_vdb(id, "rollback_by_snapshot"), request)
            .await
    }

    pub async fn rollback_from_bookmark(
        &self,
        id: &str,
        request: &FromBookmark,
    ) -> Result<Job, Error> {
        self.action(&on_vdb(id, "rollback_from_bookmark"), request)
            .await
    }

    pub async fn rollback_by_timestamp(
        &self,
        id: &str,
        request: &PointInTime,
    ) -> Result<Job, Error> {
        self.action(&on_vdb(id, "rollback_by_timestamp"), request)
            .await
    }

    pub async fn snapshot_vdb(&self, id: &str) -> Result<Job, Error> {
        self.action(&on_vdb(id, "snapshots"), &json!({})).await
    }

    pub async fn create_bookmark(&self, request: &CreateBookmark) -> Result<BookmarkAnswer, Error> {
        self.write("/bookmarks", request).await
    }

    pub async fn search_bookmarks(&self, filter: &str) -> Result<Page<Bookmark>, Error> {
        self.search("/bookmarks/search", filter, None, 1000).await
    }

    /// Done as well if it is gone. Older towers answer without a job.
    pub async fn delete_bookmark(&self, id: &str) -> Result<(), Error> {
        absent(self.remove(&format!("/bookmarks/{}", segment(id))).await).map(|_| ())
    }

    /// `None`: there is no such snapshot.
    pub async fn snapshot(&self, id: &str) -> Result<Option<Snapshot>, Error> {
        absent(self.read(&format!("/snapshots/{}", segment(id)), &[]).await)
    }

    /// `None`: there is no such timeflow.
    pub async fn timeflow(&self, id: &str) -> Result<Option<Timeflow>, Error> {
        absent(self.read(&format!("/timeflows/{}", segment(id)), &[]).await)
    }
}

fn on_vdb(id: &str, action: &str) -> String {
    format!("/vdbs/{}/{action}", segment(id))
}
