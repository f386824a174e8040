//! Asks Data Control Tower whether virtual databases are gone, where its address is known.

use dct::{Client, ClientSettings};

use super::progress::Progress;
use super::settings::Settings;

/// Those of `ids` that Data Control Tower still has. Without an address the operator's word counts: it lets a database
/// go only after the deletion's job is done, or records it as an orphan.
pub(super) async fn left(settings: &Settings, ids: &[String], progress: &Progress) -> Vec<String> {
    let Some(tower) = settings.tower.as_ref().filter(|_| !ids.is_empty()) else {
        return Vec::new();
    };
    let client = match Client::new(ClientSettings::new(
        tower.url.clone(),
        tower.key_file.clone(),
        "vdb-env",
    )) {
        Ok(client) => client,
        Err(error) => {
            progress.step(format!(
                "Data Control Tower was not asked: {}",
                crate::web::error_chain(&error)
            ));
            return Vec::new();
        }
    };
    let mut left = Vec::new();
    for id in ids {
        match client.vdb(id).await {
            Ok(Some(_)) => left.push(id.clone()),
            Ok(None) => progress.step(format!("Data Control Tower has no VDB {id}")),
            Err(error) => progress.step(format!(
                "Data Control Tower was not asked: {}",
                crate::web::error_chain(&error)
            )),
        }
    }
    left
}
