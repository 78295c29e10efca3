//! What is found wrong before anything is sent.

use std::path::Path;

use crate::run::{Ran, run};

/// Runs `push --local` on these files.
fn push(arguments: &[&Path]) -> Ran {
    let mut all = vec![Path::new("push"), Path::new("--local")];
    all.extend(arguments);
    run(&all)
}

#[test]
fn a_missing_file_is_named_with_what_to_do_even_after_good_ones() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = dir.path().join("good.csv");
    std::fs::write(&good, "x\n").expect("a file");
    let missing = dir.path().join("missing.csv");
    let ran = push(&[&good, &missing]);
    ran.assert_not_started(&[
        "error: cannot read",
        &missing.display().to_string(),
        "no such file",
        "check the path",
    ]);
}

#[test]
fn a_directory_is_no_input() {
    let dir = tempfile::tempdir().expect("a directory");
    let ran = push(&[dir.path()]);
    ran.assert_not_started(&[&dir.path().display().to_string(), "is a directory", "name the files in it"]);
}

#[test]
fn dead_letters_that_cannot_be_written_are_found_out_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = dir.path().join("good.csv");
    std::fs::write(&good, "x\n").expect("a file");
    let letters = dir.path().join("no/such/dead.ndjson");
    let ran = push(&[&good, Path::new("--dead-letters"), &letters]);
    ran.assert_not_started(&["cannot write dead letters", &letters.display().to_string(), "does not exist"]);
}

#[cfg(unix)]
#[test]
fn an_input_cannot_take_the_dead_letters_as_well() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = dir.path().join("good.csv");
    std::fs::write(&good, "x\n").expect("a file");
    let ran = push(&[&good, Path::new("--dead-letters"), &good]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(&good).expect("the input"), "x\n", "the input is untouched");
}
