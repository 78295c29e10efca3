//! Every future, dropped at every await point.
//!
//! Each case polls a future once and drops it, then twice, and so on until it is ready before it is dropped. Between
//! two polls the world goes on, so that each drop strikes another moment. Then nothing may be lost that was accepted,
//! nothing stored that was not, and the accounts must add up.

use std::time::Duration;

use kinesis_batcher_aws::{AwsOptions, AwsTransport, SdkConfig, SharedCredentialsProvider};
use kinesis_batcher_driver::{Delivery, Producer, PutRecords, Record, Transport};
use kinesis_batcher_local::hostile::{Fault, Operation};

use super::*;
use crate::outcomes::{copies, record};
use crate::polls::{POLLS_MAX, give_up_after};
use crate::subject::eager;

/// A producer that is always short of room, at a service that takes its time.
async fn cramped(subject: &impl Subject, kinesis: &HostileKinesis) -> Producer {
    kinesis.every(Operation::PutRecords, Fault::SlowReply(Duration::from_millis(2)));
    let config = eager().buffer_records_max(6).request_records_max(3).in_flight_requests_max(2);
    subject.connect(target(kinesis).with_config(config)).await.unwrap()
}

fn fill(producer: &Producer, name: &str) {
    let mut number = 0;
    while producer.try_send_and_forget(record(format!("{name}-{number}"))).is_ok() {
        number += 1;
    }
}

/// Closes, and compares what was accepted with what is stored.
async fn assert_accounts_add_up(producer: &Producer, kinesis: &HostileKinesis) {
    let report = producer.close(Duration::from_secs(30)).await;
    let stats = producer.stats();
    assert_eq!((report.failed, report.undelivered.len()), (0, 0));
    assert_eq!(report.delivered, stats.records_accepted);
    let copies = copies(kinesis);
    assert_eq!(copies.len() as u64, stats.records_accepted, "what was accepted is stored, and nothing else");
    assert!(copies.values().all(|&count| count == 1), "nothing is stored twice");
}

pub fn a_send_given_up_at_any_point_loses_nothing<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let producer = cramped(&subject, &kinesis).await;
        let mut deliveries: Vec<(String, Delivery)> = Vec::new();
        // Each sender that is ready at last makes way for the next with more polls.
        for polls in 0..POLLS_MAX {
            fill(&producer, &format!("filling-{polls}"));
            let data = format!("sent-{polls}");
            match give_up_after(polls, producer.send(record(&data))).await {
                Some(delivery) => {
                    deliveries.push((data, delivery.unwrap()));
                    break;
                }
                None => assert!(polls < POLLS_MAX - 1, "a sender is polled for ever"),
            }
            drop(give_up_after(polls, producer.send_and_forget(record(format!("forgotten-{polls}")))).await);
        }
        let stored = |data: &str| copies(&kinesis).contains_key(data);
        for (data, delivery) in deliveries {
            delivery.await.unwrap();
            assert!(stored(&data), "{data} has a receipt");
        }
        assert_accounts_add_up(&producer, &kinesis).await;
    });
}

pub fn a_send_of_many_given_up_at_any_point_loses_nothing<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let producer = cramped(&subject, &kinesis).await;
        for polls in 0..POLLS_MAX {
            let records = (0..40).map(|number| record(format!("{polls}-{number}")));
            if let Some(sent) = give_up_after(polls, producer.send_all(records)).await {
                sent.unwrap();
                producer.flush().await.unwrap();
                let copies = copies(&kinesis);
                assert!((0..40).all(|number| copies.contains_key(&format!("{polls}-{number}"))));
                break;
            }
            assert!(polls < POLLS_MAX - 1, "a sender is polled for ever");
        }
        assert_accounts_add_up(&producer, &kinesis).await;
    });
}

pub fn a_flush_given_up_at_any_point_leaves_the_next_one_whole<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        kinesis.every(Operation::PutRecords, Fault::SlowReply(Duration::from_millis(2)));
        let config = eager().request_records_max(2).in_flight_requests_max(2).linger(Duration::from_secs(60));
        let producer = subject.connect(target(&kinesis).with_config(config)).await.unwrap();
        for polls in 0..POLLS_MAX {
            producer.send_all((0..20).map(|number| record(format!("{polls}-{number}")))).await.unwrap();
            if let Some(flushed) = give_up_after(polls, producer.flush()).await {
                flushed.unwrap();
                assert_eq!(kinesis.stored().len(), (polls + 1) * 20);
                break;
            }
            producer.flush().await.unwrap();
            assert_eq!(kinesis.stored().len(), (polls + 1) * 20, "the flush after the one that was given up");
        }
        assert_accounts_add_up(&producer, &kinesis).await;
    });
}

