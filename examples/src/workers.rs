//! Threads that make requests, each one at a time.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use kinesis_batcher_core::{Request, RequestError, Response, ShardMap};

use crate::kinesis::Kinesis;

/// What is to be done.
pub enum Job {
    /// Send this.
    Put(Request<u64>),
    /// See which shards are open.
    ListShards,
}

/// What came of it.
pub enum Answer {
    /// The request comes back whatever happened: it owns its records.
    Put(Request<u64>, Result<Response, RequestError>),
    /// The open shards.
    Shards(Result<ShardMap, RequestError>),
}

/// Starts so many threads, and gives where jobs go in. The threads end when that is dropped.
///
/// # Errors
/// The operating system lets no more threads start.
pub fn start_workers(
    kinesis: Kinesis,
    count: usize,
    answer: impl Fn(Answer) + Clone + Send + 'static,
) -> io::Result<Sender<Job>> {
    let (jobs, to_do) = channel();
    let (kinesis, to_do) = (Arc::new(kinesis), Arc::new(Mutex::new(to_do)));
    for _ in 0..count {
        let (kinesis, to_do, answer) = (Arc::clone(&kinesis), Arc::clone(&to_do), answer.clone());
        thread::Builder::new().name("request".into()).spawn(move || work(&kinesis, &to_do, answer))?;
    }
    Ok(jobs)
}

fn work(kinesis: &Kinesis, jobs: &Mutex<Receiver<Job>>, answer: impl Fn(Answer)) {
    loop {
        // The lock is held while waiting, by whoever is next, and let go before the work.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(Job::Put(request)) => {
                let outcome = kinesis.put_records(&request);
                answer(Answer::Put(request, outcome));
            }
            Ok(Job::ListShards) => answer(Answer::Shards(kinesis.shards())),
            Err(_) => return,
        }
    }
}
