//! The verdict on a pull request, from its paths and the files of the environments that it touches. Pure.

use std::collections::{BTreeMap, BTreeSet};

use environment::names::quoted;
use environment::{EnvironmentName, Problems, Values, databases, yaml};
use serde_json::Value;

use super::catalog;
use super::paths::{Touched, touched};
use crate::forge::Changed;
use crate::serve::portal::same_entity;
use crate::serve::settings::{Orders, allowed};

/// More than a person can review; reading them would keep the forge busy.
pub(super) const MOST_ENVIRONMENTS: usize = 20;
/// Directories below those of the environments that are looked into, of all together.
pub(super) const MOST_DIRECTORIES: usize = 20;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    /// A symbolic link or a submodule, wherever it points.
    Link,
    /// Too large, or no text.
    Unreadable(String),
    /// A file that nobody needs to read.
    Unread,
}

/// The files of the touched environments by path: on the base branch, or as the pull request has them.
pub(super) type Files = BTreeMap<String, Content>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) ok: bool,
    /// Where, what, and what to do; one line each.
    pub(crate) problems: Vec<String>,
    /// How many environments it touches.
    pub(crate) environments: usize,
}

pub(super) fn judge(changes: &[Changed], base: &Files, head: &Files, lists: &Orders) -> Verdict {
    let touched = touched(changes);
    let mut problems = touched.problems.clone();
    problems.extend(too_much(&touched));
    let mut removed = Vec::new();
    for name in looked_at(&touched) {
        let mut subject = Subject {
            name,
            base,
            head,
            lists,
            problems: &mut problems,
        };
        subject.links();
        if subject.values() == Fate::Removed {
            removed.push(name.as_str());
        }
    }
    if removed.len() > 1 {
        problems.push(format!(
            "it deletes {} environments with all their data: {}; one pull request may delete one",
            removed.len(),
            removed.join(", ")
        ));
    }
    Verdict {
        ok: problems.is_empty(),
        problems,
        environments: touched.environments.len(),
    }
}

/// Environments together with other things, and more than anybody looks at.
fn too_much(touched: &Touched) -> Vec<String> {
    let mut problems = Vec::new();
    let environments = touched.environments.len();
    if let Some(other) = touched.others.first().filter(|_| environments > 0) {
        problems.push(format!(
            "it changes environments and {} other files, the first is {}; put them into a pull request of their own",
            touched.others.len(),
            quoted(other)
        ));
    }
    if environments > MOST_ENVIRONMENTS {
        problems.push(format!(
            "it changes {environments} environments, which were not looked at; change at most {MOST_ENVIRONMENTS} at once"
        ));
    }
    let directories = directories(touched).len();
    if directories > MOST_DIRECTORIES {
        problems.push(format!(
            "it changes files in {directories} directories below environments; change at most {MOST_DIRECTORIES} at once"
        ));
    }
    problems
}

/// The environments whose files are read: all of them, or none where they are too many.
pub(super) fn looked_at(touched: &Touched) -> impl Iterator<Item = &EnvironmentName> {
    let few = touched.environments.len() <= MOST_ENVIRONMENTS;
    touched.environments.keys().filter(move |_| few)
}

/// The directories below those of the environments that changed files lie in.
pub(super) fn directories(touched: &Touched) -> BTreeSet<String> {
    let below = |(name, changed): (&EnvironmentName, &Vec<Changed>)| {
        let own = name.directory();
        let there = changed.iter().filter(|change| !change.deleted);
        let directories = there.filter_map(|change| Some(change.path.rsplit_once('/')?.0));
        directories
            .filter(|directory| *directory != own)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    touched.environments.iter().flat_map(below).collect()
}

/// The way out, where something may not be deleted.
pub(crate) const UNPROTECT: &str =
    "set protected: false in a pull request of its own, merge that first";

#[derive(PartialEq, Eq)]
enum Fate {
    Stays,
    Removed,
}

/// One environment of the pull request.
struct Subject<'a> {
    name: &'a EnvironmentName,
    base: &'a Files,
    head: &'a Files,
    lists: &'a Orders,
    problems: &'a mut Vec<String>,
}