pub fn a_delivery_given_up_at_any_point_is_delivered_all_the_same<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let producer = cramped(&subject, &kinesis).await;
        for polls in 0..POLLS_MAX {
            let delivery = producer.send(record(format!("{polls}"))).await.unwrap();
            if let Some(receipt) = give_up_after(polls, delivery).await {
                receipt.unwrap();
                break;
            }
        }
        assert_accounts_add_up(&producer, &kinesis).await;
    });
}

pub fn a_close_given_up_at_any_point_still_closes<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        for polls in 0..POLLS_MAX {
            let kinesis = hostile();
            kinesis.every(Operation::PutRecords, Fault::SlowReply(Duration::from_millis(2)));
            let config = eager().request_records_max(2).in_flight_requests_max(2);
            let producer = subject.connect(target(&kinesis).with_config(config)).await.unwrap();
            producer.send_all((0..20).map(|number| record(number.to_string()))).await.unwrap();
            let closed = give_up_after(polls, producer.close(Duration::from_secs(30))).await;
            if polls > 0 {
                let refused = producer.send(record("late")).await;
                assert!(refused.is_err(), "a close that was polled once closes");
            }
            assert_accounts_add_up(&producer, &kinesis).await;
            if let Some(report) = closed {
                assert_eq!(report.delivered, 20);
                break;
            }
        }
    });
}

pub fn a_connect_given_up_at_any_point_can_be_made_again<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        for polls in 0..POLLS_MAX {
            if let Some(producer) = give_up_after(polls, subject.connect(target(&kinesis))).await {
                let producer = producer.unwrap();
                producer.send(record("connected")).await.unwrap().await.unwrap();
                assert_accounts_add_up(&producer, &kinesis).await;
                break;
            }
            assert!(polls < POLLS_MAX - 1, "a connect is polled for ever");
        }
    });
}

/// The HTTP client's own await points: name, TCP, request, head and body of the reply.
pub fn a_request_given_up_at_any_point_is_sent_once_at_most<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let url = kinesis.endpoint_url().replace("127.0.0.1", "localhost");
        give_up_requests(&subject, url, &kinesis).await;
    });
}

pub(super) async fn give_up_requests(subject: &impl Subject, url: String, kinesis: &HostileKinesis) {
    let config = sdk_config(subject, url).await;
    for polls in 0..POLLS_MAX {
        // Without a kept connection at first, so that those await points are met too.
        let transport = AwsTransport::new(&config, STREAM.parse().unwrap()).unwrap();
        let request = |name: &str| {
            // More than a socket takes at once, so that there are await points within the request.
            let large = format!("{name}-{polls}-{}", "x".repeat(900_000));
            let records = (0..2).map(|part| Record::new(name, format!("{large}-{part}")).unwrap());
            PutRecords::of_records(records).unwrap()
        };
        let (given_up, whole) = (request("given-up"), request("whole"));
        let early = give_up_after(polls, transport.put_records(&given_up)).await;
        let described = give_up_after(polls, transport.describe()).await;
        transport.put_records(&whole).await.expect("the request after the one that was given up");
        if let (Some(early), Some(described)) = (early, described) {
            early.unwrap();
            described.unwrap();
            break;
        }
        assert!(polls < POLLS_MAX - 1, "a request is polled for ever");
    }
    let copies = copies(kinesis);
    assert!(copies.values().all(|&count| count == 1), "the HTTP client sends nothing twice by itself");
}

async fn sdk_config(subject: &impl Subject, url: String) -> SdkConfig {
    let options = AwsOptions {
        region: Some(Target::REGION.to_owned()),
        endpoint_url: Some(url),
        credentials: Some(SharedCredentialsProvider::new(Target::credentials())),
        ..AwsOptions::default()
    };
    options.load(&STREAM.parse().unwrap(), subject.connectivity()).await.unwrap()
}
