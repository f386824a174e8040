//! Why the server was not started, for people and for the operator.

use std::fmt::Write as _;
use std::io::Write as _;

/// The kubelet keeps at most 4 KiB of it.
const LONGEST: usize = 1500;
const TERMINATION_LOG: &str = "/dev/termination-log";

/// One reason of the operator's list, and what was seen.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Stopped {
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// Leaves the report where the kubelet takes it from, and in the log.
pub(crate) fn leave(stopped: &Stopped) {
    let line = json(stopped);
    say(&line);
    // Without the file the log still has it.
    let _ = std::fs::write(TERMINATION_LOG, &line);
}

pub(crate) fn say(text: &str) {
    // Nobody reads a broken stderr.
    let _ = writeln!(std::io::stderr(), "vdb-init: {text}");
}

fn json(stopped: &Stopped) -> String {
    let mut text = String::new();
    for c in stopped
        .message
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(LONGEST)
    {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    format!(
        "{{\"reason\":\"{}\",\"message\":\"{text}\"}}",
        stopped.reason
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_one_line_of_json() {
        let text = json(&Stopped::new("EmptyVolume", "a \"b\"\nc\\d"));
        assert_eq!(text, r#"{"reason":"EmptyVolume","message":"a \"b\" c\\d"}"#);
    }
}