impl Subject<'_> {
    fn problem(&mut self, path: &str, what: impl std::fmt::Display) {
        self.problems.push(format!("{path}: {what}"));
    }

    /// A link has no place in an environment.
    fn links(&mut self) {
        let prefix = format!("{}/", self.name.directory());
        let links: Vec<String> = self
            .head
            .iter()
            .filter(|(path, content)| path.starts_with(&prefix) && **content == Content::Link)
            .map(|(path, _)| path.clone())
            .collect();
        for path in links {
            self.problem(
                &quoted(&path),
                "a symbolic link or submodule says what nobody reviews here; write the file itself",
            );
        }
    }

    fn values(&mut self) -> Fate {
        let path = self.name.values_path();
        let before = text(self.base, &path);
        match self.head.get(&path) {
            Some(Content::Text(now)) => {
                let owner = self.owner(&path, now);
                self.check(&path, now);
                self.catalog(owner.as_deref());
            }
            Some(Content::Unreadable(why)) => self.problem(&path, why.clone()),
            // A link is told of above.
            Some(Content::Link) => {}
            Some(Content::Unread) => self.problem(&path, "it could not be read; push again"),
            None if self.is_left() => self.problem(
                &path,
                "an environment needs it: put it back, or remove the whole directory to delete the environment",
            ),
            None => {
                let Some(before) = before else {
                    return Fate::Stays;
                };
                if Values::is_protected(before) {
                    self.problem(
                        &self.name.directory(),
                        format!("environment {} is protected; {UNPROTECT}", self.name),
                    );
                }
                return Fate::Removed;
            }
        }
        Fate::Stays
    }

    fn is_left(&self) -> bool {
        let prefix = format!("{}/", self.name.directory());
        self.head.keys().any(|path| path.starts_with(&prefix))
    }

    /// One owner per environment. What it is now.
    fn owner(&mut self, path: &str, now: &str) -> Option<String> {
        let before = text(self.base, path).and_then(|text| text_at(text, "/owner"));
        let catalog = text(self.base, &self.name.catalog_path());
        let before = before.or_else(|| text_at(catalog?, "/spec/owner"));
        // What is no mapping is told of by its schema.
        let now: Value = yaml::read(now).ok().filter(Value::is_object)?;
        let owner = now.get("owner").and_then(Value::as_str).map(str::to_owned);
        match (before, &owner) {
            (Some(before), owner) if owner.as_ref().is_none_or(|o| !same_entity(o, &before)) => {
                let now = owner.as_deref().map_or("nobody".to_owned(), quoted);
                self.problem(
                    path,
                    format!(
                        "the owner changes from {} to {now}; retire the environment and order it again as the other owner, or ask the platform team",
                        quoted(&before)
                    ),
                );
            }
            (None, None) => {
                self.problem(path, "it names no owner; add owner: group:default/<team>");
            }
            _ => {}
        }
        owner
    }

    /// The file against its schema, and what it orders against the lists of what is allowed.
    fn check(&mut self, path: &str, now: &str) {
        let values = match Values::parse(self.name, now) {
            Ok(values) => values,
            Err(Problems(problems)) => {
                for problem in problems {
                    self.problem(path, problem);
                }
                return;
            }
        };
        let lists = self.lists;
        for database in databases::of(self.name, &values).0 {
            for (pointer, patterns) in [
                ("/image", &lists.allowed_images),
                ("/source/reference", &lists.allowed_sources),
            ] {
                let value = database.spec.pointer(pointer).and_then(Value::as_str);
                if let Some(value) = value.filter(|value| !allowed(patterns, value)) {
                    let what = format!(
                        "{}{pointer}: {} is not allowed here (NotAllowed); allowed: {}",
                        database.pointer,
                        quoted(value),
                        patterns.join(", ")
                    );
                    self.problem(path, what);
                }
            }
        }
    }

    /// The catalog file, where there is one.
    fn catalog(&mut self, owner: Option<&str>) {
        let path = self.name.catalog_path();
        match self.head.get(&path) {
            Some(Content::Text(text)) => {
                for what in catalog::problems(self.name, text, owner) {
                    self.problem(&path, what);
                }
            }
            Some(Content::Unreadable(why)) => self.problem(&path, why.clone()),
            _ => {}
        }
    }
}

fn text<'a>(files: &'a Files, path: &str) -> Option<&'a str> {
    match files.get(path)? {
        Content::Text(text) => Some(text),
        _ => None,
    }
}

fn text_at(yaml: &str, pointer: &str) -> Option<String> {
    let value: Value = yaml::read(yaml).ok()?;
    Some(value.pointer(pointer)?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests;
