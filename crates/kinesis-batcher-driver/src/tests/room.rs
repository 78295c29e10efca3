//! Waiting for room in the buffer.

use std::task::Poll;

use futures::FutureExt;
use kinesis_batcher_core::{PushErrorReason, Record};

use super::*;

#[test]
fn a_sender_waits_for_room_and_gets_in_when_a_reply_makes_some() {
    let World { runtime, producer, transport } = world(eager().buffer_records_max(1));
    runtime.block_on(async {
        for number in 0..20 {
            let _delivery = producer.send(record(number)).await.unwrap();
        }
        producer.flush().await.unwrap();
    });
    assert_eq!(transport.stored().len(), 20);
    assert_eq!(runtime.elapsed(), 20 * MILLI, "each record waited for the one before it");
}

#[test]
fn try_send_does_not_wait_and_does_not_pass_those_who_do() {
    let World { runtime, producer, transport } = world(eager().buffer_bytes_max(1 << 10));
    let large = || Record::new("k", vec![0; 900]).unwrap();
    runtime.block_on(async {
        let _held = producer.try_send(large()).unwrap();
        let mut waiting = std::pin::pin!(producer.send(large()));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        let refused = producer.try_send(record(1)).unwrap_err();
        assert_eq!(refused.reason, PushErrorReason::Full, "it would fit, but somebody was there before");
        let _delivery = waiting.await.unwrap();
        let _small = producer.try_send(record(1)).expect("nobody waits any more");
        producer.flush().await.unwrap();
    });
    assert_eq!(transport.stored().len(), 3);
}

#[test]
fn a_large_record_is_not_starved_by_small_ones() {
    let World { runtime, producer, transport } =
        world(eager().buffer_bytes_max(10 << 10).in_flight_requests_max(4));
    let small = |n: u64| Record::new(format!("{n}"), vec![b'.'; 1_000]).unwrap();
    for number in 0..4 {
        let (producer, runtime_) = (producer.clone(), runtime.clone());
        crate::Runtime::spawn(
            &runtime,
            Box::pin(async move {
                for round in 0..200 {
                    drop(producer.send(small(number * 1_000 + round)).await.unwrap());
                    runtime_.sleep(MILLI / 4).await;
                }
            }),
        );
    }
    runtime.run_for(10 * MILLI);
    runtime.block_on(producer.send(Record::new("large", vec![b'.'; 9_000]).unwrap())).unwrap().now_or_never();
    assert!(transport.stored().len() < 400, "it got in while small records were still coming");
}

#[test]
fn a_sender_whose_shard_is_full_holds_up_nobody_else() {
    let World { runtime, producer, transport } =
        world_with(eager().buffer_bytes_max(10 << 10), |builder| builder.request_timeout(3_600 * SECOND));
    // The first shard never answers.
    transport.answer(|_, request| {
        let hot = request.records().any(|record| record.data()[0] == b'h');
        if hot { Answer::Hang.after(MILLI) } else { Answer::Stored.after(MILLI) }
    });
    let hot = || record_for_shard(0, &"h".repeat(1_000));
    let mut filled = 0;
    while producer.try_send(hot()).is_ok() {
        filled += 1;
    }
    assert!(
        (3..9).contains(&filled),
        "a hot shard may fill half of the buffer or so, not {filled} tenths of it"
    );
    runtime.block_on(async {
        let mut waiting = std::pin::pin!(producer.send(hot()));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        for _ in 0..50 {
            producer.send(record_for_shard(1, "cold")).await.unwrap().await.unwrap();
        }
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        let refused = producer.try_send(record_for_shard(0, "hi")).unwrap_err();
        assert_eq!(
            refused.reason,
            PushErrorReason::ShardFull,
            "the hot shard's own senders do not pass either"
        );
    });
}

#[test]
fn a_waiting_sender_that_gives_up_is_not_sent_and_leaves_nothing_behind() {
    let World { runtime, producer, transport } = world(eager().buffer_records_max(1));
    runtime.block_on(async {
        let _held = producer.try_send(record(0)).unwrap();
        {
            let mut given_up = std::pin::pin!(producer.send(record(1)));
            assert!(futures::poll!(given_up.as_mut()).is_pending());
        }
        producer.send(record(2)).await.unwrap().await.unwrap();
        producer.flush().await.unwrap();
    });
    assert_eq!(transport.stored(), ["0", "2"]);
    assert_eq!(producer.stats().buffered_bytes, 0);
}

