//! `simulate`: what a stream would do with a load, in virtual time.

mod capacity;
mod fault;
mod figures;
mod keys;
mod load;
mod outcome;
mod percent;
mod plot;
mod scenario;
mod shards;
mod table;

use std::fs::File;
use std::io::Write;
use std::path::Path;

use kinesis_batcher_sim::Report;

pub(crate) use fault::FaultSpec;
pub(crate) use keys::KeysSpec;

use crate::cli::{SimulateArgs, SummaryFormat};
use crate::exit::{Exit, StartError};
use crate::output;
use capacity::Capacity;
use outcome::Outcome;
use scenario::Scenario;

/// Runs the subcommand.
///
/// # Errors
/// When settings do not go together, or the plot cannot be written.
pub(crate) fn run(args: &SimulateArgs) -> Result<Exit, StartError> {
    let scenario = Scenario::new(args)?;
    // Before the work, so that a wrong path is told at once.
    let mut plot = args.report.plot.as_deref().map(create).transpose()?;
    let report = kinesis_batcher_sim::run(scenario.seed, &scenario.options);
    let capacity = (!args.report.no_capacity).then(|| Capacity::of(&scenario));
    let outcome = Outcome::new(&scenario, &report, capacity);
    if let Some((file, path)) = &mut plot {
        let svg = plot::draw(&scenario, &report, &outcome);
        file.write_all(svg.as_bytes()).map_err(|error| cannot_write(path, &error))?;
    }
    let text = match args.report.summary {
        SummaryFormat::Text => format!("{}{outcome}", table::over_time(&scenario, &report)),
        SummaryFormat::Json => outcome.to_json(),
    };
    if let Err(error) = output::print(&text) {
        output::error(&format!("cannot write to stdout: {error}"));
        return Ok(Exit::NotDelivered);
    }
    Ok(exit(&report))
}

fn exit(report: &Report) -> Exit {
    if let Some(violation) = report.violations.first() {
        output::error(&format!(
            "the batcher broke a promise, which is a bug of it: {violation}; please report it with this command line"
        ));
        return Exit::NotDelivered;
    }
    let totals = &report.totals;
    if totals.records_delivered == totals.records_offered { Exit::Done } else { Exit::NotDelivered }
}

fn create(path: &Path) -> Result<(File, &Path), StartError> {
    File::create(path).map(|file| (file, path)).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> StartError {
    StartError::new(format!(
        "cannot write {}: {error}; give --plot a file that can be written",
        path.display()
    ))
}
