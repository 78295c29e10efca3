//! What the driver tells through `tracing`.

use std::fmt;
use std::sync::{Arc, Mutex, Once};

use kinesis_batcher_core::{RequestError, ServiceError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::{Event, Level, Metadata, Subscriber};

use super::*;

/// Remembers every event of its thread, and every span with what was recorded in it, as a line of text.
#[derive(Clone, Default)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
}

thread_local! {
    static LOG: Log = Log::default();
}

impl Log {
    /// Whether anybody listens is remembered by place in the code and not by thread, so that tests beside this one
    /// would decide it: one subscriber listens for all of them.
    fn of_this_thread() -> Self {
        static LISTENING: Once = Once::new();
        LISTENING.call_once(|| tracing::subscriber::set_global_default(Everything).unwrap());
        LOG.with(Self::clone)
    }

    fn lines_with(&self, text: &str) -> Vec<String> {
        self.lines.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
    }

    fn note(&self, level: Level, fields: impl FnOnce(&mut Line)) {
        let mut line = Line(level.to_string());
        fields(&mut line);
        self.lines.lock().unwrap().push(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}

/// Writes to the log of the thread.
struct Everything;

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        LOG.with(Log::clone).note(*span.metadata().level(), |line| {
            line.0 += &format!(" span {}", span.metadata().name());
            span.record(line);
        });
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &SpanRecord<'_>) {
        LOG.with(Log::clone).note(Level::DEBUG, |line| {
            line.0 += " recorded";
            values.record(line);
        });
    }

    fn event(&self, event: &Event<'_>) {
        LOG.with(Log::clone).note(*event.metadata().level(), |line| event.record(line));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

const SECRET: &str = "a secret payload";

fn send_secrets(world: &World, count: usize) {
    for _ in 0..count {
        let record = Record::new("secret key", SECRET).unwrap();
        world.producer.try_send_and_forget(record).unwrap();
    }
}

#[test]
fn a_request_is_a_span_with_its_size_and_its_outcome() {
    let log = Log::of_this_thread();
    let world = world(Config::builder().linger(MILLI));
    send_secrets(&world, 3);
    world.runtime.run_for(SECOND);
    let spans = log.lines_with("span put_records");
    assert_eq!(spans.len(), 1, "three records share a request: {spans:?}");
    assert!(spans[0].contains("records=3") && spans[0].contains("bytes=78"), "{spans:?}");
    assert_eq!(log.lines_with("outcome=\"answered\"").len(), 1);
}

#[test]
fn trouble_is_told_in_a_line_a_second_with_codes_and_without_keys_or_payloads() {
    let log = Log::of_this_thread();
    let world = world(eager().attempts_max(200));
    let message = format!("Value at 'records.1.member.partitionKey' is wrong: secret key, {SECRET}");
    world.transport.answer(move |number, _| match number % 3 {
        0 => Answer::Throttled.after(MILLI),
        1 => Answer::Error(RequestError::refused(500, ServiceError::new("InternalFailure", &message)))
            .after(MILLI),
        _ => Answer::Error(RequestError::refused(400, ServiceError::new("ValidationException", &message)))
            .after(MILLI),
    });
    for _ in 0..10 {
        send_secrets(&world, 20);
        world.runtime.run_for(300 * MILLI);
    }
    for text in ["shards throttle", "requests fail", "records are given up"] {
        let lines = log.lines_with(text);
        assert!((1..=4).contains(&lines.len()), "{text:?} is told once a second in three: {lines:?}");
        assert!(lines.iter().all(|line| line.starts_with("WARN")), "{lines:?}");
    }
    assert!(!log.lines_with("code=ValidationException").is_empty());
    let leaks = log.lines_with("secret");
    assert!(leaks.is_empty(), "keys and payloads stay out: {leaks:?}");
}
