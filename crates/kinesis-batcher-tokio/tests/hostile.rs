//! Against a server that does everything wrong that a server can do wrong.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::*;
use kinesis_batcher_local::hostile::{
    Accounting, Entries, EntryError, Fault, HostileKinesis, HostileOptions, Mix, Operation, Rejection,
    ShardLimits,
};
use kinesis_batcher_tokio::{Completion, Credentials, FailureReason, ProvideCredentials, Record};

/// Whether the records of the request may be stored twice, as far as a client can know.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Doubt {
    None,
    Some,
    All,
}

#[tokio::test]
async fn after_each_fault_all_is_delivered_and_doubt_is_told_where_there_is_any() {
    let kinesis = hostile();
    let settings = builder(&kinesis.endpoint_url(), STREAM).request_timeout(Duration::from_millis(400));
    let producer = settings.connect().await.unwrap();
    let faults = [
        (Fault::None, Doubt::None),
        (Fault::FailEntries(Entries::First(7), EntryError::throttled()), Doubt::None),
        // S-49
        (Fault::FailEntries(Entries::All, EntryError::internal_failure()), Doubt::All),
        (Fault::FailEntries(Entries::EveryNth(3), EntryError::kms_throttling()), Doubt::None),
        (
            Fault::FailEntries(Entries::EveryNth(2), EntryError::new("NeverHeardOfException", "?")),
            Doubt::Some,
        ),
        (Fault::FailEntriesUncounted(Entries::EveryNth(4), EntryError::throttled()), Doubt::None),
        (Fault::ClaimFailures(3), Doubt::None),
        (Fault::BlankEntries(Entries::EveryNth(3)), Doubt::Some),
        (Fault::Reject(Rejection::throughput_exceeded()), Doubt::None),
        (Fault::Reject(Rejection::limit_exceeded()), Doubt::None),
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
    ];
    for (number, (fault, doubt)) in faults.into_iter().enumerate() {
        kinesis.next_put(fault.clone());
        let outcomes = send(&producer, &format!("fault-{number}"), 40).await;
        assert_all_delivered(&outcomes);
        assert_nothing_lost(&outcomes, &kinesis);
        let told = possible_duplicates(&outcomes);
        let right = match doubt {
            Doubt::None => told == 0,
            Doubt::Some => (1..40).contains(&told),
            Doubt::All => told == 40,
        };
        assert!(
            right,
            "after {fault:?} {told} of 40 records were said to be possible duplicates; expected {doubt:?}"
        );
    }
}

#[tokio::test]
async fn nothing_is_lost_in_a_swarm_of_faults() {
    for seed in [1, 2, 3] {
        let kinesis = hostile();
        let settings = builder(&kinesis.endpoint_url(), STREAM)
            .config(eager().in_flight_requests_max(8).request_records_max(50).build().unwrap())
            .request_timeout(Duration::from_secs(2));
        let producer = settings.connect().await.unwrap();
        kinesis.swarm(seed, Mix::stormy());
        let outcomes = send(&producer, "swarm", 3_000).await;
        assert_all_delivered(&outcomes);
        assert_nothing_lost(&outcomes, &kinesis);
        let stats = producer.stats();
        assert_eq!(stats.records_accepted, stats.records_delivered + stats.records_failed);
        assert!(
            stats.records_retried > 100,
            "the swarm struck {} times: too seldom to tell",
            stats.records_retried
        );
    }
}

#[tokio::test]
async fn credentials_that_expire_in_the_middle_are_asked_for_anew() {
    let kinesis = hostile();
    let session = Session::default();
    let settings = builder(&kinesis.endpoint_url(), STREAM).credentials(session.clone());
    let producer = settings.connect().await.unwrap();
    assert_all_delivered(&send(&producer, "before", 20).await);
    for number in 0..2 {
        kinesis.expire_access_key_id(format!("SESSION{number}"));
        let started = Instant::now();
        let outcomes = send(&producer, &format!("after-{number}"), 200).await;
        assert_all_delivered(&outcomes);
        assert_nothing_lost(&outcomes, &kinesis);
        assert_eq!(possible_duplicates(&outcomes), 0, "a request with expired credentials stores nothing");
        assert!(started.elapsed() < Duration::from_secs(10), "it took {:?} to recover", started.elapsed());
    }
    let asked = session.asked.load(Ordering::Relaxed);
    assert!(
        (3..=6).contains(&asked),
        "credentials were asked for {asked} times: once at first, and for each expiry"
    );
}

