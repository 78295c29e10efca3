//! Records go out, and what became of them comes back.

use std::sync::{Arc, Mutex};

use futures::{FutureExt, SinkExt, StreamExt, stream};
use kinesis_batcher_core::{PushErrorReason, Record};

use super::*;
use crate::{Completion, TaggedRecord};

#[test]
fn a_record_is_delivered_and_its_receipt_says_where() {
    let World { runtime, producer, .. } = world(eager());
    let receipt = runtime.block_on(async {
        let delivery = producer.send(record_for_shard(2, "hello")).await.unwrap();
        delivery.await.unwrap()
    });
    assert_eq!(receipt.shard_id.to_string(), "shardId-000000000002");
    assert_eq!(receipt.attempts, 1);
    assert!(!receipt.possible_duplicate);
}

#[test]
fn a_lone_record_goes_out_exactly_when_it_has_lingered() {
    let World { runtime, producer, .. } = world(Config::builder().linger(70 * MILLI));
    runtime.run_for(SECOND);
    let delivery = producer.try_send(record(1)).unwrap();
    runtime.block_on(delivery).unwrap();
    assert_eq!(runtime.elapsed(), SECOND + 70 * MILLI + MILLI, "linger, then a millisecond in the transport");
}

#[test]
fn the_delivery_may_be_dropped_and_the_record_arrives_all_the_same() {
    let World { runtime, producer, transport } = world(eager());
    drop(producer.try_send(record(1)).unwrap());
    runtime.block_on(producer.flush()).unwrap();
    assert_eq!(transport.stored(), ["1"]);
}

#[test]
fn nothing_is_sent_by_a_future_that_is_not_polled() {
    let World { runtime, producer, transport } = world(eager());
    drop(producer.send(record(1)));
    drop(producer.send_all([record(2)]));
    runtime.run_for(SECOND);
    assert_eq!(transport.requests(), 0);
    assert_eq!(producer.stats().records_accepted, 0);
}

#[test]
fn records_are_refused_with_the_record_given_back() {
    let World { runtime, producer, .. } = world(eager());
    let refused = runtime.block_on(producer.send(Record::without_partition_key("v").unwrap())).unwrap_err();
    assert_eq!(refused.reason, PushErrorReason::PartitionKeyMissing);
    assert_eq!(refused.record.data(), &b"v"[..]);
    let large = Record::new("k", vec![0; 2 << 20]).unwrap();
    let refused = runtime.block_on(producer.send_and_forget((large.clone(), 7))).unwrap_err();
    assert!(matches!(refused.reason, PushErrorReason::TooLarge { .. }));
    assert_eq!((refused.record, refused.tag), (large, 7));
}

#[test]
fn each_record_sent_without_a_receipt_completes_once_with_its_tag() {
    let seen = Arc::new(Mutex::new(vec![]));
    let handler = Arc::clone(&seen);
    let World { runtime, producer, .. } =
        world_with(eager(), |builder| builder.on_completion(move |c| handler.lock().unwrap().push(c.tag())));
    runtime.block_on(async {
        producer.send_all((0..1_200).map(|n| (record(n), n))).await.unwrap();
        producer.send_and_forget((record(1_200), 1_200)).await.unwrap();
        producer.try_send_and_forget((record(1_201), 1_201)).unwrap();
        producer.send(record(0)).await.unwrap().await.unwrap();
        producer.flush().await.unwrap();
    });
    let mut tags = std::mem::take(&mut *seen.lock().unwrap());
    tags.sort_unstable();
    assert_eq!(tags, (0..1_202).collect::<Vec<_>>(), "the record with a delivery is not told to the handler");
}

#[test]
fn a_handler_that_panics_costs_that_completion_alone() {
    let seen = Arc::new(Mutex::new(vec![]));
    let handler = Arc::clone(&seen);
    let World { runtime, producer, .. } = world_with(eager(), |builder| {
        builder.on_completion(move |completion| {
            assert!(completion.tag() != 3, "told to panic");
            handler.lock().unwrap().push(completion.tag());
        })
    });
    runtime.block_on(async {
        producer.send_all((0..8).map(|n| (record(n), n))).await.unwrap();
        producer.flush().await.unwrap();
        producer.send(record(9)).await.unwrap().await.unwrap();
    });
    assert_eq!(seen.lock().unwrap().len(), 7);
}

