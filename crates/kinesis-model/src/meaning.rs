//! What an answer says of the records that it answers.
//!
//! The table "Errors" of `docs/SERVICE.md` as code, with its first matching row deciding.

/// What an error answer says of the records of a request, or of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meaning {
    /// Why the request or the entry failed.
    pub cause: Cause,
    /// Whether records can be stored all the same.
    pub stored: Stored,
}

/// Why a request or one of its entries failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Too much at once (S-40).
    Throttled,
    /// The service, or something between, failed (S-45, S-46). It can heal by itself.
    Failure,
    /// The signature, its time or the credentials (S-41).
    Credentials,
    /// The stream, a permission, an encryption key or the host (S-42, S-45, S-47).
    Account,
    /// The request as a whole is too large (S-38).
    TooLarge,
    /// Something in the request is invalid, perhaps one record of many (S-43).
    Rejected,
}

/// Whether records of a request that failed can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stored {
    /// None is.
    No,
    /// Some, all or none can be.
    Unknown,
}

impl Meaning {
    /// Whether the error can be the fault of a record. A record must not fail for an error that cannot.
    #[must_use]
    pub fn is_about_records(self) -> bool {
        matches!(self.cause, Cause::Rejected | Cause::TooLarge)
    }

    /// Whether nothing can be written until an operator, new credentials or a corrected clock heals it.
    #[must_use]
    pub fn is_about_the_account(self) -> bool {
        matches!(self.cause, Cause::Credentials | Cause::Account)
    }

    /// Whether a record that is sent again after this error can be stored twice.
    #[must_use]
    pub fn leaves_doubt(self) -> bool {
        self.stored == Stored::Unknown
    }
}

/// What the refusal of a whole request with this HTTP status and error code means.
///
/// ```
/// use kinesis_model::{Cause, Stored, meaning};
///
/// let unavailable = meaning(503, "ServiceUnavailable");
/// assert_eq!((unavailable.cause, unavailable.stored), (Cause::Failure, Stored::Unknown));
/// assert!(meaning(400, "ValidationException").is_about_records());
/// ```
#[must_use]
pub fn meaning(status: u16, code: &str) -> Meaning {
    // S-46: whatever the code says, the write can have happened before.
    if status >= 500 {
        return Meaning { cause: Cause::Failure, stored: Stored::Unknown };
    }
    let known = cause_of(code);
    let cause = match status {
        413 => Cause::TooLarge,
        300..=399 => Cause::Account,
        // S-44: below 500, a code that is known decides before the status.
        _ => match (known, status) {
            (Some(cause), _) => cause,
            (None, 429) => Cause::Throttled,
            (None, 401 | 403 | 404 | 407) => Cause::Account,
            (None, _) => Cause::Failure,
        },
    };
    let timed_out = status == 408 && known.is_none();
    Meaning { cause, stored: if timed_out { Stored::Unknown } else { Stored::No } }
}

/// What the error code of one entry means, in a reply with status 200.
///
/// After a failure of the service the entry can be stored or not (S-49); any other error stores nothing (S-15).
#[must_use]
pub fn entry_meaning(code: &str) -> Meaning {
    let cause = cause_of(code).unwrap_or(Cause::Failure);
    Meaning { cause, stored: if cause == Cause::Failure { Stored::Unknown } else { Stored::No } }
}

/// What a request means that got no answer after it was sent: a time-out, a reset connection, an unreadable reply
/// (S-23).
pub const NO_ANSWER: Meaning = Meaning { cause: Cause::Failure, stored: Stored::Unknown };

/// What a request means that was never sent.
pub const NOT_SENT: Meaning = Meaning { cause: Cause::Failure, stored: Stored::No };

/// The cause that a code names; `None` for a code in no list.
fn cause_of(code: &str) -> Option<Cause> {
    // S-33
    let code = code.rsplit('#').next().unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default();
    LISTS.iter().find(|(codes, _)| codes.contains(&code)).map(|&(_, cause)| cause)
}

const LISTS: [(&[&str], Cause); 5] = [
    (&THROTTLING, Cause::Throttled),
    (&CREDENTIALS, Cause::Credentials),
    (&ACCOUNT, Cause::Account),
    (&REJECTED, Cause::Rejected),
    (&FAILURE, Cause::Failure),
];

/// S-40
const THROTTLING: [&str; 13] = [
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "KMSThrottlingException",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "SlowDown",
];

/// S-41
const CREDENTIALS: [&str; 14] = [
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
];

