//! `read`: the records of a stream onto stdout.

mod failure;
mod lines;
mod printer;
mod service;
mod shard_reader;
mod shard_tree;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cli::{From, ReadArgs};
use crate::connect;
use crate::exit::{Exit, StartError};
use crate::output;
use crate::signals::{Signals, Stop};
use failure::{Failure, FailureKind};
use lines::Lines;
use printer::Printer;
use service::{Position, Service};
use shard_reader::{End, Event, ShardReader, Start};
use shard_tree::{ListedShard, ShardTree};

/// Runs the subcommand.
///
/// # Errors
/// Why nothing could be read.
pub(crate) async fn run(args: ReadArgs) -> Result<Exit, StartError> {
    let mut signals = Signals::listen()?;
    // To be stopped is how following ends; of anything else, something is left.
    let stopped = if args.until_caught_up || args.limit.is_some() { Exit::NotDelivered } else { Exit::Done };
    let transport = tokio::select! {
        biased;
        () = signals.reached(Stop::Drain) => return Ok(stopped),
        connected = connect::transport(&args.target) => connected?.0,
    };
    let mut printer = Printer::default();
    let mut reading = Reading::new(&args, Service::new(transport), &mut printer);
    let ending = tokio::select! {
        biased;
        () = signals.reached(Stop::Drain) => None,
        ending = reading.run() => Some(ending),
    };
    let (has_begun, has_skipped) = (reading.has_begun, reading.has_skipped);
    drop(reading);
    printer.settle().await;
    match ending {
        None | Some(Ok(())) if has_skipped => Ok(Exit::NotDelivered),
        None => Ok(stopped),
        Some(Ok(())) => Ok(Exit::Done),
        Some(Err(Broken::Output(error))) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Some(Err(Broken::Output(error))) => {
            output::error(&format!("cannot write to stdout: {error}"));
            Ok(Exit::NotDelivered)
        }
        Some(Err(Broken::Input(problem))) if has_begun => {
            output::error(&problem);
            Ok(Exit::NotDelivered)
        }
        Some(Err(Broken::Input(problem))) => Err(StartError::new(problem)),
    }
}

/// All shards of a stream on their way to stdout.
struct Reading<'a> {
    service: Arc<Service>,
    /// When reading began, where it ends behind the records of that time.
    until: Option<Start>,
    from: From,
    lines: Lines,
    printer: &'a mut Printer,
    shards: ShardTree,
    readers: JoinSet<()>,
    /// Whether the service has let anything be read.
    has_begun: bool,
    /// Whether a shard, or its children, could not be read.
    has_skipped: bool,
}

/// Why reading ended too early.
enum Broken {
    Input(String),
    Output(io::Error),
}

impl<'a> Reading<'a> {
    fn new(args: &ReadArgs, service: Service, printer: &'a mut Printer) -> Self {
        Self {
            service: Arc::new(service),
            until: args.until_caught_up.then(Start::now),
            from: args.from,
            lines: Lines::new(args.output, args.limit),
            printer,
            shards: ShardTree::default(),
            readers: JoinSet::new(),
            has_begun: false,
            has_skipped: false,
        }
    }

    /// Reads until the end that was asked for.
    async fn run(&mut self) -> Result<(), Broken> {
        // The pages' own bound is the memory they take; a channel of pages would only add to it.
        let (events, mut told) = mpsc::channel(1);
        self.shards.add(self.service.list_shards().await?);
        if self.from == From::Latest {
            self.shards.skip_closed();
        }
        let mut position = match self.from {
            From::TrimHorizon => Position::TrimHorizon,
            From::Latest => Position::Latest,
            From::At(time) => Position::At(time),
        };
        loop {
            self.start_readers(&position, &events);
            if let Position::Latest = position {
                // Whatever is in shards that are opened from now on is later than the start.
                position = Position::TrimHorizon;
            }
            let event = tokio::select! {
                biased;
                event = told.recv() => event.expect("one sender is here"),
                reader = self.readers.join_next() => match reader {
                    Some(reader) => {
                        reader.expect("a reader does not panic, and none is stopped while others go on");
                        continue;
                    }
                    None => return Ok(()),
                },
            };
            match event {
                Event::Records(page) => {
                    self.has_begun = true;
                    let lines = self.lines.write(&page.shard_id, &page.records);
                    self.printer.print(lines).await.map_err(Broken::Output)?;
                    if self.lines.are_enough() {
                        return Ok(());
                    }
                }
                Event::Ended { shard_id, end: Ok(End::CaughtUp) } => {
                    self.has_begun = true;
                    self.shards.catch_up(&shard_id);
                }
                Event::Ended { shard_id, end: Ok(End::Closed(children)) } => {
                    self.has_begun = true;
                    self.shards.end(&shard_id);
                    self.find_children(&shard_id, children).await?;
                }
                Event::Ended { shard_id, end: Err(failure) } => self.skip(&shard_id, &failure).await?,
            }
        }
    }

    fn start_readers(&mut self, position: &Position, events: &mpsc::Sender<Event>) {
        for (shard_id, is_closed) in self.shards.start_ready() {
            let reader = ShardReader {
                service: Arc::clone(&self.service),
                shard_id: shard_id.into(),
                is_closed,
                position: position.clone(),
                not_before: match self.from {
                    From::At(time) => Some(time),
                    From::TrimHorizon | From::Latest => None,
                },
                until: self.until,
                events: events.clone(),
            };
            self.readers.spawn(reader.run());
        }
    }

    /// Goes on without a shard that cannot be read, where the others can: the end will not be a success.
    async fn skip(&mut self, shard_id: &str, failure: &Failure) -> Result<(), Broken> {
        let is_alone = match failure.kind {
            FailureKind::Gone => {
                // The stream may be gone as a whole, which this tells.
                self.shards.add(self.service.list_shards().await?);
                true
            }
            FailureKind::IteratorExpired => true,
            // Has been tried for long. Where the end is a success or none, the others come first; following has no
            // end, so a shard that is missing has to end it.
            FailureKind::Transient => self.until.is_some(),
            FailureKind::CredentialsExpired | FailureKind::Permanent => false,
        };
        if !is_alone {
            return Err(Broken::Input(format!("shard {shard_id}: {failure}")));
        }
        output::error(&format!("shard {shard_id} is skipped: {failure}"));
        self.has_skipped = true;
        // Its children have nothing to wait for.
        self.shards.end(shard_id);
        Ok(())
    }

    /// Makes sure that the children of a shard that has been closed are known: from a listing, which tells more of
    /// them, or from the end of the shard.
    async fn find_children(&mut self, parent: &str, named: Vec<ListedShard>) -> Result<(), Broken> {
        let mut named = Some(named).filter(|named| !named.is_empty());
        for _ in 0..LISTINGS_MAX {
            if self.shards.has_children(parent) {
                return Ok(());
            }
            self.shards.add(self.service.list_shards().await?);
            if self.shards.has_children(parent) {
                return Ok(());
            }
            match named.take() {
                Some(named) => self.shards.add(named),
                None => tokio::time::sleep(LISTING_PAUSE).await,
            }
        }
        let problem =
            format!("shard {parent} has been closed and its children are not listed; read again from there");
        if self.until.is_none() {
            return Err(Broken::Input(problem));
        }
        output::error(&problem);
        self.has_skipped = true;
        Ok(())
    }
}

impl std::convert::From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Input(failure.to_string())
    }
}

/// The listing may lag behind the shards by a few seconds.
const LISTINGS_MAX: usize = 15;
const LISTING_PAUSE: Duration = Duration::from_secs(1);
