//! Why an action waits or has failed: the closed list of reasons, each with what a person can do about it.

macro_rules! reasons {
    ($($name:ident $hint:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason { $($name,)* }

        impl Reason {
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What to do; empty where nothing is to be done.
            pub fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }
        }
    };
}

reasons! {
    Waiting "";
    DatabaseMissing "name a PostgresVDB of this namespace in spec.vdb of another action";
    Overdue "see to what is named, then create another action";
    RefreshFailed "read the conditions of the database, correct what is named and create another action";
    ResultUnknown "see in the database whether its data is the wanted, and create another action if it is not";
    NameTaken "give spec.name another value in another action, or leave it out";
    EngineRefused "correct what Data Control Tower names and create another action";
    JobFailed "read the job's error in Data Control Tower, then create another action";
    JobDeleted "see in the database what it has done already before you create another action";
    TaskFailed "read status.output, correct the script and create another action";
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::reason::{self, Kind};

    /// A message ends in `; ` and the hint: whoever shows both apart splits it there.
    #[test]
    fn every_reason_that_ends_an_action_says_what_to_do() {
        for reason in Reason::ALL.iter().filter(|r| **r != Reason::Waiting) {
            let hint = reason.hint();
            assert!(!hint.is_empty() && !hint.contains("; "), "{reason:?}");
        }
    }

    fn table() -> String {
        let mut text = String::from("| Reason | What to do |\n|---|---|\n");
        for reason in Reason::ALL {
            let hint = match reason.hint() {
                "" => "nothing: it has its turn later",
                hint => hint,
            };
            writeln!(text, "| `{}` | {hint} |", reason.as_str()).unwrap();
        }
        text
    }

    fn table_of_databases() -> String {
        let mut text = String::from("| Reason | What follows | What to do |\n|---|---|---|\n");
        for reason in reason::Reason::ALL {
            let follows = match reason.kind() {
                Kind::Progress => "goes on by itself",
                Kind::Trouble => "tried again by itself",
                Kind::Stalled => "waits until somebody changes something",
            };
            let hint = match reason.hint() {
                "" => "nothing",
                hint => hint,
            };
            writeln!(text, "| `{reason}` | {follows} | {hint} |").unwrap();
        }
        text
    }

    /// Run with `UPDATE=1` to write the tables anew.
    #[test]
    fn the_page_for_people_has_every_reason() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
        let mut fresh = std::fs::read_to_string(path).unwrap();
        for (name, table) in [("databases", table_of_databases()), ("actions", table())] {
            let (before, rest) = fresh.split_once(&format!("<!-- {name} -->\n")).unwrap();
            let (_, after) = rest.split_once(&format!("<!-- end of {name} -->")).unwrap();
            fresh = format!("{before}<!-- {name} -->\n{table}<!-- end of {name} -->{after}");
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &fresh).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).unwrap() == fresh,
            "docs/operations.md is stale: run UPDATE=1 cargo test -p operator the_page_for_people"
        );
    }
}
