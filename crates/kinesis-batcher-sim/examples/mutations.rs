//! Breaks the core on purpose, one way at a time, and sees whether the checkers notice.
//!
//! `cargo run --release -p kinesis-batcher-sim --example mutations -- [--seeds N] [--part K/N] [--without FAULT]… [NAME…]`
//!
//! The list is `mutations/core.txt`. For each entry the sources of core and simulator are copied to a workspace of
//! their own below cargo's target directory, the one replacement is made, and seeds run until one of them violates
//! something. First the unchanged core must pass the same seeds.
//!
//! `--without ClockSkewed` leaves a kind of fault out of every run, by its name in `FaultKind`: a mutant that survives
//! without it and not with it shows that no other fault does the same.
//!
//! Exit code 0 when every mutant was caught, 1 when one survived, 2 when the list does not fit the sources.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

#[path = "../mutations/list.rs"]
mod list;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use list::Mutation;

fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse() else {
        eprintln!("usage: mutations [--seeds N] [--part K/N] [--without FAULT]… [NAME…]");
        return ExitCode::from(2);
    };
    match try_all(&arguments) {
        Ok(survivors) if survivors.is_empty() => ExitCode::SUCCESS,
        Ok(survivors) => {
            println!("survived: {}", survivors.join(", "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// The names of those that were not caught.
fn try_all(arguments: &Arguments) -> Result<Vec<String>, Box<dyn Error>> {
    let mutations: Vec<Mutation> =
        list::read()?.into_iter().filter(|mutation| arguments.wants(mutation)).collect();
    let mine = mutations.into_iter().enumerate();
    let mine =
        mine.filter(|(index, _)| index % arguments.parts == arguments.part).map(|(_, mutation)| mutation);
    let workspace = Workspace::set_up()?;
    if let Verdict::Caught { by, seed, what } = workspace.judge(arguments)? {
        return Err(format!("the unchanged core is caught by {by} at seed {seed}: {what}").into());
    }
    let (mut survivors, mut caught) = (Vec::new(), 0);
    for mutation in mine {
        let began = Instant::now();
        let original = workspace.source(&mutation.file)?;
        workspace.write(&mutation.file, &mutation.applied_to(&original)?)?;
        let verdict = workspace.judge(arguments);
        workspace.write(&mutation.file, &original)?;
        let seconds = began.elapsed().as_secs_f64();
        let name = &mutation.name;
        match verdict? {
            Verdict::Caught { by, seed, what } => {
                caught += 1;
                let note = if mutation.caught_by.contains(&by) { "" } else { " (by another than expected)" };
                println!("{name}: {by} at seed {seed}{note}, {seconds:.1} s\n    {what}");
            }
            Verdict::Survived => {
                println!("{name}: SURVIVED {} seeds, {seconds:.1} s", arguments.seeds);
                survivors.push(name.clone());
            }
        }
    }
    println!("{caught} of {} mutants caught", caught + survivors.len());
    Ok(survivors)
}

enum Verdict {
    Caught { by: String, seed: u64, what: String },
    Survived,
}

/// A copy of the sources that may be broken.
struct Workspace {
    root: PathBuf,
}

impl Workspace {
    fn set_up() -> Result<Self, Box<dyn Error>> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from);
        let root = target.join("mutations");
        if root.join("crates").exists() {
            fs::remove_dir_all(root.join("crates"))?;
        }
        for name in CRATES {
            let (from, to) = (repository.join("crates").join(name), root.join("crates").join(name));
            copy_directory(&from.join("src"), &to.join("src"))?;
            fs::write(to.join("Cargo.toml"), without_tests(&fs::read_to_string(from.join("Cargo.toml"))?))?;
        }
        let judge = root.join("crates/judge");
        fs::create_dir_all(judge.join("src"))?;
        fs::write(judge.join("src/main.rs"), include_str!("../mutations/judge.rs"))?;
        fs::write(judge.join("Cargo.toml"), JUDGE_MANIFEST)?;
        let manifest = fs::read_to_string(repository.join("Cargo.toml"))?;
        fs::write(root.join("Cargo.toml"), root_manifest(&manifest))?;
        fs::copy(repository.join("Cargo.lock"), root.join("Cargo.lock"))?;
        Ok(Self { root })
    }

    /// A source file of the core.
    fn source(&self, file: &str) -> Result<String, Box<dyn Error>> {
        Ok(fs::read_to_string(self.path(file))?)
    }

    fn write(&self, file: &str, text: &str) -> Result<(), Box<dyn Error>> {
        Ok(fs::write(self.path(file), text)?)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root.join("crates/kinesis-batcher-core/src").join(file)
    }

    /// Builds the judge against the core as it is, and lets it run.
    fn judge(&self, arguments: &Arguments) -> Result<Verdict, Box<dyn Error>> {
        let target = self.root.join("target");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--offline", "--package", "judge"])
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_INCREMENTAL", "1")
            // What is only unused in a mutant is no news.
            .env("RUSTFLAGS", "-Awarnings")
            .status()?;
        if !built.success() {
            return Err("the core does not compile with this replacement".into());
        }
        let judge = target.join("debug/judge");
        let mut running = Command::new(judge)
            .arg(arguments.seeds.to_string())
            .args(&arguments.without)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let until = Instant::now() + PATIENCE;
        while running.try_wait()?.is_none() {
            if Instant::now() > until {
                running.kill()?;
                running.wait()?;
                let what = format!("no end after {PATIENCE:?}");
                return Ok(Verdict::Caught { by: "hang".into(), seed: 0, what });
            }
            thread::sleep(Duration::from_millis(10));
        }
        let output = running.wait_with_output()?;
        if output.status.success() {
            return Ok(Verdict::Survived);
        }
        // A core that overflows the stack or runs out of memory takes the judge with it.
        let told = String::from_utf8(output.stdout)?;
        let mut words = told.trim().splitn(3, ' ');
        let by = words.next().filter(|by| !by.is_empty()).unwrap_or("abort").to_owned();
        let seed = words.next().and_then(|seed| seed.parse().ok()).unwrap_or_default();
        Ok(Verdict::Caught { by, seed, what: words.next().unwrap_or_default().to_owned() })
    }
}

fn copy_directory(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// A crate's manifest without what only its tests and benches need.
fn without_tests(manifest: &str) -> String {
    let mut keep = true;
    let lines = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            keep = !TEST_SECTIONS.contains(line);
        }
        keep
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// The repository's manifest for these crates alone, with a profile that compiles fast and runs fast enough.
fn root_manifest(manifest: &str) -> String {
    let before_profiles = manifest.split("\n[profile.").next().unwrap_or(manifest);
    let lines = before_profiles.lines().map(|line| match line.split(' ').next() {
        Some("members") => "members = [\"crates/*\"]\n".to_owned(),
        Some("exclude") => String::new(),
        _ => format!("{line}\n"),
    });
    lines.collect::<String>() + PROFILE
}

struct Arguments {
    seeds: u64,
    /// Of `parts`, the one to do, from 0.
    part: usize,
    parts: usize,
    /// Kinds of fault that never happen.
    without: Vec<String>,
    names: Vec<String>,
}

impl Arguments {
    fn parse() -> Option<Self> {
        let mut arguments = Self { seeds: SEEDS, part: 0, parts: 1, without: Vec::new(), names: Vec::new() };
        let mut given = std::env::args().skip(1);
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--seeds" => arguments.seeds = given.next()?.parse().ok()?,
                "--part" => {
                    let part = given.next()?;
                    let (part, parts) = part.split_once('/')?;
                    arguments.parts = parts.parse().ok()?;
                    arguments.part = part.parse::<usize>().ok()?.checked_sub(1)?;
                    if arguments.part >= arguments.parts {
                        return None;
                    }
                }
                "--without" => arguments.without.push(given.next()?),
                option if option.starts_with('-') => return None,
                name => arguments.names.push(name.to_owned()),
            }
        }
        Some(arguments)
    }

    fn wants(&self, mutation: &Mutation) -> bool {
        self.names.is_empty() || self.names.contains(&mutation.name)
    }
}

const CRATES: [&str; 4] =
    ["kinesis-aggregation", "kinesis-batcher-core", "kinesis-batcher-sim", "kinesis-model"];
const TEST_SECTIONS: [&str; 4] = ["[dev-dependencies]", "[[bench]]", "[[test]]", "[[example]]"];
const JUDGE_MANIFEST: &str = "[package]\nname = \"judge\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
                              [dependencies]\nkinesis-batcher-core = { path = \"../kinesis-batcher-core\" }\n\
                              kinesis-batcher-sim = { path = \"../kinesis-batcher-sim\" }\n";
/// Assertions of the core are off: the checkers are to find what is wrong without them.
const PROFILE: &str = "\n[profile.dev]\nopt-level = 1\ndebug = false\ndebug-assertions = false\noverflow-checks = false\n\n\
                       [profile.dev.package.\"*\"]\nopt-level = 2\n";
/// More than the hardest of the mutants takes.
const SEEDS: u64 = 6_000;
/// Seeds that end take a few seconds.
const PATIENCE: Duration = Duration::from_secs(300);
