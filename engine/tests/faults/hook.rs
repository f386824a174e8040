//! Hooks of copies whose server the engine runs. By the copy's name, so that no seed draws otherwise for them.

use serde_json::{Value, json};

use crate::model::{Copy, Order};

/// What it inserts before it fails.
const NEVER: &str = "hooked-in-vain";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hook {
    #[default]
    None,
    /// Inserts a token into new data, which a snapshot of the copy itself holds already.
    Marks,
    /// Fails after each refresh, which is undone.
    Fails,
}

impl Hook {
    pub(crate) fn of(name: &str) -> Self {
        let number = name.rsplit('-').next().and_then(|n| n.parse::<u32>().ok());
        match number.unwrap_or_default() % 4 {
            1 => Self::Marks,
            3 => Self::Fails,
            _ => Self::None,
        }
    }

    /// The token that it inserts.
    pub(crate) fn mark(self, name: &str) -> Option<String> {
        (self == Self::Marks).then(|| format!("hooked-{name}"))
    }

    /// In an order of the copy.
    pub(crate) fn ordered(self, name: &str) -> Option<Value> {
        let insert = |token: &str| {
            format!(
                "psql -XqAt -U boss -v ON_ERROR_STOP=1 -d largedb -c \"insert into marks values ('{token}') on conflict do nothing\""
            )
        };
        match self {
            Self::None => None,
            Self::Marks => {
                Some(json!({"configure_clone": [{"command": insert(&self.mark(name)?)}]}))
            }
            Self::Fails => {
                let command = format!("{}; exit 3", insert(NEVER));
                Some(json!({"post_refresh": [{"command": command}]}))
            }
        }
    }

    /// Whether an order of a copy cannot succeed.
    pub(crate) fn forbids(self, order: &Order) -> bool {
        let refresh = matches!(order, Order::Refresh { .. } | Order::RefreshAt { .. });
        self == Self::Fails && refresh
    }
}

/// Whether an order fails by a hook, as it has to or because somebody ended the server under it.
pub(crate) fn broke(copy: Option<&Copy>, order: &Order, said: &str, murdered: bool) -> bool {
    let hook = copy.map(|copy| copy.hook).unwrap_or_default();
    let by = |list: &str| said.contains(&format!("hook {list}[0] failed"));
    by("post_refresh") && hook.forbids(order) || murdered && by("configure_clone")
}
