//! The settings file, as a person fills in `vdb install --example`, with the stack's own files.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::Installation;

/// The stack's source and node.
const SOURCE: &str = "10.0.1.54";
const NODE: &str = "node1";
/// The images lie on the node under these names.
const REGISTRY: &str = "docker.io/postgres-vdb-platform";

impl Installation<'_> {
    /// As a person fills in `vdb install --example`, with the stack's own files.
    pub(super) fn write_settings(&self) -> anyhow::Result<()> {
        let get = |key: &str| self.context.get(key);
        let state = Path::new(get("VDB_STATE_DIR")?).to_owned();
        let secret = |name: &str| state.join("secrets").join(name);
        // As pods reach what browsers reach on localhost.
        let inside = |key: &str, name: &str| {
            let url: reqwest::Url = get(key)?.parse()?;
            let port = url.port().context("no port")?;
            anyhow::Ok(format!("http://{name}.stack:{port}"))
        };
        let argocd = inside("VDB_ARGOCD_URL", "argocd")?;
        let webhooks = get("VDB_ARGOCD_WEBHOOKS")?.replace("localhost", "argocd.stack");
        let webhooks: Vec<&str> = webhooks.split(',').collect();
        let key = self.key()?;
        let settings = json!({
            "images": {"registry": REGISTRY, "tag": "local", "pullPolicy": "Never"},
            "forge": {
                "kind": "gitea", "url": get("VDB_FORGE_URL")?, "owner": get("VDB_FORGE_OWNER")?,
                "repository": get("VDB_FORGE_REPOSITORY")?,
                "tokenFile": secret("gitea-vdb-bot.token"), "webhookSecretFile": secret("forge-webhook.secret"),
            },
            "argocd": {
                "url": argocd, "webhooks": webhooks, "repoUrl": get("VDB_ARGOCD_REPO_URL")?,
                "tokenFile": secret("argocd-bot.token"),
            },
            "portal": {"url": inside("VDB_PORTAL_URL", "backstage")?, "publicUrl": get("VDB_PORTAL_URL")?, "registerCatalog": false},
            "engine": {
                "storage": "btrfs", "node": NODE, "path": state.join("pool"), "size": "12Gi", "apiKeyFile": key,
                "sources": [{
                    "name": "largedb", "host": SOURCE, "database": "largedb", "user": "vdb_replicator",
                    "passwordFile": secret("source-vdb_replicator.password"),
                }],
            },
            "orders": {"allowedSources": ["*"], "allowedImages": ["postgres:*", "docker.io/library/postgres:*"]},
            // The engine shows a virtual database at once; the real one needs longer polls.
            "extraSettings": {"operator": {"dct": {"pollMin": "100ms"}, "deletionDeadline": "3m"}},
        });
        // JSON is YAML.
        std::fs::write(self.file(), settings.to_string())?;
        Ok(())
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.join("install.yaml")
    }

    /// The engine's key, where the stack's context.env names it: the command line asks the engine with it, too.
    fn key(&self) -> anyhow::Result<PathBuf> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = PathBuf::from(self.context.get("VDB_DCT_API_KEY_FILE")?);
        if !path.exists() {
            let mut random = [0_u8; 24];
            std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut random)?;
            let key = random
                .iter()
                .fold(String::new(), |key, byte| key + &format!("{byte:02x}"));
            let mut options = std::fs::OpenOptions::new();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            std::io::Write::write_all(&mut file, key.as_bytes())?;
        }
        Ok(path)
    }
}
