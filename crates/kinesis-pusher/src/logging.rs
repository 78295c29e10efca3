//! The log on stderr.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::cli::{LogArgs, LogFormat};
use crate::output;

/// Starts logging, for the life of the process. Called once.
///
/// In a trial, throttling is what is on show and not what goes wrong: it is warned of only if asked for, by `-v`.
pub(crate) fn start(args: LogArgs, is_trial: bool) {
    // A span is one line, when it ends: its fields are complete then, and how long it took is told with it.
    let layer =
        fmt::layer::<Registry>().with_ansi(false).with_span_events(FmtSpan::CLOSE).with_writer(|| Stderr);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match args.log_format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => {
            output::log_notes();
            layer.json().boxed()
        }
    };
    tracing_subscriber::registry().with(layer).with(targets(args, is_trial)).init();
}

/// What is told at all.
fn targets(args: LogArgs, is_trial: bool) -> Targets {
    let (ours, libraries) = match args.verbosity {
        0 if is_trial => (LevelFilter::ERROR, LevelFilter::ERROR),
        // The SDK warns of what the command says itself, in one line and with what to do.
        0 => (LevelFilter::WARN, LevelFilter::ERROR),
        1 => (LevelFilter::INFO, LevelFilter::WARN),
        2 => (LevelFilter::DEBUG, LevelFilter::WARN),
        // Never their TRACE: the SDK's has requests and responses in it, with their bodies.
        _ => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    let mut targets = Targets::new().with_default(libraries).with_target("kinesis_batcher", ours);
    if args.verbosity == 0 {
        // The command says it in its own words, with what to do.
        targets = targets.with_target("kinesis_batcher_driver::state", LevelFilter::OFF);
    }
    match args.log_format {
        LogFormat::Text => targets.with_target(output::TARGET, ours),
        // What the command has to say to its user is said whatever the level.
        LogFormat::Json => targets.with_target(output::TARGET, ours.max(LevelFilter::INFO)),
    }
}

/// A line of the log at a time, past the bar.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        output::write_stderr(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_are_heard_from_the_third_v_on_and_never_at_the_level_that_tells_bodies() {
        for verbosity in 0..=9 {
            for log_format in [LogFormat::Text, LogFormat::Json] {
                let targets = targets(LogArgs { log_format, verbosity }, false);
                for library in
                    ["hyper_util::client", "aws_smithy_runtime::client::orchestrator", "aws_sigv4", "h2"]
                {
                    assert!(targets.would_enable(library, &Level::ERROR));
                    let warn = targets.would_enable(library, &Level::WARN);
                    assert_eq!(warn, verbosity >= 1, "{library} at {verbosity}");
                    let debug = targets.would_enable(library, &Level::DEBUG);
                    assert_eq!(debug, verbosity >= 3, "{library} at {verbosity}");
                    assert!(!targets.would_enable(library, &Level::TRACE), "{library} at {verbosity}");
                }
            }
        }
    }

    #[test]
    fn each_v_tells_more_of_what_is_ours() {
        let levels = [Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
        for verbosity in 0..=3 {
            let targets = targets(LogArgs { log_format: LogFormat::Text, verbosity }, false);
            for (needed, level) in (0..).zip(&levels) {
                let told = targets.would_enable("kinesis_batcher_driver::trouble", level);
                assert_eq!(told, verbosity >= needed, "{level} at {verbosity}");
            }
        }
    }
}
