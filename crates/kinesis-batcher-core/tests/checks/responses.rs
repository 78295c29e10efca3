//! Arbitrary replies to the requests of a batcher.

use kinesis_batcher_core::{
    Config, ErrorCode, RecordOutcome, RequestError, SequenceNumber, ServiceError, ShardId,
};

use super::model::the_promises_hold_or_it_shows;
use super::op::{Answer, Op};
use super::operations::{config, push};
use super::told::Told;

/// Whatever the replies that `bytes` tell, nothing panics and the accounts agree.
pub fn responses_hold(bytes: &[u8]) {
    let mut told = Told::new(bytes);
    let config: Config = config(&mut told);
    let mut ops = Vec::new();
    while !told.is_over() && ops.len() < OPS_MAX {
        match told.byte() % 4 {
            0 => ops.push(push(&mut told)),
            1 => ops.push(Op::WaitForDeadline),
            _ => ops.push(Op::Answer { which: told.byte().into(), answer: answer(&mut told) }),
        }
    }
    the_promises_hold_or_it_shows(&config, &ops, false);
}

fn answer(told: &mut Told<'_>) -> Answer {
    match told.byte() % 8 {
        0..=3 => Answer::Cycled(outcomes(told)),
        4 => Answer::Exactly(outcomes(told)),
        5 => Answer::WrongLength(told.number(2) as usize % 1_000),
        6 => Answer::Error(RequestError::refused(told.number(2) as u16, service_error(told))),
        _ if told.flag() => Answer::Error(RequestError::not_sent(&told.text())),
        _ => Answer::Error(RequestError::outcome_unknown(&told.text())),
    }
}

fn outcomes(told: &mut Told<'_>) -> Vec<RecordOutcome> {
    (0..told.below(10)).map(|_| outcome(told)).collect()
}

fn outcome(told: &mut Told<'_>) -> RecordOutcome {
    match told.byte() % 8 {
        0..=3 => RecordOutcome::Stored { shard_id: shard_id(told), sequence_number: sequence_number(told) },
        4..=6 => RecordOutcome::Failed(service_error(told)),
        _ => RecordOutcome::Unknown,
    }
}

fn shard_id(told: &mut Told<'_>) -> ShardId {
    let name = match told.byte() % 4 {
        // Those of the map that a model begins with.
        0..=2 => format!("shardId-{:012}", told.below(3)),
        _ => told.text(),
    };
    let shard_id = ShardId::new(&name);
    assert_eq!(shard_id.to_string(), name, "a shard keeps its name");
    assert_eq!(shard_id, ShardId::new(&shard_id.to_string()));
    shard_id
}

fn sequence_number(told: &mut Told<'_>) -> SequenceNumber {
    let text = match told.byte() % 4 {
        // Up to 195 digits.
        0 => told.number(16).to_string().repeat(told.below(6)),
        1 => format!("495{:053}", told.number(16)),
        2 => told.number(8).to_string(),
        _ => told.text(),
    };
    let number = SequenceNumber::new(&text);
    assert_eq!(number.to_string(), text, "a sequence number keeps its text");
    if let Ok(value) = text.parse::<u128>()
        && value.to_string() == text
        && let Some(next) = value.checked_add(1)
    {
        assert!(number < SequenceNumber::new(&next.to_string()), "numbers order by value");
    }
    number
}

fn service_error(told: &mut Told<'_>) -> ServiceError {
    let code = match told.below(CODES.len() + 1) {
        0 => told.text(),
        known => CODES[known - 1].to_owned(),
    };
    let error = ServiceError::new(&code, if told.flag() { "a reason" } else { "" });
    assert!(code.contains(error.code().as_str()), "a code is a part of its text");
    assert_eq!(
        error.code(),
        &ErrorCode::new(error.code().as_str()),
        "a code that was read is read the same again"
    );
    error
}

const CODES: [&str; 10] = [
    "ProvisionedThroughputExceededException",
    "InternalFailure",
    "KMSDisabledException",
    "KMSThrottlingException",
    "ValidationException",
    "ExpiredTokenException",
    "AccessDeniedException",
    "com.amazonaws.kinesis.v20131202#ProvisionedThroughputExceededException:http://internal.amazon.com/coral/",
    "ServiceUnavailable",
    "",
];

/// So that one input takes milliseconds.
const OPS_MAX: usize = 100;
