//! etcd, the API server, the controller manager and the scheduler.

use anyhow::Result;

use crate::command::output;
use crate::files;
use crate::instance::{Instance, NODE, SERVICES};
use crate::steps::{Inside, Service};
use crate::wait;

const SCHEDULER: &str = include_str!("../../manifests/scheduler.yaml");
const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";

/// Until the API server answers.
pub(crate) async fn api(inside: &Inside) -> Result<()> {
    let instance = &inside.instance;
    let kube = &inside.order.built.go.kube;
    let etcd = Service::new("etcd", kube.join("etcd"))
        .args(etcd(instance))
        .grace(10);
    inside.start(etcd).await?;
    let args = api_server(instance);
    inside
        .start(
            Service::new("kube-apiserver", kube.join("kube-apiserver"))
                .args(args)
                .grace(10),
        )
        .await?;
    let log = instance.log("kube-apiserver");
    wait::until("the API server", 90, Some(&log), || async {
        output(&mut inside.kubectl(&["get", "--raw", "/readyz"]))
            .await
            .map(drop)
    })
    .await?;
    inside.progress.step("API server ready");
    Ok(())
}

/// Until ServiceAccounts are made, which every pod needs.
pub(crate) async fn controllers(inside: &Inside) -> Result<()> {
    let instance = &inside.instance;
    let kube = &inside.order.built.go.kube;
    let manager = Service::new(
        "kube-controller-manager",
        kube.join("kube-controller-manager"),
    );
    inside
        .start(manager.args(controller_manager(instance)))
        .await?;
    inside
        .start(
            Service::new("kube-scheduler", kube.join("kube-scheduler")).args(scheduler(instance)?),
        )
        .await?;
    let log = instance.log("kube-controller-manager");
    wait::until("the controller manager", 60, Some(&log), || async {
        output(&mut inside.kubectl(&["--namespace=default", "get", "serviceaccount", "default"]))
            .await
            .map(drop)
    })
    .await?;
    inside
        .progress
        .step("controller manager and scheduler ready");
    Ok(())
}

fn etcd(instance: &Instance) -> Vec<String> {
    vec![
        "--name=stack".into(),
        format!("--data-dir={}", instance.path("etcd").display()),
        // The state of a demonstration may be lost with the machine, so no write waits for the disk.
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
        format!("--listen-client-urls={ETCD}"),
        format!("--advertise-client-urls={ETCD}"),
        format!("--listen-peer-urls={ETCD_PEER}"),
        format!("--initial-advertise-peer-urls={ETCD_PEER}"),
        format!("--initial-cluster=stack={ETCD_PEER}"),
    ]
}

fn api_server(instance: &Instance) -> Vec<String> {
    let pki = |name: &str| instance.path("pki").join(name).display().to_string();
    vec![
        "--bind-address=0.0.0.0".into(),
        format!("--advertise-address={NODE}"),
        format!("--secure-port={}", instance.ports().api),
        format!("--etcd-servers={ETCD}"),
        format!("--service-cluster-ip-range={SERVICES}"),
        "--allow-privileged=true".into(),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!(
            "--kubelet-client-certificate={}",
            pki("apiserver-kubelet.crt")
        ),
        format!("--kubelet-client-key={}", pki("apiserver-kubelet.key")),
        format!("--kubelet-certificate-authority={}", pki("ca.crt")),
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        format!("--service-account-key-file={}", pki("sa.pub")),
        format!("--service-account-signing-key-file={}", pki("sa.key")),
        format!(
            "--requestheader-client-ca-file={}",
            pki("front-proxy-ca.crt")
        ),
        "--requestheader-allowed-names=front-proxy-client".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        format!("--proxy-client-cert-file={}", pki("front-proxy-client.crt")),
        format!("--proxy-client-key-file={}", pki("front-proxy-client.key")),
        "--enable-aggregator-routing=true".into(),
        "--profiling=false".into(),
        format!("--cert-dir={}", instance.path("apiserver").display()),
    ]
}

fn controller_manager(instance: &Instance) -> Vec<String> {
    let pki = |name: &str| instance.path("pki").join(name).display().to_string();
    let mut args = component(instance, "controller-manager");
    args.extend([
        "--use-service-account-credentials=true".into(),
        format!("--service-account-private-key-file={}", pki("sa.key")),
        format!("--root-ca-file={}", pki("ca.crt")),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!(
            "--requestheader-client-ca-file={}",
            pki("front-proxy-ca.crt")
        ),
        format!("--cluster-signing-cert-file={}", pki("ca.crt")),
        format!("--cluster-signing-key-file={}", pki("ca.key")),
        "--cluster-name=stack".into(),
        // A claim whose volume was written a moment later binds at the next pass.
        "--pvclaimbinder-sync-period=1s".into(),
    ]);
    args
}

/// With a configuration file the scheduler ignores the arguments that say the same.
fn scheduler(instance: &Instance) -> Result<Vec<String>> {
    let kubeconfig = instance
        .path("pki/scheduler.kubeconfig")
        .display()
        .to_string();
    let config = instance.path("config/scheduler.yaml");
    files::put(&config, &SCHEDULER.replace("@KUBECONFIG@", &kubeconfig))?;
    let mut args = component(instance, "scheduler");
    args.push(format!("--config={}", config.display()));
    Ok(args)
}

/// What the two have in common. The default rate limits are for clusters with many more cores.
fn component(instance: &Instance, name: &str) -> Vec<String> {
    let pki = |file: &str| instance.path("pki").join(file).display().to_string();
    let kubeconfig = pki(&format!("{name}.kubeconfig"));
    vec![
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        "--bind-address=127.0.0.1".into(),
        "--leader-elect=false".into(),
        format!("--tls-cert-file={}", pki("components.crt")),
        format!("--tls-private-key-file={}", pki("components.key")),
        "--kube-api-qps=200".into(),
        "--kube-api-burst=400".into(),
    ]
}
