use rstest::rstest;

use super::*;

const VALUES: &str = "owner: group:default/team-orders\nvdb:\n  source: {type: dct-source, reference: '10.0.1.54:largedb'}\n";
const CATALOG: &str = "kind: Resource\nmetadata:\n  name: NAME\nspec:\n  owner: team-orders\n";

/// Paths and texts; the text `link` is a link.
fn files(all: &[(&str, &str)]) -> Files {
    let content = |text: &str| match text {
        "link" => Content::Link,
        "unread" => Content::Unread,
        "huge" => Content::Unreadable("it is larger than 8 MiB".into()),
        text => Content::Text(text.to_owned()),
    };
    all.iter()
        .map(|(path, text)| ((*path).to_owned(), content(text)))
        .collect()
}

/// The verdict on a pull request from one set of files to another; files elsewhere count as changed too.
fn between(base: &[(&str, &str)], head: &[(&str, &str)]) -> Verdict {
    let (base, head) = (files(base), files(head));
    let mut paths: Vec<&String> = base.keys().chain(head.keys()).collect();
    paths.sort();
    paths.dedup();
    let changes: Vec<Changed> = paths
        .into_iter()
        .filter(|path| base.get(*path) != head.get(*path))
        .map(|path| Changed {
            path: path.clone(),
            deleted: !head.contains_key(path),
        })
        .collect();
    judge(&changes, &base, &head, &Orders::default())
}

const DEV: &str = "environments/dev/values.yaml";
const QA: &str = "environments/qa/values.yaml";
const DEV_CATALOG: &str = "environments/dev/catalog-info.yaml";

#[rstest]
#[case::nothing(&[], &[])]
#[case::elsewhere(&[], &[("README.md", "x"), ("charts/a", "b"), ("environments/README.md", "x")])]
#[case::new(&[], &[(DEV, VALUES)])]
#[case::unchanged_file_beside(&[("environments/dev/notes.md", "unread")], &[("environments/dev/notes.md", "unread"), (DEV, VALUES)])]
#[case::two_new(&[], &[(DEV, VALUES), (QA, VALUES)])]
#[case::deleted(&[(DEV, VALUES)], &[])]
#[case::one_deleted_one_new(&[(DEV, VALUES)], &[(QA, VALUES)])]
#[case::broken_one_deleted(&[(DEV, "a: [")], &[])]
#[case::no_database_of_it_is_left(&[(DEV, VALUES)], &[(DEV, "owner: Team-Orders\n")])]
#[case::owner_spelled_out_otherwise(&[(DEV, VALUES)], &[(DEV, "owner: team-orders\n")])]
#[case::owner_comes(&[(DEV, "vdb: {}\n")], &[(DEV, VALUES)])]
#[case::protection_is_lifted(&[(DEV, "owner: team-orders\nvdb: {protected: true}\n")], &[(DEV, VALUES)])]
fn what_may_be_merged_passes(#[case] base: &[(&str, &str)], #[case] head: &[(&str, &str)]) {
    let verdict = between(base, head);
    assert!(verdict.ok, "{:?}", verdict.problems);
}

