//! Faults drawn at random, the same for the same seed.

use std::time::Duration;

use super::{Entries, EntryError, Fault, Operation, Rejection};

/// How often each fault strikes, in thousandths.
///
/// Those of calls exclude each other, so they may add up to 1,000 at most; entries of calls that none of them strikes
/// are drawn one by one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mix {
    /// Of entries: `ProvisionedThroughputExceededException`.
    pub entries_throttled: u16,
    /// Of entries: `InternalFailure`.
    pub entries_failed: u16,
    /// Of PutRecords calls: [`Rejection::throughput_exceeded`].
    pub calls_throttled: u16,
    /// Of PutRecords calls: [`Rejection::internal_failure`].
    pub internal_failures: u16,
    /// Of PutRecords calls: [`Rejection::service_unavailable`].
    pub services_unavailable: u16,
    /// Of PutRecords calls: [`Fault::ResetBeforeStoring`].
    pub resets_before_storing: u16,
    /// Of PutRecords calls: [`Fault::ResetAfterStoring`].
    pub resets_after_storing: u16,
    /// Of PutRecords calls: [`Fault::CutOffReply`].
    pub cut_off_replies: u16,
    /// Of PutRecords calls: [`Fault::EmptyReply`].
    pub empty_replies: u16,
    /// Of PutRecords calls: [`Fault::FewerEntries`], one less.
    pub short_replies: u16,
    /// Of PutRecords calls: [`Fault::BlankEntries`], every third.
    pub blank_replies: u16,
    /// Of PutRecords calls: [`Fault::SlowReply`], up to [`slow_max`](Self::slow_max).
    pub slow_replies: u16,
    /// The longest slow reply.
    pub slow_max: Duration,
    /// Of ListShards and DescribeStreamSummary calls: throttled, failed or reset, a third each.
    pub metadata_failures: u16,
}

impl Mix {
    /// A bit of everything: a fifth of the calls and a tenth of the entries suffer.
    #[must_use]
    pub fn stormy() -> Self {
        Self {
            entries_throttled: 80,
            entries_failed: 20,
            calls_throttled: 20,
            internal_failures: 20,
            services_unavailable: 20,
            resets_before_storing: 20,
            resets_after_storing: 20,
            cut_off_replies: 20,
            empty_replies: 20,
            short_replies: 20,
            blank_replies: 20,
            slow_replies: 20,
            slow_max: Duration::from_millis(50),
            metadata_failures: 200,
        }
    }

    fn of_calls(&self) -> [u16; 10] {
        [
            self.calls_throttled,
            self.internal_failures,
            self.services_unavailable,
            self.resets_before_storing,
            self.resets_after_storing,
            self.cut_off_replies,
            self.empty_replies,
            self.short_replies,
            self.blank_replies,
            self.slow_replies,
        ]
    }
}

/// A mix at work.
#[derive(Debug)]
pub(crate) struct Swarm {
    mix: Mix,
    state: u64,
}

impl Swarm {
    /// # Panics
    /// When the faults of calls or of entries add up to more than 1,000.
    pub(crate) fn new(seed: u64, mix: Mix) -> Self {
        let calls: u32 = mix.of_calls().into_iter().map(u32::from).sum();
        assert!(calls <= 1_000, "the faults of calls add up to {calls} thousandths");
        let entries = u32::from(mix.entries_throttled) + u32::from(mix.entries_failed);
        assert!(entries <= 1_000, "the faults of entries add up to {entries} thousandths");
        Self { mix, state: seed }
    }

    pub(crate) fn draw(&mut self, operation: Operation, entries: usize) -> Fault {
        if operation != Operation::PutRecords {
            return self.draw_for_metadata();
        }
        let mut thousandth = self.thousandth();
        for (fault, probability) in self.mix.of_calls().into_iter().enumerate() {
            if thousandth < probability {
                return self.call_fault(fault);
            }
            thousandth -= probability;
        }
        self.draw_for_entries(entries)
    }

    /// In the order of [`Mix::of_calls`].
    fn call_fault(&mut self, fault: usize) -> Fault {
        match fault {
            0 => Fault::Reject(Rejection::throughput_exceeded()),
            1 => Fault::Reject(Rejection::internal_failure()),
            2 => Fault::Reject(Rejection::service_unavailable()),
            3 => Fault::ResetBeforeStoring,
            4 => Fault::ResetAfterStoring,
            5 => Fault::CutOffReply,
            6 => Fault::EmptyReply,
            7 => Fault::FewerEntries(1),
            8 => Fault::BlankEntries(Entries::EveryNth(3)),
            _ => Fault::SlowReply(self.mix.slow_max * u32::from(self.thousandth()) / 1_000),
        }
    }

    fn draw_for_entries(&mut self, entries: usize) -> Fault {
        let (mut throttled, mut failed) = (Vec::new(), Vec::new());
        if self.mix.entries_throttled + self.mix.entries_failed > 0 {
            for position in 0..entries {
                let thousandth = self.thousandth();
                if thousandth < self.mix.entries_throttled {
                    throttled.push(position);
                } else if thousandth < self.mix.entries_throttled + self.mix.entries_failed {
                    failed.push(position);
                }
            }
        }
        if throttled.is_empty() && failed.is_empty() {
            return Fault::None;
        }
        Fault::FailEachOf(vec![
            (Entries::At(throttled), EntryError::throttled()),
            (Entries::At(failed), EntryError::internal_failure()),
        ])
    }

    fn draw_for_metadata(&mut self) -> Fault {
        if self.thousandth() >= self.mix.metadata_failures {
            return Fault::None;
        }
        match self.next() % 3 {
            0 => Fault::Reject(Rejection::limit_exceeded()),
            1 => Fault::Reject(Rejection::internal_failure()),
            _ => Fault::ResetBeforeStoring,
        }
    }

    fn thousandth(&mut self) -> u16 {
        // The bias of the remainder is 2^-54: nothing here is that fine.
        (self.next() % 1_000) as u16
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014): any seed will do.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(seed: u64) -> Vec<Fault> {
        let mut swarm = Swarm::new(seed, Mix::stormy());
        (0..2_000).map(|_| swarm.draw(Operation::PutRecords, 10)).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_faults() {
        assert_eq!(draws(7), draws(7), "one seed, one sequence");
        assert_ne!(draws(7), draws(8), "another seed, another sequence");
    }

    #[test]
    fn faults_strike_as_often_as_the_mix_says() {
        let drawn = draws(42);
        let count = |wanted: &Fault| drawn.iter().filter(|fault| *fault == wanted).count();
        for fault in
            [Fault::ResetBeforeStoring, Fault::ResetAfterStoring, Fault::CutOffReply, Fault::EmptyReply]
        {
            let times = count(&fault);
            assert!(
                (20..=60).contains(&times),
                "{fault:?} struck {times} times of 2,000 instead of about 40"
            );
        }
        let partly = drawn.iter().filter(|fault| matches!(fault, Fault::FailEachOf(_))).count();
        // 0.8 of the calls are spared and 1 - 0.9^10 of those have an entry that fails.
        assert!((950..=1_150).contains(&partly), "{partly} partial failures instead of about 1,042");
    }

    #[test]
    #[should_panic(expected = "add up to 1200 thousandths")]
    fn more_faults_than_calls_are_refused() {
        Swarm::new(0, Mix { calls_throttled: 600, slow_replies: 600, ..Mix::default() });
    }
}