/// S-42
const ACCOUNT: [&str; 15] = [
    "AccessDenied",
    "AccessDeniedException",
    "NotAuthorized",
    "OptInRequired",
    "SubscriptionRequired",
    "SubscriptionRequiredException",
    "ResourceNotFoundException",
    "ResourceInUseException",
    "UnknownOperationException",
    "InvalidAction",
    "KMSAccessDeniedException",
    "KMSDisabledException",
    "KMSInvalidStateException",
    "KMSNotFoundException",
    "KMSOptInRequired",
];

/// S-43
const REJECTED: [&str; 4] =
    ["ValidationException", "ValidationError", "InvalidArgumentException", "SerializationException"];

/// S-46: the service's own failures. The lists of S-40 to S-43 do not have them.
const FAILURE: [&str; 6] = [
    "InternalFailure",
    "InternalFailureException",
    "InternalServerError",
    "InternalServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, code: &str) -> (Cause, bool) {
        let meaning = meaning(status, code);
        (meaning.cause, meaning.leaves_doubt())
    }

    /// The codes in the row of a fact.
    fn listed(page: &str, fact: &str) -> Vec<String> {
        let row =
            page.lines().find(|line| line.starts_with(&format!("| {fact} |"))).expect("the page has it");
        let what = row.split('|').nth(2).expect("a row has cells");
        what.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    // S-40 to S-43
    #[test]
    fn the_lists_are_those_of_the_page() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/SERVICE.md");
        let page = std::fs::read_to_string(path).expect("the repository has the page");
        for (fact, (codes, _)) in ["S-40", "S-41", "S-42", "S-43"].into_iter().zip(LISTS) {
            let (mut ours, mut theirs) = (codes.to_vec(), listed(&page, fact));
            ours.sort_unstable();
            theirs.sort_unstable();
            assert_eq!(ours, theirs, "{fact}");
        }
    }

    // S-38, S-44 to S-47: the rows of the table in their order
    #[test]
    fn the_first_row_that_matches_decides() {
        for code in ["", "SlowDown", "ServiceUnavailable", "ValidationException", "SomethingNewException"] {
            assert_eq!(of(500, code), (Cause::Failure, true), "{code}");
            assert_eq!(of(503, code), (Cause::Failure, true), "{code}");
            assert_eq!(of(413, code), (Cause::TooLarge, false), "{code}");
            assert_eq!(of(307, code), (Cause::Account, false), "{code}");
        }
        for (codes, cause) in LISTS {
            for (status, code) in [200, 400, 401, 403, 404, 408, 429].into_iter().zip(codes.iter().cycle()) {
                assert_eq!(of(status, code), (cause, false), "{status} {code}: a known code decides");
            }
        }
        for code in ["", "SomethingNewException"] {
            assert_eq!(of(429, code), (Cause::Throttled, false));
            assert_eq!(of(408, code), (Cause::Failure, true));
            for status in [401, 403, 404, 407] {
                assert_eq!(of(status, code), (Cause::Account, false), "{status}");
            }
            assert_eq!(of(400, code), (Cause::Failure, false));
        }
    }

    // S-15, S-16, S-49
    #[test]
    fn an_entry_is_in_doubt_only_after_a_failure_of_the_service() {
        for code in ["InternalFailure", "ServiceUnavailable", "SomethingNewException", ""] {
            assert_eq!(entry_meaning(code), NO_ANSWER, "{code}");
        }
        let codes =
            ["ProvisionedThroughputExceededException", "KMSDisabledException", "KMSThrottlingException"];
        assert!(codes.into_iter().all(|code| !entry_meaning(code).leaves_doubt()));
    }

    // S-41, S-42
    #[test]
    fn only_a_rejection_or_a_size_can_be_the_fault_of_a_record() {
        for (codes, cause) in LISTS {
            for code in codes {
                let meaning = meaning(400, code);
                assert_eq!(meaning.is_about_records(), cause == Cause::Rejected, "{code}");
                assert_eq!(
                    meaning.is_about_the_account(),
                    matches!(cause, Cause::Account | Cause::Credentials),
                    "{code}"
                );
            }
        }
        assert!(meaning(413, "").is_about_records());
    }

    // S-33
    #[test]
    fn a_namespace_and_a_url_around_a_code_are_dropped() {
        for code in ["com.amazonaws.kinesis#AccessDenied", "AccessDenied:http://x", "a#AccessDenied:b"] {
            assert_eq!(of(400, code), (Cause::Account, false));
        }
    }
}
