//! A verdict in the words of a check and of a comment.

use super::judge::Verdict;
use crate::forge::{Check, CheckState};
use crate::web::one_line;

/// The check that the base branch should require.
pub(crate) const REQUIRED_CHECK: &str = "vdb/validate";
/// GitHub takes no more.
const LONGEST_DESCRIPTION: usize = 140;
/// What a comment shows; a reviewer who has mended these sees the rest.
const MOST_PROBLEMS: usize = 50;
const LONGEST_PROBLEM: usize = 500;
/// What the comment becomes when nothing is wrong any more.
pub(super) const FIXED: &str = "`vdb/validate`: fixed, nothing is wrong any more.";

pub(super) fn check(verdict: &Verdict) -> Check {
    let description = match (&verdict.problems[..], verdict.environments) {
        ([], 0) => "touches no environment".to_owned(),
        ([], 1) => "the environment is valid".to_owned(),
        ([], n) => format!("{n} environments are valid"),
        ([only], _) => one_line(only, LONGEST_DESCRIPTION),
        ([first, rest @ ..], _) => {
            let count = format!(" (and {} more)", rest.len());
            let room = LONGEST_DESCRIPTION - count.chars().count();
            format!("{}{count}", one_line(first, room))
        }
    };
    Check {
        context: REQUIRED_CHECK.to_owned(),
        state: if verdict.ok {
            CheckState::Success
        } else {
            CheckState::Failure
        },
        description,
    }
}

/// Problems quote what strangers wrote, so they stand in a block that shows text as it is and mentions nobody.
pub(super) fn comment(verdict: &Verdict) -> String {
    let count = verdict.problems.len();
    let mut lines: Vec<String> = verdict
        .problems
        .iter()
        .take(MOST_PROBLEMS)
        .map(|problem| one_line(problem, LONGEST_PROBLEM))
        .collect();
    if count > MOST_PROBLEMS {
        lines.push(format!("and {} more", count - MOST_PROBLEMS));
    }
    let text = lines.join("\n");
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    let things = if count == 1 {
        "One thing keeps"
    } else {
        "These things keep"
    };
    format!("`vdb/validate`: {things} this from being merged.\n\n{fence}text\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(problems: &[&str]) -> Verdict {
        Verdict {
            ok: false,
            problems: problems.iter().map(|p| (*p).to_owned()).collect(),
            environments: 1,
        }
    }

    #[test]
    fn a_description_names_the_first_problem_and_the_count_in_140_characters() {
        let long = "ä".repeat(300);
        let check = check(&failed(&[&long, "b", "c"]));
        assert_eq!(check.description.chars().count(), 140);
        assert!(
            check.description.ends_with("… (and 2 more)"),
            "{}",
            check.description
        );
        assert_eq!(check.state, CheckState::Failure);
        let good = super::check(&Verdict {
            ok: true,
            ..Verdict::default()
        });
        assert_eq!(
            (good.state, good.description.as_str()),
            (CheckState::Success, "touches no environment")
        );
    }

    #[test]
    fn nobodys_text_leaves_the_block_of_a_comment() {
        let text = comment(&failed(&["a ``` b\n@all ![x](http://x) -->", "c"]));
        assert!(text.contains("````text\na ``` b @all"), "{text}");
        assert!(text.ends_with("\nc\n````"), "{text}");
        let many: Vec<&str> = vec!["x"; 60];
        assert!(comment(&failed(&many)).contains("and 10 more"));
    }
}
