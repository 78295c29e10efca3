//! Storms, droughts and absences: what is rare because it needs several things at once, at once.

use std::time::Duration;

use kinesis_batcher_core::{Config, Ordering};
use kinesis_model::{Accounting, Numbering};

use crate::faults::{Fault, FaultKind, Faults, OutageKind};
use crate::latency::Latency;
use crate::network::Network;
use crate::options::Options;
use crate::service::{AccountFault, ServiceFaults};
use crate::workload::{Keys, Rate, Sizes};
use kinesis_model::Rng;

pub(super) fn options(rng: &mut Rng) -> Options {
    match rng.below(12) {
        0..=2 => drought(rng),
        3 => absence(rng),
        _ => storm(rng),
    }
}

/// Aggregates, mostly, that live shortly, while shards split and merge one after the other and much fails. Half of them
/// keep the order of keys that come again and again.
fn storm(rng: &mut Rng) -> Options {
    // A request may then be on its way while one map follows another.
    let is_slow = rng.one_in(2);
    let lifetime_millis = rng.between(150, 900) * if is_slow { 5 } else { 1 };
    let ordering = if rng.one_in(2) { Ordering::PartitionKey } else { Ordering::None };
    let config = Config::builder()
        .aggregation(!rng.one_in(4))
        .aggregate_records_max(rng.between(2, 6) as usize)
        .linger(Duration::from_millis(rng.between(1, 60)))
        .time_to_live(Duration::from_millis(lifetime_millis))
        .ordering(ordering)
        .build()
        .expect("each range above is within the allowed");
    let mut options = Options::default().config(config).duration(DURATION).faults(Faults::Plan(faults(rng)));
    if is_slow {
        let mut way = || Latency::Constant(Duration::from_millis(rng.between(10, 250)));
        options.network = Network::new(way(), way());
        options.refresh_every = Some(Duration::from_millis(rng.between(60, 200)));
    }
    options.service.shards = 3;
    options.workload.rate = Rate::Constant(200);
    options.workload.keys = Keys::Uniform { keys: rng.between(5, 60) as u32 };
    if rng.one_in(3) {
        options.workload.poison = rng.magnitude(5_000, 50_000) as u32;
    }
    options
}

/// Requests are scarce, so that shards wait for their turns and records for their end.
fn drought(rng: &mut Rng) -> Options {
    let in_flight = rng.between(1, 2);
    let per_request = rng.between(1, 3);
    let config = Config::builder()
        .in_flight_requests_max(in_flight as usize)
        .request_records_max(per_request as usize)
        .linger(Duration::from_millis(rng.between(0, 50)))
        .time_to_live(Duration::from_millis(rng.between(300, 3_000)))
        .build()
        .expect("each range above is within the allowed");
    let round_trip_millis = rng.between(20, 100);
    let way = Latency::Constant(Duration::from_millis(round_trip_millis) / 2);
    let mut options = Options::default()
        .config(config)
        .duration(DROUGHT)
        .network(Network::new(way, way))
        .faults(Faults::Swarm);
    options.service.shards = rng.between(3, 9) as u32;
    let per_second = in_flight * per_request * 1_000 / round_trip_millis;
    options.workload.rate = Rate::Constant(per_second * rng.between(110, 300) / 100);
    options.workload.keys = Keys::Uniform { keys: rng.between(20, 100) as u32 };
    options
}

/// The stream cannot be written to for minutes, with a full buffer, and comes back, perhaps to go away again.
fn absence(rng: &mut Rng) -> Options {
    let away = Duration::from_secs(rng.magnitude(20, 300));
    let lifetime = rng.one_in(2).then(|| Duration::from_secs(rng.magnitude(5, 400)));
    let config = Config::builder()
        .aggregation(!rng.one_in(3))
        .buffer_records_max(rng.between(20, 200) as usize)
        .linger(Duration::from_millis(rng.between(1, 200)))
        .time_to_live(lifetime)
        .ordering(if rng.one_in(4) { Ordering::PartitionKey } else { Ordering::None })
        .build()
        .expect("each range above is within the allowed");
    let mut faults = Vec::new();
    let mut from = Duration::from_secs(2);
    for _ in 0..rng.between(1, 2) {
        let what = FaultKind::Account(*rng.pick(&AccountFault::ALL));
        faults.push(Fault::new(from, from + away, what));
        if what == FaultKind::Account(AccountFault::StreamMissing) && !rng.one_in(4) {
            // At the last moment of its absence.
            let at = from + away - Duration::from_nanos(1);
            let shards = rng.between(1, 9) as u32;
            let numbering = if rng.one_in(2) { Numbering::Anew } else { Numbering::GoesOn };
            faults.push(Fault::at(at, FaultKind::CreatedAgain { shards, numbering }));
        }
        from += away + Duration::from_millis(rng.magnitude(10, 20_000));
    }
    let mut options = Options::default().config(config).duration(from).faults(Faults::Plan(faults));
    options.workload.rate = Rate::Constant(rng.magnitude(200, 2_000) / away.as_secs().max(1) + 1);
    options.workload.waiting_max = rng.magnitude(1, 50) as u32;
    options
}

