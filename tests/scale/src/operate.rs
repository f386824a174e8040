//! The operator's own program, but for the statements: no server runs behind the Services.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use operator::run::Place;
use operator::scram::Password;
use operator::settings::Settings;
use operator::sql::{Collations, Error, Farewell, Login, Preparation, Prepared, Server, Sql};

pub(crate) const NAMESPACE: &str = "vdb-system";

struct Answers;

#[async_trait]
impl Sql for Answers {
    async fn prepare(&self, _: &Server, _: &Password, _: &Preparation) -> Result<Prepared, Error> {
        Ok(Prepared::Done(Collations::default()))
    }

    async fn set_password(
        &self,
        _: &Server,
        _: &Password,
        _: &str,
        _: &Password,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn tell(&self, _: &Server, _: &Password, _: &Farewell) -> Result<(), Error> {
        Ok(())
    }

    async fn check(&self, _: &Server, _: &Login) -> Result<(), Error> {
        Ok(())
    }
}

pub(crate) async fn run(settings: &Path) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new("warn,kube=error"))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let settings = Settings::read(settings)?;
    let place = Place {
        pod: "scale".to_owned(),
        namespace: NAMESPACE.to_owned(),
    };
    operator::run::run_with(settings, place, Arc::new(Answers)).await
}
