use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;

const FILE: &str = "\
# The team's database.
owner: group:default/team-orders   # ask in #orders
request:
  id: feat-1.create-0123456789
  by: 'user:default/guest'

vdb:
  source: {type: dct-source, reference: '10.0.1.54:largedb'} # production
  \"database\":
    name: largedb
    user: app
  resources:
      # half of it is reserved
      requests: {cpu: 100m, memory: 256Mi}

      limits:
        memory: 512Mi     # enough for now
  postgresConfig:
  # the planner's
  - name: work_mem
    value: 4MB
  - {name: max_connections, value: '30'}
  hooks:
    - name: init
      stage: post-create
      type: sql
      script: |
        -- memory: 1
        select '# no comment';
  # the end
";

fn edited(text: &str, edit: &Edit) -> Result<String, Refusal> {
    let result = apply(text, std::slice::from_ref(edit))?;
    let mut intended: Value = yaml::read(text).unwrap();
    edit.on(&mut intended).unwrap();
    assert_eq!(yaml::read::<Value>(&result).unwrap(), intended, "{result}");
    Ok(result)
}

/// What differs: the lines that are gone and the lines that came.
fn difference<'a>(old: &'a str, new: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old[head..]
        .iter()
        .rev()
        .zip(new[head..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    (
        old[head..old.len() - tail].to_vec(),
        new[head..new.len() - tail].to_vec(),
    )
}

#[rstest]
#[case::scalar_and_its_comment("/vdb/resources/limits/memory", json!("1Gi"), &["        memory: 512Mi     # enough for now"], &["        memory: \"1Gi\"     # enough for now"])]
#[case::comment_with_a_hash("/owner", json!("group:default/b"), &["owner: group:default/team-orders   # ask in #orders"], &["owner: \"group:default/b\"   # ask in #orders"])]
#[case::quoted("/request/by", json!("user:default/b"), &["  by: 'user:default/guest'"], &["  by: \"user:default/b\""])]
#[case::quoted_key("/vdb/database/user", json!("b"), &["    user: app"], &["    user: \"b\""])]
#[case::new_field("/vdb/image", json!("postgres:16.9"), &[], &["  image: \"postgres:16.9\""])]
#[case::new_field_of_a_deep_map("/vdb/resources/limits/cpu", json!("1"), &[], &["        cpu: \"1\""])]
#[case::new_map("/vdb/refresh/token", json!("t"), &[], &["  refresh:", "    token: \"t\""])]
#[case::top_level("/featureBranch", json!("f"), &[], &["featureBranch: \"f\""])]
#[case::item("/vdb/postgresConfig/0/value", json!("8MB"), &["    value: 4MB"], &["    value: \"8MB\""])]
#[case::flow_item("/vdb/postgresConfig/1/value", json!("40"), &["  - {name: max_connections, value: '30'}"], &["  - name: \"max_connections\"", "    value: \"40\""])]
#[case::next_item("/vdb/postgresConfig/-", json!({"name": "a", "value": "b"}), &[], &["  - name: \"a\"", "    value: \"b\""])]
#[case::flow_map_on_one_line("/vdb/resources/requests/memory", json!("1Gi"), &["      requests: {cpu: 100m, memory: 256Mi}"], &["      requests:", "        cpu: \"100m\"", "        memory: \"1Gi\""])]
fn an_edit_changes_its_lines_alone(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] gone: &[&str],
    #[case] came: &[&str],
) {
    let edit = Edit::set(pointer, value);
    let result = edited(FILE, &edit).unwrap();
    assert_eq!(difference(FILE, &result), (gone.to_vec(), came.to_vec()));
    // Line ends are the file's own.
    let windows = FILE.replace('\n', "\r\n");
    assert_eq!(
        edited(&windows, &edit).unwrap(),
        result.replace('\n', "\r\n")
    );
}

#[rstest]
#[case::scalar("/request/by", &["  by: 'user:default/guest'"])]
#[case::item("/vdb/postgresConfig/0", &["  - name: work_mem", "    value: 4MB"])]
#[case::list("/vdb/hooks", &["  hooks:", "    - name: init", "      stage: post-create", "      type: sql", "      script: |", "        -- memory: 1", "        select '# no comment';"])]
#[case::nothing("/vdb/expiresAt", &[])]
fn a_removal_takes_its_lines_alone(#[case] pointer: &str, #[case] gone: &[&str]) {
    let result = edited(FILE, &Edit::remove(pointer)).unwrap();
    assert_eq!(difference(FILE, &result), (gone.to_vec(), vec![]));
}

