//! The state of a producer that cannot write to its stream at all.

use crate::error_code::ServiceError;
use crate::time::Timestamp;

/// Why a producer holds its records instead of sending them: the stream is missing, a permission or an encryption key
/// was withdrawn, the credentials are refused, or the endpoint is not the service's.
///
/// Such an error says nothing about a record, so it fails none. The producer sends one request at a time as a probe,
/// first after 25 to 50 ms and then after waits that double up to between 1 and 2 s. The first request that is answered
/// ends the hold; a record ends only with its [time to live](crate::ConfigBuilder::time_to_live). A hold also ends when no
/// record is left, because there is none to probe with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hold {
    /// The error of the last probe.
    pub error: ServiceError,
    /// When the first request was refused.
    pub since: Timestamp,
    /// No probe is sent before this.
    pub next_probe_at: Timestamp,
}
