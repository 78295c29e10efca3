//! Faults as people write them: `loss:1%`, `outage:10s+30s`.

use std::time::Duration;

use kinesis_batcher_sim::{Fault, FaultKind, Faults, OutageKind, ServiceFaults};

use super::percent::millionths;
use crate::cli::{duration, write_duration};

/// One `--fault`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FaultSpec {
    what: What,
    from: Duration,
    to: Duration,
}

/// What goes wrong. Shares are in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Throttle(u32),
    Failures(u32),
    Refused(u32),
    Loss(u32),
    LostReplies(u32),
    Slow(Duration),
    Outage,
    /// To so many shards; twice as many unless said.
    Reshard(Option<u32>),
    Split,
    Merge,
}

impl FaultSpec {
    /// Reads one.
    ///
    /// # Errors
    /// A sentence for the user, with all that there are.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let parsed = match name {
            "throttle" => lasting(value, |share| millionths(share).map(What::Throttle)),
            "failures" => lasting(value, |share| millionths(share).map(What::Failures)),
            "refused" => lasting(value, |share| millionths(share).map(What::Refused)),
            "loss" => lasting(value, |share| millionths(share).map(What::Loss)),
            "lost-replies" => lasting(value, |share| millionths(share).map(What::LostReplies)),
            "slow" => lasting(value, |extra| duration(extra).ok().map(What::Slow)),
            "outage" => span(value).map(|(from, to)| Self { what: What::Outage, from, to }),
            "reshard" => match value.split_once('=') {
                None => moment(value, What::Reshard(None)),
                Some((at, shards)) => {
                    let shards = shards.parse().ok().filter(|shards| (1..=SHARDS_MAX).contains(shards));
                    shards.and_then(|shards| moment(at, What::Reshard(Some(shards))))
                }
            },
            "split" => moment(value, What::Split),
            "merge" => moment(value, What::Merge),
            _ => None,
        };
        parsed.ok_or_else(|| format!("must be one of {FORMS}"))
    }

    /// What is wrong inside the service, if this is.
    fn add_to(self, faults: &mut ServiceFaults) {
        match self.what {
            What::Throttle(share) => faults.throttle = share,
            What::Failures(share) => faults.internal_failure = share,
            What::Refused(share) => faults.calls_unavailable = share,
            _ => {}
        }
    }

    fn is_of_service(self) -> bool {
        matches!(self.what, What::Throttle(_) | What::Failures(_) | What::Refused(_))
    }
}

/// As written.
impl std::fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = |share: u32| format!("{}%", f64::from(share) / 10_000.0);
        let (from, to) = (write_duration(self.from), write_duration(self.to.saturating_sub(self.from)));
        let text = match self.what {
            What::Throttle(part) => format!("throttle:{}", share(part)),
            What::Failures(part) => format!("failures:{}", share(part)),
            What::Refused(part) => format!("refused:{}", share(part)),
            What::Loss(part) => format!("loss:{}", share(part)),
            What::LostReplies(part) => format!("lost-replies:{}", share(part)),
            What::Slow(extra) => format!("slow:{}", write_duration(extra)),
            What::Outage => return write!(f, "outage:{from}+{to}"),
            What::Reshard(None) => return write!(f, "reshard:{from}"),
            What::Reshard(Some(shards)) => return write!(f, "reshard:{from}={shards}"),
            What::Split => return write!(f, "split:{from}"),
            What::Merge => return write!(f, "merge:{from}"),
        };
        f.write_str(&text)?;
        if self.to == Duration::MAX { Ok(()) } else { write!(f, "@{from}+{to}") }
    }
}

/// The plan of a run with this many shards and this round trip.
pub(super) fn plan(specs: &[FaultSpec], shards: u32, round_trip: Duration) -> Faults {
    if specs.is_empty() {
        return Faults::None;
    }
    let mut faults = service_faults(specs);
    for spec in specs.iter().filter(|spec| !spec.is_of_service()) {
        let kind = match spec.what {
            What::Loss(share) => FaultKind::LostBeforeWrite(share),
            What::LostReplies(share) => FaultKind::LostAfterWrite(share),
            What::Slow(extra) => {
                let longer = round_trip.saturating_add(extra).as_nanos() * 100 / round_trip.as_nanos().max(1);
                FaultKind::Slow(u32::try_from(longer).unwrap_or(u32::MAX))
            }
            What::Outage => FaultKind::Outage(OutageKind::Refused),
            What::Reshard(count) => FaultKind::ShardCount(count.unwrap_or(shards.saturating_mul(2))),
            What::Split => FaultKind::Split,
            What::Merge => FaultKind::Merge,
            What::Throttle(_) | What::Failures(_) | What::Refused(_) => continue,
        };
        faults.push(Fault::new(spec.from, spec.to, kind));
    }
    Faults::Plan(faults)
}

