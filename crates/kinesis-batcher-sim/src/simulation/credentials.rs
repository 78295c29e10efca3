//! A producer's credentials and its idea of the service's time.

use std::time::Duration;

use kinesis_batcher_core::Timestamp;

use crate::service::Refusal;

/// What a transport does about a clock that is wrong and keys that were rotated: after a refusal it signs correctly,
/// at once or when the new keys are loaded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credentials {
    /// Calls that were sent earlier are refused.
    valid_from: Timestamp,
    refusal: Refusal,
    /// From the refusal to a correct signature.
    heals_in: Duration,
}

impl Credentials {
    pub(super) fn new() -> Self {
        Self { valid_from: Timestamp::ZERO, refusal: Refusal::InvalidSignature, heals_in: Duration::ZERO }
    }

    /// From this moment calls are refused so, those on their way included.
    pub(super) fn fail(&mut self, refusal: Refusal, heals_in: Duration) {
        *self = Self { valid_from: Timestamp::MAX, refusal, heals_in };
    }

    /// How the service refuses a call that was sent then, if it does.
    pub(super) fn refusal_of(&self, sent_at: Timestamp) -> Option<Refusal> {
        (sent_at < self.valid_from).then_some(self.refusal)
    }

    /// A call was refused with this code.
    pub(super) fn refused(&mut self, now: Timestamp, code: &str) {
        if self.valid_from == Timestamp::MAX && code == self.refusal.status_and_code().1 {
            self.valid_from = now.after(self.heals_in);
        }
    }
}
