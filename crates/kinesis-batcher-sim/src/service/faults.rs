//! What goes wrong inside the service.

use super::Refusal;
use crate::rng::Rng;

/// What goes wrong inside the service, in cases out of a million.
///
/// Nothing that goes wrong stores anything, nor does it draw on the limits of a shard. The causes of one kind exclude
/// each other, so those of entries should add up to a million at most, and so should those of calls; what is above
/// never happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceFaults {
    /// An entry fails with `InternalFailure`.
    pub internal_failure: u32,
    /// An entry is throttled though its shard has room.
    pub throttle: u32,
    /// An entry fails with a code nobody has heard of.
    pub unknown_code: u32,
    /// An entry fails with `KMSDisabledException`, which says nothing about the entry (S-16, S-42).
    pub kms: u32,
    /// An entry fails with `KMSThrottlingException`.
    pub kms_throttle: u32,
    /// A call fails with `InternalFailure` and status 500.
    pub calls_internal_failure: u32,
    /// A call fails with `ServiceUnavailable` and status 503.
    pub calls_unavailable: u32,
    /// A call is throttled as a whole.
    pub calls_throttled: u32,
    /// A call's credentials have run out.
    pub calls_expired_token: u32,
    /// A call is not permitted, which says nothing about its entries (S-42).
    pub calls_access_denied: u32,
}

impl ServiceFaults {
    /// How this call is refused, if it is.
    pub(super) fn of_call(&self, rng: &mut Rng) -> Option<Refusal> {
        draw(
            rng,
            [
                (self.calls_internal_failure, Refusal::InternalFailure),
                (self.calls_unavailable, Refusal::ServiceUnavailable),
                (self.calls_throttled, Refusal::LimitExceeded),
                (self.calls_expired_token, Refusal::ExpiredToken),
                (self.calls_access_denied, Refusal::AccessDenied),
            ],
        )
    }

    /// Whether any entry can fail.
    pub(super) fn spare_entries(&self) -> bool {
        self.internal_failure == 0
            && self.throttle == 0
            && self.unknown_code == 0
            && self.kms == 0
            && self.kms_throttle == 0
    }

    /// The code that this entry fails with, if it does.
    pub(super) fn of_entry(&self, rng: &mut Rng) -> Option<&'static str> {
        draw(
            rng,
            [
                (self.internal_failure, INTERNAL_FAILURE),
                (self.throttle, THROUGHPUT_EXCEEDED),
                (self.unknown_code, UNHEARD_OF),
                (self.kms, KEY_DISABLED),
                (self.kms_throttle, "KMSThrottlingException"),
            ],
        )
    }
}

/// Why no call can store anything, though each is as the service wants it. Source: docs/SERVICE.md, S-42 and S-45 to
/// S-47.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccountFault {
    /// The stream is gone.
    StreamMissing,
    /// The permission was withdrawn.
    AccessDenied,
    /// The encryption key is disabled, and the service refuses the call.
    KeyDisabled,
    /// The encryption key is disabled, and the service fails each entry.
    KeyDisabledForEntries,
    /// A proxy or a wrong host redirects.
    Redirected,
    /// A proxy refuses without a code.
    Forbidden,
}

impl AccountFault {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::StreamMissing,
        Self::AccessDenied,
        Self::KeyDisabled,
        Self::KeyDisabledForEntries,
        Self::Redirected,
        Self::Forbidden,
    ];

    /// How a call is refused; `None` if each entry fails instead.
    pub(super) fn refusal(self) -> Option<Refusal> {
        match self {
            Self::StreamMissing => Some(Refusal::ResourceNotFound),
            Self::AccessDenied => Some(Refusal::AccessDenied),
            Self::KeyDisabled => Some(Refusal::KeyDisabled),
            Self::KeyDisabledForEntries => None,
            Self::Redirected => Some(Refusal::Redirected),
            Self::Forbidden => Some(Refusal::Forbidden),
        }
    }
}

/// One of these, each in so many of a million cases, or nothing. Draws one number, or none if nothing can happen.
fn draw<T: Copy, const N: usize>(rng: &mut Rng, causes: [(u32, T); N]) -> Option<T> {
    if causes.iter().all(|&(in_a_million, _)| in_a_million == 0) {
        return None;
    }
    let mut drawn = rng.below(1_000_000);
    for (in_a_million, cause) in causes {
        if drawn < u64::from(in_a_million) {
            return Some(cause);
        }
        drawn -= u64::from(in_a_million);
    }
    None
}

pub(super) const THROUGHPUT_EXCEEDED: &str = "ProvisionedThroughputExceededException";
pub(super) const KEY_DISABLED: &str = "KMSDisabledException";
const INTERNAL_FAILURE: &str = "InternalFailure";
const UNHEARD_OF: &str = "SomethingNewException";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_strikes_as_often_as_was_said() {
        let faults =
            ServiceFaults { internal_failure: 100_000, throttle: 300_000, ..ServiceFaults::default() };
        let mut rng = Rng::new(11);
        let drawn: Vec<_> = (0..100_000).filter_map(|_| faults.of_entry(&mut rng)).collect();
        let count = |code| drawn.iter().filter(|&&drawn| drawn == code).count();
        assert!((9_500..=10_500).contains(&count(INTERNAL_FAILURE)), "a tenth of 100,000");
        assert!((29_000..=31_000).contains(&count(THROUGHPUT_EXCEEDED)), "three tenths of 100,000");
        assert_eq!(drawn.len(), count(INTERNAL_FAILURE) + count(THROUGHPUT_EXCEEDED));
    }

    #[test]
    fn without_faults_nothing_is_drawn() {
        let mut rng = Rng::new(5);
        let before = rng.clone().next();
        let faults = ServiceFaults::default();
        assert!(faults.of_entry(&mut rng).is_none() && faults.of_call(&mut rng).is_none());
        assert!(faults.spare_entries());
        assert_eq!(rng.next(), before, "a run without faults is not moved by them");
    }
}
