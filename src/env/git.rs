//! The environments repository through the `git` command: fixed arguments, no prompt, no shell.
//!
//! Only one environment's directory is ever committed; what else lies in the clone stays as it is.

mod said;

use std::path::{Path, PathBuf};
use std::process::Output;

use environment::EnvironmentName;
use tokio::process::Command;

use self::said::{Refusal, failed, refusal, text};

/// Pushes that another push overtakes are tried again on top of it.
const PUSH_TRIES: u32 = 5;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot run git")]
    Start {
        #[source]
        source: std::io::Error,
    },
    #[error("git {command} failed: {message}")]
    Failed { command: String, message: String },
    #[error("{} is no clone of an environments repository: set VDB_REPO to one", path.display())]
    NoClone { path: PathBuf },
    #[error("the clone {} is on branch {found}, not on {wanted}: run git switch {wanted} there", path.display())]
    OtherBranch {
        path: PathBuf,
        found: String,
        wanted: String,
    },
    #[error(
        "the clone has commits of its own that are not pushed and change {path}: push or drop them first"
    )]
    ForeignCommits { path: String },
    #[error("{path} has changes that are not committed: commit or discard them first")]
    Uncommitted { path: String },
    #[error("cannot lock {}", path.display())]
    Lock {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("pushes were overtaken {PUSH_TRIES} times: run this again")]
    Overtaken,
}

/// How a push ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    Done,
    /// The forge wants a pull request instead.
    Protected(String),
}

pub(super) struct Git {
    repository: PathBuf,
    branch: String,
    /// Held as long as this lives: two runs in one clone would commit into each other.
    _lock: Option<std::fs::File>,
}

impl Git {
    /// A clone that is on the base branch, for this run alone: another run waits.
    pub(super) async fn lock(repository: &Path, branch: &str) -> Result<Self, Error> {
        let git = Self::open(repository, branch).await?;
        let path = git
            .run(&["rev-parse", "--git-path", "vdb-env.lock"])
            .await?;
        let path = repository.join(path);
        let at = path.clone();
        let lock = tokio::task::spawn_blocking(move || {
            let file = std::fs::File::create(&at)?;
            file.lock()?;
            Ok(file)
        });
        let locked = lock
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let file = locked.map_err(|source| Error::Lock { path, source })?;
        Ok(Self {
            _lock: Some(file),
            ..git
        })
    }

    /// A clone that is on the base branch.
    pub(super) async fn open(repository: &Path, branch: &str) -> Result<Self, Error> {
        let git = Self {
            repository: repository.to_owned(),
            branch: branch.to_owned(),
            _lock: None,
        };
        let found = git.output(&["symbolic-ref", "--short", "HEAD"]).await?;
        if !found.status.success() {
            return Err(Error::NoClone {
                path: git.repository,
            });
        }
        let found = text(&found.stdout);
        if found != branch {
            return Err(Error::OtherBranch {
                path: git.repository,
                found,
                wanted: branch.to_owned(),
            });
        }
        Ok(git)
    }

    /// Takes over what others have pushed. What is in the way of that is said, never resolved.
    pub(super) async fn update(&self, name: &EnvironmentName) -> Result<(), Error> {
        if !self.has_remote_branch().await? {
            return Ok(());
        }
        let remote = self.remote();
        self.run(&[
            "fetch",
            "--quiet",
            "origin",
            &format!("+refs/heads/{}:{remote}", self.branch),
        ])
        .await?;
        if self.is_unborn().await? {
            self.run(&["merge", "--quiet", "--ff-only", &remote])
                .await?;
            return Ok(());
        }
        let own = self
            .run(&["diff", "--name-only", &format!("{remote}...HEAD")])
            .await?;
        let directory = format!("{}/", name.directory());
        if let Some(foreign) = own.lines().find(|path| !path.starts_with(&directory)) {
            return Err(Error::ForeignCommits {
                path: foreign.to_owned(),
            });
        }
        let rebased = self
            .output(&["rebase", "--quiet", "--autostash", &remote])
            .await?;
        if !rebased.status.success() {
            self.output(&["rebase", "--abort"]).await?;
            return Err(failed("rebase", &rebased));
        }
        Ok(())
    }

    /// A file as the last commit holds it.
    pub(super) async fn committed(&self, path: &str) -> Result<Option<String>, Error> {
        let shown = self.output(&["show", &format!("HEAD:{path}")]).await?;
        Ok(shown
            .status
            .success()
            .then(|| String::from_utf8_lossy(&shown.stdout).into_owned()))
    }

    /// Who changed a file last on the base branch of the remote, as far as this clone knows.
    pub(super) async fn last_commit(&self, path: &str) -> Option<String> {
        let format = "--format=%h %an, %as: %s";
        let remote = self.remote();
        let log = self
            .output(&["log", "-1", format, &remote, "--", path])
            .await
            .ok()?;
        let said = text(&log.stdout);
        (!said.is_empty()).then_some(said)
    }

    /// A file as the base branch of the remote holds it.
    pub(super) async fn published(&self, path: &str) -> Result<Option<String>, Error> {
        let object = format!("{}:{path}", self.remote());
        let shown = self.output(&["show", &object]).await?;
        Ok(shown
            .status
            .success()
            .then(|| String::from_utf8_lossy(&shown.stdout).into_owned()))
    }