#[test]
fn a_handler_may_send_in_turn() {
    let slot: Arc<Mutex<Option<Producer>>> = Arc::default();
    let again = Arc::clone(&slot);
    let World { runtime, producer, transport } = world_with(eager(), |builder| {
        builder.on_completion(move |completion| {
            if let (Completion::Delivered { tag: tag @ 1.., .. }, Some(producer)) =
                (completion, &*again.lock().unwrap())
            {
                producer.try_send_and_forget((record(tag), tag - 1)).unwrap();
            }
        })
    });
    *slot.lock().unwrap() = Some(producer.clone());
    producer.try_send_and_forget((record(5), 5)).unwrap();
    runtime.run_for(SECOND);
    assert_eq!(transport.stored().len(), 6, "each of five completions sent one more");
    *slot.lock().unwrap() = None;
}

#[test]
fn send_all_keeps_what_is_behind_a_refused_record() {
    let World { runtime, producer, transport } = world(eager().buffer_records_max(10));
    let mut records: Vec<Record> = (0..900).map(record).collect();
    records[700] = Record::new("k", vec![0; 2 << 20]).unwrap();
    let error = runtime.block_on(producer.send_all(records)).unwrap_err();
    assert!(matches!(error.refused.reason, PushErrorReason::TooLarge { .. }));
    assert_eq!(error.rest, (701..900).map(|n| TaggedRecord::from(record(n))).collect::<Vec<_>>());
    runtime.block_on(producer.flush()).unwrap();
    let mut stored: Vec<u64> = transport.stored().iter().map(|data| data.parse().unwrap()).collect();
    stored.sort_unstable();
    assert_eq!(stored, (0..700).collect::<Vec<_>>(), "everything before it was accepted, nothing after it");
}

#[test]
fn a_stream_is_forwarded_into_the_sink_through_a_small_buffer() {
    let World { runtime, producer, transport } = world(eager().buffer_records_max(7));
    let source = stream::iter((0..500).map(record)).map(Ok);
    runtime.block_on(source.forward(producer.sink())).unwrap();
    assert_eq!(transport.stored().len(), 500, "closing the sink flushes it");
    runtime.block_on(producer.send(record(500)).map(Result::unwrap).flatten()).unwrap();
}

#[test]
fn the_sink_gives_a_refused_record_back_and_goes_on() {
    let World { runtime, producer, transport } = world(eager());
    let mut sink = producer.sink();
    runtime.block_on(async {
        let refused = sink.feed((Record::without_partition_key("v").unwrap(), 3)).await.unwrap_err();
        assert_eq!((refused.reason, refused.tag), (PushErrorReason::PartitionKeyMissing, 3));
        sink.send(record(1)).await.unwrap();
    });
    assert_eq!(transport.stored(), ["1"]);
}

#[test]
fn a_flush_waits_for_what_was_accepted_before_it_and_for_nothing_else() {
    let World { runtime, producer, transport } = world(Config::builder().linger(60 * SECOND));
    transport.answer(|_, request| {
        let slow = request.records().any(|record| record.data() == &b"2"[..]);
        Answer::Stored.after(if slow { 500 * SECOND } else { SECOND })
    });
    runtime.block_on(async {
        let _first = producer.send(record(1)).await.unwrap();
        let mut flush = std::pin::pin!(producer.flush());
        assert!(futures::poll!(flush.as_mut()).is_pending(), "the first record is on its way");
        let _second = producer.send(record(2)).await.unwrap();
        flush.await.unwrap();
    });
    assert_eq!(runtime.elapsed(), SECOND, "neither the linger nor the later record was waited for");
    assert_eq!(producer.stats().records_delivered, 1);
}

#[test]
fn a_flush_of_nothing_is_ready_at_once() {
    let World { producer, .. } = world(eager());
    producer.flush().now_or_never().expect("nothing is held").unwrap();
}

#[test]
fn many_flushes_at_once_all_end() {
    let World { runtime, producer, .. } = world(Config::builder().linger(60 * SECOND));
    runtime.block_on(futures::future::join_all((0..100).map(|n| {
        let producer = producer.clone();
        async move {
            producer.send_and_forget(record(n)).await.unwrap();
            producer.flush().await.unwrap();
        }
    })));
    assert_eq!(producer.stats().records_delivered, 100);
    assert!(runtime.elapsed() < SECOND, "a flush does not wait for the linger");
}
