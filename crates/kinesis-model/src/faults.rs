//! Faults inside the service.

use crate::refusal::Refusal;
use crate::rng::Rng;

/// Faults inside the service, in cases out of a million.
///
/// A fault stores nothing and draws on no limit of a shard, unless a field says otherwise. The causes of one kind
/// exclude each other, so those of entries should add up to a million at most, and so should those of calls; what is
/// above never happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceFaults {
    /// Entries that fail with `InternalFailure`.
    pub internal_failure: u32,
    /// Entries that are throttled though their shard has room.
    pub throttle: u32,
    /// Entries that fail with a code in no list.
    pub unknown_code: u32,
    /// Entries that fail with `KMSDisabledException`, which says nothing about them (S-16, S-42).
    pub kms: u32,
    /// Entries that fail with `KMSThrottlingException`.
    pub kms_throttle: u32,
    /// Of the entries that fail with `InternalFailure` or a code in no list: those that are stored all the same, if the
    /// limits of their shard admit them (S-49, one of the possibilities).
    pub failures_stored: u32,
    /// Calls that fail with `InternalFailure` and status 500.
    pub calls_internal_failure: u32,
    /// Calls that fail with `ServiceUnavailable` and status 503.
    pub calls_unavailable: u32,
    /// Of the calls that fail with status 500 or 503: those that are carried out all the same (S-46).
    pub calls_failed_stored: u32,
    /// Of the entries in such a call: those that are carried out. The default, 0, counts as all.
    pub calls_failed_stored_part: u32,
    /// Calls that are throttled as a whole.
    pub calls_throttled: u32,
    /// Calls whose credentials have expired.
    pub calls_expired_token: u32,
    /// Calls that are not permitted, which says nothing about their entries (S-42).
    pub calls_access_denied: u32,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallFault {
    /// Nothing is stored.
    Refused(Refusal),
    /// So many of a million entries are carried out, and the caller does not learn of it.
    StoredBehind { refusal: Refusal, entries_stored: u32 },
}

/// How an entry fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryFault {
    /// It is not stored.
    Failed(&'static str),
    /// It is stored, if the limits of its shard admit it.
    StoredBehind(&'static str),
}

impl ServiceFaults {
    /// How this call fails, if it does.
    pub(crate) fn of_call(&self, rng: &mut Rng) -> Option<CallFault> {
        let refusal = draw(
            rng,
            [
                (self.calls_internal_failure, Refusal::InternalFailure),
                (self.calls_unavailable, Refusal::ServiceUnavailable),
                (self.calls_throttled, Refusal::LimitExceeded),
                (self.calls_expired_token, Refusal::ExpiredToken),
                (self.calls_access_denied, Refusal::AccessDenied),
            ],
        )?;
        let is_failure = matches!(refusal, Refusal::InternalFailure | Refusal::ServiceUnavailable);
        Some(if is_failure && rng.happens(self.calls_failed_stored) {
            let entries_stored = match self.calls_failed_stored_part {
                0 => MILLION,
                part => part,
            };
            CallFault::StoredBehind { refusal, entries_stored }
        } else {
            CallFault::Refused(refusal)
        })
    }

    /// Whether no entry can fail.
    pub(crate) fn spare_entries(&self) -> bool {
        self.internal_failure == 0
            && self.throttle == 0
            && self.unknown_code == 0
            && self.kms == 0
            && self.kms_throttle == 0
    }

    /// How this entry fails, if it does.
    pub(crate) fn of_entry(&self, rng: &mut Rng) -> Option<EntryFault> {
        let code = draw(
            rng,
            [
                (self.internal_failure, INTERNAL_FAILURE),
                (self.throttle, THROUGHPUT_EXCEEDED),
                (self.unknown_code, UNLISTED),
                (self.kms, KEY_DISABLED),
                (self.kms_throttle, "KMSThrottlingException"),
            ],
        )?;
        let leaves_doubt = code == INTERNAL_FAILURE || code == UNLISTED;
        Some(if leaves_doubt && rng.happens(self.failures_stored) {
            EntryFault::StoredBehind(code)
        } else {
            EntryFault::Failed(code)
        })
    }
}

/// Why no call can store anything, though each keeps the service's rules (S-42, S-45 to S-47).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccountFault {
    /// The stream was deleted.
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
    pub(crate) fn refusal(self) -> Option<Refusal> {
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

/// One of these causes, each in so many of a million cases, or none. Draws one number, or no number if no cause can
/// strike.
fn draw<T: Copy, const N: usize>(rng: &mut Rng, causes: [(u32, T); N]) -> Option<T> {
    if causes.iter().all(|&(in_a_million, _)| in_a_million == 0) {
        return None;
    }
    let mut drawn = rng.below(u64::from(MILLION));
    for (in_a_million, cause) in causes {
        if drawn < u64::from(in_a_million) {
            return Some(cause);
        }
        drawn -= u64::from(in_a_million);
    }
    None
}

const MILLION: u32 = 1_000_000;
pub(crate) const THROUGHPUT_EXCEEDED: &str = "ProvisionedThroughputExceededException";
pub(crate) const KEY_DISABLED: &str = "KMSDisabledException";
const INTERNAL_FAILURE: &str = "InternalFailure";
const UNLISTED: &str = "SomethingNewException";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_strikes_as_often_as_it_says() {
        let faults = ServiceFaults {
            internal_failure: 100_000,
            throttle: 300_000,
            failures_stored: 500_000,
            ..ServiceFaults::default()
        };
        let mut rng = Rng::new(11);
        let drawn: Vec<_> = (0..100_000).filter_map(|_| faults.of_entry(&mut rng)).collect();
        let count = |fault| drawn.iter().filter(|&&drawn| drawn == fault).count();
        let stored = count(EntryFault::StoredBehind(INTERNAL_FAILURE));
        let failed = count(EntryFault::Failed(INTERNAL_FAILURE));
        let throttled = count(EntryFault::Failed(THROUGHPUT_EXCEEDED));
        assert!((9_500..=10_500).contains(&(stored + failed)), "a tenth of 100,000");
        assert!((4_500..=5_500).contains(&stored), "half of them: S-49");
        assert!((29_000..=31_000).contains(&throttled), "three tenths of 100,000");
        assert_eq!(drawn.len(), stored + failed + throttled);
    }

    // S-46
    #[test]
    fn only_a_call_that_fails_with_a_5xx_can_be_carried_out() {
        let faults = ServiceFaults {
            calls_unavailable: 200_000,
            calls_throttled: 200_000,
            calls_access_denied: 200_000,
            calls_failed_stored: MILLION,
            ..ServiceFaults::default()
        };
        let mut rng = Rng::new(3);
        let drawn: Vec<_> = (0..1_000).filter_map(|_| faults.of_call(&mut rng)).collect();
        for fault in drawn {
            let refusal = match fault {
                CallFault::Refused(refusal) | CallFault::StoredBehind { refusal, .. } => refusal,
            };
            let is_stored = matches!(fault, CallFault::StoredBehind { entries_stored: MILLION, .. });
            assert_eq!(is_stored, refusal == Refusal::ServiceUnavailable, "{fault:?}");
        }
    }

    #[test]
    fn without_faults_no_number_is_drawn() {
        let mut rng = Rng::new(5);
        let before = rng.clone().next();
        let faults = ServiceFaults { failures_stored: 1, calls_failed_stored: 1, ..ServiceFaults::default() };
        assert!(faults.of_entry(&mut rng).is_none() && faults.of_call(&mut rng).is_none());
        assert!(faults.spare_entries());
        assert_eq!(rng.next(), before, "the options of faults that never strike do not move a run");
    }
}
