//! `postgresql.conf`: reading what is set and writing values that cannot become syntax.

use std::fmt::Write as _;
use std::path::{Component, Path};
use std::{fs, io};

/// PostgreSQL's own limit on nested include directives.
const DEEPEST: u8 = 10;

/// Settings that change what a query returns. Only these are taken over from a source's configuration.
pub const VISIBLE: [&str; 22] = [
    "array_nulls",
    "backslash_quote",
    "bytea_output",
    "client_encoding",
    "datestyle",
    "default_text_search_config",
    "default_transaction_isolation",
    "escape_string_warning",
    "extra_float_digits",
    "intervalstyle",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "quote_all_identifiers",
    "search_path",
    "standard_conforming_strings",
    "timezone",
    "timezone_abbreviations",
    "transform_null_equals",
    "xmlbinary",
    "xmloption",
];

/// A setting as it stands in a file: the name in lower case, the value without its quotes.
pub type Setting = (String, String);

/// Every setting of a text in order; the last of a name counts. Lines that are none are skipped, as the server that
/// wrote the file has accepted it.
pub fn parse(text: &str) -> Vec<Setting> {
    text.lines().filter_map(line).collect()
}

/// The settings of a data directory, `postgresql.auto.conf` last. Includes are followed inside the directory alone.
pub fn read(pgdata: &Path) -> io::Result<Vec<Setting>> {
    let mut all = Vec::new();
    read_into(pgdata, Path::new("postgresql.conf"), DEEPEST, &mut all)?;
    read_into(pgdata, Path::new("postgresql.auto.conf"), 0, &mut all)?;
    Ok(all)
}

/// The value that counts.
pub fn value<'a>(settings: &'a [Setting], name: &str) -> Option<&'a str> {
    settings
        .iter()
        .rev()
        .find(|(n, _)| n == name)
        .map(|(_, v)| v.as_str())
}

/// What queries see, each name once.
pub fn visible(settings: &[Setting]) -> Vec<Setting> {
    VISIBLE
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), value(settings, name)?.to_owned())))
        .collect()
}

/// A whole file. `None`: a name is no setting's, or a value holds a control character.
pub fn write<N: AsRef<str>, V: AsRef<str>>(
    settings: impl IntoIterator<Item = (N, V)>,
) -> Option<String> {
    let mut out = String::new();
    for (name, value) in settings {
        let name = name.as_ref();
        if !is_name(name) {
            return None;
        }
        writeln!(out, "{name} = {}", quote(value.as_ref())?).ok()?;
    }
    Some(out)
}

/// A value in single quotes: quotes and backslashes doubled.
pub fn quote(value: &str) -> Option<String> {
    if value.chars().any(char::is_control) {
        return None;
    }
    Some(format!(
        "'{}'",
        value.replace('\\', "\\\\").replace('\'', "''")
    ))
}

/// Letters, digits and underscores; one dot between an extension and its setting.
pub fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
    };
    match name.split_once('.') {
        Some((extension, rest)) => part(extension) && rest.split('.').all(part),
        None => part(name),
    }
}

fn read_into(pgdata: &Path, file: &Path, depth: u8, all: &mut Vec<Setting>) -> io::Result<()> {
    let text = match fs::read(pgdata.join(file)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for (name, value) in parse(&text) {
        let at = file.parent().unwrap_or(Path::new("")).join(&value);
        let inside = at
            .components()
            .all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        match name.as_str() {
            "include" | "include_if_exists" if inside && depth > 0 => {
                read_into(pgdata, &at, depth - 1, all)?;
            }
            "include_dir" if inside && depth > 0 => {
                for entry in conf_files(&pgdata.join(&at)) {
                    read_into(pgdata, &at.join(entry), depth - 1, all)?;
                }
            }
            "include" | "include_if_exists" | "include_dir" => {}
            _ => all.push((name, value)),
        }
    }
    Ok(())
}

/// As the server orders them: by name, `.conf` only, no hidden files.
fn conf_files(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .collect();
    names.retain(|name| {
        Path::new(name).extension().is_some_and(|e| e == "conf") && !name.starts_with('.')
    });
    names.sort();
    names
}

fn line(line: &str) -> Option<Setting> {
    let line = line.trim_start();
    let end = line
        .find(|c: char| c.is_whitespace() || c == '=')
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if !is_name(name) {
        return None;
    }
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let value = match rest.strip_prefix('\'') {
        Some(quoted) => unquote(quoted)?,
        None => rest
            .split(|c: char| c.is_whitespace() || c == '#')
            .next()?
            .to_owned(),
    };
    Some((name.to_ascii_lowercase(), value))
}

/// From after the opening quote to the closing one.
fn unquote(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    loop {
        match chars.next()? {
            '\'' if chars.peek() == Some(&'\'') => {
                chars.next();
                out.push('\'');
            }
            '\'' => return Some(out),
            '\\' => out.push(escape(&mut chars)?),
            other => out.push(other),
        }
    }
}

fn escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    Some(match chars.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        digit @ '0'..='7' => {
            let mut number = digit.to_digit(8)?;
            for _ in 0..2 {
                let Some(next) = chars.peek().and_then(|c| c.to_digit(8)) else {
                    break;
                };
                chars.next();
                number = number * 8 + next;
            }
            char::from_u32(number & 0xff)?
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_as_the_server_reads_it() {
        let text = "# comment\nTimeZone = 'Europe/Zurich'  # here\nwork_mem 4MB# x\nport=5433\nsearch_path = '\"$user\", ''x'', \\'y\\''\n\
                    broken = 'no end\n= 5\npg_stat_statements.track = all\nport = 5434\nempty = ''\n";
        let settings = parse(text);
        assert_eq!(value(&settings, "timezone"), Some("Europe/Zurich"));
        assert_eq!(value(&settings, "work_mem"), Some("4MB"));
        assert_eq!(value(&settings, "port"), Some("5434"));
        assert_eq!(value(&settings, "search_path"), Some("\"$user\", 'x', 'y'"));
        assert_eq!(value(&settings, "pg_stat_statements.track"), Some("all"));
        assert_eq!(value(&settings, "empty"), Some(""));
        assert_eq!(value(&settings, "broken"), None);
        assert_eq!(visible(&settings).len(), 2);
    }

    #[test]
    fn what_is_written_reads_back() {
        for value in [
            "", "a b", "it's", r"C:\x", "''", "#", "a=b", "'", r"\'", "ü",
        ] {
            let text = write([("application_name", value)]).unwrap();
            assert_eq!(
                parse(&text),
                [("application_name".to_owned(), value.to_owned())],
                "{text}"
            );
        }
        assert_eq!(write([("x", "a\nport = 1")]), None);
        assert_eq!(write([("a b", "1")]), None);
        assert_eq!(write([("", "1")]), None);
    }

    #[test]
    fn includes_are_followed_inside_the_directory_alone() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        fs::create_dir(dir.path().join("conf.d")).unwrap();
        put(
            "postgresql.conf",
            "include_dir 'conf.d'\ninclude '../outside.conf'\ninclude '/etc/passwd'\ninclude 'postgresql.conf'\n",
        );
        put("conf.d/b.conf", "timezone = 'UTC'\n");
        put("conf.d/a.conf", "timezone = 'GMT'\n");
        put("conf.d/c.txt", "timezone = 'wrong'\n");
        put("postgresql.auto.conf", "datestyle = 'ISO, DMY'\n");
        let settings = read(dir.path()).unwrap();
        assert_eq!(value(&settings, "timezone"), Some("UTC"));
        assert_eq!(value(&settings, "datestyle"), Some("ISO, DMY"));
    }
}
