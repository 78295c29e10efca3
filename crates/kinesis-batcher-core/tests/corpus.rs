//! Replays what the fuzzers have found worth keeping, with the checks that they run.
//!
//! To see what an input does that made a fuzzer stop, put its file into the corpus: a test that fails prints the
//! operations.

mod checks;

use std::fs;
use std::path::Path;

#[test]
fn the_corpus_of_operations_still_passes() {
    replay("core_operations", checks::operations_hold);
}

#[test]
fn the_corpus_of_responses_still_passes() {
    replay("responses", checks::responses_hold);
}

#[test]
fn the_corpus_of_shard_maps_still_passes() {
    replay("shard_maps", checks::shard_maps_hold);
}

fn replay(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(&corpus).expect("the corpus is part of the repository") {
        let path = entry.expect("the corpus can be listed").path();
        check(&fs::read(&path).expect("the corpus can be read"));
        replayed += 1;
    }
    assert!(replayed > 10, "the corpus of {target} is missing");
}
