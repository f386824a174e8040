//! Variables of `make` reach the shell as environment: what they hold is never run.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::root;

/// A stand-in for `vdb` that writes down how it was called.
fn stand_in(directory: &Path) -> String {
    let program = directory.join("vdb");
    std::fs::write(&program, "#!/bin/sh\nfor a in \"$@\"; do printf '<%s>' \"$a\"; done > \"$(dirname \"$0\")/called\"\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program.to_string_lossy().into_owned()
}

fn make(directory: &Path, arguments: &[&str]) -> (String, String) {
    let context = directory.join("context.env");
    std::fs::write(&context, "VDB_REPO='/nowhere'\n").unwrap();
    let output = Command::new("make")
        .arg("--directory")
        .arg(root())
        .arg(format!("VDB={}", stand_in(directory)))
        .arg(format!("CONTEXT={}", context.display()))
        .args(arguments)
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    let called = std::fs::read_to_string(directory.join("called")).unwrap_or_default();
    (called, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_name_that_looks_like_a_command_stays_a_name() {
    let directory = tempfile::tempdir().unwrap();
    let bait = directory.path().join("bait");
    let at = bait.display();
    let names = [
        format!("x; touch {at}"),
        format!("x$(touch {at})"),
        format!("x$$(touch {at})"),
        format!("x$(shell touch {at})"),
        format!("x${{shell touch {at}}}"),
        format!("x`touch {at}`"),
        format!("x' ; touch {at} ; '"),
        format!("x\" ; touch {at} ; \""),
        format!("x\ntouch {at}"),
        format!("x && touch {at}"),
    ];
    for name in &names {
        for target in [
            "create-env",
            "update-env",
            "refresh-env",
            "extend-env",
            "delete-env",
            "status",
            "template-env",
            "connect",
        ] {
            let (called, said) = make(directory.path(), &[target, &format!("ENV={name}")]);
            assert!(!bait.exists(), "{target} ran {name:?}");
            assert!(
                called.contains(&format!("<{name}>")),
                "{target} {name:?}: {called} {said}"
            );
        }
    }
}

#[test]
fn switches_become_flags_and_a_missing_name_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let called = |arguments: &[&str]| make(directory.path(), arguments).0;
    assert_eq!(
        called(&["delete-env", "ENV=feat-1", "YES=1", "PUSH=0", "FORCE=1"]),
        "<env><delete><--yes><--no-push><--force><--><feat-1>"
    );
    assert_eq!(
        called(&["create-env", "ENV=feat-1"]),
        "<env><create><--><feat-1>"
    );
    assert_eq!(
        called(&[
            "update-env",
            "ENV=feat-1",
            "MEMORY=1Gi",
            "SET=work_mem=64MB search_path=*",
            "WAIT=0"
        ]),
        "<env><update><--memory=1Gi><--set=work_mem=64MB><--set=search_path=*><--no-wait><--><feat-1>"
    );
    assert_eq!(
        called(&["extend-env", "ENV=feat-1", "FOR=14d", "PUSH=0"]),
        "<env><extend><--for=14d><--no-push><--><feat-1>"
    );
    assert_eq!(
        called(&["refresh-env", "ENV=feat-1", "DEADLINE=5m"]),
        "<env><refresh><--deadline=5m><--><feat-1>"
    );
    assert_eq!(called(&["list-envs"]), "<env><list>");
    std::fs::remove_file(directory.path().join("called")).unwrap();
    let (called, said) = make(directory.path(), &["create-env"]);
    assert_eq!(called, "");
    assert!(said.contains("ENV=") || said.contains("name"), "{said}");
}

#[test]
fn without_a_stack_it_is_said_how_to_start_one() {
    let directory = tempfile::tempdir().unwrap();
    let program = stand_in(directory.path());
    let output = Command::new("make")
        .arg("--directory")
        .arg(root())
        .args([
            format!("VDB={program}"),
            "CONTEXT=/nowhere/context.env".into(),
            "list-envs".into(),
        ])
        .env_remove("MAKEFLAGS")
        .env_remove("VDB_REPO")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("make demo"), "{said}");
}

#[test]
fn help_is_the_default_and_names_every_target() {
    let output = Command::new("make")
        .arg("--directory")
        .arg(root())
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    let help = String::from_utf8_lossy(&output.stdout);
    for target in "check test demo down bench soak fuzz generate images install doctor-install create-env update-env refresh-env extend-env delete-env list-envs status validate template-env connect".split(' ') {
        assert!(help.contains(target), "{target} is missing in\n{help}");
    }
}

#[test]
fn an_installation_names_its_cluster_and_takes_no_default() {
    let directory = tempfile::tempdir().unwrap();
    let program = stand_in(directory.path());
    let make = |arguments: &[&str]| {
        std::fs::remove_file(directory.path().join("called")).ok();
        let output = Command::new("make")
            .arg("--directory")
            .arg(root())
            .arg(format!("VDB={program}"))
            .args(arguments)
            .env_remove("MAKEFLAGS")
            .env_remove("CONTEXT")
            .output()
            .unwrap();
        let called = std::fs::read_to_string(directory.path().join("called"));
        (
            called.unwrap_or_default(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for target in ["install", "doctor-install"] {
        let (called, said) = make(&[target, "REGISTRY=r.example/x"]);
        assert_eq!(called, "", "{target} ran without a cluster");
        assert!(said.contains("CONTEXT="), "{said}");
    }
    let (called, _) = make(&[
        "install",
        "CONTEXT=prod; touch x",
        "REGISTRY=r.example/x",
        "YES=1",
        "DRY_RUN=1",
        "SETTINGS=my.yaml",
    ]);
    assert_eq!(
        called,
        "<install><--kube-context=prod; touch x><--registry=r.example/x><--settings=my.yaml><--yes><--dry-run>"
    );
    let (called, _) = make(&["doctor-install", "CONTEXT=prod"]);
    assert_eq!(called, "<doctor><--install><--kube-context=prod>");
}

/// A stand-in for docker writes down what it is asked; the images are the ones that the chart names.
#[test]
fn three_images_are_built_and_pushed_where_the_registry_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let builder = directory.path().join("builder");
    std::fs::write(
        &builder,
        "#!/bin/sh\nfor last; do :; done\necho \"$1 $last $*\" >> \"$(dirname \"$0\")/called\"\n",
    )
    .unwrap();
    std::fs::set_permissions(&builder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let make = |arguments: &[&str]| {
        Command::new("make")
            .arg("--directory")
            .arg(root())
            .args(["images", &format!("BUILDER={}", builder.display())])
            .args(arguments)
            .env_remove("MAKEFLAGS")
            .output()
            .unwrap()
    };
    assert!(!make(&[]).status.success());
    assert!(make(&["REGISTRY=r.example/x/", "TAG=1.2"]).status.success());
    let called = std::fs::read_to_string(directory.path().join("called")).unwrap();
    for name in ["operator", "sidecar", "engine"] {
        assert!(called.contains(&format!("--target {name} ")), "{called}");
        assert!(
            called.contains(&format!("push r.example/x/{name}:1.2")),
            "{called}"
        );
        assert!(
            called.contains(&format!("--tag r.example/x/{name}:1.2 .")),
            "{called}"
        );
    }
}
