//! Replays what the fuzzers have found worth keeping, with the checks that they run.

mod checks;

use std::{fs, path::Path};

#[test]
fn the_corpus_of_the_decoder_still_passes() {
    replay("aggregation_decode", checks::decodes_or_says_why);
}

#[test]
fn the_corpus_of_the_round_trip_still_passes() {
    replay("aggregation_round_trip", checks::round_trips_as_told);
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