#[test]
fn an_edit_that_changes_nothing_leaves_every_byte() {
    let edits = [
        Edit::set("/vdb/resources/limits/memory", "512Mi"),
        Edit::remove("/vdb/image"),
    ];
    assert_eq!(apply(FILE, &edits).unwrap(), FILE);
}

#[test]
fn the_last_field_of_a_map_leaves_an_empty_map() {
    let result = edited(
        "vdb:\n  refresh:\n    token: a\n  image: b\n",
        &Edit::remove("/vdb/refresh/token"),
    );
    assert_eq!(result.unwrap(), "vdb:\n  refresh: {}\n  image: b\n");
}

#[test]
fn a_file_without_content_or_last_line_end_is_edited_too() {
    let edit = Edit::set("/request/id", "a");
    assert_eq!(
        edited("# nothing\n", &edit).unwrap(),
        "# nothing\nrequest:\n  id: \"a\"\n"
    );
    assert_eq!(
        edited("---\nowner: b", &edit).unwrap(),
        "---\nowner: b\nrequest:\n  id: \"a\"\n"
    );
    assert_eq!(
        edited("request:\nowner: b\n", &edit).unwrap(),
        "request:\n  id: \"a\"\nowner: b\n"
    );
}

#[rstest]
#[case::anchor("a: &x\n  memory: 1\nb: *x\n", "/a/memory", 1)]
#[case::used_elsewhere("base: &x\n  m: 1\nvdb:\n  <<: *x\n", "/base/m", 1)]
#[case::comment_in_a_flow_map("a: {memory: 1, # why\n  cpu: 2}\n", "/a/memory", 1)]
#[case::whole_file_in_flow_style("{a: {memory: 1}}\n", "/a/memory", 1)]
#[case::not_yaml("a: [\n", "/a/memory", 0)]
#[case::through_a_text("a: b\n", "/a/memory", 0)]
#[case::no_such_item("a: [1]\n", "/a/3", 0)]
fn what_cannot_be_edited_safely_is_refused(
    #[case] text: &str,
    #[case] pointer: &str,
    #[case] line: usize,
) {
    let refusal = edited(text, &Edit::set(pointer, "2")).unwrap_err();
    match &refusal {
        Refusal::Unsafe { line: found, .. } => assert_eq!((*found, line > 0), (line, true)),
        _ => assert_eq!(line, 0, "{refusal}"),
    }
    assert!(!refusal.hint().is_empty() && !refusal.to_string().contains('\n'));
}

#[test]
fn an_alias_becomes_what_it_stood_for() {
    let text = "limits: &x {memory: 1Gi}\nvdb:\n  limits: *x # shared\n";
    let result = edited(text, &Edit::set("/vdb/limits/cpu", "1")).unwrap();
    assert!(
        result.contains("  limits: # shared\n    memory: \"1Gi\"\n    cpu: \"1\"\n"),
        "{result}"
    );
}

/// How somebody writes a file by hand: quotes, widths, comments, order.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent habits of a writer"
)]
struct Hand {
    step: usize,
    compact: bool,
    quote: u8,
    comments: Vec<bool>,
    flow: bool,
    order: usize,
    windows: bool,
    last_line_end: bool,
}