    /// What somebody has not committed yet must not go into a commit of ours, nor be lost.
    pub(super) async fn ensure_committed(&self, name: &EnvironmentName) -> Result<(), Error> {
        let path = name.directory();
        let status = ["status", "--porcelain", "--untracked-files=no", "--", &path];
        if self.run(&status).await?.is_empty() {
            Ok(())
        } else {
            Err(Error::Uncommitted { path })
        }
    }

    /// The environment's files in the last commit.
    pub(super) async fn files(&self, name: &EnvironmentName) -> Result<Vec<String>, Error> {
        if self.is_unborn().await? {
            return Ok(Vec::new());
        }
        let listed = self
            .run(&[
                "ls-tree",
                "-r",
                "--name-only",
                "HEAD",
                "--",
                &format!("{}/", name.directory()),
            ])
            .await?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// All environments of the last commit; directories whose names are no environment's are left out.
    pub(super) async fn environments(&self) -> Result<Vec<EnvironmentName>, Error> {
        if self.is_unborn().await? {
            return Ok(Vec::new());
        }
        let listed = self
            .run(&[
                "ls-tree",
                "-d",
                "--name-only",
                "HEAD",
                "--",
                "environments/",
            ])
            .await?;
        let name = |path: &str| EnvironmentName::parse(path.strip_prefix("environments/")?).ok();
        Ok(listed.lines().filter_map(name).collect())
    }

    /// Commits the directory as it is in the work tree; `false`: the last commit holds it already.
    pub(super) async fn commit(
        &self,
        name: &EnvironmentName,
        message: &str,
    ) -> Result<bool, Error> {
        let directory = name.directory();
        self.run(&["add", "--all", "--", &directory]).await?;
        self.commit_staged(&directory, message).await
    }

    /// Removes the directory and commits that; `false`: the last commit does not hold it.
    pub(super) async fn remove(
        &self,
        name: &EnvironmentName,
        message: &str,
    ) -> Result<bool, Error> {
        if self.files(name).await?.is_empty() {
            return Ok(false);
        }
        self.ensure_committed(name).await?;
        let directory = name.directory();
        self.run(&["rm", "-r", "--quiet", "--", &directory]).await?;
        self.commit_staged(&directory, message).await
    }

    async fn commit_staged(&self, directory: &str, message: &str) -> Result<bool, Error> {
        let staged = self
            .output(&["diff", "--cached", "--quiet", "--", directory])
            .await?;
        if staged.status.success() {
            return Ok(false);
        }
        self.run(&[
            "commit", "--quiet", "--only", "-m", message, "--", directory,
        ])
        .await?;
        Ok(true)
    }

    /// Whether the last commit is not on the remote yet.
    pub(super) async fn is_ahead(&self) -> Result<bool, Error> {
        let count = self
            .output(&["rev-list", "--count", &format!("{}..HEAD", self.remote())])
            .await?;
        // No such remote branch: everything is still to be pushed.
        Ok(!count.status.success() || text(&count.stdout) != "0")
    }

    /// Pushes the branch, on top of what others push at the same time.
    pub(super) async fn push(&self, name: &EnvironmentName) -> Result<Pushed, Error> {
        for _ in 0..PUSH_TRIES {
            let refspec = format!("HEAD:refs/heads/{}", self.branch);
            let pushed = self
                .output(&["push", "--quiet", "origin", &refspec])
                .await?;
            if pushed.status.success() {
                return Ok(Pushed::Done);
            }
            match refusal(&text(&pushed.stderr)) {
                Refusal::Overtaken => self.update(name).await?,
                Refusal::Protected(message) => return Ok(Pushed::Protected(message)),
                Refusal::Other => return Err(failed("push", &pushed)),
            }
        }
        Err(Error::Overtaken)
    }

    /// Takes the own commits back that the forge has refused: they go into a pull request instead.
    pub(super) async fn take_back(&self) -> Result<(), Error> {
        self.run(&["reset", "--quiet", "--keep", &self.remote()])
            .await
            .map(drop)
    }

    /// Who commits here.
    pub(super) async fn user(&self) -> Result<Option<String>, Error> {
        let email = self.output(&["config", "user.email"]).await?;
        Ok(Some(text(&email.stdout)).filter(|email| !email.is_empty()))
    }

    async fn has_remote_branch(&self) -> Result<bool, Error> {
        let heads = self
            .run(&[
                "ls-remote",
                "--heads",
                "origin",
                &format!("refs/heads/{}", self.branch),
            ])
            .await?;
        Ok(!heads.is_empty())
    }

    async fn is_unborn(&self) -> Result<bool, Error> {
        Ok(!self
            .output(&["rev-parse", "--quiet", "--verify", "HEAD"])
            .await?
            .status
            .success())
    }

    fn remote(&self) -> String {
        format!("refs/remotes/origin/{}", self.branch)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .arg("-C")
            .arg(&self.repository)
            .args(arguments)
            // Answers are read below: they must not depend on the caller's language, nor wait for somebody to type.
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_EDITOR", "true")
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn output(&self, arguments: &[&str]) -> Result<Output, Error> {
        self.command(arguments)
            .output()
            .await
            .map_err(|source| Error::Start { source })
    }

    async fn run(&self, arguments: &[&str]) -> Result<String, Error> {
        let output = self.output(arguments).await?;
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(failed(arguments.first().unwrap_or(&""), &output))
    }
}

#[cfg(test)]
pub(super) mod tests;
