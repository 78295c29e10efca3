//! Replays the runs that the fuzzer has found worth keeping, with the check that it runs.
//!
//! To see what an input does that made the fuzzer stop, put its file into the corpus: the test then prints the report
//! and the end of the trace.

mod checks;

use std::fs;
use std::path::Path;

#[test]
fn the_corpus_of_simulations_still_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/simulation");
    let mut replayed = 0;
    for entry in fs::read_dir(&corpus).expect("the corpus is part of the repository") {
        let path = entry.expect("the corpus can be listed").path();
        checks::runs_keep_every_promise(&fs::read(&path).expect("the corpus can be read"));
        replayed += 1;
    }
    assert!(replayed > 10, "the corpus is missing");
}
