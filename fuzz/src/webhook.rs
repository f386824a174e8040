//! Whatever a signed delivery holds: no panic, and what is passed on is a push of our branch.

use serde_json::Value;
use vdb::serve::received;

/// Bytes as the body of a delivery.
///
/// # Panics
/// Where the event that Argo CD would get is not what it has to be.
pub fn webhook(data: &[u8]) {
    let Some(event) = received(data, "http://forge/acme/databases.git", "main") else {
        return;
    };
    let body: Value = serde_json::from_slice(&event.body()).expect("our own event is JSON");
    assert_eq!(body["ref"], "refs/heads/main");
    assert_eq!(
        body["repository"]["html_url"],
        "http://forge/acme/databases"
    );
    assert!(body.get("before").is_none() && body.get("after").is_none());
    for list in [&event.added, &event.modified, &event.removed] {
        assert!(
            list.windows(2).all(|pair| pair[0] < pair[1]),
            "sorted, each once"
        );
    }
}
