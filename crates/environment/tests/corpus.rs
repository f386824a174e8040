//! The fuzz target `values` over its committed corpus: found once, tested for ever.

#[path = "../../../fuzz/src/values.rs"]
#[expect(
    unreachable_pub,
    reason = "the module is a library's in the fuzz crate"
)]
mod values;

#[test]
fn the_corpus_of_values_and_orders_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/values");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let data = std::fs::read(entry.unwrap().path()).unwrap();
        // Beginnings of the file too: every parser meets an end where it expects none.
        for end in (0..data.len())
            .step_by(1 + data.len() / 64)
            .chain([data.len()])
        {
            values::values(&data[..end]);
        }
        files += 1;
    }
    assert!(files >= 5, "the corpus is gone");
}
