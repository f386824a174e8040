//! The cluster's certificates and the kubeconfig files, made once per instance with openssl.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::command::{program, run};
use crate::files;
use crate::instance::{API_SERVICE, Instance, NODE, NODE_NAME};
use crate::steps::Inside;

struct Certificate {
    name: &'static str,
    subject: String,
    usage: &'static str,
    names: String,
}

pub(crate) async fn up(inside: &Inside) -> Result<()> {
    let instance = &inside.instance;
    let folder = instance.path("pki");
    files::make_dir(&folder, 0o700)?;
    if !folder.join("done").exists() {
        for (name, subject) in [
            ("ca", "kubernetes-ca"),
            ("front-proxy-ca", "front-proxy-ca"),
        ] {
            authority(&folder, name, subject).await?;
        }
        let made = certificates().into_iter().map(|certificate| {
            let folder = folder.clone();
            tokio::spawn(async move { issue(&folder, &certificate).await })
        });
        for one in made.collect::<Vec<_>>() {
            one.await??;
        }
        service_account_key(&folder).await?;
        files::put(&folder.join("done"), "")?;
    }
    for (user, path) in kubeconfigs(instance) {
        files::put_private(&path, &kubeconfig(instance, &folder, user)?)?;
    }
    inside.progress.step("certificates ready");
    Ok(())
}

fn certificates() -> Vec<Certificate> {
    let client = |name, subject: &str| Certificate {
        name,
        subject: subject.into(),
        usage: "clientAuth",
        names: String::new(),
    };
    let server = |name, subject: &str, usage, names: String| Certificate {
        name,
        subject: subject.into(),
        usage,
        names,
    };
    let service = "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local";
    let kubelet = format!("/O=system:nodes/CN=system:node:{NODE_NAME}");
    vec![
        server(
            "apiserver",
            "/CN=kube-apiserver",
            "serverAuth",
            format!("{service},DNS:localhost,IP:{API_SERVICE},IP:127.0.0.1,IP:{NODE}"),
        ),
        server(
            "kubelet",
            &kubelet,
            "serverAuth,clientAuth",
            format!("DNS:{NODE_NAME},IP:{NODE},IP:127.0.0.1"),
        ),
        server(
            "components",
            "/CN=components",
            "serverAuth",
            "DNS:localhost,IP:127.0.0.1".into(),
        ),
        client(
            "apiserver-kubelet",
            "/O=system:masters/CN=kube-apiserver-kubelet-client",
        ),
        client("front-proxy-client", "/CN=front-proxy-client"),
        client("admin", "/O=system:masters/CN=admin"),
        client("controller-manager", "/CN=system:kube-controller-manager"),
        client("scheduler", "/CN=system:kube-scheduler"),
        client("kube-proxy", "/CN=system:kube-proxy"),
    ]
}

fn kubeconfigs(instance: &Instance) -> [(&'static str, PathBuf); 5] {
    let own = |name: &str| instance.path("pki").join(format!("{name}.kubeconfig"));
    [
        ("admin", instance.kubeconfig()),
        ("controller-manager", own("controller-manager")),
        ("scheduler", own("scheduler")),
        ("kubelet", own("kubelet")),
        ("kube-proxy", own("kube-proxy")),
    ]
}

async fn key(folder: &Path, name: &str) -> Result<()> {
    let out = folder.join(format!("{name}.key"));
    run(program("openssl")
        .args([
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
        ])
        .arg(out))
    .await
}

async fn authority(folder: &Path, name: &str, subject: &str) -> Result<()> {
    key(folder, name).await?;
    run(program("openssl")
        .args([
            "req",
            "-x509",
            "-new",
            "-days",
            "365",
            "-subj",
            &format!("/CN={subject}"),
        ])
        .arg("-key")
        .arg(folder.join(format!("{name}.key")))
        .arg("-out")
        .arg(folder.join(format!("{name}.crt")))
        .args(["-addext", "basicConstraints=critical,CA:TRUE"])
        .args([
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
        ]))
    .await
}

async fn issue(folder: &Path, certificate: &Certificate) -> Result<()> {
    let Certificate {
        name,
        subject,
        usage,
        names,
    } = certificate;
    let authority = if *name == "front-proxy-client" {
        "front-proxy-ca"
    } else {
        "ca"
    };
    key(folder, name).await?;
    let path = |suffix: &str| folder.join(format!("{name}.{suffix}"));
    let names = if names.is_empty() {
        String::new()
    } else {
        format!("subjectAltName={names}\n")
    };
    let extensions = format!(
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage={usage}\n{names}"
    );
    fs::write(path("ext"), extensions)?;
    run(program("openssl")
        .args(["req", "-new", "-subj", subject])
        .arg("-key")
        .arg(path("key"))
        .arg("-out")
        .arg(path("csr")))
    .await?;
    // A random serial number: a counter file would be shared by the commands that run side by side.
    let serial = format!("0x{}", &hex::encode(rand_bytes()?)[..30]);
    run(program("openssl")
        .args(["x509", "-req", "-days", "365", "-set_serial", &serial])
        .arg("-in")
        .arg(path("csr"))
        .arg("-CA")
        .arg(folder.join(format!("{authority}.crt")))
        .arg("-CAkey")
        .arg(folder.join(format!("{authority}.key")))
        .arg("-extfile")
        .arg(path("ext"))
        .arg("-out")
        .arg(path("crt")))
    .await
}

fn rand_bytes() -> Result<[u8; 16]> {
    use std::io::Read as _;
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    bytes[0] &= 0x7f;
    Ok(bytes)
}

async fn service_account_key(folder: &Path) -> Result<()> {
    let key = folder.join("sa.key");
    run(program("openssl")
        .args(["genrsa", "-out"])
        .arg(&key)
        .arg("2048"))
    .await?;
    run(program("openssl")
        .args(["rsa", "-pubout", "-in"])
        .arg(&key)
        .arg("-out")
        .arg(folder.join("sa.pub")))
    .await
}

/// The server's address is the loopback one, which is the same API server inside and, forwarded, on the host.
fn kubeconfig(instance: &Instance, folder: &Path, user: &str) -> Result<String> {
    let data = |name: String| Ok::<_, anyhow::Error>(STANDARD.encode(fs::read(folder.join(name))?));
    let context = format!("vdb-{}", instance.name.text());
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": context, "cluster": {
            "server": format!("https://127.0.0.1:{}", instance.ports().api),
            "certificate-authority-data": data("ca.crt".into())?,
        }}],
        "users": [{"name": user, "user": {
            "client-certificate-data": data(format!("{user}.crt"))?,
            "client-key-data": data(format!("{user}.key"))?,
        }}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": user}}],
    });
    Ok(serde_json::to_string_pretty(&config)?)
}
