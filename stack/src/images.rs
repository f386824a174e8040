//! Container images without a container engine: OCI layout tars, streamed into containerd.
//!
//! Layers are plain tars: compressing them costs more than it saves when nothing leaves the machine.

mod archive;
mod tar;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use crate::build::{Built, Programs, Rootfs};
use crate::command::{output, program};

use tar::{BLOCK, header, layer, padding};

pub(crate) use archive::write as archive;

pub(crate) const PAUSE: &str = "docker.io/postgres-vdb-platform/pause:local";
pub(crate) const COREDNS: &str = "docker.io/postgres-vdb-platform/coredns:local";
pub(crate) const POSTGRES: &str = "docker.io/library/postgres:16.9";
pub(crate) const OPERATOR: &str = "docker.io/postgres-vdb-platform/operator:local";
pub(crate) const SIDECAR: &str = "docker.io/postgres-vdb-platform/sidecar:local";
pub(crate) const ENGINE: &str = "docker.io/postgres-vdb-platform/engine:local";

const POSTGRES_PATH: &str = "/usr/lib/postgresql/16/bin:/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) struct Image {
    pub name: &'static str,
    base: Option<Rootfs>,
    /// Files of the upper layer: where it lies here, and where in the image.
    files: Vec<(PathBuf, &'static str)>,
    config: Value,
}

/// The images that Kubernetes itself and the databases need.
pub(crate) fn base(built: &Built) -> Vec<Image> {
    let pause = Image {
        name: PAUSE,
        base: None,
        files: vec![(built.go.pause.join("pause"), "pause")],
        config: json!({"Entrypoint": ["/pause"], "User": "65535:65535"}),
    };
    let coredns = Image {
        name: COREDNS,
        base: None,
        files: vec![(built.go.coredns.join("coredns"), "coredns")],
        config: json!({"Entrypoint": ["/coredns"]}),
    };
    let postgres = Image {
        name: POSTGRES,
        base: Some(built.postgres.clone()),
        files: Vec::new(),
        config: json!({
            "Env": [format!("PATH={POSTGRES_PATH}"), "LANG=C.UTF-8"],
            "User": "999:999",
            "StopSignal": "SIGINT",
            "ExposedPorts": {"5432/tcp": {}},
        }),
    };
    vec![pause, coredns, postgres]
}

/// The images of the product's own programs.
pub(crate) fn platform(built: &Built) -> Vec<Image> {
    let programs = built.programs.as_ref();
    programs.map_or_else(Vec::new, |programs| {
        product(programs, &built.small, &built.postgres)
    })
}

pub(crate) fn product(programs: &Programs, small: &Rootfs, postgres: &Rootfs) -> Vec<Image> {
    let small = |name, files, entrypoint: &str| Image {
        name,
        base: Some(small.clone()),
        files,
        config: json!({
            "Entrypoint": [entrypoint],
            "User": "65532:65532",
            "Env": ["PATH=/usr/local/bin"],
            "Labels": labels(entrypoint),
        }),
    };
    let operator = vec![
        (programs.operator.clone(), "usr/local/bin/vdb-operator"),
        (programs.init.clone(), "usr/local/bin/vdb-init"),
    ];
    let sidecar = vec![(programs.sidecar.clone(), "usr/local/bin/vdb")];
    let engine = Image {
        name: ENGINE,
        base: Some(postgres.clone()),
        files: vec![(programs.engine.clone(), "usr/local/bin/vdb-engine")],
        config: json!({
            "Labels": labels("/usr/local/bin/vdb-engine"),
            "Entrypoint": ["/usr/local/bin/vdb-engine"],
            "Env": [format!("PATH={POSTGRES_PATH}"), "LANG=C.UTF-8"],
            "User": "999:999",
        }),
    };
    vec![
        small(OPERATOR, operator, "/usr/local/bin/vdb-operator"),
        small(SIDECAR, sidecar, "/usr/local/bin/vdb"),
        engine,
    ]
}

/// What the image holds, for people who find it in a registry.
fn labels(entrypoint: &str) -> Value {
    json!({
        "org.opencontainers.image.title": entrypoint.rsplit('/').next(),
        "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
        "org.opencontainers.image.licenses": "Apache-2.0",
    })
}

