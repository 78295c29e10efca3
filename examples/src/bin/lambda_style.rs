//! A handler that is called again and again in a process that is frozen in between, as AWS Lambda does it. Here each line
//! of standard input is a call, and each of its words a record; the answer is a line of standard output.
//!
//! `… --bin lambda_style -- --stream NAME --endpoint-url URL --region R < calls`
//!
//! Three things make it right: the producer lives outside the handler and is connected once; the handler flushes before
//! it answers, since nothing goes on while the process is frozen; and no record lives longer than the call it came with,
//! so that none of a call that failed turns up in a later one.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use kinesis_batcher_tokio::{Config, Producer, Record};

#[derive(Parser)]
struct Arguments {
    /// Name or ARN of the stream.
    #[arg(long)]
    stream: String,
    /// Where Kinesis is, if not in AWS.
    #[arg(long)]
    endpoint_url: Option<String>,
    /// The region; else that of the environment or of the profile.
    #[arg(long)]
    region: Option<String>,
}

// One thread, so that waiting for the next line, which blocks it, stops everything: this is the freeze.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve(Arguments::parse()).await {
        Ok(0) => return ExitCode::SUCCESS,
        Ok(failed) => eprintln!("lambda_style: {failed} calls failed"),
        Err(error) => eprintln!("lambda_style: {error}"),
    }
    ExitCode::FAILURE
}

/// What Lambda's runtime does. How many calls failed.
async fn serve(arguments: Arguments) -> Result<u64, Box<dyn Error>> {
    // Together shorter than the function's time-out, say 15 s: a record is not sent any more after the first, and a
    // request that is on its way by then takes no longer than the second.
    let config = Config::builder().time_to_live(Duration::from_secs(6)).build()?;
    let mut builder =
        Producer::builder(arguments.stream).config(config).request_timeout(Duration::from_secs(3));
    if let Some(url) = arguments.endpoint_url {
        builder = builder.endpoint_url(url);
    }
    if let Some(region) = arguments.region {
        builder = builder.region(region);
    }
    let producer = builder.connect().await?;
    let mut failed = 0;
    for call in io::stdin().lock().lines() {
        let answer = match handle(&producer, &call?).await {
            Ok(records) => format!("stored {records} records"),
            // Lambda calls again for what failed, so what was stored of it is stored twice.
            Err(error) => {
                failed += 1;
                format!("failed: {error}")
            }
        };
        writeln!(io::stdout(), "{answer}")?;
    }
    // Nothing is held here, so a process that is killed while it is frozen loses nothing.
    Ok(failed)
}

/// The handler. How many records it stored.
async fn handle(producer: &Producer, call: &str) -> Result<usize, Box<dyn Error>> {
    // All are checked before the first is sent: a call that cannot succeed stores nothing.
    let records = call.split_whitespace().map(|word| Record::new(word, word.to_owned()));
    let mut deliveries = vec![];
    for record in records.collect::<Result<Vec<_>, _>>()? {
        deliveries.push(producer.send(record).await);
    }
    // Whatever happened, nothing may be left when this returns. It does not wait for more records to come.
    producer.flush().await?;
    let stored = deliveries.len();
    for delivery in deliveries {
        // All of them are ready by now.
        delivery?.await?;
    }
    Ok(stored)
}
