//! The description of the HTTP API for people and portals, generated from the handlers and committed as `openapi.json`.

use utoipa::OpenApi;

use crate::serve::{requests, router};

#[derive(OpenApi)]
#[openapi(
    info(title = "postgres-vdb-platform", description = "Environments and requests: their status for people and portals, and orders for the portal's backend."),
    servers((url = "/api/vdb")),
    paths(
        router::list_environments,
        router::environment,
        router::sources,
        requests::create,
        requests::follow,
        requests::validate,
        requests::render
    )
)]
struct Document;

pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Run with `UPDATE=1` to write the file anew.
    #[test]
    fn the_committed_document_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/serve/openapi.json");
        let fresh = format!("{}\n", document().to_pretty_json().unwrap());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &fresh).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == fresh,
            "src/serve/openapi.json is stale: run UPDATE=1 cargo test -p vdb openapi"
        );
    }
}
