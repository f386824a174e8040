//! `vdb env connect`: a tunnel to a database with the caller's own rights, and psql where there is one.
//!
//! The password goes from the Secret into psql's environment; it is never printed and never an argument.

use std::collections::BTreeMap;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use environment::EnvironmentName;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::cluster::Cluster;
use super::observed::Database;
use super::settings::Settings;
use crate::output;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the environment
    name: String,
    /// Key of the database, where the environment has several
    #[arg(long)]
    database: Option<String>,
    /// Local port of the tunnel; any free one if 0
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Run this SQL and end
    #[arg(long, short)]
    command: Option<String>,
}

pub(super) async fn run(args: Args, settings: &Settings) -> Result<ExitCode> {
    let name = EnvironmentName::parse(&args.name).map_err(super::refused)?;
    let cluster = Cluster::connect(settings.kubeconfig()?).await?;
    let observed = cluster.observe(&name).await?;
    let database = choose(&name, &observed.databases, args.database.as_deref())?;
    let secret = database
        .status
        .credentials_secret
        .clone()
        .unwrap_or_else(|| format!("{}-credentials", database.name));
    let secret = cluster
        .secret(&name.namespace(), &secret)
        .await?
        .data
        .unwrap_or_default();
    let credentials: BTreeMap<String, String> = secret
        .into_iter()
        .map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned()))
        .collect();
    let part = |key: &str| {
        credentials
            .get(key)
            .cloned()
            .with_context(|| format!("the database's Secret has no key {key}"))
    };

    let server = database
        .status
        .endpoint
        .as_ref()
        .map_or(5432, |endpoint| endpoint.port);
    let (mut tunnel, local) = tunnel(settings, &name, database, args.port, server).await?;
    let psql = psql_arguments(
        local,
        &part("username")?,
        &part("dbname")?,
        args.command.as_deref(),
    );
    let shown: Vec<String> = psql.iter().map(|argument| quoted(argument)).collect();
    output::progress(format!("psql {}", shown.join(" ")));
    let mut child = Command::new("psql");
    child
        .args(&psql)
        .env("PGPASSWORD", part("password")?)
        .kill_on_drop(true);
    match child.status().await {
        Ok(status) => {
            tunnel.kill().await.ok();
            Ok(ExitCode::from(
                u8::try_from(status.code().unwrap_or(1)).unwrap_or(1),
            ))
        }
        Err(_) if args.command.is_some() => bail!("there is no psql to run the command with"),
        Err(_) => {
            output::progress(format!(
                "there is no psql here; the tunnel stays open until Ctrl-C. The password is in Secret {} of {}, key password",
                database.status.credentials_secret.as_deref().unwrap_or("-"),
                name.namespace()
            ));
            tunnel.wait().await.context("the tunnel broke")?;
            bail!("the tunnel is closed")
        }
    }
}

fn choose<'a>(
    name: &EnvironmentName,
    databases: &'a [Database],
    key: Option<&str>,
) -> Result<&'a Database> {
    let names: Vec<&str> = databases
        .iter()
        .map(|database| database.name.as_str())
        .collect();
    let wanted = match key {
        Some(key) => format!("{name}-{key}-vdb"),
        None if databases.len() == 1 => databases[0].name.clone(),
        None if databases.is_empty() => bail!("environment {name} has no database in the cluster"),
        None => bail!(
            "environment {name} has several databases, choose one by --database: {}",
            names.join(", ")
        ),
    };
    let database = databases.iter().find(|database| database.name == wanted);
    let database = database.with_context(|| {
        format!(
            "environment {name} has no database {wanted}, but: {}",
            names.join(", ")
        )
    })?;
    if !database.is_ready() {
        bail!(
            "database {} is not ready: {}; `vdb env status {name}` says more",
            database.name,
            database.says()
        );
    }
    Ok(database)
}

/// Forwards a local port to the database's Service; returns once it listens.
pub(super) async fn tunnel(
    settings: &Settings,
    name: &EnvironmentName,
    database: &Database,
    local: u16,
    port: u16,
) -> Result<(Child, u16)> {
    let mut child = Command::new(&settings.kubectl)
        .arg("--kubeconfig")
        .arg(settings.kubeconfig()?)
        .args([
            "--namespace",
            &name.namespace(),
            "port-forward",
            &format!("service/{}", database.name),
        ])
        .arg(format!(
            "{}:{port}",
            if local == 0 {
                String::new()
            } else {
                local.to_string()
            }
        ))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| {
            format!(
                "cannot run {}: install kubectl or set VDB_KUBECTL",
                settings.kubectl.display()
            )
        })?;
    let mut lines = BufReader::new(
        child
            .stdout
            .take()
            .context("kubectl says where it listens")?,
    )
    .lines();
    while let Some(line) = lines.next_line().await.context("the tunnel broke")? {
        if let Some(port) = listening(&line) {
            // Kept read, or kubectl would block once the pipe is full.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok((child, port));
        }
    }
    bail!("kubectl did not open the tunnel")
}

/// The port in "Forwarding from 127.0.0.1:40123 -> 5432".
fn listening(line: &str) -> Option<u16> {
    line.strip_prefix("Forwarding from 127.0.0.1:")?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

pub(super) fn psql_arguments(
    port: u16,
    user: &str,
    database: &str,
    command: Option<&str>,
) -> Vec<String> {
    let mut arguments = vec![
        format!("--host=127.0.0.1"),
        format!("--port={port}"),
        format!("--username={user}"),
        format!("--dbname={database}"),
    ];
    if let Some(command) = command {
        arguments.push("--no-psqlrc".into());
        arguments.push(format!("--command={command}"));
    }
    arguments
}

/// As a shell would take it back.
fn quoted(argument: &str) -> String {
    let plain = argument
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_=./:@,".contains(c));
    if plain {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_what_kubectl_says() {
        assert_eq!(
            listening("Forwarding from 127.0.0.1:40123 -> 5432"),
            Some(40123)
        );
        assert_eq!(listening("Forwarding from [::1]:40123 -> 5432"), None);
    }

    #[test]
    fn a_printed_argument_is_safe_to_paste() {
        assert_eq!(quoted("--dbname=largedb"), "--dbname=largedb");
        assert_eq!(
            quoted("--command=select 'a'"),
            r"'--command=select '\''a'\'''"
        );
    }

    #[test]
    fn several_databases_want_a_key() {
        let name = EnvironmentName::parse("qa").unwrap();
        let database = |name: &str| Database {
            name: name.into(),
            ..Database::default()
        };
        let two = [database("qa-a-vdb"), database("qa-b-vdb")];
        assert!(
            choose(&name, &two, None)
                .unwrap_err()
                .to_string()
                .contains("qa-a-vdb, qa-b-vdb")
        );
        assert!(
            choose(&name, &two, Some("a"))
                .unwrap_err()
                .to_string()
                .contains("not ready")
        );
        assert!(
            choose(&name, &[], None)
                .unwrap_err()
                .to_string()
                .contains("no database")
        );
    }
}