#[rstest]
#[case::with_another_file(&[], &[(DEV, VALUES), ("README.md", "x")], &["README.md", "of their own"])]
#[case::with_the_readme_of_all(&[], &[(DEV, VALUES), ("environments/README.md", "x")], &["of their own"])]
#[case::two_deleted(&[(DEV, VALUES), (QA, VALUES)], &[], &["deletes 2 environments", "dev, qa"])]
#[case::protected(&[(DEV, "owner: team-orders\nvdb: {protected: true}\n")], &[], &["dev is protected", "set protected: false", "merge that first"])]
#[case::protected_second_database(&[(DEV, "vdbs: {a: {protected: true}}\n")], &[], &["dev is protected"])]
#[case::protected_as_a_whole(&[(DEV, "protected: true\n")], &[], &["dev is protected"])]
#[case::values_gone_directory_left(&[(DEV, VALUES), (DEV_CATALOG, "unread")], &[(DEV_CATALOG, "unread")], &[DEV, "needs it", "whole directory"])]
#[case::no_values(&[], &[("environments/dev/README.md", "unread")], &[DEV, "needs it"])]
#[case::other_owner(&[(DEV, VALUES)], &[(DEV, "owner: group:default/x\n")], &["owner changes", "team-orders", "default/x", "order it again"])]
#[case::owner_taken_away(&[(DEV, VALUES)], &[(DEV, "vdb: {source: {type: dct-source, reference: '10.0.1.54:largedb'}}\n")], &["owner changes", "nobody"])]
#[case::owner_known_to_the_catalog_alone(&[(DEV, "vdb: {}\n"), (DEV_CATALOG, CATALOG)], &[(DEV, "owner: x\n"), (DEV_CATALOG, "kind: Resource\nmetadata: {name: dev}\n")], &["owner changes", "team-orders"])]
#[case::no_owner(&[], &[(DEV, "vdb: {source: {type: dct-source, reference: '10.0.1.54:largedb'}}\n")], &["names no owner"])]
#[case::not_yaml(&[], &[(DEV, "a: [")], &[DEV, "YAML"])]
#[case::no_mapping(&[], &[(DEV, "../qa/values.yaml")], &[DEV])]
#[case::image(&[], &[(DEV, "owner: x\nvdb: {image: 'evil:1', source: {type: dct-source, reference: a}}\n")], &["/vdb/image", "evil:1", "NotAllowed", "postgres:*"])]
#[case::image_for_all(&[], &[(DEV, "owner: x\nglobal: {postgresImage: 'evil:1'}\nvdbs: {k: {source: {type: dct-source, reference: a}}}\n")], &["/vdbs/k/image", "NotAllowed"])]
#[case::a_link(&[], &[(DEV, "link")], &["symbolic link"])]
#[case::a_link_beside(&[], &[(DEV, VALUES), ("environments/dev/x/y", "link")], &["environments/dev/x/y", "symbolic link"])]
#[case::huge(&[], &[(DEV, "huge")], &[DEV, "8 MiB"])]
#[case::catalog_of_another(&[], &[(DEV, VALUES), (DEV_CATALOG, "kind: Resource\nmetadata: {name: qa}\n")], &["/metadata/name", "qa", "write dev"])]
#[case::catalog_of_a_user(&[], &[(DEV, VALUES), (DEV_CATALOG, "kind: Group\nmetadata: {name: dev}\n")], &["/kind", "Group"])]
#[case::catalog_elsewhere(&[], &[(DEV, VALUES), (DEV_CATALOG, "kind: Resource\nmetadata: {name: dev, namespace: other}\n")], &["/metadata/namespace"])]
#[case::catalog_of_two(&[], &[(DEV, VALUES), (DEV_CATALOG, "kind: Resource\n---\nkind: Group\n")], &["one YAML document"])]
#[case::catalog_of_another_owner(&[], &[(DEV, VALUES), (DEV_CATALOG, "kind: Resource\nmetadata: {name: dev}\nspec: {owner: x}\n")], &["/spec/owner", "write the same"])]
#[case::catalog_annotated(&[], &[(DEV, VALUES), (DEV_CATALOG, "kind: Resource\nmetadata: {name: dev, annotations: {postgres-vdb-platform/environment: qa}}\n")], &["annotations", "write dev"])]
#[case::a_file_for_a_directory(&[], &[("environments/dev", "x")], &["an environment is a directory"])]
#[case::no_name(&[], &[("environments/Dev/values.yaml", VALUES)], &["upper-case"])]
#[case::a_way_out(&[], &[("environments/../x", VALUES)], &["'..'"])]
fn what_must_not_be_merged_is_named(
    #[case] base: &[(&str, &str)],
    #[case] head: &[(&str, &str)],
    #[case] words: &[&str],
) {
    let verdict = between(base, head);
    assert!(!verdict.ok);
    assert_eq!(verdict.problems.len(), 1, "{:#?}", verdict.problems);
    for word in words {
        assert!(
            verdict.problems[0].contains(word),
            "{}",
            verdict.problems[0]
        );
    }
}

#[test]
fn all_problems_come_at_once_each_with_its_file() {
    let values =
        "owner: x\nsurprise: 1\nvdb: {source: {type: dct-source, reference: a}, port: text}\n";
    let verdict = between(
        &[(QA, VALUES)],
        &[(DEV, values), (DEV_CATALOG, "a: ["), ("README.md", "x")],
    );
    assert!(verdict.problems.len() >= 4, "{:#?}", verdict.problems);
    let of_values = verdict.problems.iter().filter(|p| p.starts_with(DEV));
    assert!(of_values.count() >= 2, "{:#?}", verdict.problems);
}

#[test]
fn too_many_at_once_is_refused_without_a_look() {
    let paths: Vec<String> = (0..=MOST_ENVIRONMENTS)
        .map(|n| format!("environments/feat-{n}/values.yaml"))
        .collect();
    let changes: Vec<Changed> = paths
        .iter()
        .map(|path| Changed {
            path: path.clone(),
            deleted: false,
        })
        .collect();
    let verdict = judge(&changes, &Files::new(), &Files::new(), &Orders::default());
    assert_eq!(verdict.problems.len(), 1);
    assert!(verdict.problems[0].contains("21 environments"));

    let mut deep: Vec<Changed> = (0..=MOST_DIRECTORIES)
        .map(|n| Changed {
            path: format!("environments/dev/d{n}/x"),
            deleted: false,
        })
        .collect();
    deep.push(Changed {
        path: DEV.into(),
        deleted: false,
    });
    let head = files(&[(DEV, VALUES)]);
    let verdict = judge(&deep, &Files::new(), &head, &Orders::default());
    assert!(
        verdict.problems[0].contains("21 directories"),
        "{:?}",
        verdict.problems
    );
}
