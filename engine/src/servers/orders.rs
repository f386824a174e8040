//! What callers may order of a VDB whose server the engine runs.

use dct::types::{
    ContainerizationState, Job, ProvisionAnswer, ProvisionBySnapshot, StopVdb, UpdateVdb, Vdb,
};

use super::{Login, is_served, login, ports};
use crate::actions::{Order, Refusal, checked_name, checked_tags, free, order_on, place};
use crate::edits::hooks;
use crate::engine::Engine;
use crate::model::{Intent, Object, Phase};
use crate::room::EMPTY_BYTES;
use crate::settings::ServerSettings;
use crate::store::{Draft, State};
use crate::timeflows::{self, Begin};

const ALONE: &str = "a server that the engine runs";

impl Engine {
    fn may_serve(&self) -> Result<&ServerSettings, Refusal> {
        self.settings.servers.as_ref().ok_or_else(|| {
            Refusal::Invalid(
                "this engine runs no servers: send container_mode: true, or set servers (listen, ports) in its settings".to_owned(),
            )
        })
    }

    /// The login of an order for a VDB whose server the engine runs.
    pub(crate) fn login_for(
        &self,
        request: &ProvisionBySnapshot,
    ) -> Result<Option<Login>, Refusal> {
        self.may_serve()?;
        login::checked(
            request.db_username.as_deref(),
            request.db_password.as_deref(),
        )
    }

    /// What an order says about the server, into the VDB's document.
    pub(crate) fn order_server(
        &self,
        state: &State,
        vdb: &mut Vdb,
        request: &ProvisionBySnapshot,
        login: Option<&Login>,
    ) -> Result<(), Refusal> {
        let settings = self.may_serve()?;
        let params = request.appdata_source_params.as_ref();
        let (port, params) = ports::choose(state, settings, None, request.postgres_port, params)?;
        vdb.appdata_source_params = Some(params);
        vdb.ip_address = Some(settings.listen.to_string());
        vdb.jdbc_connection_string = Some(format!(
            "jdbc:postgresql://{}/",
            std::net::SocketAddr::new(settings.listen, port)
        ));
        vdb.containerization_state = Some(ContainerizationState::NotContainerized);
        vdb.status = Some(super::RUNNING.to_owned());
        if let Some(login) = login {
            login::keep(&self.server_home(&vdb.id), login)
                .map_err(|e| Refusal::Conflict(crate::error_chain(&e)))?;
        }
        Ok(())
    }

    /// A VDB without a source: a new cluster with the superuser `postgres`.
    pub fn provision_empty(
        &self,
        request: &ProvisionBySnapshot,
    ) -> Result<ProvisionAnswer, Refusal> {
        if request.container_mode == Some(true) {
            return Err(Refusal::Invalid(
                "an empty virtual database is none for containers: leave container_mode out"
                    .to_owned(),
            ));
        }
        let login = self.login_for(request)?;
        let name = checked_name(request.name.as_deref())?;
        let tags = request.tags.clone().unwrap_or_default();
        checked_tags(&tags)?;
        let run = self.settings.run_hooks.is_some();
        let hooks = hooks::first(&request.hooks, run)?;
        let version = self.server_version();
        self.store.change(|draft| {
            let group = self.group(draft, request.target_group_id.as_deref())?;
            crate::actions::unnamed(draft.state, &group, &name)?;
            let number = draft.number();
            let mut vdb = Vdb {
                description: request.description.clone(),
                database_version: version,
                enabled: Some(true),
                group_name: Some(group.name.clone()),
                size: i64::try_from(EMPTY_BYTES).ok(),
                appdata_config_params: request.appdata_config_params.clone(),
                config_params: request.config_params.clone(),
                vdb_restart: request.vdb_restart,
                mount_point: request.mount_point.clone(),
                hooks,
                tags: Some(tags).filter(|t| !t.is_empty()),
                ..self.bare_vdb(number, &name)
            };
            place(draft.state, &mut vdb, request)?;
            let begun = Begin {
                dataset: &vdb.id,
                kind: timeflows::INITIAL,
                point: None,
            };
            vdb.current_timeflow_id = Some(timeflows::begin(draft, &begun, Phase::Creating)?);
            let intent = Intent::Empty {
                vdb: vdb.id.clone(),
            };
            self.room_for(draft.state, &intent)?;
            self.order_server(draft.state, &mut vdb, request, login.as_ref())?;
            let order = Order {
                kind: "DB_PROVISION",
                target: &vdb.id,
                name: &name,
                intent,
                warning: hooks::warning(&vdb, run),
            };
            Ok(order.create(draft, number, &vdb, group.id, None))
        })
    }

    pub fn start_vdb(&self, id: &str) -> Result<Job, Refusal> {
        self.on_server(id, "DB_START", |vdb| Intent::Start { vdb })
    }

    pub fn stop_vdb(&self, id: &str, request: &StopVdb) -> Result<Job, Refusal> {
        let abort = request.abort == Some(true);
        self.on_server(id, "DB_STOP", |vdb| Intent::Stop { vdb, abort })
    }

    fn on_server(
        &self,
        id: &str,
        kind: &str,
        intent: impl FnOnce(String) -> Intent,
    ) -> Result<Job, Refusal> {
        self.store.change(|draft| {
            let vdb = free(draft.state, id)?.clone();
            if !is_served(&vdb) {
                return Err(Refusal::Invalid(format!(
                    "{} is for a container: its pod starts and stops the server; enable and disable it (start and stop are for {ALONE})",
                    vdb.name
                )));
            }
            if kind == "DB_START" && vdb.doc.get("enabled").and_then(|v| v.as_bool()) == Some(false) {
                return Err(Refusal::Conflict(format!("{} is disabled; enable it", vdb.name)));
            }
            Ok(order_on(&vdb, kind, intent(vdb.id.clone())).begin(draft))
        })
    }

    /// Login, port and settings of a server; the job that brings them about, none if nothing of them changes.
    pub(crate) fn update_server(
        &self,
        draft: &mut Draft<'_>,
        object: &Object,
        doc: &mut Vdb,
        request: &UpdateVdb,
        login: Option<&Login>,
    ) -> Result<Option<Intent>, Refusal> {
        if !is_served(object) {
            return match login {
                Some(_) => Err(Refusal::Invalid(format!(
                    "db_username and db_password are for {ALONE}"
                ))),
                None => Ok(None),
            };
        }
        let settings = self.may_serve()?;
        if let Some(params) = &request.appdata_source_params {
            let typed = params
                .get("postgresPort")
                .is_none()
                .then(|| ports::port_of(object))
                .flatten();
            let (port, params) = ports::choose(
                draft.state,
                settings,
                Some(&object.id),
                typed.map(i64::from),
                Some(params),
            )?;
            if Some(port) != ports::port_of(object) && doc.enabled == Some(true) {
                return Err(Refusal::Conflict(format!(
                    "{} is enabled; disable it to change its port",
                    object.name
                )));
            }
            doc.appdata_source_params = Some(params);
            doc.jdbc_connection_string = Some(format!(
                "jdbc:postgresql://{}/",
                std::net::SocketAddr::new(settings.listen, port)
            ));
        }
        let Some(login) = login else {
            return Ok(None);
        };
        login::keep(&self.server_home(&object.id), login)
            .map_err(|e| Refusal::Conflict(crate::error_chain(&e)))?;
        // Given to the data before the next start; a running server is stopped for it.
        Ok(super::is_wanted(object).then(|| Intent::Start {
            vdb: object.id.clone(),
        }))
    }
}
