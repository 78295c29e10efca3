//! The thread that reads.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::encoding::{Foreign, examine, read_head};
use super::lines::LineReader;
use super::sources::{Input, undecodable};
use super::{Batch, BatchBuilder, Blocks, DATA_BYTES_MAX, Origin, Shaper, Sources, TRUNCATED_BYTES};
use crate::cli::Format;
use crate::signals::{Signals, Stop};

/// Why the reading ended before the input did, in the user's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InputError {
    /// An input that cannot be read as records: nothing of it was.
    Refused(String),
    /// An input that could not be read to its end.
    Broken(String),
}

/// Batches of records from a thread of its own, which waits while nobody takes them.
///
/// The thread is never joined: it may sit in a read of stdin that nothing can interrupt, and must not keep the
/// process from ending.
pub(crate) struct Reader {
    batches: mpsc::Receiver<Result<Batch, InputError>>,
    signals: Signals,
    stop: Arc<AtomicBool>,
    complete: Arc<AtomicBool>,
}

impl Reader {
    /// Starts to read.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(crate) fn start(
        sources: Sources,
        shaper: Shaper,
        blocks: Blocks,
        signals: Signals,
    ) -> io::Result<Self> {
        let (sender, batches) = mpsc::channel(BATCHES_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let complete = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            shaper,
            sender,
            stop: Arc::clone(&stop),
            complete: Arc::clone(&complete),
            blocks,
            batch: BatchBuilder::default(),
        };
        thread::Builder::new().name("reader".to_owned()).spawn(move || worker.run(sources))?;
        Ok(Self { batches, signals, stop, complete })
    }

    /// The next records; `None` at the end, or a sentence when an input could not be read on. After the first stop
    /// signal: what the thread had read by then, and then the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Batch, InputError>> {
        tokio::select! {
            biased;
            () = self.signals.reached(Stop::Drain) => {}
            batch = self.batches.recv() => return batch,
        }
        self.stop();
        // A thread at work ends by itself within a block. One that waits for input holds no complete record, and
        // may wait for ever.
        timeout(STOP_WAIT_MAX, self.batches.recv()).await.ok().flatten()
    }

    /// Whether every input was read to its end.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// What was read and not taken yet; nothing more is read.
    pub(crate) fn into_rest(mut self) -> Vec<Batch> {
        self.stop();
        self.batches.close();
        let mut rest = Vec::new();
        while let Ok(batch) = self.batches.try_recv() {
            rest.extend(batch);
        }
        rest
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The thread's side.
struct Worker {
    shaper: Shaper,
    sender: mpsc::Sender<Result<Batch, InputError>>,
    stop: Arc<AtomicBool>,
    complete: Arc<AtomicBool>,
    blocks: Blocks,
    /// What goes to the other side next.
    batch: BatchBuilder,
}

/// Nobody wants more.
struct Stopped;

impl Worker {
    fn run(mut self, sources: Sources) {
        for (file, input, checked_bytes) in sources.into_inputs() {
            let opened = input.open(checked_bytes).map_err(|error| Failure::Read { error, line: 0 });
            let result = opened.and_then(|opened| {
                if self.shaper.format() == Format::Raw {
                    self.read_file(file, opened)
                } else {
                    self.read_lines(file, opened)
                }
            });
            let error = match result {
                Ok(()) => continue,
                Err(Failure::Stopped) => return,
                Err(Failure::Foreign(foreign)) => InputError::Refused(undecodable(&input, foreign)),
                Err(Failure::Read { error, line }) => InputError::Broken(read_failed(&input, line, &error)),
            };
            // A receiver that is gone has stopped listening on purpose.
            let _ = self.sender.blocking_send(Err(error));
            return;
        }
        self.complete.store(true, Ordering::Release);
    }

    fn read_lines(&mut self, file: u32, mut input: impl Read) -> Result<(), Failure> {
        let head = read_head(&mut input).map_err(|error| Failure::Read { error, line: 0 })?;
        let mark_bytes = examine(&head).map_err(Failure::Foreign)?;
        self.hand_over(mark_bytes as u64)?;
        let mut reader = LineReader::new(head[mark_bytes..].chain(input), self.blocks.clone());
        let mut line = 0;
        loop {
            let mut sent = Ok(());
            let read = reader.read_lines(|content| {
                line += 1;
                if let Some(item) = self.shaper.line(Origin { file, line }, content) {
                    self.batch.push(item);
                }
                if self.batch.len() >= BATCH_ITEMS_MAX && sent.is_ok() {
                    sent = self.hand_over(0);
                }
            });
            let read = read.map_err(|error| Failure::Read { error, line })?;
            sent?;
            self.hand_over(read as u64)?;
            if read == 0 {
                return Ok(());
            }
        }
    }

    fn read_file(&mut self, file: u32, mut input: impl Read) -> Result<(), Failure> {
        let failed = |error| Failure::Read { error, line: 0 };
        let mut data = Vec::new();
        input.by_ref().take(DATA_BYTES_MAX as u64 + 1).read_to_end(&mut data).map_err(failed)?;
        let origin = Origin { file, line: 1 };
        let mut bytes = data.len() as u64;
        let item = if data.len() > DATA_BYTES_MAX {
            data.truncate(TRUNCATED_BYTES);
            data.shrink_to_fit();
            bytes += io::copy(&mut input, &mut io::sink()).map_err(failed)?;
            Shaper::oversize_file(origin, Bytes::from(data), bytes)
        } else {
            self.shaper.file(origin, Bytes::from(data))
        };
        self.batch.push(item);
        Ok(self.hand_over(bytes)?)
    }

    /// Gives what is ready to the other side, and waits for room there.
    fn hand_over(&mut self, input_bytes: u64) -> Result<(), Stopped> {
        if self.batch.len() > 0 || input_bytes > 0 {
            self.sender.blocking_send(Ok(self.batch.take(input_bytes))).map_err(|_| Stopped)?;
        }
        if self.stop.load(Ordering::Relaxed) { Err(Stopped) } else { Ok(()) }
    }
}

/// Why a file was not read to its end.
enum Failure {
    Stopped,
    Foreign(Foreign),
    Read { error: io::Error, line: u64 },
}

impl From<Stopped> for Failure {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}

fn read_failed(input: &Input, line: u64, error: &io::Error) -> String {
    let name = input.name();
    match line {
        0 => format!("cannot read '{name}': {error}; nothing after this was read"),
        line => format!("cannot read '{name}' past line {line}: {error}; nothing after this was read"),
    }
}

/// Batches between the thread and the producer. Two keep both busy; more would only hold memory.
const BATCHES_MAX: usize = 2;

/// Records in a batch, at most. A block of a few hundred KiB can hold as many records as it has bytes.
const BATCH_ITEMS_MAX: usize = 4_096;

/// How long a stop waits for a thread that may be in the middle of a block. A block takes a few milliseconds.
const STOP_WAIT_MAX: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use kinesis_batcher_core::Record;

    use super::*;
    use crate::input::BadRecord;
    use crate::key::{KeyMaker, KeySpec};
    use crate::reason::Kind;

    fn start(files: &[PathBuf], format: Format) -> Reader {
        let (_, signals) = Signals::manual();
        start_with(files, format, signals)
    }

    fn start_with(files: &[PathBuf], format: Format, signals: Signals) -> Reader {
        let shaper = Shaper::new(format, KeyMaker::new(KeySpec::parse("const:k").unwrap(), blocks()));
        Reader::start(Sources::check(files).unwrap(), shaper, blocks(), signals).unwrap()
    }

    fn blocks() -> Blocks {
        Blocks::new(1 << 20)
    }

    /// What was read of one record.
    struct Item {
        origin: Origin,
        record: Result<Record, BadRecord>,
    }

    /// All of it, in order.
    fn items(batch: Batch) -> Vec<Item> {
        let mut items: Vec<Item> =
            batch.records.into_iter().map(|(record, origin)| Item { origin, record: Ok(record) }).collect();
        for (index, (before, origin, bad)) in batch.bad.into_iter().enumerate() {
            items.insert(before + index, Item { origin, record: Err(bad) });
        }
        items
    }

    async fn read(mut reader: Reader) -> (Vec<Item>, u64, Option<InputError>) {
        let (mut all, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = reader.next().await {
            match batch {
                Ok(batch) => {
                    bytes += batch.input_bytes;
                    all.extend(items(batch));
                }
                Err(problem) => return (all, bytes, Some(problem)),
            }
        }
        (all, bytes, None)
    }

    fn file(dir: &tempfile::TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn text(item: &Item) -> &[u8] {
        item.record.as_ref().ok().unwrap().data()
    }

    #[tokio::test]
    async fn files_are_read_in_order_and_records_know_their_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let files = [file(&dir, "a", "one\ntwo\n"), file(&dir, "empty", ""), file(&dir, "b", "three")];
        let (items, bytes, problem) = read(start(&files, Format::Lines)).await;
        assert_eq!(problem, None);
        assert_eq!(bytes, 13, "line ends are bytes too");
        let seen: Vec<_> =
            items.iter().map(|item| (item.origin.file, item.origin.line, text(item))).collect();
        assert_eq!(seen, [(0, 1, &b"one"[..]), (0, 2, b"two"), (2, 1, b"three")]);
    }

    #[tokio::test]
    async fn blank_lines_between_json_records_count_as_lines_but_not_as_records() {
        let dir = tempfile::tempdir().unwrap();
        let files = [file(&dir, "a", "{}\n\n \r\n[1]\nnope\n")];
        let (items, bytes, _) = read(start(&files, Format::Ndjson)).await;
        assert_eq!(bytes, 16);
        assert_eq!(items.iter().map(|item| item.origin.line).collect::<Vec<_>>(), [1, 4, 5]);
        assert_eq!(items[2].record.as_ref().err().unwrap().reason.kind, Kind::NotJson);
    }

    #[tokio::test]
    async fn a_raw_file_is_one_record_and_one_larger_than_any_record_is_not_held() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            file(&dir, "a", "one\ntwo\n"),
            file(&dir, "largest", vec![b'x'; DATA_BYTES_MAX - 1]),
            file(&dir, "larger", vec![b'y'; DATA_BYTES_MAX + 5]),
            file(&dir, "empty", ""),
        ];
        let (items, bytes, _) = read(start(&files, Format::Raw)).await;
        assert_eq!(bytes, 8 + 2 * DATA_BYTES_MAX as u64 + 4);
        assert_eq!(text(&items[0]), b"one\ntwo\n");
        assert_eq!(text(&items[1]).len(), DATA_BYTES_MAX - 1);
        let larger = items[2].record.as_ref().err().unwrap();
        assert_eq!(larger.truncated_from_bytes, Some(DATA_BYTES_MAX as u64 + 5));
        assert_eq!(larger.data.len(), TRUNCATED_BYTES);
        assert_eq!(text(&items[3]), b"", "an empty file is an empty record");
    }

    #[tokio::test]
    async fn the_byte_order_mark_of_each_file_is_skipped_and_counted_as_read() {
        let dir = tempfile::tempdir().unwrap();
        let files = [file(&dir, "a", "\u{feff}one\ntwo\n"), file(&dir, "b", "\u{feff}three")];
        let (items, bytes, problem) = read(start(&files, Format::Lines)).await;
        assert_eq!(problem, None);
        assert_eq!(bytes, 19);
        assert_eq!(items.iter().map(text).collect::<Vec<_>>(), [&b"one"[..], b"two", b"three"]);
        let (items, _, _) = read(start(&files[1..], Format::Raw)).await;
        assert_eq!(text(&items[0]), "\u{feff}three".as_bytes(), "a raw file is its bytes");
    }

    #[tokio::test]
    async fn an_input_that_turns_out_to_be_compressed_ends_the_reading() {
        let dir = tempfile::tempdir().unwrap();
        let files = [file(&dir, "a", "one\n"), file(&dir, "b", b"\x1f\x8b\x08\n")];
        let (items, _, problem) = read(start(&files, Format::Lines)).await;
        assert_eq!(items.len(), 1, "what came before it was read");
        let Some(InputError::Refused(problem)) = problem else { panic!("not {problem:?}") };
        assert!(problem.contains("it is compressed with gzip"), "{problem}");
        let (items, _, problem) = read(start(&files, Format::Raw)).await;
        assert_eq!((items.len(), problem), (2, None), "bytes are bytes");
    }

    #[tokio::test]
    async fn a_file_that_disappears_before_its_turn_ends_the_reading_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let files = [file(&dir, "a", "one\n"), file(&dir, "b", "two\n")];
        let sources = Sources::check(&files).unwrap();
        std::fs::remove_file(&files[1]).unwrap();
        let (_, signals) = Signals::manual();
        let shaper = Shaper::new(Format::Lines, KeyMaker::new(KeySpec::Random, Blocks::new(0)));
        let (items, _, problem) = read(Reader::start(sources, shaper, blocks(), signals).unwrap()).await;
        assert_eq!(items.len(), 1, "what came before it was read");
        let Some(InputError::Broken(problem)) = problem else { panic!("not {problem:?}") };
        assert!(
            problem.contains(&files[1].display().to_string()) && problem.contains("nothing after"),
            "{problem}"
        );
    }

    #[tokio::test]
    async fn many_short_lines_come_in_bounded_batches() {
        let dir = tempfile::tempdir().unwrap();
        let files = [file(&dir, "a", "\n".repeat(300_000))];
        let mut reader = start(&files, Format::Lines);
        let mut records = 0;
        while let Some(batch) = reader.next().await {
            let batch = batch.unwrap();
            assert!(batch.len() <= BATCH_ITEMS_MAX, "{} records in a batch", batch.len());
            records += batch.len();
        }
        assert_eq!(records, 300_000);
    }

    #[tokio::test]
    async fn reading_waits_while_nobody_takes_what_was_read() {
        let dir = tempfile::tempdir().unwrap();
        let files = [file(&dir, "a", vec![b'x'; 8 << 20]), file(&dir, "b", "\n".repeat(100_000))];
        let mut reader = start(&files, Format::Lines);
        reader.next().await.unwrap().unwrap();
        let rest = reader.into_rest();
        assert!(rest.len() <= BATCHES_MAX, "the thread was {} batches ahead", rest.len());
    }

    /// A pipe with a writer that stays: reading it blocks for ever once it is empty.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_stop_hands_out_what_was_read_and_does_not_wait_for_a_silent_pipe() {
        use std::io::Write;

        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let mut writer = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        writer.write_all(b"one\ntwo\nunfinish").unwrap();
        let (stop, signals) = Signals::manual();
        let mut reader = start_with(&[pipe], Format::Lines, signals);
        let batch = reader.next().await.unwrap().unwrap();
        assert_eq!(batch.len(), 2, "complete lines do not wait for the next ones");
        stop.send(Stop::Drain).unwrap();
        assert!(reader.next().await.is_none(), "half a line is no record");
    }
}
