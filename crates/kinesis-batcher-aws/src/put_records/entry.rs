//! What an entry of a reply says of its record.

use kinesis_batcher_driver::{RecordOutcome, ServiceError};

/// What an entry of a reply says, with the fields that are there and not null.
///
/// `FailedRecordCount` is not looked at: it has been seen to disagree with the entries.
pub(super) struct Entry<S> {
    pub(super) shard_id: Option<S>,
    pub(super) sequence_number: Option<S>,
    pub(super) error_code: Option<S>,
    pub(super) error_message: Option<S>,
}

impl<S: AsRef<str>> Entry<S> {
    pub(super) fn outcome(&self, errors: &mut Errors<'_>) -> RecordOutcome {
        if let Some(code) = text(&self.error_code).filter(|code| !code.is_empty()) {
            return RecordOutcome::Failed(errors.shared(code, text(&self.error_message).unwrap_or_default()));
        }
        match (text(&self.shard_id), text(&self.sequence_number)) {
            (Some(shard_id), Some(sequence_number)) => {
                RecordOutcome::Stored { shard_id: shard_id.into(), sequence_number: sequence_number.into() }
            }
            _ => RecordOutcome::Unknown,
        }
    }
}

fn text<S: AsRef<str>>(field: &Option<S>) -> Option<&str> {
    field.as_ref().map(AsRef::as_ref)
}

/// The errors of one reply. Neighbours in it fail for the same reason and then share their error.
#[derive(Default)]
pub(super) struct Errors<'a> {
    /// Of the reply.
    request_id: Option<&'a str>,
    last: Option<ServiceError>,
}

impl<'a> Errors<'a> {
    pub(super) fn of_request(request_id: Option<&'a str>) -> Self {
        Self { request_id, last: None }
    }

    fn shared(&mut self, code: &str, message: &str) -> ServiceError {
        match &self.last {
            Some(error) if error.code().as_str() == code && error.message() == message => error.clone(),
            _ => {
                let error = ServiceError::new(code, message);
                let error = match self.request_id {
                    Some(id) => error.with_request_id(id),
                    None => error,
                };
                self.last.insert(error).clone()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_batcher_driver::ErrorClass;

    fn entry<'a>(
        shard_id: Option<&'a str>,
        sequence_number: Option<&'a str>,
        error: Option<(&'a str, &'a str)>,
    ) -> Entry<&'a str> {
        let (error_code, error_message) = error.unzip();
        Entry { shard_id, sequence_number, error_code, error_message }
    }

    #[test]
    fn each_entry_speaks_for_itself() {
        let mut errors = Errors::of_request(Some("4711"));
        let throttled = Some(("ProvisionedThroughputExceededException", "Rate exceeded"));
        let outcomes = [
            entry(Some("shardId-000000000001"), Some("17"), None),
            entry(None, None, throttled),
            entry(Some("shardId-000000000001"), Some("17"), throttled),
            entry(None, None, None),
            entry(Some("shardId-000000000001"), None, None),
            entry(None, None, Some(("", "no code is no error"))),
        ]
        .map(|entry| entry.outcome(&mut errors));
        assert!(matches!(&outcomes[0], RecordOutcome::Stored { shard_id, .. }
            if shard_id.to_string() == "shardId-000000000001"));
        let RecordOutcome::Failed(error) = &outcomes[1] else { panic!("it has an error code") };
        assert_eq!(error.code().class(), ErrorClass::Throttled);
        assert_eq!(error.request_id(), Some("4711"));
        assert_eq!(outcomes[1], outcomes[2], "an error code counts, whatever stands beside it");
        assert!(outcomes[3..].iter().all(|outcome| *outcome == RecordOutcome::Unknown), "{outcomes:?}");
    }
}
