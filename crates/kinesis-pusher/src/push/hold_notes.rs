//! What the user reads about a stream that cannot be written to.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_kinesis::primitives::{DateTime, DateTimeFormat};
use kinesis_batcher_core::{ErrorClass, ErrorCode, ServiceError};
use tokio::time::Instant;

/// Says once why the stream cannot be written to, and once that it can again.
#[derive(Debug, Default)]
pub(super) struct HoldNotes {
    hold: Option<Hold>,
}

#[derive(Debug)]
struct Hold {
    began: Instant,
    began_at: SystemTime,
    /// Records that were delivered until then.
    delivered_before: u64,
    /// The code that was named last, and when.
    noted: Option<(ErrorCode, Instant)>,
}

impl HoldNotes {
    /// Takes in the error of the last request while the stream cannot be written to, and the records that were delivered
    /// so far, and returns the line to write.
    pub(super) fn update(
        &mut self,
        now: Instant,
        error: Option<&ServiceError>,
        delivered: u64,
    ) -> Option<String> {
        let Some(error) = error else {
            // A hold also ends when all of its records have expired, and the next record may begin it again.
            self.hold.as_ref().filter(|hold| hold.delivered_before < delivered)?;
            let hold = self.hold.take().filter(|hold| hold.noted.is_some())?;
            let seconds = now.duration_since(hold.began).as_secs_f64();
            return Some(format!("the stream can be written to again, after {seconds:.1} s"));
        };
        let hold = self.hold.get_or_insert_with(|| Hold {
            began: now,
            began_at: SystemTime::now(),
            delivered_before: delivered,
            noted: None,
        });
        let is_due = match &hold.noted {
            None => now >= hold.began + patience(error),
            Some((code, at)) => code != error.code() && now >= *at + NOTES_INTERVAL,
        };
        if !is_due {
            return None;
        }
        hold.noted = Some((error.code().clone(), now));
        let (cause, advice) = (cause(error), advice(error.code().as_str()));
        Some(format!(
            "warning: the stream cannot be written to since {}: {cause}; {advice}; what was read is held and reading waits, \
             until it can be written to again",
            write_time(hold.began_at)
        ))
    }
}

/// How long a hold lasts before it is worth a line: most new credentials arrive within one request.
fn patience(error: &ServiceError) -> Duration {
    let code = error.code();
    if code.class() == ErrorClass::Credentials || code.as_str() == NO_CREDENTIALS {
        CREDENTIALS_PATIENCE
    } else {
        Duration::ZERO
    }
}

/// Code, message and request id. The message of a wrong signature goes on with headers of the request, line by line.
fn cause(error: &ServiceError) -> String {
    let mut cause = match error.code().as_str() {
        "" => "an answer that is not of Kinesis".to_owned(),
        code => code.to_owned(),
    };
    let message: String = error
        .message()
        .trim_start()
        .chars()
        .take_while(|character| !character.is_control())
        .take(MESSAGE_CHARACTERS_MAX)
        .collect();
    let message = message.trim_end().trim_end_matches('.');
    if !message.is_empty() {
        cause.push_str(": ");
        cause.push_str(message);
    }
    if let Some(request_id) = error.request_id() {
        cause.push_str(&format!(" (request id {request_id})"));
    }
    cause
}

/// What to do about it.
fn advice(code: &str) -> &'static str {
    match code {
        "ResourceNotFoundException" => "create the stream again, or check --stream, --region and the account",
        "ResourceInUseException" => "wait until the stream is active",
        "AccessDeniedException" | "AccessDenied" | "NotAuthorized" => {
            "allow these credentials kinesis:PutRecords on the stream"
        }
        "OptInRequired" | "SubscriptionRequired" | "SubscriptionRequiredException" => {
            "check that the account may use Kinesis in this region"
        }
        "InvalidSignatureException" | "RequestExpired" | "RequestTimeTooSkewed" => {
            "check this machine's clock and the secret access key"
        }
        "SignatureDoesNotMatch" | "IncompleteSignature" | "IncompleteSignatureException" | "AuthFailure" => {
            "check the secret access key"
        }
        "ExpiredTokenException"
        | "ExpiredToken"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | NO_CREDENTIALS => "renew the credentials (aws configure, aws sso login)",
        code if code.starts_with("KMS") => {
            "check the stream's KMS key, and allow these credentials kms:GenerateDataKey"
        }
        _ => "check the endpoint, and proxies on the way to it",
    }
}

