//! Why a request is where it is: the closed list of the sidecar's own reasons. What the operator says keeps its own.
//!
//! docs/operations.md holds the same list for people; a test keeps the two equal.

use super::State;

macro_rules! reasons {
    ($($name:ident $state:ident $meaning:literal $hint:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Reason { $($name,)* }

        impl Reason {
            #[cfg(test)]
            pub(crate) const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            pub(crate) fn state(self) -> State {
                match self { $(Self::$name => State::$state,)* }
            }

            #[cfg(test)]
            pub(crate) fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// What to do; empty where nothing is to be done.
            pub(crate) fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }
        }
    };
}

reasons! {
    NoPullRequest Requested "The branch of the order exists, its pull request does not (yet)." "order again under the same key: it opens the pull request";
    PullRequestOpen Proposed "The pull request waits for review and merge." "have the pull request reviewed and merged";
    PullRequestClosed Rejected "The pull request was closed without a merge." "read the review; order again to open a new one";
    NoApplication Merged "Argo CD has not made the environment's Application yet." "";
    NotApplied Merged "It is merged and not in the cluster yet." "";
    NotRemoved Merged "Argo CD has not begun to remove the environment yet." "";
    ApplicationDeleting Syncing "An earlier environment of this name is still being removed." "";
    NotSynced Syncing "Argo CD has not synced the Application yet." "";
    SyncedOlder Syncing "Argo CD's last sync is of a commit before the merge." "";
    OutOfSync Syncing "Argo CD knows the change and has not synced it yet." "";
    Syncing Syncing "Argo CD brings the change to the cluster." "";
    SyncRetrying Syncing "A sync failed and Argo CD tries again by itself." "read the message: what the API server refuses will fail in the end";
    NotInResource Syncing "Argo CD has synced; the PostgresVDB does not carry the order yet." "";
    Removing Syncing "Parts of the environment are still there." "";
    ApplicationSetError Blocked "The ApplicationSet cannot make Applications." "check the ApplicationSet's repository and credentials in Argo CD; it tries again by itself";
    RollingSync Blocked "The ApplicationSet syncs in steps and this environment waits for its turn." "finish or remove the step before it in the ApplicationSet's strategy";
    AutoSyncOff Blocked "The Application is out of sync and does not sync by itself." "sync it in Argo CD, or switch automatic sync on again";
    SyncWindowClosed Blocked "A sync window of the project is closed." "wait until the window opens, or have it opened in the Argo CD project";
    ComparisonError Blocked "Argo CD cannot compare Git with the cluster." "Argo CD tries again by itself; if it stays so, look into its log";
    ApplicationError Blocked "Argo CD reports an error of the Application." "Argo CD tries again by itself; if it stays so, look into its log";
    HydrationFailed Blocked "Argo CD's source hydrator cannot write the rendered manifests." "look at the Application's hydrator in Argo CD";
    DeletionError Blocked "Argo CD cannot delete what the Application made." "read the message; a finalizer or a missing right keeps an object";
    PruneSkipped Blocked "Argo CD was told not to remove an object." "confirm the deletion in Argo CD, or remove Prune=false from the object";
    ArgoCdUnknown Blocked "Argo CD does not answer, or refuses the sidecar's token." "check argocd-server and the token in Secret vdb-argocd; the order itself is safe in Git";
    Overdue Blocked "Nothing has happened for ten minutes." "look at the environment's Application in Argo CD and at the controllers' logs";
    ManifestError Failed "The chart does not render with the environment's values." "correct the environment's values.yaml by a pull request";
    InvalidSpecError Failed "The Application itself is not valid." "correct the ApplicationSet or the Argo CD project";
    RefusedByQuota Failed "A quota of the namespace is used up." "retire or shrink something in the environment, or have the quota raised";
    RefusedByAdmission Failed "An admission policy or webhook of the cluster refuses the resource." "correct the environment's values.yaml as the policy says, or ask for an exception";
    RefusedBySchema Failed "The API server refuses a field of the resource." "correct the named field in the environment's values.yaml by a pull request";
    KindMissing Failed "The cluster does not know the resource's kind." "install the platform's CRDs (chart postgres-vdb-platform) in this cluster";
    NotPermitted Failed "The Argo CD project or Argo CD's own rights do not allow the resource." "allow the kind and namespace in the AppProject, or give Argo CD the right";
    SyncFailed Failed "The sync failed for another reason." "read the message; correct the environment's values.yaml by a pull request";
    NotSeenYet Provisioning "The operator has not assessed the resource yet." "";
    RemovedSince Superseded "The environment was removed from Git since." "";
    ChangedSince Superseded "Another request or a commit made by hand has changed the environment since." "";
    Deleting Superseded "The resource is being deleted." "";
    Gone Retired "Nothing of the environment is left." "";
    OrderedAgain Retired "The environment was retired and has been ordered again since." "";
}
