//! Sends each line of standard input as a record, and prints where it was stored. On async-std.
//!
//! `cargo run -p kinesis-batcher-examples --bin async_std_push -- --stream NAME --endpoint-url URL --region R < lines`

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use async_std::io::BufReader;
use async_std::io::prelude::BufReadExt;
use clap::Parser;
use futures::select_biased;
use futures::stream::{FuturesUnordered, StreamExt};
use kinesis_batcher_async_std::{Delivery, Producer, Receipt, Record};

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

fn main() -> ExitCode {
    match async_std::task::block_on(push(Arguments::parse())) {
        Ok(0) => return ExitCode::SUCCESS,
        Ok(undelivered) => eprintln!("async_std_push: {undelivered} lines were not delivered"),
        Err(error) => eprintln!("async_std_push: {error}"),
    }
    ExitCode::FAILURE
}

/// How many lines were not delivered.
async fn push(arguments: Arguments) -> Result<u64, Box<dyn Error>> {
    let mut builder = Producer::builder(arguments.stream);
    if let Some(url) = arguments.endpoint_url {
        builder = builder.endpoint_url(url);
    }
    if let Some(region) = arguments.region {
        builder = builder.region(region);
    }
    // Fails here, in one line that says what to do, if there is no such stream, no permission, no network.
    let producer = builder.connect().await?;

    let mut lines = BufReader::new(async_std::io::stdin()).split(b'\n').fuse();
    let mut deliveries = FuturesUnordered::new();
    let (mut number, mut undelivered) = (0_u64, 0);
    let end = loop {
        // The first branch goes first: so no more receipts are kept than the producer's buffer holds records.
        select_biased! {
            (number, outcome) = deliveries.select_next_some() => undelivered += tell(number, outcome),
            line = lines.next() => {
                let line = match line {
                    Some(Ok(line)) => line,
                    Some(Err(error)) => break Err(error),
                    None => break Ok(()),
                };
                number += 1;
                match send(&producer, number, line).await {
                    Ok(delivery) => deliveries.push(async move { (number, delivery.await) }),
                    Err(error) => undelivered += tell(number, Err(error)),
                }
            }
        }
    };

    // Does not wait for more records to share a request, and ends even if Kinesis is down.
    producer.close(Duration::from_secs(60)).await;
    while let Some((number, outcome)) = deliveries.next().await {
        undelivered += tell(number, outcome);
    }
    end?;
    Ok(undelivered)
}

/// Waits while the producer's buffer is full, so that standard input is read no faster than Kinesis takes it.
async fn send(producer: &Producer, number: u64, line: Vec<u8>) -> Result<Delivery, Box<dyn Error>> {
    // The key decides on the shard. Numbers spread lines evenly; records that belong together want a key in common.
    let record = Record::new(number.to_string(), line)?;
    Ok(producer.send(record).await?)
}

/// How many were not delivered: none, or this one.
fn tell(number: u64, outcome: Result<Receipt, impl Display>) -> u64 {
    match outcome {
        Ok(receipt) => {
            // Whoever closes standard output wants no receipts; that is no reason to stop.
            let _ = writeln!(io::stdout(), "{number} {} {}", receipt.shard_id, receipt.sequence_number);
            0
        }
        Err(error) => {
            eprintln!("line {number}: {error}");
            1
        }
    }
}
