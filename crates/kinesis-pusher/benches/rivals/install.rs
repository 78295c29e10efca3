//! The rivals' packages, at pinned versions, in the cargo target directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is there to run rivals with.
pub(crate) struct Tools {
    pub(crate) python: Option<Tool>,
    pub(crate) node: Option<Tool>,
}

/// An interpreter with the packages that its scripts want.
pub(crate) struct Tool {
    pub(crate) interpreter: PathBuf,
    pub(crate) scripts: PathBuf,
}

impl Tools {
    /// Nobody but ourselves.
    pub(crate) fn none() -> Self {
        Self { python: None, node: None }
    }

    /// Installs what is not installed yet, and says what cannot be.
    pub(crate) fn install() -> Self {
        Self { python: told(&PYTHON, install_python), node: told(&NODE, install_node) }
    }
}

/// A language's rivals: their packages and their scripts.
pub(crate) struct Language {
    name: &'static str,
    /// The file that pins them.
    pins_file: &'static str,
    pub(crate) pins: &'static str,
    scripts: &'static [(&'static str, &'static str)],
}

/// The version to which a package is pinned.
pub(crate) fn version(pins: &'static str, package: &str) -> Option<&'static str> {
    pins.lines().find_map(|line| {
        let line = line.trim_start().trim_start_matches('"');
        let rest = line.strip_prefix(package)?.trim_start_matches("[kpl]");
        let version = rest.strip_prefix("==").or_else(|| rest.strip_prefix("\": \""))?;
        Some(version.trim_end_matches(['"', ',']))
    })
}

fn told(language: &Language, install: fn(&Path) -> Result<(), String>) -> Option<Tool> {
    match prepare(language, install) {
        Ok(tool) => Some(tool),
        Err(reason) => {
            println!("without the rivals in {}: {reason}", language.name);
            None
        }
    }
}

fn prepare(language: &Language, install: fn(&Path) -> Result<(), String>) -> Result<Tool, String> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rivals").join(language.name);
    let installed = directory.join("installed");
    // Written last, so that half an installation is none, and other pins make another.
    if fs::read_to_string(&installed).ok().as_deref() != Some(language.pins) {
        println!("installing the rivals in {}", language.name);
        let _ = fs::remove_dir_all(&directory);
        write(&directory, language.pins_file, language.pins).map_err(|error| error.to_string())?;
        install(&directory)?;
        write(&directory, "installed", language.pins).map_err(|error| error.to_string())?;
    }
    for (name, text) in language.scripts {
        write(&directory, name, text).map_err(|error| error.to_string())?;
    }
    let interpreter = match language.name {
        "Python" => directory.join("venv/bin/python"),
        _ => PathBuf::from("node"),
    };
    Ok(Tool { interpreter, scripts: directory })
}

fn install_python(directory: &Path) -> Result<(), String> {
    let venv = directory.join("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(Command::new(venv.join("bin/python")).args(pip).arg(directory.join(PYTHON.pins_file)))
}

fn install_node(directory: &Path) -> Result<(), String> {
    run(Command::new("node").arg("--version"))?;
    let npm =
        ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"];
    run(Command::new("npm").args(npm).current_dir(directory))
}

fn write(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join(name), text)
}

/// Runs a program to its end; the reason, if it fails, in one line.
fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    let ran = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if ran.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&ran.stderr);
    Err(format!(
        "{program}: {}: {}",
        ran.status,
        errors.trim_end().lines().last().unwrap_or("without a word")
    ))
}

pub(crate) const PYTHON: Language = Language {
    name: "Python",
    pins_file: "requirements.txt",
    pins: include_str!("python/requirements.txt"),
    scripts: &[
        ("contestant.py", include_str!("python/contestant.py")),
        ("with_aiobotocore.py", include_str!("python/with_aiobotocore.py")),
        ("with_aiokpl.py", include_str!("python/with_aiokpl.py")),
        ("with_async_kinesis.py", include_str!("python/with_async_kinesis.py")),
        ("with_boto3.py", include_str!("python/with_boto3.py")),
    ],
};

pub(crate) const NODE: Language = Language {
    name: "Node",
    pins_file: "package.json",
    pins: include_str!("node/package.json"),
    scripts: &[
        ("contestant.cjs", include_str!("node/contestant.cjs")),
        ("with_aws_kinesis_writable.cjs", include_str!("node/with_aws_kinesis_writable.cjs")),
        ("with_sdk.cjs", include_str!("node/with_sdk.cjs")),
    ],
};
