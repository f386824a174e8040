//! YAML as kubectl reads it. The only file that names the YAML library.

mod plain;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Larger than any values file that people write; a bound for what comes from a form or a repository.
pub const MAX_BYTES: usize = 128 * 1024;

/// Reads one document. Duplicate keys are an error; numbers and booleans are those of YAML 1.1, as for kubectl.
///
/// # Errors
/// One line with line and column.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    if text.len() > MAX_BYTES {
        return Err(format!(
            "the file has {} bytes; at most {MAX_BYTES} are read",
            text.len()
        ));
    }
    let options = serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| one_line(&error.to_string()))
}

/// Reads what a skeleton rendered: the same as [`read`], sooner where it is plain.
///
/// # Errors
/// One line with line and column.
pub fn read_rendered(text: &str) -> Result<Value, String> {
    if text.len() <= MAX_BYTES
        && let Some(value) = plain::read(text)
    {
        return Ok(value);
    }
    read(text)
}

/// Writes a document in which every string reads back as a string, whoever reads it.
///
/// # Errors
/// A value that YAML cannot hold.
pub fn write<T: Serialize>(value: &T) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| one_line(&error.to_string()))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_keys_are_refused() {
        let error = read::<Value>("a: 1\na: 2\n").unwrap_err();
        assert!(error.contains("duplicate"), "{error}");
        assert!(!error.contains('\n'));
    }

    #[test]
    fn words_that_yaml_reads_otherwise_are_quoted() {
        for text in [
            "no", "1_000", "0755", "on", "12:30", "=", "<<", "a\nb", "${{ x }}",
        ] {
            let written = write(&serde_json::json!({ "k": text })).unwrap();
            assert_eq!(read::<Value>(&written).unwrap()["k"], text, "{written}");
        }
    }
}
