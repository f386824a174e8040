//! JSON objects out of a flow of bytes, one at a time: a list of thousands of Applications never stands in memory whole.

/// Larger than any Application that Kubernetes stores.
const LARGEST_OBJECT: usize = 4 << 20;

/// Finds each object that begins below a given nesting: `{[` for the items of a list, nothing for a stream of lines.
#[derive(Debug)]
pub(super) struct Objects {
    inside: &'static [u8],
    nesting: Vec<u8>,
    in_text: bool,
    escaped: bool,
    object: Vec<u8>,
    collecting: bool,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an object of the answer is larger than 4 MiB or nested wrongly")]
pub(super) struct Broken;

impl Objects {
    pub(super) fn inside(inside: &'static str) -> Self {
        Self {
            inside: inside.as_bytes(),
            nesting: Vec::new(),
            in_text: false,
            escaped: false,
            object: Vec::new(),
            collecting: false,
        }
    }

    /// Takes the next bytes; calls back with each object that they complete.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        mut found: impl FnMut(&[u8]),
    ) -> Result<(), Broken> {
        for &byte in bytes {
            if !self.in_text && byte == b'{' && self.nesting == self.inside {
                self.collecting = true;
            }
            if self.collecting {
                self.object.push(byte);
            }
            self.nest(byte)?;
            if self.object.len() > LARGEST_OBJECT {
                return Err(Broken);
            }
            if self.collecting && !self.in_text && byte == b'}' && self.nesting == self.inside {
                self.collecting = false;
                found(&self.object);
                self.object.clear();
            }
        }
        Ok(())
    }

    fn nest(&mut self, byte: u8) -> Result<(), Broken> {
        if self.in_text {
            if self.escaped {
                self.escaped = false;
            } else if byte == b'\\' {
                self.escaped = true;
            } else if byte == b'"' {
                self.in_text = false;
            }
            return Ok(());
        }
        match byte {
            b'"' => self.in_text = !self.nesting.is_empty(),
            b'{' | b'[' => {
                if self.nesting.len() > 128 {
                    return Err(Broken);
                }
                self.nesting.push(byte);
            }
            // `[` and `{` are two below their closing brackets in ASCII.
            b'}' | b']' if self.nesting.pop() != Some(byte - 2) => return Err(Broken),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(inside: &'static str, text: &str, step: usize) -> Vec<String> {
        let (mut objects, mut all) = (Objects::inside(inside), Vec::new());
        for part in text.as_bytes().chunks(step) {
            objects
                .take(part, |object| {
                    all.push(String::from_utf8_lossy(object).into_owned());
                })
                .unwrap();
        }
        all
    }

    #[test]
    fn items_of_a_list_are_found_wherever_the_bytes_are_cut() {
        let text =
            r#"{"metadata":{"resourceVersion":"7"},"items":[{"a":"}]\"{"},{"b":[{"c":1}]}]}"#;
        for step in 1..text.len() {
            assert_eq!(
                found("{[", text, step),
                [r#"{"a":"}]\"{"}"#, r#"{"b":[{"c":1}]}"#],
                "{step}"
            );
        }
    }

    #[test]
    fn lines_and_server_sent_events_are_both_streams_of_objects() {
        assert_eq!(
            found("", "{\"a\":1}\n{\"b\":2}\n", 3),
            [r#"{"a":1}"#, r#"{"b":2}"#]
        );
        assert_eq!(
            found("", ":\n\ndata: {\"a\":1} \n\n:\n\ndata: {\"b\":2} \n\n", 5),
            [r#"{"a":1}"#, r#"{"b":2}"#]
        );
    }

    #[test]
    fn what_is_not_nested_rightly_is_broken_and_never_collected_for_ever() {
        let mut objects = Objects::inside("");
        assert_eq!(objects.take(b"{]", |_| {}), Err(Broken));
        let mut objects = Objects::inside("");
        objects.take(b"{\"a\":\"", |_| {}).unwrap();
        assert_eq!(
            objects.take(&vec![b'x'; LARGEST_OBJECT], |_| {}),
            Err(Broken)
        );
    }
}
