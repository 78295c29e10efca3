//! The list of mutations fits the core as it is. Whether the checkers catch them is the example `mutations`' to see.

#[path = "../mutations/list.rs"]
mod list;

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_mutation_changes_one_place_of_the_core() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kinesis-batcher-core/src");
    let mutations = list::read().expect("the list can be read");
    assert!(mutations.len() >= 24, "there are at least two dozen ways to break the core");
    let names: BTreeSet<&str> = mutations.iter().map(|mutation| mutation.name.as_str()).collect();
    assert_eq!(names.len(), mutations.len(), "each has a name of its own");
    for mutation in &mutations {
        let source = std::fs::read_to_string(core.join(&mutation.file)).expect("the file is there");
        let mutant = mutation.applied_to(&source).unwrap_or_else(|stale| panic!("{stale}"));
        assert_ne!(mutant, source, "{} changes something", mutation.name);
        assert!(!mutation.caught_by.is_empty(), "{} says who is to catch it", mutation.name);
    }
}
