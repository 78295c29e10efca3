//! Sends each line of standard input as a record and prints its receipt as a line of JSON, for `interop/`.
//!
//! `receipts STREAM ENDPOINT_URL [--aggregate] [--order] [--once]`: a line is `NUMBER KEY …`, and KEY the partition key.
//! With `--once`, a record is sent once and fails with the first error.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use kinesis_batcher_tokio::{Config, DeliveryError, Ordering, Producer, Receipt, Record};
use tokio::sync::mpsc::{Receiver, channel};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [stream, endpoint_url, flags @ ..] = &arguments[..] else {
        return Err("usage: receipts STREAM ENDPOINT_URL [--aggregate] [--order] [--once]".into());
    };
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let ordering = if has("--order") { Ordering::PartitionKey } else { Ordering::None };
    let config = Config::builder()
        .aggregation(has("--aggregate"))
        .ordering(ordering)
        .attempts_max(has("--once").then_some(1))
        .fail_fast(has("--once"))
        .linger(Duration::from_millis(100))
        // A tenth of what the service takes: the emulators take half of it at most.
        .request_bytes_max(1 << 20)
        .build()?;
    let producer = Producer::builder(stream)
        .endpoint_url(endpoint_url)
        // Some requests are lost on purpose, and each would otherwise hold its records for long.
        .request_timeout(Duration::from_secs(5))
        .config(config)
        .connect()
        .await?;

    let mut lines = lines_of_stdin();
    let mut deliveries = FuturesUnordered::new();
    let mut undelivered = 0_u64;
    loop {
        tokio::select! {
            biased;
            Some((number, outcome)) = deliveries.next() => undelivered += u64::from(!print(number, outcome)?),
            line = lines.recv() => {
                let Some(line) = line else { break };
                let mut words = line.split(' ');
                let (Some(number), Some(key)) = (words.next(), words.next()) else {
                    return Err(format!("a line is 'NUMBER KEY …', not '{line}'").into());
                };
                let number: u64 = number.parse()?;
                let record = Record::new(key.to_owned(), line.into_bytes())?;
                let delivery = producer.send(record).await?;
                deliveries.push(async move { (number, delivery.await) });
            }
        }
    }
    producer.close(Duration::from_secs(60)).await;
    while let Some((number, outcome)) = deliveries.next().await {
        undelivered += u64::from(!print(number, outcome)?);
    }
    Ok(if undelivered == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lines of standard input, read by a thread of their own, which ends with its input.
fn lines_of_stdin() -> Receiver<String> {
    let (sender, receiver) = channel(1_000);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Whether the record was delivered.
fn print(number: u64, outcome: Result<Receipt, DeliveryError>) -> Result<bool, Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    match outcome {
        Ok(receipt) => {
            let sub = receipt.sub_sequence_number.map_or("null".to_owned(), |sub| sub.to_string());
            writeln!(
                out,
                "{{\"number\":{number},\"shard\":\"{}\",\"sequence_number\":\"{}\",\"sub_sequence_number\":{sub},\
                 \"attempts\":{},\"possible_duplicate\":{}}}",
                receipt.shard_id, receipt.sequence_number, receipt.attempts, receipt.possible_duplicate
            )?;
            Ok(true)
        }
        Err(error) => {
            eprintln!("{number}: {error}");
            Ok(false)
        }
    }
}
