//! Scripts that accompany operations on a virtual database.

use super::wire;

wire! {
    /// A script. Some clients decode this strictly: no other fields.
    Hook {
        |
        name: String,
        command: String,
        /// bash, shell, expect, ps or psd.
        shell: String,
        /// Given by the server; sent back to say which hook is meant.
        element_id: String,
        has_credentials: bool,
        /// Of requests alone: the server has to know the template or the vault.
        #[serde(skip_serializing)]
        hook_template_id: String,
        #[serde(skip_serializing)]
        credentials_env_vars: serde_json::Value,
    }
}

wire! {
    /// Hooks by the operation that they accompany, each list in the order of running.
    Hooks {
        |
        pre_refresh: Vec<Hook>,
        post_refresh: Vec<Hook>,
        pre_self_refresh: Vec<Hook>,
        post_self_refresh: Vec<Hook>,
        pre_rollback: Vec<Hook>,
        post_rollback: Vec<Hook>,
        configure_clone: Vec<Hook>,
        pre_snapshot: Vec<Hook>,
        post_snapshot: Vec<Hook>,
        pre_start: Vec<Hook>,
        post_start: Vec<Hook>,
        pre_stop: Vec<Hook>,
        post_stop: Vec<Hook>,
    }
}

impl Hooks {
    /// Every list with its name.
    pub fn lists(&mut self) -> [(&'static str, &mut Option<Vec<Hook>>); 13] {
        [
            ("pre_refresh", &mut self.pre_refresh),
            ("post_refresh", &mut self.post_refresh),
            ("pre_self_refresh", &mut self.pre_self_refresh),
            ("post_self_refresh", &mut self.post_self_refresh),
            ("pre_rollback", &mut self.pre_rollback),
            ("post_rollback", &mut self.post_rollback),
            ("configure_clone", &mut self.configure_clone),
            ("pre_snapshot", &mut self.pre_snapshot),
            ("post_snapshot", &mut self.post_snapshot),
            ("pre_start", &mut self.pre_start),
            ("post_start", &mut self.post_start),
            ("pre_stop", &mut self.pre_stop),
            ("post_stop", &mut self.post_stop),
        ]
    }
}
