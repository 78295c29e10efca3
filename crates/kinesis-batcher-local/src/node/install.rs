//! `npm ci` into a directory of the cache, once, however many ask for it at the same time.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::NodeError;

/// How the programs are called.
pub(super) struct Programs {
    pub(super) node: OsString,
    pub(super) npm: OsString,
}

impl Default for Programs {
    fn default() -> Self {
        Self { node: "node".into(), npm: "npm".into() }
    }
}

/// The cargo target directory that the running program lies in, wherever that is; else the system's temporary one.
pub(super) fn default_cache() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    // Cargo marks its target directory with this file.
    let target = program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file());
    target.map_or_else(std::env::temp_dir, Path::to_owned).join("kinesis-batcher-node")
}

/// The directory with the servers; they are installed if they are not there.
pub(super) fn install(programs: &Programs, cache: &Path) -> Result<PathBuf, NodeError> {
    // Asked first: without node, an old installation is of no use either.
    run_version(&programs.node)?;
    let io = |what: String| move |source| NodeError::Io { what, source };
    fs::create_dir_all(cache).map_err(io(format!("cannot create {}", cache.display())))?;
    let name = format!("servers-{:016x}", fingerprint());
    let directory = cache.join(&name);
    let lock_path = cache.join(format!("{name}.lock"));
    let lock = File::create(&lock_path).map_err(io(format!("cannot create {}", lock_path.display())))?;
    // Held by this and no other thread or process until the file is closed; a process that dies closes it too.
    lock.lock().map_err(io(format!("cannot lock {}", lock_path.display())))?;
    if directory.is_dir() {
        return Ok(directory);
    }
    run_version(&programs.npm)?;
    let partial = cache.join(format!("{name}.partial"));
    if partial.exists() {
        // Of somebody who died over it.
        fs::remove_dir_all(&partial).map_err(io(format!("cannot remove {}", partial.display())))?;
    }
    fs::create_dir(&partial).map_err(io(format!("cannot create {}", partial.display())))?;
    for (name, content) in FILES {
        let path = partial.join(name);
        fs::write(&path, content).map_err(io(format!("cannot write {}", path.display())))?;
    }
    npm_ci(programs, &partial)?;
    // Only what is complete gets the name that is looked for.
    fs::rename(&partial, &directory).map_err(io(format!("cannot create {}", directory.display())))?;
    Ok(directory)
}

fn run_version(program: &OsString) -> Result<(), NodeError> {
    let ran = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    ran.map(|_| ()).map_err(|error| not_run(program, error))
}

pub(super) fn not_run(program: &OsString, source: io::Error) -> NodeError {
    let program = program.to_string_lossy().into_owned();
    match source.kind() {
        io::ErrorKind::NotFound => NodeError::NodeMissing { program },
        _ => NodeError::Io { what: format!("cannot run `{program}`"), source },
    }
}

fn npm_ci(programs: &Programs, directory: &Path) -> Result<(), NodeError> {
    let io = |source| NodeError::Io { what: "cannot watch npm".to_owned(), source };
    let failed = |output: String| NodeError::Install { directory: directory.display().to_string(), output };
    // Into a file: a pipe that nobody reads would stop it.
    let log_path = directory.join("npm.log");
    let log = File::create(&log_path).map_err(io)?;
    let mut npm = Command::new(&programs.npm)
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(io)?)
        .stderr(log)
        .spawn()
        .map_err(|error| not_run(&programs.npm, error))?;
    let deadline = Instant::now() + INSTALL_TIMEOUT;
    loop {
        match npm.try_wait().map_err(io)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => {
                let output = fs::read_to_string(&log_path).unwrap_or_default();
                return Err(failed(format!("{status}: {}", tail(&output))));
            }
            None if Instant::now() >= deadline => {
                let _ = npm.kill();
                let _ = npm.wait();
                return Err(failed("it is not done after five minutes".to_owned()));
            }
            // The standard library has no wait with a deadline.
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// The last lines of a program's output, as one.
pub(super) fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(8)..].join(" | ")
}

/// FNV-1a over everything that is installed from: a change of it makes another directory.
fn fingerprint() -> u64 {
    let bytes = FILES.iter().flat_map(|(_, content)| content.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("../../node/package.json")),
    ("package-lock.json", include_str!("../../node/package-lock.json")),
    (PRELOAD, include_str!("../../node/preload.cjs")),
];

/// What node loads before a server.
pub(super) const PRELOAD: &str = "preload.cjs";

/// It takes some seconds, and a slow network may take minutes.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn programs(npm: &str) -> Programs {
        // `true` takes any argument and is everywhere where tests of ours run.
        Programs { node: "true".into(), npm: npm.into() }
    }

    #[test]
    fn a_missing_program_is_told_from_other_failures() {
        let cache = tempfile::tempdir().unwrap();
        let none = Programs { node: "no-such-node".into(), ..Programs::default() };
        let error = install(&none, cache.path()).unwrap_err();
        assert!(
            matches!(&error, NodeError::NodeMissing { program } if program == "no-such-node"),
            "got {error:?}"
        );
        let error = install(&programs("no-such-npm"), cache.path()).unwrap_err();
        assert!(
            matches!(&error, NodeError::NodeMissing { program } if program == "no-such-npm"),
            "got {error:?}"
        );
        assert!(error.to_string().contains("install node"), "the message says what to do: {error}");
    }

    #[test]
    fn a_failed_installation_is_an_error_and_is_tried_again() {
        let cache = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let error = install(&programs("false"), cache.path()).unwrap_err();
            assert!(matches!(error, NodeError::Install { .. }), "got {error:?}");
        }
        install(&programs("true"), cache.path()).expect("the remains of a failure are not in the way");
    }

    #[test]
    fn an_installation_is_used_again_without_npm() {
        let cache = tempfile::tempdir().unwrap();
        let first = install(&programs("true"), cache.path()).unwrap();
        let again = install(&programs("no-such-npm"), cache.path()).unwrap();
        assert_eq!(first, again);
    }

    #[test]
    fn those_who_install_at_the_same_time_get_one_whole_installation() {
        let cache = tempfile::tempdir().unwrap();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let cache = cache.path().to_owned();
                std::thread::spawn(move || {
                    let directory = install(&programs("true"), &cache).unwrap();
                    for (name, content) in FILES {
                        assert_eq!(
                            fs::read_to_string(directory.join(name)).unwrap(),
                            content,
                            "{name} is whole"
                        );
                    }
                    directory
                })
            })
            .collect();
        let directories: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(directories.windows(2).all(|pair| pair[0] == pair[1]), "all of them use the same");
        assert!(!cache.path().join(format!("servers-{:016x}.partial", fingerprint())).exists());
    }
}
