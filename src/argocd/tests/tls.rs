//! An Argo CD behind TLS whose certificate no public authority knows.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const VERSION: &str = r#"{"Version":"v3.5.0"}"#;

fn openssl(directory: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .current_dir(directory)
        .args(arguments)
        .output()
        .expect("openssl is needed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {said}");
}

/// `ca.pem`; `server.pem` signed by it; `own.pem`, signed by itself as argocd-server makes one at its first start.
fn certificates(directory: &Path) {
    const KEY: [&str; 5] = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    let made = |rest: &[&str]| openssl(directory, &[&["req"], &KEY[..], rest].concat());
    let leaf = [
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "extendedKeyUsage=serverAuth",
    ];
    made(&[
        "-x509",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=A private authority",
        "-days",
        "2",
    ]);
    made(
        &[
            &[
                "-keyout",
                "server.key",
                "-out",
                "server.csr",
                "-subj",
                "/CN=argocd-server",
            ],
            &leaf[..],
        ]
        .concat(),
    );
    openssl(
        directory,
        &[
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-copy_extensions",
            "copy",
            "-days",
            "2",
            "-out",
            "server.pem",
        ],
    );
    let own = [
        "-x509",
        "-keyout",
        "own.key",
        "-out",
        "own.pem",
        "-subj",
        "/O=Argo CD",
        "-days",
        "2",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    made(&[&own, &leaf[..]].concat());
}

/// Answers each connection with a version; the address is one that the certificates name.
async fn server(directory: &Path, name: &str) -> String {
    let chain = CertificateDer::pem_file_iter(directory.join(format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join(format!("{name}.key"))).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let settings = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(settings));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not trust the certificate hangs up here.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 2048];
            let _ = stream.read(&mut request).await;
            let length = VERSION.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{VERSION}"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    format!("https://localhost:{port}")
}

async fn version(url: &str, ca_file: Option<PathBuf>) -> Result<String, Error> {
    let settings = serde_json::json!({
        "url": url, "tokenFile": "/nowhere", "caFile": ca_file, "project": "p", "repoUrl": "http://x/y.git"
    });
    Client::new(serde_json::from_value(settings).unwrap())?
        .version()
        .await
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    certificates(directory.path());
    let file = |name: &str| Some(directory.path().join(name));
    for (served, trusted, stranger) in [
        ("server", "ca.pem", "own.pem"),
        ("own", "own.pem", "ca.pem"),
    ] {
        let url = server(directory.path(), served).await;
        let known = version(&url, file(trusted)).await;
        assert_eq!(known.unwrap(), "v3.5.0", "{served} by {trusted}");
        for authorities in [None, file(stranger)] {
            let error = version(&url, authorities).await.unwrap_err();
            assert!(
                matches!(error, Error::Http(web::Error::Unreachable { .. })),
                "{error}"
            );
        }
    }
    let error = version("https://localhost:1", file("nothing.pem"))
        .await
        .unwrap_err();
    assert!(error.hint().contains("argocd.caFile"), "{}", error.hint());
}
