//! `push`: from files and stdin to a stream.

mod connect;
mod hold_notes;
mod local_stream;
mod pump;
#[cfg(test)]
mod scenarios;
mod status;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Instant;

use crate::cli::{Format, PushArgs, ReportingArgs, SummaryFormat};
use crate::dead_letters::DeadLetters;
use crate::destination::Destination;
use crate::exit::{Exit, StartError};
use crate::failures::Failures;
use crate::input::{Blocks, InputError, Reader, Shaper, Sources};
use crate::key::KeyMaker;
use crate::ledger::Ledger;
use crate::output;
use crate::progress::Progress;
use crate::signals::{Signals, Stop};
use crate::summary::Summary;
use crate::verify::Fingerprints;
use pump::{Ending, Pump};
use status::Status;

/// Runs the subcommand. Whatever can be found wrong before anything is sent is found here, in this order: the input,
/// the dead letters, the address to listen on, the stream.
///
/// # Errors
/// Why nothing was sent.
///
/// # Panics
/// Outside a tokio runtime.
pub(crate) async fn run(args: PushArgs) -> Result<Exit, StartError> {
    let sources = Sources::check(&args.files)?;
    if args.input.format != Format::Raw {
        sources.check_encodings()?;
    }
    let dead_letters =
        args.input.dead_letters.as_deref().map(|path| DeadLetters::open(path, &sources)).transpose()?;
    let status = Status::bind(&args.status).await?;
    let mut signals = Signals::listen()?;
    let failures = Arc::new(Failures::default());
    let connected = tokio::select! {
        biased;
        () = signals.reached(Stop::Drain) => {
            output::error("stopped before the stream was reached; nothing was read or sent");
            return Ok(Exit::NotDelivered);
        }
        connected = connect::connect(&args, &failures) => connected?,
    };
    if let (Some(local), Some(shards)) = (&connected.local, args.local) {
        output::note(&local.introduction(shards));
    }
    if sources.use_stdin() && io::stdin().is_terminal() {
        output::note("reading records from the terminal; end with Ctrl-D on a line of its own");
    }
    let serving = status.map(|status| status.serve(&connected.producer, connected.stream(&args.target)));
    let reporting = args.reporting;
    let ledger = Ledger::new(failures, sources.names(), dead_letters, args.input.on_bad_record);
    let fingerprints = connected.local.as_ref().map(|_| Fingerprints::default());
    let mut outcome =
        deliver(&connected.producer, args, sources, ledger, signals.clone(), fingerprints).await?;
    if let (Some(local), Some(fingerprints)) = (&connected.local, outcome.fingerprints.take()) {
        local.verify(fingerprints, &mut outcome.summary, signals).await;
    }
    if let Some(serving) = serving {
        serving.stop().await;
    }
    Ok(report(&outcome, reporting))
}

/// What a run came to.
struct Outcome {
    summary: Summary,
    /// Whether everything that should have been read was read, delivered or kept.
    complete: bool,
    /// Of what was read in, where it is going to be compared.
    fingerprints: Option<Fingerprints>,
}

/// Reads the sources and sends them to `destination`.
async fn deliver<D: Destination>(
    destination: &D,
    args: PushArgs,
    sources: Sources,
    ledger: Ledger,
    signals: Signals,
    fingerprints: Option<Fingerprints>,
) -> Result<Outcome, StartError> {
    let progress = Progress::new(args.reporting.progress, sources.total_bytes());
    let blocks = Blocks::new(lent_bytes_max(args.delivery.producer.buffer_bytes));
    let shaper = Shaper::new(args.input.format, KeyMaker::new(args.input.partition_key, blocks.clone()));
    let endless = sources.are_endless();
    let started = Instant::now();
    let reader = Reader::start(sources, shaper, blocks, signals.clone()).map_err(|error| {
        StartError::new(format!("cannot start a thread: {error}; check the process limits"))
    })?;
    let mut pump = Pump::new(destination, ledger, progress, signals, args.delivery.drain_timeout);
    pump.fingerprints = fingerprints;
    pump.notes_holds = !args.delivery.producer.fail_fast;
    let ending = pump.run(reader).await;
    let Pump { mut ledger, mut progress, fingerprints, .. } = pump;
    let (summary, letters_kept) = ledger.close(destination.counts(), started.elapsed());
    progress.finish(ledger.position(destination.counts().delivered));
    let read_to_the_end = match &ending {
        Ending::Complete => true,
        Ending::Stopped => {
            let place = ledger
                .last_read()
                .map_or("before the first record".to_owned(), |place| format!("after {place}"));
            output::note(&format!("stopped by a signal {place}"));
            // To be stopped is how a run on a pipe ends; of a file, something is left.
            endless
        }
        Ending::GaveUp => false,
        Ending::Failed(InputError::Refused(problem)) if summary.bytes_read == 0 => {
            return Err(StartError::new(problem));
        }
        Ending::Failed(InputError::Refused(problem)) => {
            output::error(&format!("{problem}; nothing after this was read"));
            false
        }
        Ending::Failed(InputError::Broken(problem)) => {
            output::error(problem);
            false
        }
    };
    ledger.take_notes().iter().for_each(|note| output::note(note));
    let complete = read_to_the_end && letters_kept && summary.records_delivered == summary.records_read;
    Ok(Outcome { summary, complete, fingerprints })
}

/// What slices may keep in memory besides the buffer: a share of it, so that who asks for little gets little; and not more
/// than lines that are on their way anyway.
fn lent_bytes_max(buffer_bytes: usize) -> usize {
    (buffer_bytes / 4).min(LENT_BYTES_MAX)
}

/// Prints the summary, the last line on stdout.
fn report(outcome: &Outcome, reporting: ReportingArgs) -> Exit {
    let line = match reporting.summary {
        SummaryFormat::Text => outcome.summary.to_string(),
        SummaryFormat::Json => outcome.summary.to_json(),
    };
    if let Err(error) = output::print(&format!("{line}\n")) {
        output::error(&format!("cannot write the summary to stdout: {error}"));
        return Exit::NotDelivered;
    }
    if outcome.complete && outcome.summary.verified != Some(false) { Exit::Done } else { Exit::NotDelivered }
}

/// Sixteen requests of 500 records of 1 KiB, twice: on their way, and waiting for their turn.
const LENT_BYTES_MAX: usize = 16 << 20;