/// Imports the image unless containerd has exactly this one. True when it was imported.
pub(crate) async fn import(image: &Image, containerd: &Path) -> Result<bool> {
    let layout = Layout::of(image)?;
    let ctr = || {
        let mut ctr = program("ctr");
        ctr.arg("--address")
            .arg(containerd)
            .args(["--namespace", "k8s.io"]);
        ctr
    };
    let same = output(ctr().args(["images", "ls", &format!("name=={}", image.name)])).await?;
    if same.contains(&layout.manifest) {
        return Ok(false);
    }
    let known = output(ctr().args(["content", "ls", "--quiet"])).await?;
    let known: Vec<&str> = known.lines().collect();
    let mut child = ctr()
        .args(["images", "import", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let written = layout.write(&mut stdin, &known).await;
    drop(stdin);
    let done = child.wait_with_output().await?;
    if !done.status.success() {
        bail!(
            "cannot import {}: {}",
            image.name,
            String::from_utf8_lossy(&done.stderr)
        );
    }
    written?;
    output(ctr().args([
        "images",
        "label",
        image.name,
        "io.cri-containerd.image=managed",
        "io.cri-containerd.pinned=pinned",
    ]))
    .await?;
    Ok(true)
}

enum Blob {
    File(PathBuf),
    Bytes(Vec<u8>),
}

struct Layout {
    manifest: String,
    index: Vec<u8>,
    blobs: Vec<(String, Blob)>,
}

impl Layout {
    fn of(image: &Image) -> Result<Self> {
        let mut blobs = Vec::new();
        if let Some(base) = &image.base {
            blobs.push((base.digest.clone(), Blob::File(base.tar())));
        }
        if !image.files.is_empty() {
            blobs.push(bytes(layer(&image.files)?));
        }
        let digests: Vec<String> = blobs
            .iter()
            .map(|(digest, _)| format!("sha256:{digest}"))
            .collect();
        let layers = blobs.iter().map(descriptor).collect::<Result<Vec<_>>>()?;
        let config = bytes(serde_json::to_vec(&json!({
            "architecture": "amd64", "os": "linux", "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": digests},
        }))?);
        let manifest = bytes(serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": with_type(descriptor(&config)?, "application/vnd.oci.image.config.v1+json"),
            "layers": layers,
        }))?);
        let mut entry = with_type(
            descriptor(&manifest)?,
            "application/vnd.oci.image.manifest.v1+json",
        );
        entry["annotations"] = json!({"io.containerd.image.name": image.name});
        let index = serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": [entry]}))?;
        let digest = manifest.0.clone();
        blobs.extend([config, manifest]);
        Ok(Self {
            manifest: format!("sha256:{digest}"),
            index,
            blobs,
        })
    }

    /// Leaves out what containerd has already: the large layer is shared by several images.
    async fn write(
        &self,
        to: &mut (impl tokio::io::AsyncWrite + Unpin),
        known: &[&str],
    ) -> Result<()> {
        entry(to, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#).await?;
        entry(to, "index.json", &self.index).await?;
        for (digest, blob) in &self.blobs {
            if known
                .iter()
                .any(|known| known.strip_prefix("sha256:") == Some(digest))
            {
                continue;
            }
            let name = format!("blobs/sha256/{digest}");
            match blob {
                Blob::Bytes(content) => entry(to, &name, content).await?,
                Blob::File(path) => {
                    let mut file = tokio::fs::File::open(path).await?;
                    let size = file.metadata().await?.len();
                    to.write_all(&header(&name, size, 0o644)?).await?;
                    tokio::io::copy_buf(
                        &mut tokio::io::BufReader::with_capacity(1 << 20, &mut file),
                        to,
                    )
                    .await?;
                    to.write_all(&padding(size)).await?;
                }
            }
        }
        to.write_all(&[0; 2 * BLOCK]).await?;
        Ok(to.shutdown().await?)
    }
}

fn bytes(content: Vec<u8>) -> (String, Blob) {
    (hex::encode(Sha256::digest(&content)), Blob::Bytes(content))
}

fn descriptor((digest, blob): &(String, Blob)) -> Result<Value> {
    let size = match blob {
        Blob::File(path) => std::fs::metadata(path)?.len(),
        Blob::Bytes(content) => content.len() as u64,
    };
    let media_type = "application/vnd.oci.image.layer.v1.tar";
    Ok(json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size}))
}

fn with_type(mut descriptor: Value, media_type: &str) -> Value {
    descriptor["mediaType"] = json!(media_type);
    descriptor
}

async fn entry(
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    name: &str,
    content: &[u8],
) -> Result<()> {
    to.write_all(&header(name, content.len() as u64, 0o644)?)
        .await?;
    to.write_all(content).await?;
    Ok(to.write_all(&padding(content.len() as u64)).await?)
}
