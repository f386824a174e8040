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
    use super::*;

    /// A message ends in `; ` and the hint: whoever shows both apart splits it there.
    #[test]
    fn every_reason_that_ends_an_action_says_what_to_do() {
        for reason in Reason::ALL.iter().filter(|r| **r != Reason::Waiting) {
            let hint = reason.hint();
            assert!(!hint.is_empty() && !hint.contains("; "), "{reason:?}");
        }
    }
}
