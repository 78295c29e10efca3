//! What goes in comes out.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kinesis_batcher_driver::{Completion, Config};
use kinesis_batcher_local::{EmbeddedKinesis, EmbeddedOptions};

use super::*;
use crate::outcomes::{Outcomes, record};
use crate::subject::sleep;

pub fn what_goes_in_comes_out_once_while_limits_are_enforced<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = EmbeddedKinesis::start(EmbeddedOptions::default()).unwrap();
        kinesis.create_stream("clicks", 4).await.unwrap();
        let target = Target::new(kinesis.endpoint_url(), "clicks")
            .with_config(Config::builder().linger(Duration::from_millis(20)));
        let producer = subject.connect(target).await.unwrap();
        let outcomes = Outcomes::of_sending(&producer, "limited", 3_000).await;
        outcomes.assert_stored_once(kinesis.stored_records("clicks").await.unwrap());
        kinesis.shutdown().await;
    });
}

pub fn a_reshard_in_the_middle_loses_and_doubles_nothing<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let runtime = subject.runtime();
        let options = EmbeddedOptions { enforce_limits: false, ..EmbeddedOptions::default() };
        let kinesis = EmbeddedKinesis::start(options).unwrap();
        kinesis.create_stream("clicks", 2).await.unwrap();
        let producer = subject.connect(Target::new(kinesis.endpoint_url(), "clicks")).await.unwrap();
        let mut outcomes = Outcomes::of_sending(&producer, "two", 300).await;
        kinesis.update_shard_count("clicks", 4).await.unwrap();
        outcomes.extend(Outcomes::of_sending(&producer, "four", 1_000).await);
        while producer.stats().open_shards != 4 {
            sleep(&runtime, Duration::from_millis(10)).await;
        }
        outcomes.extend(Outcomes::of_sending(&producer, "more", 300).await);
        outcomes.assert_stored_once(kinesis.stored_records("clicks").await.unwrap());
        kinesis.shutdown().await;
    });
}

pub fn what_nobody_waits_for_is_told_to_the_handler<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        kinesis.poison("bad");
        let told: Arc<Mutex<(BTreeSet<u64>, BTreeSet<u64>)>> = Arc::default();
        let handler = Arc::clone(&told);
        let target = target(&kinesis).on_completion(move |completion| {
            let mut told = handler.lock().unwrap();
            let is_new = match completion {
                Completion::Delivered { tag, .. } => told.0.insert(tag),
                Completion::Failed { tag, record, .. } => {
                    assert_eq!(record, crate::outcomes::record(format!("bad-{tag}")));
                    told.1.insert(tag)
                }
            };
            assert!(is_new, "nothing is told twice");
        });
        let producer = subject.connect(target).await.unwrap();
        let records = (0..2_000u64).map(|number| {
            let data = if number % 500 == 3 { format!("bad-{number}") } else { format!("good-{number}") };
            (record(data), number)
        });
        producer.send_all(records).await.unwrap();
        let report = producer.close(Duration::from_secs(30)).await;
        assert_eq!((report.delivered, report.failed, report.undelivered.len()), (1_996, 4, 0));
        let told = told.lock().unwrap();
        assert_eq!(told.1, BTreeSet::from([3, 503, 1_003, 1_503]));
        assert_eq!(told.0.len(), 1_996);
    });
}

pub fn only_what_failed_is_told_to_a_handler_of_failures<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        kinesis.poison("bad");
        let told: Arc<Mutex<BTreeSet<u64>>> = Arc::default();
        let handler = Arc::clone(&told);
        let target = target(&kinesis).on_failure(move |tag, error| {
            assert_eq!(error.record(), &crate::outcomes::record(format!("bad-{tag}")));
            assert!(handler.lock().unwrap().insert(tag), "nothing is told twice");
        });
        let producer = subject.connect(target).await.unwrap();
        let records = (0..2_000u64).map(|number| {
            let data = if number % 500 == 3 { format!("bad-{number}") } else { format!("good-{number}") };
            (record(data), number)
        });
        producer.send_all(records).await.unwrap();
        let delivery = producer.send(record("good")).await.unwrap();
        producer.flush().await.unwrap();
        assert_eq!(*told.lock().unwrap(), BTreeSet::from([3, 503, 1_003, 1_503]), "a flush waits for them");
        delivery.await.unwrap();
        let stats = producer.stats();
        assert_eq!((stats.records_delivered, stats.records_failed), (1_997, 4), "the others are counted");
    });
}

pub fn an_endpoint_where_nobody_listens_is_named_at_once<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let url = kinesis.endpoint_url();
        kinesis.shutdown().await;
        let started = subject.runtime().now();
        let error = subject.connect(Target::new(&*url, STREAM)).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{url} cannot be reached")), "{error}");
        assert!(subject.runtime().now() - started < Duration::from_secs(5), "it is found out at once");
        let error = subject.connect(Target::new("http://nowhere.invalid", STREAM)).await.unwrap_err();
        assert!(error.to_string().starts_with("http://nowhere.invalid cannot be reached"), "{error}");
    });
}