/// One producer has more than small shards take, all the time; in half of the runs something goes wrong for a while.
pub(super) fn flood(rng: &mut Rng) -> Options {
    // Small requests on a slow link: many are on their way when a shard begins to throttle.
    let is_slow = rng.one_in(3);
    let config = Config::builder()
        .request_records_max(if is_slow { rng.between(1, 8) as usize } else { 500 })
        .buffer_records_max(rng.between(300, 600) as usize)
        .linger(Duration::from_millis(rng.between(1, 100)))
        .time_to_live(None)
        .build()
        .expect("each range above is within the allowed");
    let kind = *rng.pick(&[OutageKind::Refused, OutageKind::TimesOut, OutageKind::ServerError]);
    let mut service = ServiceFaults::default();
    let throttle = if rng.one_in(2) { &mut service.throttle } else { &mut service.calls_throttled };
    *throttle = rng.magnitude(100_000, 1_000_000) as u32;
    let account = *rng.pick(&AccountFault::ALL);
    let what = *rng.pick(&[
        FaultKind::Outage(kind),
        FaultKind::Service(service),
        FaultKind::Account(account),
        FaultKind::LostBeforeWrite(300_000),
    ]);
    let from = Duration::from_secs(2);
    let until = from + Duration::from_millis(rng.magnitude(500, 15_000));
    let (faults, calm_from) =
        if rng.one_in(2) { (vec![Fault::new(from, until, what)], until) } else { (Vec::new(), from) };
    let mut options =
        Options::default().config(config).duration(calm_from + FLOOD).faults(Faults::Plan(faults));
    if is_slow {
        let way = Latency::Constant(Duration::from_millis(rng.between(20, 100)));
        options.network = Network::new(way, way);
    }
    let service = &mut options.service;
    service.shards = rng.between(1, 2) as u32;
    service.accounting = *rng.pick(&Accounting::ALL);
    if rng.one_in(3) {
        service.accounting = service.accounting.counting_refused();
    }
    let per_second = rng.between(20, 60);
    if rng.one_in(3) {
        let bytes = rng.between(500, 2_000);
        service.bytes_per_second_per_shard = (bytes * per_second) as u32;
        options.workload.sizes = Sizes::Constant(bytes as u32);
    } else {
        service.records_per_second_per_shard = per_second as u32;
    }
    options.workload.rate = Rate::Constant(per_second * u64::from(service.shards) * rng.between(13, 20) / 10);
    options.workload.keys = Keys::Uniform { keys: 1_000 };
    options.workload.waiting_max = 10;
    options
}

fn faults(rng: &mut Rng) -> Vec<Fault> {
    let mut service = ServiceFaults::default();
    (service.throttle, service.internal_failure) = (300_000, 300_000);
    let mut faults = vec![Fault::always(FaultKind::Service(service))];
    for step in 1..RESHARDS {
        let at = Duration::from_millis(100 * u64::from(step) + rng.below(80));
        faults.push(Fault::at(at, *rng.pick(&[FaultKind::Split, FaultKind::Merge])));
    }
    if rng.one_in(4) {
        faults.push(Fault::always(FaultKind::LostAfterWrite(rng.magnitude(1_000, 200_000) as u32)));
    }
    // Of shards that were known, a later map may give the number alone.
    let mut maps = rng.fork("maps");
    if maps.one_in(4) {
        faults.push(Fault::always(FaultKind::MapDenied(maps.magnitude(10_000, 600_000) as u32)));
    }
    faults
}

const DURATION: Duration = Duration::from_millis(1_500);
/// Long enough to settle, and to count.
const FLOOD: Duration = Duration::from_secs(45);
const DROUGHT: Duration = Duration::from_secs(4);
const RESHARDS: u32 = 12;