/// The service has one set of faults at a time, so those that overlap are joined, span by span.
fn service_faults(specs: &[FaultSpec]) -> Vec<Fault> {
    let of_service = || specs.iter().filter(|spec| spec.is_of_service());
    let mut moments: Vec<Duration> = of_service().flat_map(|spec| [spec.from, spec.to]).collect();
    moments.sort_unstable();
    moments.dedup();
    let mut faults = Vec::new();
    for pair in moments.windows(2) {
        let mut joined = ServiceFaults::default();
        for spec in of_service().filter(|spec| spec.from <= pair[0] && pair[1] <= spec.to) {
            spec.add_to(&mut joined);
        }
        if joined != ServiceFaults::default() {
            faults.push(Fault::new(pair[0], pair[1], FaultKind::Service(joined)));
        }
    }
    faults
}

/// `VALUE` or `VALUE@AT+FOR`.
fn lasting(text: &str, what: impl Fn(&str) -> Option<What>) -> Option<FaultSpec> {
    let (value, (from, to)) = match text.split_once('@') {
        None => (text, (Duration::ZERO, Duration::MAX)),
        Some((value, when)) => (value, span(when)?),
    };
    Some(FaultSpec { what: what(value)?, from, to })
}

/// `AT+FOR`.
fn span(text: &str) -> Option<(Duration, Duration)> {
    let (from, lasts) = text.split_once('+')?;
    let (from, lasts) = (duration(from).ok()?, duration(lasts).ok()?);
    (lasts > Duration::ZERO).then(|| (from, from.saturating_add(lasts)))
}

fn moment(text: &str, what: What) -> Option<FaultSpec> {
    let at = duration(text).ok()?;
    Some(FaultSpec { what, from: at, to: at })
}

const FORMS: &str = "throttle:PERCENT, failures:PERCENT, refused:PERCENT, loss:PERCENT, lost-replies:PERCENT, \
    slow:TIME (each with @AT+FOR behind it or not), outage:AT+FOR, reshard:AT, reshard:AT=SHARDS, split:AT, \
    merge:AT, such as loss:1%, throttle:10%@20s+10s or outage:10s+30s";
const SHARDS_MAX: u32 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn parsed(text: &str) -> FaultSpec {
        FaultSpec::parse(text).unwrap_or_else(|message| panic!("{text}: {message}"))
    }

    #[test]
    fn every_fault_is_read_and_written_back_as_it_was() {
        for text in [
            "throttle:10%",
            "failures:0.5%",
            "refused:1%@10s+5s",
            "loss:1%",
            "lost-replies:1%",
            "slow:200ms",
            "slow:1s@3s+500ms",
            "outage:10s+30s",
            "reshard:20s",
            "reshard:20s=6",
            "split:1m",
            "merge:0s",
        ] {
            assert_eq!(parsed(text).to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_list() {
        for text in [
            "",
            "loss",
            "loss:",
            "loss:101%",
            "loss:1%@5s",
            "throttle:many%",
            "outage:10s",
            "outage:10s+0s",
            "reshard:20s=0",
            "earthquake:9",
            "slow:200",
        ] {
            let message = FaultSpec::parse(text).expect_err("no fault");
            assert!(message.contains("outage:AT+FOR") && message.contains("reshard:AT"), "{text}: {message}");
        }
    }

    #[test]
    fn faults_of_the_service_that_overlap_are_joined() {
        let specs = [parsed("throttle:10%"), parsed("failures:1%@10s+5s")];
        let Faults::Plan(faults) = plan(&specs, 4, SECOND) else { panic!("a plan") };
        let spans: Vec<_> = faults.iter().map(|fault| (fault.from, fault.to)).collect();
        assert_eq!(
            spans,
            [(Duration::ZERO, 10 * SECOND), (10 * SECOND, 15 * SECOND), (15 * SECOND, Duration::MAX)]
        );
        let FaultKind::Service(joined) = faults[1].what else { panic!("of the service") };
        assert_eq!((joined.throttle, joined.internal_failure), (100_000, 10_000));
    }

    #[test]
    fn a_reshard_doubles_and_slowness_adds_to_the_round_trip() {
        let specs = [parsed("reshard:20s"), parsed("slow:90ms")];
        let Faults::Plan(faults) = plan(&specs, 4, Duration::from_millis(10)) else { panic!("a plan") };
        assert_eq!(faults[0], Fault::at(20 * SECOND, FaultKind::ShardCount(8)));
        assert_eq!(faults[1], Fault::always(FaultKind::Slow(1_000)), "ten times 10 ms are 100 ms");
    }
}