#[tokio::test]
async fn while_no_credentials_can_be_had_records_wait() {
    let kinesis = hostile();
    let session = Session::default();
    let settings = builder(&kinesis.endpoint_url(), STREAM).credentials(session.clone());
    let producer = settings.connect().await.unwrap();
    session.broken.store(3, Ordering::Relaxed);
    kinesis.expire_access_key_id("SESSION0");
    let outcomes = send(&producer, "patient", 20).await;
    assert_all_delivered(&outcomes);
    assert_eq!(possible_duplicates(&outcomes), 0, "a request without credentials is not sent");
    assert_eq!(session.broken.load(Ordering::Relaxed), 0, "it asked until it got some");
}

/// Credentials whose key is `SESSION` and the number of times that they were asked for before.
#[derive(Clone, Debug, Default)]
struct Session {
    asked: Arc<AtomicUsize>,
    /// So many times there are none.
    broken: Arc<AtomicUsize>,
}

impl ProvideCredentials for Session {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        use aws_credential_types::provider::error::CredentialsError;
        use aws_credential_types::provider::future::ProvideCredentials as Future;
        if self
            .broken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |broken| broken.checked_sub(1))
            .is_ok()
        {
            return Future::ready(Err(CredentialsError::provider_error("told to fail")));
        }
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        Future::ready(Ok(Credentials::new(format!("SESSION{number}"), "secret", None, None, "test")))
    }
}

#[tokio::test]
async fn a_poison_record_fails_alone() {
    let kinesis = hostile();
    kinesis.poison("swarm-77");
    let producer = producer(&kinesis).await;
    let outcomes = send(&producer, "swarm", 300).await;
    assert_nothing_lost(&outcomes, &kinesis);
    let failed: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).collect();
    let [(data, Err(error))] = failed[..] else { panic!("{} records failed", failed.len()) };
    assert_eq!(data, "swarm-77");
    assert!(matches!(error.failure().reason, FailureReason::Rejected(_)), "{error}");
    assert_eq!(error.record(), &record("swarm-77"), "it is handed back whole");
}

#[tokio::test]
async fn with_fail_fast_an_account_level_error_fails_the_records_at_once() {
    let kinesis = hostile();
    let config = eager().fail_fast(true).build().unwrap();
    let producer = builder(&kinesis.endpoint_url(), STREAM).config(config).connect().await.unwrap();
    for rejection in
        [Rejection::access_denied(), Rejection::resource_not_found(), Rejection::kms_access_denied()]
    {
        kinesis.every(Operation::PutRecords, Fault::Reject(rejection));
        let outcomes = send(&producer, "refused", 10).await;
        assert_nothing_lost(&outcomes, &kinesis);
        for outcome in outcomes.into_values() {
            let failure = outcome.unwrap_err().failure().clone();
            assert!(matches!(failure.reason, FailureReason::Permanent(_)), "{failure}");
            assert_eq!((failure.attempts, failure.possibly_stored), (0, false));
        }
    }
}

#[tokio::test]
async fn records_sent_while_nobody_listens_arrive_later_and_are_not_in_doubt() {
    let kinesis = hostile();
    let port = kinesis.address().port();
    let producer = producer(&kinesis).await;
    assert_all_delivered(&send(&producer, "before", 10).await);
    kinesis.shutdown().await;
    let sending = tokio::spawn({
        let producer = producer.clone();
        async move { send(&producer, "meanwhile", 100).await }
    });
    while producer.stats().requests_transient < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let kinesis = HostileKinesis::start(HostileOptions { port, ..HostileOptions::default() }).unwrap();
    let outcomes = sending.await.unwrap();
    assert_all_delivered(&outcomes);
    assert_nothing_lost(&outcomes, &kinesis);
    assert_eq!(possible_duplicates(&outcomes), 0, "without a connection nothing was sent");
}