#[test]
fn those_behind_a_sender_that_gives_up_get_in_at_once() {
    let World { runtime, producer, transport } = world(eager().buffer_bytes_max(1 << 10));
    transport.answer(|_, _| Answer::Hang.after(MILLI));
    runtime.block_on(async {
        let _held = producer.try_send(Record::new("k", vec![0; 600]).unwrap()).unwrap();
        let mut large = Box::pin(producer.send(Record::new("k", vec![0; 600]).unwrap()));
        assert!(futures::poll!(large.as_mut()).is_pending());
        let mut small = std::pin::pin!(producer.send(record(1)));
        assert!(futures::poll!(small.as_mut()).is_pending(), "it would fit, but the large one came first");
        drop(large);
        assert!(
            matches!(futures::poll!(small.as_mut()), Poll::Ready(Ok(_))),
            "nothing is in its way any more"
        );
    });
}

#[test]
fn a_send_dropped_at_any_await_point_is_sent_once_or_not_at_all() {
    for polls_before_drop in 0..6 {
        let World { runtime, producer, transport } = world(eager().buffer_records_max(2));
        let mut finished = vec![];
        runtime.block_on(async {
            for number in 0..40 {
                let mut sending = Box::pin(producer.send(record(number)));
                for _ in 0..polls_before_drop {
                    if let Poll::Ready(result) = futures::poll!(sending.as_mut()) {
                        finished.push((number, result.unwrap()));
                        break;
                    }
                    runtime.sleep(MILLI / 3).await;
                }
            }
            producer.flush().await.unwrap();
        });
        let stored = transport.stored();
        for (number, _) in &finished {
            let copies = stored.iter().filter(|data| **data == number.to_string()).count();
            assert_eq!(copies, 1, "record {number} was accepted, so it is stored once");
        }
        let mut distinct = stored.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), stored.len(), "nothing is sent twice");
        assert_eq!(producer.stats().records_accepted, stored.len() as u64);
        assert_eq!(producer.stats().buffered_bytes, 0);
    }
}

#[test]
fn the_other_waiting_futures_may_be_dropped_at_any_await_point_too() {
    for polls_before_drop in 0..8 {
        let World { runtime, producer, transport } = world(eager().buffer_records_max(2));
        runtime.block_on(async {
            macro_rules! poll_then_drop {
                ($future:expr) => {{
                    let mut future = Box::pin($future);
                    for _ in 0..polls_before_drop {
                        if futures::poll!(future.as_mut()).is_ready() {
                            break;
                        }
                        runtime.sleep(MILLI / 3).await;
                    }
                }};
            }
            poll_then_drop!(producer.send_all((0..10).map(record)));
            poll_then_drop!(producer.send_and_forget(record(10)));
            poll_then_drop!(async {
                let mut sink = producer.sink();
                for number in 11..20 {
                    futures::SinkExt::feed(&mut sink, record(number)).await.unwrap();
                }
                futures::SinkExt::<Record>::flush(&mut sink).await.unwrap();
            });
            poll_then_drop!(producer.flush());
            producer.send(record(99)).await.unwrap().await.unwrap();
            poll_then_drop!(producer.close(SECOND));
            producer.close(SECOND).await;
        });
        let stats = producer.stats();
        assert_eq!(stats.records_accepted, stats.records_delivered);
        assert_eq!(stats.records_delivered, transport.stored().len() as u64);
        assert!(producer.shared().lock().watchers.is_unwatched(), "no waker stays behind");
        runtime.run_for(MILLI);
        assert_eq!(runtime.tasks(), 0, "the tasks end with the producer");
    }
}

#[test]
fn waiting_senders_follow_a_reshard() {
    let World { runtime, producer, transport } = world(eager().buffer_bytes_max(10 << 10));
    transport.answer(|_, _| Answer::Hang.after(MILLI));
    let at = |hash_key| {
        let record = Record::new("k", vec![b'.'; 1_000]).unwrap();
        record.with_explicit_hash_key(kinesis_batcher_core::HashKey::new(hash_key))
    };
    runtime.block_on(async {
        while producer.try_send_and_forget(at(0)).is_ok() {}
        let mut first = Box::pin(producer.send(at(0)));
        let mut second = Box::pin(producer.send(at(u128::MAX / 5)));
        assert!(futures::poll!(first.as_mut()).is_pending());
        assert!(futures::poll!(second.as_mut()).is_pending(), "both are in the first of four shards");
        producer.shared().change(|state, now, effects| state.handle_shard_map(now, shards(64), effects));
        assert!(futures::poll!(first.as_mut()).is_pending());
        assert!(futures::poll!(second.as_mut()).is_ready(), "its new shard holds nothing");
    });
}