fn write_time(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    let time = DateTime::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    time.fmt(DateTimeFormat::DateTime).unwrap_or_else(|_| format!("second {seconds}"))
}

const NO_CREDENTIALS: &str = "NoCredentials";

const CREDENTIALS_PATIENCE: Duration = Duration::from_secs(1);

/// Between two causes of one hold.
const NOTES_INTERVAL: Duration = Duration::from_secs(10);

const MESSAGE_CHARACTERS_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    fn denied() -> ServiceError {
        ServiceError::new("AccessDeniedException", "User: me is not authorized.").with_request_id("d1e2")
    }

    #[test]
    fn a_hold_is_one_line_with_cause_and_advice_and_its_end_another() {
        let (mut notes, start) = (HoldNotes::default(), Instant::now());
        assert_eq!(notes.update(start, None, 5), None);
        let line = notes.update(start, Some(&denied()), 5).unwrap();
        let cause = ": AccessDeniedException: User: me is not authorized (request id d1e2); allow these credentials \
                     kinesis:PutRecords on the stream; ";
        assert!(line.starts_with("warning: the stream cannot be written to since 2"), "{line}");
        assert!(line.contains(cause), "{line}");
        for second in 1..100 {
            assert_eq!(notes.update(start + Duration::from_secs(second), Some(&denied()), 5), None);
        }
        let end = notes.update(start + Duration::from_millis(100_500), None, 6);
        assert_eq!(end.as_deref(), Some("the stream can be written to again, after 100.5 s"));
        assert_eq!(notes.update(start + Duration::from_secs(101), None, 6), None);
    }

    #[test]
    fn credentials_that_are_renewed_within_a_second_are_no_news() {
        let (mut notes, start) = (HoldNotes::default(), Instant::now());
        let expired = ServiceError::from_code("ExpiredTokenException");
        assert_eq!(notes.update(start, Some(&expired), 5), None);
        assert_eq!(notes.update(start + Duration::from_millis(900), None, 6), None);
        assert_eq!(notes.update(start + Duration::from_secs(2), Some(&expired), 6), None);
        assert!(notes.update(start + Duration::from_secs(3), Some(&expired), 6).unwrap().contains("renew"));
    }

    #[test]
    fn a_hold_that_ends_without_a_delivery_is_the_same_when_it_begins_again() {
        let (mut notes, start) = (HoldNotes::default(), Instant::now());
        assert!(notes.update(start, Some(&denied()), 5).is_some());
        assert_eq!(notes.update(start + Duration::from_secs(1), None, 5), None, "all records have expired");
        assert_eq!(notes.update(start + Duration::from_secs(2), Some(&denied()), 5), None);
        let end = notes.update(start + Duration::from_secs(3), None, 6);
        assert_eq!(end.as_deref(), Some("the stream can be written to again, after 3.0 s"));
    }

    #[test]
    fn another_cause_is_named_but_not_every_change_between_two() {
        let (mut notes, start) = (HoldNotes::default(), Instant::now());
        let missing = ServiceError::from_code("ResourceNotFoundException");
        assert!(notes.update(start, Some(&denied()), 5).is_some());
        assert_eq!(notes.update(start + Duration::from_secs(9), Some(&missing), 5), None);
        assert!(notes.update(start + Duration::from_secs(10), Some(&missing), 5).is_some());
        assert_eq!(notes.update(start + Duration::from_secs(11), Some(&denied()), 5), None);
    }

    #[test]
    fn a_message_that_goes_on_with_headers_is_cut_at_its_first_line() {
        let message = "The signature does not match.\n\nx-amz-security-token:SECRET";
        let cause = cause(&ServiceError::new("SignatureDoesNotMatch", message));
        assert_eq!(cause, "SignatureDoesNotMatch: The signature does not match");
    }
}
