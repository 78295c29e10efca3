//! Faults that a seed chooses.
//!
//! Each kind is left out of most runs: what goes wrong only while all else is well is found too, and what needs many
//! faults at once is found in the runs that drew them. (Groce et al., "Swarm testing", ISSTA 2012.)

use std::time::Duration;

use kinesis_model::{Distribution, Permits};

use super::{Fault, FaultKind, Faults, OutageKind};
use crate::options::Options;
use crate::service::{AccountFault, ServiceFaults};
use kinesis_model::Rng;

impl Faults {
    /// The faults of a run with this seed and these options: a [`Faults::Plan`] of them is the same run.
    #[must_use]
    pub fn resolve(&self, seed: u64, options: &Options) -> Vec<Fault> {
        match self {
            Self::None => Vec::new(),
            Self::Plan(faults) => faults.clone(),
            Self::Swarm => {
                let mut rng = Rng::new(seed).fork("faults");
                let mut swarm = Swarm {
                    rng: &mut rng,
                    duration: options.duration,
                    producers: options.producers,
                    faults: Vec::new(),
                };
                swarm.network();
                swarm.replies();
                swarm.service();
                swarm.stream(options);
                swarm.clocks();
                swarm.commands();
                swarm.processes();
                swarm.account();
                swarm.distribution(options);
                swarm.settings(options);
                swarm.faults
            }
        }
    }
}

struct Swarm<'a> {
    rng: &'a mut Rng,
    duration: Duration,
    producers: u32,
    faults: Vec<Fault>,
}

