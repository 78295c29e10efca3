//! Sends each line of standard input without waiting for its receipt. What cannot be delivered comes out of standard
//! output, line by line, to be sent another day.
//!
//! `… --bin fire_and_forget -- --stream NAME --endpoint-url URL --region R < lines > undelivered`
//!
//! This is the way for hundreds of thousands of records a second: none of them has a future, an allocation or a map
//! entry of its own. A number of the sender's goes with each, and one handler is told of those that failed.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use clap::Parser;
use kinesis_batcher_tokio::{Config, DeliveryError, Producer, Record};
use tokio::io::{AsyncBufReadExt, BufReader};

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
    /// Seconds after which a record is given up.
    #[arg(long, default_value_t = 300)]
    time_to_live: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match push(Arguments::parse()).await {
        Ok(0) => return ExitCode::SUCCESS,
        Ok(undelivered) => eprintln!("fire_and_forget: {undelivered} lines were not delivered"),
        Err(error) => eprintln!("fire_and_forget: {error}"),
    }
    ExitCode::FAILURE
}

/// How many lines were not delivered.
async fn push(arguments: Arguments) -> Result<u64, Box<dyn Error>> {
    let config = Config::builder().time_to_live(Duration::from_secs(arguments.time_to_live)).build()?;
    // The handler runs where replies come in and must not block, so what takes time goes through a channel. It is
    // emptied before each record that is sent, and so never holds more than the producer's buffer did.
    let (failures, failed) = mpsc::channel();
    let mut builder = Producer::builder(arguments.stream).config(config).on_failure(move |number, error| {
        // Nobody receives any more when this program is at its end.
        let _ = failures.send((number, error));
    });
    if let Some(url) = arguments.endpoint_url {
        builder = builder.endpoint_url(url);
    }
    if let Some(region) = arguments.region {
        builder = builder.region(region);
    }
    let producer = builder.connect().await?;

    let mut lines = BufReader::new(tokio::io::stdin()).split(b'\n');
    let (mut number, mut undelivered) = (0_u64, 0);
    let end = loop {
        let line = match lines.next_segment().await {
            Ok(Some(line)) => line,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        number += 1;
        match Record::new(number.to_string(), line) {
            // Waits while the buffer is full; that is all it waits for.
            Ok(record) => {
                if let Err(refused) = producer.send_and_forget((record, number)).await {
                    eprintln!("line {number}: {refused}");
                    undelivered += 1;
                    write_out(refused.record.data())?;
                }
            }
            Err(error) => {
                eprintln!("line {number}: {error}");
                undelivered += 1;
            }
        }
        undelivered += save(&failed)?;
    };

    // After this the handler has been told of every record that failed, those that the deadline cut off included.
    let report = producer.close(Duration::from_secs(60)).await;
    undelivered += save(&failed)?;
    eprintln!("{} lines delivered", report.delivered);
    end?;
    Ok(undelivered)
}

/// Writes out what has failed so far; how many that were.
fn save(failed: &Receiver<(u64, DeliveryError)>) -> io::Result<u64> {
    let mut count = 0;
    for (number, error) in failed.try_iter() {
        eprintln!("line {number}: {error}");
        write_out(error.record().data())?;
        count += 1;
    }
    Ok(count)
}

fn write_out(line: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line)?;
    out.write_all(b"\n")
}
