//! Back-pressure.

use std::pin::pin;

use kinesis_batcher_driver::{PushErrorReason, Record};
use kinesis_batcher_local::hostile::{Fault, Operation};

use super::*;
use crate::outcomes::record;
use crate::polls::is_pending;
use crate::subject::eager;

pub fn a_full_buffer_makes_senders_wait_until_there_is_room<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let target = target(&kinesis).with_config(eager().buffer_records_max(20).in_flight_requests_max(1));
        let producer = subject.connect(target).await.unwrap();
        kinesis.every(Operation::PutRecords, Fault::HangBeforeStoring);
        let mut accepted = 0;
        let refused = loop {
            match producer.try_send(record(format!("{accepted}"))) {
                Ok(_) => accepted += 1,
                Err(refused) => break refused,
            }
        };
        assert!(refused.reason.is_full(), "{refused}");
        assert!((1..=20).contains(&accepted), "{accepted} records fit into room for 20");
        kinesis.wait_until(|seen| seen.held() > 0).await.unwrap();
        let mut waiting = pin!(producer.send(refused.record));
        assert!(is_pending(waiting.as_mut()), "there is no room yet");
        kinesis.calm();
        let delivery = waiting.await.unwrap();
        delivery.await.unwrap();
        producer.flush().await.unwrap();
        assert_eq!(kinesis.stored().len(), accepted + 1);
    });
}

pub fn many_more_records_than_there_is_room_for_all_get_in<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let target = target(&kinesis).with_config(eager().buffer_records_max(50));
        let producer = subject.connect(target).await.unwrap();
        producer.send_all((0..3_000).map(|number| record(number.to_string()))).await.unwrap();
        producer.flush().await.unwrap();
        assert_eq!(kinesis.stored().len(), 3_000);
    });
}

pub fn a_sender_that_waits_when_the_producer_closes_gets_its_record_back<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let target = target(&kinesis).with_config(eager().buffer_records_max(4));
        let producer = subject.connect(target).await.unwrap();
        kinesis.every(Operation::PutRecords, Fault::HangBeforeStoring);
        while producer.try_send_and_forget(record("held")).is_ok() {}
        // Of the same key: the other shards' share of the buffer is free.
        let late = || Record::new("key-held", "late").unwrap();
        let mut waiting = pin!(producer.send(late()));
        assert!(is_pending(waiting.as_mut()));
        let close = producer.close(std::time::Duration::from_millis(50));
        let (refused, report) = futures::join!(waiting, close);
        let refused = refused.unwrap_err();
        assert_eq!((refused.reason, refused.record), (PushErrorReason::Closed, late()));
        assert!(!report.undelivered.is_empty(), "what hung is handed back");
    });
}