impl Swarm<'_> {
    fn network(&mut self) {
        self.perhaps(4, FaultKind::LostBeforeWrite);
        self.perhaps(4, FaultKind::LostAfterWrite);
        self.perhaps(6, FaultKind::LateArrival);
        self.perhaps(8, FaultKind::Duplicated);
        self.perhaps(10, FaultKind::ReplyStuck);
        if self.rng.one_in(5) {
            let hundredths = self.rng.magnitude(10, 10_000) as u32;
            self.for_a_while(FaultKind::Slow(hundredths));
        }
        if self.rng.one_in(3) {
            for _ in 0..self.rng.between(1, 3) {
                let kinds = [OutageKind::Refused, OutageKind::TimesOut, OutageKind::ServerError];
                let what = FaultKind::Outage(*self.rng.pick(&kinds));
                self.for_some_time(what);
            }
        }
    }

    fn replies(&mut self) {
        self.perhaps(10, FaultKind::ReplyTooShort);
        self.perhaps(10, FaultKind::ReplyTooLong);
        self.perhaps(8, FaultKind::UnknownShard);
        self.perhaps(8, FaultKind::NoVerdict);
    }

    fn service(&mut self) {
        if !self.rng.one_in(2) {
            return;
        }
        let mut faults = ServiceFaults::default();
        faults.internal_failure = self.perhaps_often(2);
        faults.throttle = self.perhaps_often(2);
        faults.unknown_code = self.perhaps_often(6);
        faults.failures_stored = self.perhaps_often(2);
        faults.kms = self.perhaps_often(8);
        faults.kms_throttle = self.perhaps_often(8);
        faults.calls_internal_failure = self.perhaps_often(4);
        faults.calls_unavailable = self.perhaps_often(6);
        if self.rng.one_in(2) {
            faults.calls_failed_stored = self.often();
            faults.calls_failed_stored_part = self.rng.below(1_000_000) as u32;
        }
        faults.calls_throttled = self.perhaps_often(6);
        faults.calls_expired_token = self.perhaps_often(8);
        faults.calls_access_denied = self.perhaps_often(20);
        self.for_a_while(FaultKind::Service(faults));
    }

    fn stream(&mut self, options: &Options) {
        if self.rng.one_in(2) {
            for _ in 0..self.rng.between(1, 4) {
                let what = match self.rng.below(5) {
                    0 | 1 => FaultKind::Split,
                    2 | 3 => FaultKind::Merge,
                    _ => FaultKind::ShardCount(self.rng.magnitude(1, 64) as u32),
                };
                self.at_some_time(what);
            }
        }
        self.perhaps(6, FaultKind::MapFails);
        self.perhaps(6, FaultKind::MapStale);
        let by_shard = options.service.distribution == Distribution::UserPartitionKey
            && options.service.permits == Permits::ListShards;
        if by_shard {
            self.perhaps(10, FaultKind::MapDenied);
        }
        if self.rng.one_in(8) {
            let by = Duration::from_millis(self.rng.magnitude(1, 5_000));
            self.for_a_while(FaultKind::MapSlow(by));
        }
    }

    fn clocks(&mut self) {
        if self.rng.one_in(5) {
            let by = Duration::from_micros(self.rng.magnitude(1, 1_000_000));
            self.for_a_while(FaultKind::TimersLate(by));
        }
        self.perhaps(5, FaultKind::Spurious);
        self.perhaps(6, FaultKind::StepBack);
        if self.rng.one_in(8) {
            let step = Duration::from_micros(self.rng.magnitude(1, 200_000));
            self.for_a_while(FaultKind::CoarseClock(step));
        }
        if self.rng.one_in(8) {
            let producer = self.any_producer();
            let by = Duration::from_micros(self.rng.magnitude(1, 5_000_000));
            self.at_some_time(FaultKind::ClockBack { producer, by });
            if self.rng.one_in(2) {
                self.at_some_time(FaultKind::ClockRight { producer });
            }
        }
        if self.rng.one_in(8) {
            let producer = self.any_producer();
            let by = Duration::from_micros(self.rng.magnitude(1, 600_000_000));
            self.at_some_time(FaultKind::ClockForward { producer, by });
            if self.rng.one_in(2) {
                self.at_some_time(FaultKind::ClockRight { producer });
            }
        }
    }

    /// Processes start late, stand still, and crash.
    fn processes(&mut self) {
        if self.rng.one_in(8) {
            self.at_some_time(FaultKind::Start);
        }
        if self.rng.one_in(6) {
            for _ in 0..self.rng.between(1, 3) {
                let producer = self.any_producer();
                self.for_some_time(FaultKind::Pause { producer });
            }
        }
        if self.rng.one_in(6) {
            for _ in 0..self.rng.between(1, 3) {
                // One that has restarted may crash again.
                let producer = self.rng.below(u64::from(self.producers) + 2) as u32;
                let wait = self.rng.below(self.duration.as_micros() as u64 / 4 + 1);
                let restarts_after = (!self.rng.one_in(4)).then_some(Duration::from_micros(wait));
                self.at_some_time(FaultKind::Crash { producer, restarts_after });
            }
        }
    }

    fn commands(&mut self) {
        if self.rng.one_in(4) {
            for _ in 0..self.rng.between(1, 5) {
                let producer = self.any_producer();
                self.at_some_time(FaultKind::Flush { producer });
            }
        }
        if self.rng.one_in(12) {
            let producer = self.any_producer();
            let what = if self.rng.one_in(2) {
                FaultKind::Close { producer }
            } else {
                FaultKind::Abort { producer }
            };
            self.at_some_time(what);
        }
    }

    /// Faults that say nothing about a record: the account, the signature, the size of the whole.
    fn account(&mut self) {
        if self.rng.one_in(6) {
            for _ in 0..self.rng.between(1, 2) {
                let what = FaultKind::Account(*self.rng.pick(&AccountFault::ALL));
                self.for_some_time(what);
            }
        }
        if self.rng.one_in(10) {
            for _ in 0..self.rng.between(1, 2) {
                self.at_some_time(FaultKind::ClockSkewed);
            }
        }
        if self.rng.one_in(10) {
            let reload = Duration::from_millis(self.rng.magnitude(1, 3_000));
            self.at_some_time(FaultKind::KeysRotated { reload });
        }
        if self.rng.one_in(10) {
            let most = self.rng.magnitude(200, 200_000) as u32;
            self.for_a_while(FaultKind::BodyTooLarge(most));
        }
    }

    /// The limit of a record and what a producer may ask change.
    fn settings(&mut self, options: &Options) {
        if self.rng.one_in(12) {
            for _ in 0..self.rng.between(1, 2) {
                let bytes = self.rng.between(1 << 20, 4 << 20) as u32;
                self.at_some_time(FaultKind::RecordBytesMax(bytes));
            }
        }
        // Refused attempts count only where rates adapt, which they do where the shards are known.
        if self.rng.one_in(12) && !options.service.accounting.counts_refused {
            for permits in [Permits::SummaryOnly, Permits::ListShards] {
                if !self.rng.one_in(4) {
                    self.at_some_time(FaultKind::Permits(permits));
                }
            }
        }
    }

    fn distribution(&mut self, options: &Options) {
        if !self.rng.one_in(8) {
            return;
        }
        let mut now = options.service.distribution;
        let mut times: Vec<Duration> = (0..self.rng.between(1, 3)).map(|_| self.time()).collect();
        times.sort_unstable();
        for at in times {
            now = match now {
                Distribution::UserPartitionKey => Distribution::Auto,
                Distribution::Auto => Distribution::UserPartitionKey,
            };
            self.faults.push(Fault::at(at, FaultKind::Distribution(now)));
        }
    }

    /// In one of so many runs, a fault that happens now and then, for a while.
    fn perhaps(&mut self, one_in: u64, what: fn(u32) -> FaultKind) {
        if self.rng.one_in(one_in) {
            let often = self.often();
            self.for_a_while(what(often));
        }
    }

    /// In one of so many runs, how often; never in the others.
    fn perhaps_often(&mut self, one_in: u64) -> u32 {
        if self.rng.one_in(one_in) { self.often() } else { 0 }
    }

    /// From one in a thousand to always.
    fn often(&mut self) -> u32 {
        self.rng.magnitude(1_000, 1_000_000) as u32
    }

    /// All the time or some time.
    fn for_a_while(&mut self, what: FaultKind) {
        if self.rng.one_in(2) {
            let fault = self.of_some(Fault::always(what));
            self.faults.push(fault);
        } else {
            self.for_some_time(what);
        }
    }

    fn for_some_time(&mut self, what: FaultKind) {
        let (one, other) = (self.time(), self.time());
        let fault = self.of_some(Fault::new(one.min(other), one.max(other), what));
        self.faults.push(fault);
    }

    /// Of several producers, a fault that is not the service's own, and names no producer, may concern one alone.
    fn of_some(&mut self, fault: Fault) -> Fault {
        let is_of_all_or_one = matches!(
            fault.what,
            FaultKind::Service(_)
                | FaultKind::Account(_)
                | FaultKind::BodyTooLarge(_)
                | FaultKind::Pause { .. }
        );
        if is_of_all_or_one || self.producers == 1 || !self.rng.one_in(3) {
            return fault;
        }
        fault.of(self.any_producer())
    }

    fn any_producer(&mut self) -> u32 {
        self.rng.below(u64::from(self.producers)) as u32
    }

    fn at_some_time(&mut self, what: FaultKind) {
        let at = self.time();
        self.faults.push(Fault::at(at, what));
    }

    /// Whole microseconds, which read well in a report.
    fn time(&mut self) -> Duration {
        Duration::from_micros(self.rng.below(self.duration.as_micros() as u64))
    }
}
