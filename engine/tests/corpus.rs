//! The fuzz targets `filter` and `engine_body` over their committed corpora: found once, tested for ever.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

#[path = "../../fuzz/src/engine_body.rs"]
#[expect(
    unreachable_pub,
    reason = "the module is a library's in the fuzz crate"
)]
mod engine_body;
#[path = "../../fuzz/src/filter.rs"]
#[expect(
    unreachable_pub,
    reason = "the module is a library's in the fuzz crate"
)]
mod filter;

/// Files and their beginnings: every reader meets an end where it expects none.
fn over(corpus: &str, target: fn(&[u8])) {
    let folder = format!("{}/../fuzz/corpus/{corpus}", env!("CARGO_MANIFEST_DIR"));
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let data = std::fs::read(entry.unwrap().path()).unwrap();
        let ends = (0..data.len()).step_by(1 + data.len() / 64);
        for end in ends.chain([data.len()]) {
            target(&data[..end]);
        }
        files += 1;
    }
    assert!(files >= 5, "the corpus is gone");
}

#[test]
fn the_corpus_of_searches_holds() {
    over("filter", filter::filter);
}

#[test]
fn the_corpus_of_bodies_holds() {
    over("engine_body", engine_body::engine_body);
}
