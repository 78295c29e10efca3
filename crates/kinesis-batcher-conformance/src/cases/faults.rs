//! Servers that do everything wrong that a server can do wrong.

use std::time::Duration;

use kinesis_batcher_local::hostile::{Entries, EntryError, Fault, Mix, Rejection};

use super::*;
use crate::outcomes::Outcomes;
use crate::subject::{eager, sleep};

/// Whether the records of the request may be stored twice, as far as a client can know.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Doubt {
    None,
    Some,
    All,
}

fn faults() -> Vec<(Fault, Doubt)> {
    vec![
        (Fault::None, Doubt::None),
        (Fault::FailEntries(Entries::First(7), EntryError::throttled()), Doubt::None),
        // S-49
        (Fault::FailEntries(Entries::All, EntryError::internal_failure()), Doubt::All),
        (Fault::FailEntriesUncounted(Entries::EveryNth(4), EntryError::throttled()), Doubt::None),
        (Fault::ClaimFailures(3), Doubt::None),
        (Fault::BlankEntries(Entries::EveryNth(3)), Doubt::Some),
        (Fault::Reject(Rejection::throttling()), Doubt::None),
        (Fault::Reject(Rejection::expired_token()), Doubt::None),
        (Fault::Reject(Rejection::internal_failure()), Doubt::All),
        (Fault::Reject(Rejection::service_unavailable()), Doubt::All),
        (Fault::ResetBeforeStoring, Doubt::All),
        (Fault::ResetAfterStoring, Doubt::All),
        (Fault::CutOffReply, Doubt::All),
        (Fault::EmptyReply, Doubt::All),
        (Fault::FewerEntries(1), Doubt::All),
        (Fault::MoreEntries(1), Doubt::All),
        (Fault::SlowReply(Duration::from_millis(150)), Doubt::None),
        (Fault::HangBeforeStoring, Doubt::All),
        (Fault::HangAfterStoring, Doubt::All),
        (Fault::None.after(Duration::from_millis(800)), Doubt::All),
    ]
}

pub fn after_each_fault_all_is_delivered_and_doubt_is_told_where_there_is_any<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        suffer(&subject, target(&kinesis), &kinesis).await;
    });
}

pub(super) async fn suffer(subject: &impl Subject, target: Target, kinesis: &HostileKinesis) {
    let producer = subject.connect(target.with_request_timeout(Duration::from_millis(400))).await.unwrap();
    for (number, (fault, doubt)) in faults().into_iter().enumerate() {
        kinesis.next_put(fault.clone());
        let outcomes = Outcomes::of_sending(&producer, &format!("fault-{number}"), 40).await;
        outcomes.assert_all_delivered();
        outcomes.assert_nothing_lost(kinesis);
        let told = outcomes.possible_duplicates();
        let right = match doubt {
            Doubt::None => told == 0,
            Doubt::Some => (1..40).contains(&told),
            Doubt::All => told == 40,
        };
        assert!(
            right,
            "after {fault:?} {told} of 40 were said to be possible duplicates; expected {doubt:?}"
        );
    }
}

pub fn nothing_is_lost_in_a_swarm_of_faults<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let target = target(&kinesis)
            .with_config(eager().in_flight_requests_max(8).request_records_max(50))
            .with_request_timeout(Duration::from_secs(2));
        let producer = subject.connect(target).await.unwrap();
        kinesis.swarm(7, Mix::stormy());
        let outcomes = Outcomes::of_sending(&producer, "swarm", 3_000).await;
        outcomes.assert_all_delivered();
        outcomes.assert_nothing_lost(&kinesis);
        let stats = producer.stats();
        assert_eq!(stats.records_accepted, stats.records_delivered + stats.records_failed);
        assert!(
            stats.records_retried > 100,
            "the swarm struck too seldom to tell: {}",
            stats.records_retried
        );
    });
}

pub fn records_sent_while_nobody_listens_arrive_later_and_are_not_in_doubt<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let runtime = subject.runtime();
        let kinesis = hostile();
        let port = kinesis.address().port();
        let producer = producer(&subject, &kinesis).await;
        Outcomes::of_sending(&producer, "before", 10).await.assert_all_delivered();
        kinesis.shutdown().await;
        let sending = Outcomes::of_sending(&producer, "meanwhile", 100);
        let returning = async {
            while producer.stats().requests_transient < 3 {
                sleep(&runtime, Duration::from_millis(5)).await;
            }
            HostileKinesis::start(HostileOptions { port, ..HostileOptions::default() }).unwrap()
        };
        let (outcomes, kinesis) = futures::join!(sending, returning);
        outcomes.assert_all_delivered();
        outcomes.assert_nothing_lost(&kinesis);
        assert_eq!(outcomes.possible_duplicates(), 0, "without a connection nothing was sent");
    });
}

/// A server that restarts closes the connections that clients keep.
pub fn a_connection_that_was_closed_while_it_was_kept_costs_no_doubt<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let mut kinesis = hostile();
        let port = kinesis.address().port();
        let producer = producer(&subject, &kinesis).await;
        for round in 0..5 {
            let outcomes = Outcomes::of_sending(&producer, &format!("round-{round}"), 50).await;
            outcomes.assert_all_delivered();
            outcomes.assert_nothing_lost(&kinesis);
            assert_eq!(outcomes.possible_duplicates(), 0, "round {round}");
            kinesis.shutdown().await;
            kinesis = HostileKinesis::start(HostileOptions { port, ..HostileOptions::default() }).unwrap();
        }
    });
}

pub fn connections_are_kept_and_used_again<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let target = target(&kinesis).with_config(eager().in_flight_requests_max(4).request_records_max(10));
        let producer = subject.connect(target).await.unwrap();
        for round in 0..10 {
            Outcomes::of_sending(&producer, &format!("round-{round}"), 100).await.assert_all_delivered();
        }
        let (requests, connections) = kinesis.inspect(|seen| (seen.put_requests().len(), seen.connections()));
        assert!(requests >= 100, "{requests} requests");
        assert!(connections <= 6, "{connections} connections for {requests} requests, four at a time");
    });
}
