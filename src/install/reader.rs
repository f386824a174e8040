//! Reads a closed YAML mapping key by key and notes every problem, instead of stopping at the first.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use environment::Problem;
use serde_json::{Map, Value};

/// One mapping of the file. What is asked for is a known key; `finish` reports the others.
pub(super) struct Fields<'a> {
    pointer: String,
    map: Option<&'a Map<String, Value>>,
    known: RefCell<BTreeSet<&'static str>>,
    problems: &'a RefCell<Vec<Problem>>,
}

impl<'a> Fields<'a> {
    pub(super) fn root(value: &'a Value, problems: &'a RefCell<Vec<Problem>>) -> Self {
        Self::of(String::new(), value, problems)
    }

    fn of(pointer: String, value: &'a Value, problems: &'a RefCell<Vec<Problem>>) -> Self {
        let map = value.as_object();
        if map.is_none() {
            let problem = Problem::at(&pointer, "this is no mapping of keys");
            problems
                .borrow_mut()
                .push(problem.hint("`vdb install --example` prints how it looks"));
        }
        Self {
            pointer,
            map,
            known: RefCell::default(),
            problems,
        }
    }

    fn at(&self, key: &str) -> String {
        format!("{}/{key}", self.pointer)
    }

    /// Absent and null are the same.
    fn get(&self, key: &'static str) -> Option<&'a Value> {
        self.known.borrow_mut().insert(key);
        self.map?.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn wrong(&self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        let problem = Problem::at(self.at(key), message).hint(hint);
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        let value = self.get(key)?;
        let text = value.as_str().filter(|text| is_line(text));
        if text.is_none() {
            self.wrong(
                key,
                format!("{value} is no text of one line"),
                "write it in quotes",
            );
        }
        text.map(str::to_owned)
    }

    /// Empty where it is missing, which is noted.
    pub(super) fn need(&self, key: &'static str, what: &str) -> String {
        if !self.has(key) {
            self.missing(key, what);
        }
        self.text(key).unwrap_or_default()
    }

    pub(super) fn missing(&self, key: &str, what: &str) {
        if self.map.is_some() {
            self.wrong(key, "this is missing", format!("add {what}"));
        }
    }

    pub(super) fn url(&self, key: &'static str, what: &str) -> String {
        let url = self.need(key, what);
        self.is_url(key, &url);
        url.trim_end_matches('/').to_owned()
    }

    pub(super) fn is_url(&self, key: &str, url: &str) {
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        let good = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['@', ' ']));
        if !url.is_empty() && !good {
            self.wrong(
                key,
                format!("{url:?} is no address"),
                "write http:// or https:// and a host, without user or password",
            );
        }
    }

    pub(super) fn flag(&self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.get(key) else {
            return default;
        };
        value.as_bool().unwrap_or_else(|| {
            self.wrong(
                key,
                format!("{value} is neither true nor false"),
                "write true or false",
            );
            default
        })
    }

    pub(super) fn number(&self, key: &'static str) -> Option<u64> {
        let value = self.get(key)?;
        if value.as_u64().is_none() {
            self.wrong(key, format!("{value} is no number"), "write it in digits");
        }
        value.as_u64()
    }

    pub(super) fn choice(
        &self,
        key: &'static str,
        among: &[&'static str],
        default: Option<&'static str>,
    ) -> &'static str {
        let first = among.first().copied().unwrap_or_default();
        let Some(text) = self.text(key) else {
            if default.is_none() && !self.has(key) {
                self.missing(key, &among.join(" or "));
            }
            return default.unwrap_or(first);
        };
        among
            .iter()
            .find(|one| **one == text)
            .copied()
            .unwrap_or_else(|| {
                self.wrong(
                    key,
                    format!("{text:?} is not known"),
                    format!("write one of: {}", among.join(", ")),
                );
                first
            })
    }

    pub(super) fn list(&self, key: &'static str) -> Option<Vec<String>> {
        let value = self.get(key)?;
        let texts = value.as_array().and_then(|items| {
            let texts = items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>();
            texts.filter(|texts| texts.iter().all(|text| is_line(text)))
        });
        if texts.is_none() {
            self.wrong(
                key,
                "this is no list of texts",
                "write for example [\"a\", \"b\"]",
            );
        }
        texts
    }

    /// A file of one line, named relative to the settings file. It is looked at, never kept.
    pub(super) fn file(&self, key: &'static str, folder: &Path) -> Option<PathBuf> {
        let path = folder.join(self.text(key)?);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("{} cannot be read: {error}", path.display());
                self.wrong(
                    key,
                    message,
                    "name a file that holds nothing but the secret",
                );
                return Some(path);
            }
        };
        if text.trim().is_empty() {
            let message = format!("{} is empty", path.display());
            self.wrong(key, message, "write the secret into it");
        }
        Some(path)
    }

    pub(super) fn need_file(&self, key: &'static str, folder: &Path, what: &str) -> PathBuf {
        if !self.has(key) {
            self.missing(key, what);
        }
        self.file(key, folder).unwrap_or_default()
    }

    pub(super) fn section(&self, key: &'static str) -> Option<Fields<'a>> {
        let value = self.get(key)?;
        Some(Fields::of(self.at(key), value, self.problems))
    }

    /// The mapping, or an empty one after noting that it is missing.
    pub(super) fn need_section(&self, key: &'static str, what: &str) -> Fields<'a> {
        self.section(key).unwrap_or_else(|| {
            self.missing(key, what);
            Fields::empty(self)
        })
    }

    /// Stands for a section that is missing: nothing in it is reported a second time.
    pub(super) fn empty(parent: &Self) -> Fields<'a> {
        Fields {
            pointer: parent.pointer.clone(),
            map: None,
            known: RefCell::default(),
            problems: parent.problems,
        }
    }

    /// A mapping that somebody else reads.
    pub(super) fn mapping(&self, key: &'static str) -> Option<Value> {
        let value = self.get(key)?;
        if !value.is_object() {
            self.wrong(
                key,
                "this is no mapping of keys",
                "write key: value below it",
            );
        }
        Some(value.clone())
    }

    pub(super) fn items(&self, key: &'static str) -> Vec<Fields<'a>> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let Some(items) = value.as_array() else {
            self.wrong(key, "this is no list", "begin each entry with '- '");
            return Vec::new();
        };
        let numbered = items.iter().enumerate();
        numbered
            .map(|(i, item)| Fields::of(format!("{}/{i}", self.at(key)), item, self.problems))
            .collect()
    }

    /// To be called when every key was asked for.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        let keys = self.map.into_iter().flat_map(Map::keys);
        for key in keys.filter(|key| !known.contains(key.as_str())) {
            let list: Vec<&str> = known.iter().copied().collect();
            self.wrong(
                key,
                format!("the key {key:?} is not known"),
                format!("known here: {}", list.join(", ")),
            );
        }
    }
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}
