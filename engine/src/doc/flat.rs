//! Lists of small objects that hold nothing but plain texts, as tags are: looked at where they lie. To read such a list into
//! memory takes several times as long, and a search does it for every object that there is.

use memchr::memchr2;

/// More attributes than an element of such a list has.
const MOST: usize = 8;

/// Whether some element, given by its attributes, is what is looked for. None if the list is not like that: it has to be
/// read then.
pub(crate) fn any<'a>(
    json: &'a str,
    mut wanted: impl FnMut(&[(&'a str, &'a str)]) -> bool,
) -> Option<bool> {
    let mut rest = json.strip_prefix('[')?;
    loop {
        rest = rest.strip_prefix('{')?;
        let mut fields = [("", ""); MOST];
        let mut count = 0;
        loop {
            let (name, after) = text(rest)?;
            let (value, after) = text(after.strip_prefix(':')?)?;
            *fields.get_mut(count)? = (name, value);
            count += 1;
            if let Some(more) = after.strip_prefix(',') {
                rest = more;
            } else {
                rest = after.strip_prefix('}')?;
                break;
            }
        }
        if wanted(&fields[..count]) {
            return Some(true);
        }
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (rest == "]").then_some(false),
        }
    }
}

/// A text without escapes, and what comes behind it.
fn text(json: &str) -> Option<(&str, &str)> {
    let inner = json.strip_prefix('"')?;
    let end = memchr2(b'"', b'\\', inner.as_bytes())?;
    let (text, rest) = inner.split_at(end);
    Some((text, rest.strip_prefix('"')?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_are_seen_as_they_were_written_up_to_the_one_that_is_wanted() {
        let tags = json!([{"key": "a,}]", "value": ""}, {"key": "ü", "value": "{["}, {"key": "c", "value": "d"}]);
        let text = tags.to_string();
        let mut seen = Vec::new();
        let found = any(&text, |fields| {
            seen.push(fields.to_vec());
            fields[0].1 == "ü"
        });
        assert_eq!(found, Some(true));
        assert_eq!(
            seen,
            [
                [("key", "a,}]"), ("value", "")],
                [("key", "ü"), ("value", "{[")]
            ]
        );
        assert_eq!(any(&text, |_| false), Some(false));
    }

    #[test]
    fn any_other_list_is_left_to_who_reads_it() {
        let many: serde_json::Map<_, _> = (0..=MOST).map(|n| (n.to_string(), json!("x"))).collect();
        for other in [
            json!([]),
            json!({}),
            json!(["a"]),
            json!([{}]),
            json!([{"key": "a \"b\""}]),
            json!([{"key\\": "a"}]),
            json!([{"key": 1}]),
            json!([{"key": "a", "value": null}]),
            json!([{"key": "a"}, {"key": ["b"]}]),
            json!([many]),
        ] {
            assert_eq!(any(&other.to_string(), |_| false), None, "{other}");
        }
    }
}