#[tokio::test]
async fn splits_and_merges_in_the_middle_cost_neither_a_record_nor_a_copy() {
    let kinesis = hostile();
    let producer = producer(&kinesis).await;
    let sending = tokio::spawn({
        let producer = producer.clone();
        async move {
            let mut outcomes = Outcomes::new();
            for round in 0..20 {
                outcomes.extend(send(&producer, &format!("round-{round}"), 100).await);
            }
            outcomes
        }
    });
    kinesis.wait_until(|seen| seen.stored().len() > 200).await.unwrap();
    for _ in 0..3 {
        // As often as a refresh tries, so that the first one fails.
        kinesis.next(Operation::ListShards, Fault::Reject(Rejection::internal_failure()));
    }
    let [first, second] = kinesis.split("shardId-000000000001").unwrap();
    kinesis.wait_until(|seen| seen.stored().len() > 900).await.unwrap();
    kinesis.merge(&first, &second).unwrap();
    let outcomes = sending.await.unwrap();
    assert_all_delivered(&outcomes);
    assert_nothing_lost(&outcomes, &kinesis);
    assert_eq!(
        kinesis.stored().len(),
        2_000,
        "records on children of the shard they were sent for are not sent again"
    );
    assert_eq!(possible_duplicates(&outcomes), 0);
    while producer.stats().shard_map_updates == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_shard_at_its_limit_is_not_run_into() {
    let limits =
        ShardLimits { records_per_second: 1_000, bytes_per_second: 1 << 20, accounting: Accounting::FIRST };
    let options = HostileOptions { shards: 2, shard_limits: Some(limits), ..HostileOptions::default() };
    let kinesis = HostileKinesis::start(options).unwrap();
    let config = kinesis_batcher_tokio::Config::builder().linger(Duration::from_millis(20)).build().unwrap();
    let producer = builder(&kinesis.endpoint_url(), STREAM).config(config).connect().await.unwrap();
    let started = Instant::now();
    let outcomes = send(&producer, "limited", 5_000).await;
    assert_all_delivered(&outcomes);
    assert_nothing_lost(&outcomes, &kinesis);
    let elapsed = started.elapsed();
    assert!(
        elapsed >= Duration::from_millis(1_900),
        "5,000 records into 2 shards of 1,000 a second took {elapsed:?}"
    );
    assert!(
        elapsed < Duration::from_secs(10),
        "what was throttled is not given up for long, and it took {elapsed:?}"
    );
    let throttled = producer.stats().records_throttled;
    assert!(throttled < 500, "{throttled} of 5,000 records were throttled");
}

#[tokio::test]
async fn dead_letters_come_with_their_tags_though_nobody_waits_for_them() {
    let kinesis = hostile();
    kinesis.poison("bad");
    let (letters, mut received) = tokio::sync::mpsc::unbounded_channel();
    let settings = builder(&kinesis.endpoint_url(), STREAM).on_completion(move |completion| {
        if let Completion::Failed { tag, record, .. } = completion {
            let _ = letters.send((tag, record));
        }
    });
    let producer = settings.connect().await.unwrap();
    let lines = (0..2_000u64).map(|line| {
        let data = if line % 500 == 3 { format!("bad-{line}") } else { format!("good-{line}") };
        (record(data), line)
    });
    producer.send_all(lines).await.unwrap();
    let report = producer.close(Duration::from_secs(20)).await;
    assert_eq!((report.delivered, report.failed, report.undelivered.len()), (1_996, 4, 0));
    let mut tags = vec![];
    while let Ok((tag, letter)) = received.try_recv() {
        assert_eq!(letter, record(format!("bad-{tag}")));
        tags.push(tag);
    }
    tags.sort_unstable();
    assert_eq!(tags, [3, 503, 1_003, 1_503]);
}

#[tokio::test]
async fn a_close_ends_at_its_deadline_though_the_server_hangs() {
    let kinesis = hostile();
    let producer = producer(&kinesis).await;
    kinesis.every(Operation::PutRecords, Fault::HangBeforeStoring);
    producer.send_all((0..1_000).map(|number| record(number.to_string()))).await.unwrap();
    kinesis.wait_until(|seen| seen.held() > 0).await.unwrap();
    let started = Instant::now();
    let report = producer.close(Duration::from_millis(300)).await;
    assert!((Duration::from_millis(300)..Duration::from_secs(3)).contains(&started.elapsed()));
    assert_eq!((report.delivered, report.undelivered.len()), (0, 1_000));
}

#[tokio::test]
async fn large_records_go_to_a_stream_that_takes_them() {
    let options = HostileOptions { record_size_max_kib: 10_240, ..HostileOptions::default() };
    let kinesis = HostileKinesis::start(options).unwrap();
    let producer = producer(&kinesis).await;
    let bytes = (10 << 20) - 1;
    let large = Record::new("k", vec![b'x'; bytes]).unwrap();
    producer.send(large).await.unwrap().await.unwrap();
    assert_eq!(kinesis.stored()[0].data.len(), bytes);
}

#[tokio::test]
async fn a_stream_that_spreads_records_itself_takes_them_without_a_key() {
    use kinesis_batcher_local::hostile::{Distribution, StreamMode};
    let options = HostileOptions {
        distribution: Distribution::Auto,
        stream_mode: StreamMode::OnDemand,
        ..HostileOptions::default()
    };
    let kinesis = HostileKinesis::start(options).unwrap();
    let producer = producer(&kinesis).await;
    let keyless = Record::without_partition_key("no key").unwrap();
    producer.send(keyless).await.unwrap().await.unwrap();
    assert_eq!(kinesis.stored()[0].partition_key, "");
    assert_eq!(producer.shard_stats().len(), 1, "no shard can be predicted, so there is one lane");
}
