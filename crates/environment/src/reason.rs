//! Why a resource is where it is: the closed list of reasons, each with what a person can do about it.

/// What follows from a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work goes on by itself.
    Progress,
    /// Tried again by itself, later.
    Trouble,
    /// Nothing changes until somebody changes something.
    Stalled,
}

macro_rules! reasons {
    ($($name:ident $kind:ident $hint:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($name,)* }

        impl Reason {
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            pub fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// What to do; empty where nothing is to be done.
            pub fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }

            /// The reason that a condition names, where it is one of the list.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
            }
        }
    };
}

reasons! {
    Verified Progress "";
    Pending Progress "";
    Provisioning Progress "";
    Enabling Progress "";
    Starting Progress "";
    Reindexing Progress "";
    RunningHooks Progress "";
    Publishing Progress "";
    Refreshing Progress "";
    Undoing Progress "";
    Suspended Progress "set spec.enabled to true to start the database";
    Expired Progress "extend it (vdb:extend, or a later spec.expiresAt) to start it again, or retire it";
    Deleting Progress "";
    ModeUnsupported Stalled "set spec.mode to Primary";
    SourceTypeUnsupported Stalled "use source.type dct-source";
    NotAllowed Stalled "use what the platform's settings allow, or ask for the rule to be widened";
    InvalidSpec Stalled "correct the named field";
    SourceNotFound Trouble "use one of the named sources, or have the source linked";
    SourceAmbiguous Stalled "name the source by its id, or with its host before a colon";
    PointNotFound Trouble "name a snapshot, moment or bookmark that the source has, or none for the latest snapshot";
    EngineUnreachable Trouble "check that Data Control Tower runs and that dct.url of the operator's settings is right";
    EngineUnauthorized Trouble "renew the API key in the Secret that dct.apiKeyFile is mounted from";
    EngineForbidden Trouble "give the API key's account the right to this operation";
    EngineUnavailable Trouble "Data Control Tower asks to try later; if it lasts, read its log";
    EngineRefused Trouble "read what Data Control Tower said, and correct the order or the source";
    EngineAnswerUnreadable Trouble "check that dct.url leads to Data Control Tower and not to a proxy's page";
    ProvisionFailed Trouble "read the job's error; the order is tried again after errorBackoffPeriod";
    EnableFailed Trouble "read the job's error; the order is tried again after errorBackoffPeriod";
    DeletionFailed Trouble "read the job's error; deletion is tried again until its deadline";
    VdbLost Stalled "look for it in Data Control Tower; then delete this resource and order again";
    ExportRefused Stalled "check export.prefix of the operator's settings against the engine's";
    AddressRefused Trouble "check remote.hosts of the operator's settings against the address of the virtual database's host";
    ForeignObject Stalled "delete or rename the named object: it is not the operator's";
    ApplyRefused Trouble "read the refusal: quota, limit range or an immutable field";
    RightMissing Trouble "give the operator's role the named right: the platform's chart does, with the settings that this resource was made by";
    PasswordSecretMissing Trouble "create the Secret named in database.passwordSecretRef with the key password";
    NodeLost Trouble "bring the node back; if it will not come, delete its Node object, and the server starts on another one that reaches the data";
    Unschedulable Trouble "lower spec.resources or add room to the node that has the data";
    ImageUnavailable Trouble "use an image that the nodes can pull";
    MountDenied Trouble "check that the node reaches the exported directory and owns it as ownershipSpec says";
    EmptyVolume Stalled "the copy holds no database cluster: check the source's snapshot; nothing was initialised";
    VersionMismatch Stalled "use an image whose major version is that of the data";
    LocaleMissing Stalled "use an image that has the locales of the source";
    LibraryMissing Stalled "use an image that has the libraries of the source, or remove the setting that loads them";
    InvalidSetting Stalled "correct or remove the named setting in spec.postgresConfig";
    HarmlessFailed Trouble "the copy could not be made harmless, so it was not started; read the message";
    ServerStopped Trouble "read the server's log: kubectl logs <name>-0";
    DatabaseNotFound Stalled "set database.name to one of the named databases, or createIfMissing to true";
    CollationMismatch Stalled "use an image with the libraries of the source, or set spec.collations to Reindex or Warn";
    ReindexFailed Stalled "correct what the server names, or set spec.collations to Warn to go on without the rebuild";
    HookFailed Stalled "correct the hook's script; an edited hook runs again";
    RefreshFailed Stalled "the database has the data from before; correct what is named and set another refresh.token, or leave it to the next time of the schedule";
    RefreshUndoFailed Stalled "both generations of the data are kept; correct what is named and set another refresh.token";
    PreparationFailed Trouble "read the server's answer";
    QueryFailed Trouble "read the server's answer; the application's user cannot connect through the Service";
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_that_stops_says_what_to_do() {
        for reason in Reason::ALL {
            assert!(
                reason.kind() == Kind::Progress || !reason.hint().is_empty(),
                "{reason}"
            );
            assert!(reason.as_str().chars().all(char::is_alphanumeric));
        }
    }
}
