//! The difference of two texts, line by line, as reviewers know it: unified, with three lines of context.

use std::fmt::Write as _;

/// Lines around a change.
const CONTEXT: usize = 3;
/// Cells of the comparison's table: some ten megabytes. Beyond it the changed part is shown as replaced.
const MOST_CELLS: usize = 4_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edit {
    Keep,
    Remove,
    Add,
}

/// The unified difference without file names; empty where the texts are equal.
pub fn unified(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let edits = edits(&old, &new);
    let changed: Vec<usize> = (0..edits.len())
        .filter(|i| edits[*i] != Edit::Keep)
        .collect();
    let mut out = String::new();
    let mut rest = changed.as_slice();
    while let Some(first) = rest.first() {
        // Changes that are close together share one part.
        let apart = |pair: &[usize]| pair[1] - pair[0] > 2 * CONTEXT + 1;
        let length = rest
            .windows(2)
            .position(apart)
            .map_or(rest.len(), |at| at + 1);
        let from = first.saturating_sub(CONTEXT);
        let to = (rest[length - 1] + 1 + CONTEXT).min(edits.len());
        part(&mut out, &old, &new, &edits, from..to);
        rest = &rest[length..];
    }
    out
}

fn part(
    out: &mut String,
    old: &[&str],
    new: &[&str],
    edits: &[Edit],
    range: std::ops::Range<usize>,
) {
    let count = |edits: &[Edit], but: Edit| edits.iter().filter(|edit| **edit != but).count();
    let (mut i, mut j) = (
        count(&edits[..range.start], Edit::Add),
        count(&edits[..range.start], Edit::Remove),
    );
    let edits = &edits[range];
    let place = |at: usize, length: usize| match length {
        0 => format!("{at},0"),
        1 => (at + 1).to_string(),
        _ => format!("{},{length}", at + 1),
    };
    let _ = writeln!(
        out,
        "@@ -{} +{} @@",
        place(i, count(edits, Edit::Add)),
        place(j, count(edits, Edit::Remove))
    );
    for edit in edits {
        let (sign, line) = match edit {
            Edit::Keep => (' ', new[j]),
            Edit::Remove => ('-', old[i]),
            Edit::Add => ('+', new[j]),
        };
        let _ = writeln!(out, "{sign}{line}");
        i += usize::from(*edit != Edit::Add);
        j += usize::from(*edit != Edit::Remove);
    }
}

fn edits(old: &[&str], new: &[&str]) -> Vec<Edit> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let mut edits = vec![Edit::Keep; head];
    edits.extend(middle(old, new));
    edits.extend(vec![Edit::Keep; tail]);
    edits
}

/// By the longest common subsequence; removals come before additions.
fn middle(old: &[&str], new: &[&str]) -> Vec<Edit> {
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > MOST_CELLS {
        let mut all = vec![Edit::Remove; old.len()];
        all.extend(vec![Edit::Add; new.len()]);
        return all;
    }
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = if old[i] == new[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut edits) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        let edit = if i < old.len() && j < new.len() && old[i] == new[j] {
            Edit::Keep
        } else if j == new.len()
            || (i < old.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1])
        {
            Edit::Remove
        } else {
            Edit::Add
        };
        i += usize::from(edit != Edit::Add);
        j += usize::from(edit != Edit::Remove);
        edits.push(edit);
    }
    edits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_change_is_shown_between_its_neighbours() {
        let before = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\n";
        let after = before.replace("d\n", "D\n").replace("m\n", "m\nn\n");
        assert_eq!(
            unified(before, &after),
            "@@ -1,7 +1,7 @@\n a\n b\n c\n-d\n+D\n e\n f\n g\n@@ -11,3 +11,4 @@\n k\n l\n m\n+n\n"
        );
        assert_eq!(unified(before, before), "");
    }

    #[test]
    fn what_is_new_is_all_added_and_what_goes_is_all_removed() {
        assert_eq!(unified("", "a\nb\n"), "@@ -0,0 +1,2 @@\n+a\n+b\n");
        assert_eq!(unified("a\n", ""), "@@ -1 +0,0 @@\n-a\n");
    }

    #[test]
    fn texts_too_large_to_compare_are_shown_as_replaced() {
        let text = |word: &str| vec![word; 3_000].join("\n");
        let difference = unified(&text("a"), &text("b"));
        assert_eq!(difference.lines().count(), 6_001);
    }

    /// Carries a difference out, as `patch` does.
    fn patched(before: &str, difference: &str) -> String {
        let old: Vec<&str> = before.lines().collect();
        let (mut at, mut out) = (0, Vec::new());
        for line in difference.lines() {
            if let Some(head) = line.strip_prefix("@@ -") {
                let range = head.split(' ').next().unwrap();
                let (start, length) = range.split_once(',').unwrap_or((range, "1"));
                let start: usize = start.parse().unwrap();
                let start = if length == "0" { start } else { start - 1 };
                out.extend_from_slice(&old[at..start]);
                at = start;
            } else if let Some(line) = line.strip_prefix('+') {
                out.push(line);
            } else {
                assert_eq!(old[at], &line[1..], "{difference}");
                if line.starts_with(' ') {
                    out.push(old[at]);
                }
                at += 1;
            }
        }
        out.extend_from_slice(&old[at..]);
        out.into_iter().flat_map(|line| [line, "\n"]).collect()
    }

    proptest! {
        #[test]
        fn a_difference_leads_from_one_text_to_the_other(
            before in "([abc]{0,2}\n){0,30}", after in "([abc]{0,2}\n){0,30}"
        ) {
            prop_assert_eq!(patched(&before, &unified(&before, &after)), after);
        }
    }
}