fn hand() -> impl Strategy<Value = Hand> {
    (
        (1_usize..5, any::<bool>(), 0_u8..3),
        proptest::collection::vec(any::<bool>(), 24),
        (any::<bool>(), 0_usize..6, any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |((step, compact, quote), comments, (flow, order, windows, last_line_end))| Hand {
                step,
                compact,
                quote,
                comments,
                flow,
                order,
                windows,
                last_line_end,
            },
        )
}

impl Hand {
    fn text(&self, text: &str) -> String {
        match self.quote {
            0 => text.to_owned(),
            1 => format!("'{text}'"),
            _ => format!("\"{text}\""),
        }
    }

    fn write(&self, settings: &[(String, String)], memory: &str) -> String {
        let one = " ".repeat(self.step);
        let two = one.repeat(2);
        let three = one.repeat(3);
        let dash = if self.compact { &one } else { &two };
        let mut list = String::new();
        for (name, value) in settings {
            let value = self.text(value);
            list.extend([
                dash,
                "- name: ",
                name,
                "\n",
                dash,
                "  value: ",
                &value,
                "\n",
            ]);
        }
        let limits = if self.flow {
            format!("{two}limits: {{memory: {memory}}} # flow: {{x}}\n")
        } else {
            format!("{two}limits:\n{three}memory: {}\n", self.text(memory))
        };
        let mut parts = [
            format!(
                "{one}database:\n{two}name: {}\n{two}user: app\n",
                self.text("largedb")
            ),
            format!("{one}resources:\n{limits}"),
            if settings.is_empty() {
                String::new()
            } else {
                format!("{one}postgresConfig:\n{list}")
            },
            format!(
                "{one}hooks:\n{two}- name: init\n{two}  stage: post-create\n{two}  type: sql\n{two}  script: |\n{two}    memory: 1\n{two}    # select\n"
            ),
        ];
        parts.rotate_left(self.order % 4);
        if self.order > 3 {
            parts.swap(0, 2);
        }
        let plain = format!(
            "owner: {}\nrequest:\n{one}id: a\nvdb:\n{one}source:\n{two}type: dct-source\n{two}reference: {}\n{}global:\n{one}sourceDatabase: x\n",
            self.text("group:default/a"),
            self.text("10.0.1.54:largedb"),
            parts.concat()
        );
        let mut text = String::new();
        let mut in_script = false;
        for (number, line) in plain.lines().enumerate() {
            let comment = self.comments[number % self.comments.len()];
            in_script =
                (in_script && line.starts_with(&format!("{two}    "))) || line.ends_with('|');
            if comment && !in_script && number % 3 == 0 {
                text.extend([
                    &" ".repeat(number % 7),
                    "# vdb: ",
                    &number.to_string(),
                    "\n",
                ]);
            }
            text += line;
            if comment && !in_script && number % 3 == 1 && !line.contains('#') {
                text += " # image: x";
            }
            text += "\n";
            if comment && !in_script && number % 3 == 2 {
                text += "\n";
            }
        }
        if !self.last_line_end {
            text.truncate(text.trim_end().len());
        }
        if self.windows {
            text.replace('\n', "\r\n")
        } else {
            text
        }
    }
}

fn edits() -> impl Strategy<Value = Edit> {
    const POINTERS: &[&str] = &[
        "/vdb/image",
        "/vdb/expiresAt",
        "/vdb/refresh/token",
        "/vdb/resources/limits/memory",
        "/vdb/resources/limits/cpu",
        "/vdb/resources/requests/memory",
        "/request/id",
        "/request/by",
        "/vdb/postgresConfig/0/value",
        "/owner",
    ];
    prop_oneof![
        (proptest::sample::select(POINTERS), "[ -~äß#:'\"]{0,20}")
            .prop_map(|(pointer, value)| Edit::set(pointer, value)),
        "[a-z_]{1,8}".prop_map(|name| Edit::set(
            "/vdb/postgresConfig/-",
            json!({"name": name, "value": "1"})
        )),
        proptest::sample::select(&["/vdb/hooks", "/vdb/image", "/global", "/vdb/resources"][..])
            .prop_map(Edit::remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn whoever_wrote_the_file_only_what_is_meant_changes(
        hand in hand(),
        settings in proptest::collection::vec(("[a-z]{3,9}", "[a-z0-9]{1,5}x"), 1..4),
        edit in edits(),
    ) {
        let text = hand.write(&settings, "512Mi");
        let before: Value = yaml::read(&text).expect("the generator writes YAML");
        let mut intended = before.clone();
        edit.on(&mut intended).unwrap();
        let result = apply(&text, std::slice::from_ref(&edit));
        let result = result.map_err(|refusal| TestCaseError::fail(format!("{refusal}\n{text}")))?;
        prop_assert_eq!(&yaml::read::<Value>(&result).unwrap(), &intended, "{}", result);
        let (gone, _) = difference(&text, &result);
        let most = if matches!(edit, Edit::Set { .. }) { 1 } else { 40 };
        prop_assert!(gone.len() <= most, "{:?}\n{}", gone, result);
        if matches!(edit, Edit::Set { .. }) {
            for comment in ["# vdb: ", "# image: x", "# flow"] {
                prop_assert_eq!(result.matches(comment).count(), text.matches(comment).count(), "{}", result);
            }
        }
    }

    #[test]
    fn whatever_the_text_an_edit_is_right_or_refused(text in "([a-c]: ?|- |\\[|\\]|\\{|\\}|\"|'|#| |\n|\n  |&x |\\*x|\\||,|1){0,24}", at in proptest::sample::select(&["/a", "/a/b", "/b/0", "/a/b/c", "/c/-"][..])) {
        let edit = Edit::set(at, "v");
        if let Ok(result) = apply(&text, std::slice::from_ref(&edit)) {
            let mut intended: Value = yaml::read(&text).unwrap();
            edit.on(&mut intended).unwrap();
            prop_assert_eq!(yaml::read::<Value>(&result).unwrap(), intended);
        }
    }
}
