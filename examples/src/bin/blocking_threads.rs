//! Sends each line of standard input as a record: threads and channels, nothing async, no AWS SDK.
//!
//! `… --bin blocking_threads -- --stream NAME --endpoint-url URL --region R < lines`
//!
//! One thread reads, some make requests (`src/{kinesis,workers}.rs`: copy them along), the first has the state machine.

use std::collections::VecDeque;
use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use kinesis_batcher_core::{Batcher, Config, Event, Record, Timestamp};
use kinesis_batcher_examples::{Answer, Job, Kinesis, Target, start_workers};

enum Input {
    Line(io::Result<Vec<u8>>),
    EndOfLines,
    Answer(Answer),
}

fn main() -> ExitCode {
    match push(&Target::parse()) {
        Ok(0) => return ExitCode::SUCCESS,
        Ok(undelivered) => eprintln!("blocking_threads: {undelivered} lines were not delivered"),
        Err(error) => eprintln!("blocking_threads: {error}"),
    }
    ExitCode::FAILURE
}

/// How many lines were not delivered.
fn push(target: &Target) -> Result<u64, Box<dyn Error>> {
    let kinesis = Kinesis::new(target)?;
    let shards = kinesis.shards()?;
    let (happens, input) = mpsc::channel();
    let answers = happens.clone();
    let jobs = start_workers(kinesis, WORKERS, move |answer| drop(answers.send(Input::Answer(answer))))?;
    // The reader gets one credit back for each line that was taken in: nothing piles up in between.
    let (credit, credits) = mpsc::sync_channel(LINES_WAITING_MAX);
    (0..LINES_WAITING_MAX).try_for_each(|_| credit.send(()))?;
    thread::Builder::new().spawn(move || read_lines(&credits, &happens))?;

    // As many requests at once as there are workers, so that none waits after it was made.
    let config = Config::builder().in_flight_requests_max(WORKERS).build()?;
    let epoch = Instant::now();
    let now = || Timestamp::ZERO.after(epoch.elapsed());
    // The seed decides on the jitter of waits; that of the standard library's hash maps differs from run to run.
    let mut batcher = Batcher::new(config, shards, RandomState::new().hash_one("jitter"), now());
    let (mut waiting, mut number, mut end) = (VecDeque::<(Record, u64)>::new(), 0, None);
    loop {
        // Take in what there is room for …
        while let Some((record, number)) = waiting.pop_front() {
            if let Err(refused) = batcher.push(now(), record, number) {
                if refused.reason.is_full() {
                    waiting.push_front((refused.record, number));
                    break;
                }
                eprintln!("line {number}: {refused}");
            }
            let _ = credit.try_send(());
        }
        if end.is_some() && waiting.is_empty() && !batcher.is_closed() {
            batcher.close(now());
        }
        // … send what is due, tell what became of records …
        while let Some(request) = batcher.poll_request() {
            jobs.send(Job::Put(request))?;
        }
        while let Some(event) = batcher.poll_event() {
            match event {
                Event::Failed { tag, failure, .. } => eprintln!("line {tag}: {failure}"),
                Event::ShardMapStale => jobs.send(Job::ListShards)?,
                Event::Drained => {
                    return Ok(end.transpose().map(|_| number - batcher.stats().records_delivered)?);
                }
                _ => {}
            }
        }
        // … and wait until something happens, but no longer than until the next deadline.
        let wait = batcher.poll_timeout().map_or(Duration::MAX, |deadline| deadline.at.since(now()));
        match input.recv_timeout(wait) {
            Ok(Input::Line(Ok(line))) => {
                number += 1;
                match Record::new(number.to_string(), line) {
                    Ok(record) => waiting.push_back((record, number)),
                    Err(error) => {
                        eprintln!("line {number}: {error}");
                        let _ = credit.try_send(());
                    }
                }
            }
            // Without further credit the reader stops, too.
            Ok(Input::Line(Err(error))) => end = Some(Err(error)),
            Ok(Input::EndOfLines) => _ = end.get_or_insert(Ok(())),
            Ok(Input::Answer(Answer::Put(request, reply))) => batcher.handle_response(now(), request, reply),
            Ok(Input::Answer(Answer::Shards(Ok(shards)))) => batcher.handle_shard_map(now(), shards),
            Ok(Input::Answer(Answer::Shards(Err(error)))) => eprintln!("listing shards: {error}"),
            Err(RecvTimeoutError::Timeout) => batcher.handle_timeout(now()),
            Err(RecvTimeoutError::Disconnected) => return Err("all other threads have ended".into()),
        }
    }
}

/// Reads a line for each credit.
fn read_lines(credits: &Receiver<()>, happens: &Sender<Input>) {
    for line in io::stdin().lock().split(b'\n') {
        if credits.recv().is_err() || happens.send(Input::Line(line)).is_err() {
            return;
        }
    }
    let _ = happens.send(Input::EndOfLines);
}

const WORKERS: usize = 4;
const LINES_WAITING_MAX: usize = 1_000;
