//! A program with an event loop of its own, here mio's, in which the state machine is one guest among others: datagrams
//! come in on a UDP socket, and each becomes a record.
//!
//! `… --bin custom_event_loop -- --listen 127.0.0.1:8125 --stream NAME --endpoint-url URL --region R`
//!
//! It waits in `poll` and nowhere else. Other threads make requests (`src/{kinesis,workers}.rs`: copy them along).

use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use clap::Parser;
use kinesis_batcher_core::{Batcher, Config, Event, Record, Timestamp};
use kinesis_batcher_examples::{Answer, Job, Kinesis, Target, start_workers};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};

#[derive(Parser)]
struct Arguments {
    /// Where datagrams come in.
    #[arg(long, default_value = "127.0.0.1:8125")]
    listen: SocketAddr,
    #[command(flatten)]
    target: Target,
}

fn main() -> ExitCode {
    match serve(&Arguments::parse()) {
        Ok(0) => return ExitCode::SUCCESS,
        Ok(undelivered) => eprintln!("custom_event_loop: {undelivered} datagrams were not delivered"),
        Err(error) => eprintln!("custom_event_loop: {error}"),
    }
    ExitCode::FAILURE
}

/// Runs until Ctrl-C or SIGTERM. How many datagrams were not delivered.
fn serve(arguments: &Arguments) -> Result<u64, Box<dyn Error>> {
    let kinesis = Kinesis::new(&arguments.target)?;
    let shards = kinesis.shards()?;
    let mut poll = Poll::new()?;
    let mut socket = UdpSocket::bind(arguments.listen)?;
    poll.registry().register(&mut socket, SOCKET, Interest::READABLE)?;
    let waker = Arc::new(Waker::new(poll.registry(), WOKEN)?);
    let (happens, happened) = mpsc::channel();
    let (stop, woken) = (happens.clone(), Arc::clone(&waker));
    // None of these fails while the loop goes on.
    ctrlc::set_handler(move || drop((stop.send(None), woken.wake())))?;
    let jobs =
        start_workers(kinesis, WORKERS, move |answer| drop((happens.send(Some(answer)), waker.wake())))?;

    let config = Config::builder().in_flight_requests_max(WORKERS).build()?;
    let epoch = Instant::now();
    let now = || Timestamp::ZERO.after(epoch.elapsed());
    let mut batcher = Batcher::new(config, shards, RandomState::new().hash_one("jitter"), now());
    let (mut events, mut datagram) = (Events::with_capacity(16), vec![0; 1 << 16]);
    // mio tells once that there is something to read; that holds until a read finds nothing.
    let (mut readable, mut waiting, mut stopping) = (true, None, false);
    writeln!(io::stdout(), "listening on {}", socket.local_addr()?)?;
    loop {
        // Some datagrams, not all: a flood must not keep the loop from sending.
        for _ in 0..DATAGRAMS_A_TURN_MAX {
            let record = if waiting.is_some() { waiting.take() } else { receive(&socket, &mut datagram)? };
            readable = record.is_some();
            let Some(record) = record else { break };
            if let Err(full) = batcher.push(now(), record, 0) {
                // What is not read stays with the kernel, which drops what it has no room for: such is UDP.
                waiting = Some(full.record);
                break;
            }
        }
        if stopping && !readable {
            batcher.close(now());
        }
        while let Some(request) = batcher.poll_request() {
            jobs.send(Job::Put(request))?;
        }
        while let Some(event) = batcher.poll_event() {
            match event {
                Event::Failed { failure, .. } => eprintln!("a datagram was not delivered: {failure}"),
                Event::ShardMapStale => jobs.send(Job::ListShards)?,
                Event::Drained => return Ok(batcher.stats().records_failed),
                _ => {}
            }
        }
        let more = readable && waiting.is_none();
        let deadline = batcher.poll_timeout().map(|deadline| deadline.at.since(now()));
        match poll.poll(&mut events, if more { Some(Duration::ZERO) } else { deadline }) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => readable |= events.iter().any(|event| event.token() == SOCKET),
        }
        batcher.handle_timeout(now());
        for what in happened.try_iter() {
            match what {
                Some(Answer::Put(request, outcome)) => batcher.handle_response(now(), request, outcome),
                Some(Answer::Shards(Ok(shards))) => batcher.handle_shard_map(now(), shards),
                Some(Answer::Shards(Err(error))) => eprintln!("listing shards: {error}"),
                None => stopping = true,
            }
        }
    }
}

/// A datagram, if one has come. Its sender's address decides on the shard.
fn receive(socket: &UdpSocket, datagram: &mut [u8]) -> Result<Option<Record>, Box<dyn Error>> {
    match socket.recv_from(datagram) {
        Ok((bytes, from)) => Ok(Some(Record::new(from.ip().to_string(), datagram[..bytes].to_vec())?)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

const SOCKET: Token = Token(0);
const WOKEN: Token = Token(1);
const WORKERS: usize = 4;
const DATAGRAMS_A_TURN_MAX: usize = 1_000;
