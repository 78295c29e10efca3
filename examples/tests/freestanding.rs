//! The core and the aggregation format run without std and without libc.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// A workspace of its own, because a program without std must abort on panics, which is a matter of the whole build.
/// The linker is given nothing but the crates, so that whatever they wanted of std or of libc would be missed.
#[test]
fn a_program_without_std_and_without_libc_delivers_its_records() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let workspace = Path::new(env!("CARGO_TARGET_TMPDIR")).join("freestanding");
    fs::create_dir_all(&workspace).unwrap();
    let krate = |name: &str| format!("{name} = {{ path = {:?} }}\n", repository.join("crates").join(name));
    let main = repository.join("examples/freestanding/main.rs");
    let manifest = format!(
        "[package]\nname = \"freestanding\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{}{}\n\
         [[bin]]\nname = \"freestanding\"\npath = {main:?}\n\n[profile.dev]\npanic = \"abort\"\nopt-level = 1\n",
        krate("kinesis-aggregation"),
        krate("kinesis-batcher-core"),
    );
    fs::write(workspace.join("Cargo.toml"), manifest).unwrap();
    // The versions that everything else here is tested with.
    fs::copy(repository.join("Cargo.lock"), workspace.join("Cargo.lock")).unwrap();

    let built = Command::new(env!("CARGO"))
        .args(["rustc", "--offline", "--quiet", "--bin", "freestanding", "--manifest-path"])
        .arg(workspace.join("Cargo.toml"))
        .args(["--", "-Crelocation-model=static", "-Clink-args=-nostdlib -nostartfiles -static"])
        .env("CARGO_TARGET_DIR", workspace.join("target"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .unwrap();
    assert!(built.status.success(), "it does not link: {}", String::from_utf8_lossy(&built.stderr));

    let ran = Command::new(workspace.join("target/debug/freestanding")).env_clear().output().unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}: {told}", ran.status);
    let kinesis_records = told.trim().strip_prefix("5000 records delivered as ").map(str::parse::<u32>);
    assert!(matches!(kinesis_records, Some(Ok(1..100))), "records share Kinesis records: {told}");
}
