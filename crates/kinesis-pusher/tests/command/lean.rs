//! A build without the embedded Kinesis.

use crate::run::run;

#[test]
fn what_this_build_cannot_do_is_said_with_what_would() {
    for arguments in [&["push", "--local", "Cargo.toml"][..], &["local", "--port=0"]] {
        let ran = run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        for part in ["error: ", "no embedded Kinesis", "feature 'local'", "--stream"] {
            assert!(ran.stderr.contains(part), "{arguments:?} is told of {part}: {}", ran.stderr);
        }
    }
}
