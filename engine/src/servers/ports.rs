//! Which port a VDB's server has. It stays the same as long as the VDB lives.

use serde_json::{Value, json};

use crate::actions::Refusal;
use crate::model::{Kind, Object};
use crate::settings::ServerSettings;
use crate::store::State;

const FIELD: &str = "postgresPort";

pub(crate) fn port_of(vdb: &Object) -> Option<u16> {
    ordered(&vdb.doc.get("appdata_source_params")?.value())
}

/// Clients send 5434.0 as well.
fn ordered(params: &Value) -> Option<u16> {
    let number = params.get(FIELD)?.as_f64()?;
    (number.fract() == 0.0 && (1.0..=65535.0).contains(&number))
        .then(|| format!("{number:.0}").parse().ok())?
}

/// The port of an order, or the first that nobody has; into the parameters, where callers look for it.
pub(super) fn choose(
    state: &State,
    settings: &ServerSettings,
    but: Option<&str>,
    typed: Option<i64>,
    params: Option<&Value>,
) -> Result<(u16, Value), Refusal> {
    let range = settings.range().ok_or_else(|| {
        Refusal::Invalid("servers.ports in the engine's settings is no range".to_owned())
    })?;
    let taken: Vec<u16> = state
        .objects(Kind::Vdb)
        .filter(|vdb| super::is_served(vdb) && but != Some(vdb.id.as_str()))
        .filter_map(port_of)
        .collect();
    let named = params.is_some_and(|params| params.get(FIELD).is_some());
    let wanted = match typed {
        Some(port) => Some(u16::try_from(port).unwrap_or(0)),
        None if named => Some(params.and_then(ordered).unwrap_or(0)),
        None => None,
    };
    let port = match wanted {
        Some(port) if !range.contains(&port) => {
            return Err(Refusal::Invalid(format!(
                "port {port} is outside {}, the range of servers.ports in the engine's settings",
                settings.ports
            )));
        }
        Some(port) if taken.contains(&port) => {
            return Err(Refusal::Conflict(format!(
                "another virtual database has port {port}; leave it out, and one is chosen"
            )));
        }
        Some(port) => port,
        None => {
            let mut free = range.filter(|port| !taken.contains(port));
            // Somebody else's server may have one of them.
            let free =
                free.find(|port| std::net::TcpListener::bind((settings.listen, *port)).is_ok());
            free.ok_or_else(|| {
                Refusal::Conflict(format!(
                    "all ports of {} are taken; delete virtual databases or widen servers.ports",
                    settings.ports
                ))
            })?
        }
    };
    let mut params = params
        .filter(|params| params.is_object())
        .cloned()
        .unwrap_or_else(|| json!({}));
    params[FIELD] = port.into();
    Ok((port, params))
}
