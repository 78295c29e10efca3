//! Who takes part, and how each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::common::FLIGHTS;
use super::common::process::{Ran, itself, of_server, push, run};
use super::common::server::{STREAM, Server, Stored};
use super::install::{NODE, PYTHON, Tools, version};
use super::{PRODUCER, SDK_LOOP};

/// One of those that are compared.
pub(crate) struct Contestant {
    pub(crate) name: String,
    program: Program,
    /// What it calls its way of working, handed to it as it is.
    variant: &'static str,
    /// How many records it is given in the comparison of throughput, if it takes part: the slow ones fewer, so that
    /// each takes some seconds at the most.
    pub(crate) records: Option<u64>,
    /// Its settings in the comparison of latencies, if it takes part.
    pub(crate) paced: Option<&'static str>,
}

enum Program {
    /// This bench itself, with a word that says as what.
    Itself(&'static str),
    Push(&'static [&'static str]),
    /// An interpreter and its script.
    Script(PathBuf, PathBuf),
}

impl Contestant {
    /// Runs its process: all lines of the file, as fast as it goes or so many a second. Gives what it took and what
    /// the server got, or why it failed.
    pub(crate) fn run(
        &self,
        server: &mut Server,
        endpoint_url: &str,
        file: &Path,
        rate: Option<u64>,
    ) -> Result<(Ran, Stored), String> {
        let ran = run(&mut self.command(endpoint_url, file, rate));
        let stored = server.take_stored();
        match &ran.failure {
            Some(failure) => Err(format!("failed: {failure}")),
            None => Ok((ran, stored)),
        }
    }

    fn command(&self, endpoint_url: &str, file: &Path, rate: Option<u64>) -> Command {
        let mut command = match &self.program {
            Program::Push(arguments) => {
                let mut command = push(endpoint_url);
                command.args(*arguments).arg(file);
                return command;
            }
            Program::Itself(word) => {
                let mut command = itself(endpoint_url);
                command.arg(word);
                command
            }
            Program::Script(interpreter, script) => {
                let mut command = Command::new(interpreter);
                command.arg(script);
                of_server(&mut command, endpoint_url);
                command
            }
        };
        command.env("RIVALS_STREAM", STREAM).env("RIVALS_SECONDS_MAX", SECONDS_MAX);
        command.arg(self.variant).arg(file).args(rate.map(|rate| rate.to_string()));
        command
    }
}

/// All that can run here; the plain loop comes first.
pub(crate) fn contestants(tools: &Tools) -> Vec<Contestant> {
    let ours = |name: &str, program, variant, paced| Contestant {
        name: name.to_owned(),
        program,
        variant,
        records: Some(FLIGHTS),
        paced,
    };
    let library = || Program::Itself(PRODUCER);
    let mut contestants = vec![
        ours("aws-sdk-kinesis (Rust), loop", Program::Itself(SDK_LOOP), "", Some(WHAT_IS_DUE)),
        ours("kinesis-batcher, library", library(), "0", Some("`linger` 0")),
        Contestant {
            records: None,
            ..ours("kinesis-batcher, library", library(), "1", Some("`linger` 1 ms"))
        },
        ours("`kinesis-pusher push`", Program::Push(&[]), "", None),
        ours("`kinesis-pusher push --aggregate`", Program::Push(&["--aggregate"]), "", None),
    ];
    let scripts = [(&tools.python, PYTHON_RIVALS), (&tools.node, NODE_RIVALS)];
    for (tool, rivals) in scripts {
        let Some(tool) = tool else { continue };
        contestants.extend(rivals.iter().map(|rival| Contestant {
            name: format!("{} {}{}", rival.package, rival.version(), rival.remark),
            program: Program::Script(tool.interpreter.clone(), tool.scripts.join(rival.script)),
            variant: rival.variant,
            records: rival.records,
            paced: rival.paced,
        }));
    }
    contestants
}

struct Rival {
    package: &'static str,
    remark: &'static str,
    script: &'static str,
    variant: &'static str,
    records: Option<u64>,
    paced: Option<&'static str>,
}

impl Rival {
    fn version(&self) -> &'static str {
        let pins = if self.script.ends_with(".py") { PYTHON.pins } else { NODE.pins };
        version(pins, self.package).expect("every rival is pinned")
    }
}

const PYTHON_RIVALS: &[Rival] = &[
    Rival {
        package: "boto3",
        remark: ", loop in threads",
        script: "with_boto3.py",
        variant: "plain",
        records: Some(60_000),
        paced: None,
    },
    Rival {
        package: "aiobotocore",
        remark: ", loop",
        script: "with_aiobotocore.py",
        variant: "plain",
        records: Some(60_000),
        paced: Some(WHAT_IS_DUE),
    },
    Rival {
        package: "aiokpl",
        remark: ", aggregation",
        script: "with_aiokpl.py",
        variant: "aggregate",
        records: Some(10_000),
        paced: Some("`record_max_buffered_time_ms` 5"),
    },
    Rival {
        package: "aiokpl",
        remark: ", no aggregation",
        script: "with_aiokpl.py",
        variant: "plain",
        records: Some(10_000),
        paced: Some("`record_max_buffered_time_ms` 5"),
    },
    Rival {
        package: "async-kinesis",
        remark: ", `KPLStringProcessor`",
        script: "with_async_kinesis.py",
        variant: "aggregate",
        records: Some(FLIGHTS),
        paced: None,
    },
    Rival {
        package: "async-kinesis",
        remark: "",
        script: "with_async_kinesis.py",
        variant: "plain",
        records: Some(10_000),
        paced: Some("`buffer_time` 0.5 ms"),
    },
];

const NODE_RIVALS: &[Rival] = &[
    Rival {
        package: "@aws-sdk/client-kinesis",
        remark: ", loop",
        script: "with_sdk.cjs",
        variant: "plain",
        records: Some(100_000),
        paced: Some(WHAT_IS_DUE),
    },
    Rival {
        package: "aws-kinesis-writable",
        remark: "",
        script: "with_aws_kinesis_writable.cjs",
        variant: "plain",
        records: Some(100_000),
        paced: Some("`buffer.timeout` 1 ms"),
    },
];

/// The loops send what has fallen due, as soon as they see it.
const WHAT_IS_DUE: &str = "what is due, at once";
/// Seconds after which a rival ends itself; the slowest takes a tenth of it.
const SECONDS_MAX: &str = "120";
