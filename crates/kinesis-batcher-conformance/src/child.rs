//! Cases that need a process of their own.

use std::process::Command;

/// Runs `case` in a process whose `SSL_CERT_FILE` names a file that is not there yet, and which knows no proxy and no
/// AWS settings. The case writes that file before TLS is first spoken.
///
/// The process is this test binary, asked for this one test: `module` is the `module_path!()` of the test and `name` its
/// function.
///
/// # Panics
/// When the case fails.
pub fn in_child(module: &str, name: &str, case: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return case();
    }
    // The test harness leaves out the crate.
    let module = module.split_once("::").map_or("", |(_, module)| module);
    let test = if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") };
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let mut child = Command::new(std::env::current_exe().expect("a process knows its own file"));
    child.args(["--exact", &test, "--nocapture"]).env(CHILD, "1");
    child.env(PEM_FILE, folder.path().join("authority.pem")).env_remove("SSL_CERT_DIR");
    for (variable, _) in std::env::vars_os() {
        let upper = variable.to_string_lossy().to_uppercase();
        if upper.starts_with("AWS_") || upper.ends_with("_PROXY") {
            child.env_remove(variable);
        }
    }
    let output = child.output().expect("a test binary can start itself");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} failed in its own process:\n{said}");
    assert!(said.contains("1 passed"), "{test} did not run in its own process:\n{said}");
}

/// Names the file whose certificates are trusted.
pub const PEM_FILE: &str = "SSL_CERT_FILE";

const CHILD: &str = "KINESIS_BATCHER_CONFORMANCE_CHILD";
