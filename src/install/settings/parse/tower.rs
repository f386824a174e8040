//! Who makes the copies: Data Control Tower, or the embedded engine.

use std::path::Path;

use crate::install::reader::Fields;
use crate::install::settings::{Source, Tower};

pub(super) fn read(root: &Fields<'_>, folder: &Path) -> Tower {
    match (root.section("dct"), root.section("engine")) {
        (Some(section), None) => dct(section, folder),
        (None, Some(section)) => engine(section, folder),
        (Some(dct_section), Some(_)) => {
            let message = "there is an engine, too";
            root.wrong("dct", message, "keep the one that makes the copies");
            dct(dct_section, folder)
        }
        (None, None) => {
            root.missing(
                "dct",
                "dct (Data Control Tower), or engine (the embedded one)",
            );
            dct(Fields::empty(root), folder)
        }
    }
}

fn dct(section: Fields<'_>, folder: &Path) -> Tower {
    let export = section.need_section("export", "server and prefix of the NFS export");
    let tower = Tower::Dct {
        url: section.url("url", "Data Control Tower's address, without /dct/v3"),
        key_file: section.need_file("apiKeyFile", folder, "a file with DCT's API key"),
        group: section.need("group", "the dataset group in which every copy is made"),
        server: export.need("server", "the Delphix engine's address as nodes reach it"),
        prefix: export.need("prefix", "the directory below which every export lies"),
    };
    if let Tower::Dct { prefix, .. } = &tower {
        absolute(&export, "prefix", prefix);
    }
    export.finish();
    section.finish();
    tower
}

fn engine(section: Fields<'_>, folder: &Path) -> Tower {
    let path = section.need("path", "the pool's directory on that node");
    absolute(&section, "path", &path);
    let items = section.items("sources");
    if items.is_empty() {
        section.missing("sources", "at least one PostgreSQL server to copy");
    }
    let tower = Tower::Engine {
        storage: section.choice("storage", &["btrfs", "copy"], None),
        key_file: section.file("apiKeyFile", folder),
        node: section.need(
            "node",
            "the node that has the pool, as `kubectl get nodes` names it",
        ),
        size: section.text("size").unwrap_or_else(|| "20Gi".to_owned()),
        sources: items.into_iter().map(|item| source(item, folder)).collect(),
        path,
    };
    section.finish();
    tower
}

fn source(item: Fields<'_>, folder: &Path) -> Source {
    let source = Source {
        name: item.need("name", "a name of letters, digits and '-'"),
        host: item.need("host", "the server's address as the engine reaches it"),
        port: item.number("port").unwrap_or(5432),
        database: item.need("database", "the database that copies are made for"),
        user: item.need("user", "a role with LOGIN and REPLICATION"),
        password_file: item.need_file("passwordFile", folder, "a file with its password"),
        max_rate: item.text("maxRate"),
    };
    // The name becomes part of a Secret's.
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !source.name.bytes().all(plain) || source.name.starts_with('-') {
        item.wrong(
            "name",
            format!("{:?} is no plain name", source.name),
            "use lower-case letters, digits and '-'",
        );
    }
    item.finish();
    source
}

fn absolute(section: &Fields<'_>, key: &str, path: &str) {
    let inside = path.trim_end_matches('/').len() > 1 && path.starts_with('/');
    if !path.is_empty() && (!inside || path.split('/').any(|part| part == "..")) {
        section.wrong(
            key,
            format!("{path:?} is no directory below /"),
            "write an absolute path without ..",
        );
    }
}
