//! Starts and stops the operator, and looks at it from outside.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::Order;
use crate::control_plane::{ControlPlane, OPERATOR};

pub(crate) const METRICS: &str = "127.0.0.1:8081";

/// The operator as a process of its own, and what the kernel and its own metrics say of it.
pub(crate) struct Operator {
    child: Child,
    /// Most memory of its own so far, in MB: the kernel keeps the peak only together with the pages of files.
    own: Arc<AtomicU64>,
    looking: JoinHandle<()>,
}

/// How often its memory is looked at.
const LOOKS: Duration = Duration::from_millis(50);

impl Operator {
    pub(crate) fn start(plane: &ControlPlane, order: &Order) -> anyhow::Result<Self> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(order.work.join("operator.log"))?;
        let child = Command::new(std::env::current_exe()?)
            .arg("operator")
            .arg(order.work.join("settings.yaml"))
            .env("KUBECONFIG", plane.kubeconfig(OPERATOR))
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let own = Arc::<AtomicU64>::default();
        let (pid, most) = (child.id().context("the operator has ended")?, own.clone());
        let looking = tokio::spawn(async move {
            loop {
                most.fetch_max(megabytes(&of_proc(pid, "status"), "RssAnon:"), Relaxed);
                tokio::time::sleep(LOOKS).await;
            }
        });
        Ok(Self {
            child,
            own,
            looking,
        })
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.looking.abort();
        let pid = i32::try_from(self.child.id().context("the operator has ended")?)?;
        let pid = Pid::from_raw(pid).context("the operator has no process")?;
        kill_process(pid, Signal::TERM)?;
        let ended = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await??;
        anyhow::ensure!(ended.success(), "the operator ended: {ended}");
        Ok(())
    }

    pub(crate) fn memory(&self) -> String {
        let status = of_proc(self.child.id().unwrap_or_default(), "status");
        let field = |name| megabytes(&status, name);
        format!(
            "operator {} MB of its own, peak {} MB (with the program's own pages {} MB, peak {} MB)",
            field("RssAnon:"),
            self.own.load(Relaxed),
            field("VmRSS:"),
            field("VmHWM:")
        )
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.child.id().unwrap_or_default())
    }

    /// Passes over resources so far; none while it does not answer yet.
    pub(crate) async fn passes(&self) -> usize {
        let counted = self.counted("vdb_operator_reconciles_total").await;
        counted.unwrap_or_default()
    }

    /// Writes of a status that only told how far an order is.
    pub(crate) async fn told_progress(&self) -> anyhow::Result<usize> {
        self.counted("vdb_operator_progress_writes_total").await
    }

    /// By its own metrics.
    async fn counted(&self, name: &str) -> anyhow::Result<usize> {
        let mut stream = tokio::net::TcpStream::connect(METRICS).await?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        let mut values = text
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = values
            .next()
            .with_context(|| format!("the operator exports no {name}"))?;
        Ok(value.parse()?)
    }
}

fn of_proc(pid: u32, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

fn megabytes(status: &str, name: &str) -> u64 {
    let found = status.lines().find_map(|l| l.strip_prefix(name));
    let number = found.and_then(|rest| rest.split_whitespace().next());
    let kilobytes = number.and_then(|n| n.parse::<u64>().ok());
    kilobytes.unwrap_or_default() / 1024
}

/// What a process has used of the processors so far.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = of_proc(pid, "stat");
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|f| f.parse::<f64>().ok())
            .unwrap_or_default()
    };
    // A tick is 1/100 s on every Linux of today.
    (ticks(11) + ticks(12)) / 100.0
}
