//! Keeping the shard map fresh.

use super::mock::Description;
use super::*;

#[test]
fn the_map_is_asked_for_on_the_interval() {
    let World { runtime, transport, producer } =
        world_with(eager(), |builder| builder.refresh_interval(60 * SECOND));
    runtime.run_for(600 * SECOND);
    assert!((10..=11).contains(&transport.describes()), "{} calls in ten minutes", transport.describes());
    drop(producer);
    runtime.run_for(SECOND);
    assert_eq!(runtime.tasks(), 0);
}

#[test]
fn without_an_interval_the_map_is_left_alone() {
    let World { runtime, transport, producer } =
        world_with(eager(), |builder| builder.refresh_interval(None));
    runtime.block_on(producer.send(record(1))).unwrap();
    runtime.run_for(100_000 * SECOND);
    assert_eq!(transport.describes(), 0);
}

#[test]
fn a_reshard_is_noticed_and_the_new_map_fetched_with_few_calls() {
    let World { runtime, transport, producer } =
        world_with(eager(), |builder| builder.refresh_interval(None));
    transport.reshard(shards(8));
    transport.describe_as(|_| Description::Map(shards(8)));
    runtime.block_on(async {
        for number in 0..2_000 {
            drop(producer.send(record(number)).await.unwrap());
            runtime.sleep(MILLI).await;
        }
        producer.flush().await.unwrap();
    });
    assert_eq!(producer.stats().open_shards, 8);
    assert_eq!(producer.shard_stats().len(), 8);
    assert_eq!(transport.stored().len(), 2_000, "records on the children are not sent again");
    assert!((1..=3).contains(&transport.describes()), "{} calls for one reshard", transport.describes());
}

#[test]
fn while_the_map_cannot_be_had_the_old_one_serves_and_the_calls_thin_out() {
    for hang in [false, true] {
        let World { runtime, transport, producer } =
            world_with(eager(), |builder| builder.refresh_interval(10 * SECOND));
        transport.describe_as(move |number| match number {
            0..40 if hang => Description::Hang,
            0..40 if number % 2 == 0 => Description::Panic,
            0..40 => Description::Error,
            _ => Description::Map(shards(16)),
        });
        runtime.run_for(300 * SECOND);
        let calls = transport.describes();
        assert!((4..=14).contains(&calls), "{calls} calls in five minutes of failures");
        runtime.block_on(async { producer.send(record(1)).await.unwrap().await.unwrap() });
        assert_eq!(producer.stats().open_shards, 4);
        runtime.run_for(2 * 3_600 * SECOND);
        assert_eq!(producer.stats().open_shards, 16, "it gets there in the end");
    }
}

#[test]
fn a_refresh_that_hangs_does_not_hold_up_a_close() {
    let World { runtime, transport, producer } =
        world_with(eager(), |builder| builder.refresh_interval(10 * SECOND));
    transport.describe_as(|_| Description::Hang);
    runtime.run_for(11 * SECOND);
    assert_eq!(transport.describes(), 1);
    let started = runtime.elapsed();
    runtime.block_on(producer.close(60 * SECOND));
    assert_eq!(runtime.elapsed(), started);
    runtime.run_for(MILLI);
    assert_eq!(runtime.tasks(), 0);
}

#[test]
fn connecting_describes_first_and_passes_the_error_on() {
    let World { runtime, transport, .. } = world(eager());
    transport
        .describe_as(|number| if number == 0 { Description::Error } else { Description::Map(shards(3)) });
    let connect = || Producer::builder().connect(Arc::new(runtime.clone()), transport.clone());
    let error = runtime.block_on(connect()).unwrap_err();
    assert_eq!(error.to_string(), "told to fail");
    assert_eq!(runtime.block_on(connect()).unwrap().stats().open_shards, 3);
}

#[test]
fn a_snapshot_tells_how_fresh_the_map_is_and_its_figures_belong_together() {
    let World { runtime, transport, producer } =
        world_with(eager(), |builder| builder.refresh_interval(10 * SECOND));
    let fresh = producer.snapshot();
    assert_eq!(fresh.shard_map, crate::ShardMapStatus::default(), "the first map is no refresh");

    transport
        .describe_as(|number| if number == 0 { Description::Error } else { Description::Map(shards(8)) });
    transport.reshard(shards(8));
    runtime.block_on(async {
        for number in 0..50 {
            producer.send(record(number)).await.unwrap().await.unwrap();
        }
    });
    assert!(
        producer.snapshot().shard_map.is_stale,
        "records were stored by shards that the map does not know"
    );
    runtime.run_for(15 * SECOND);
    let snapshot = producer.snapshot();
    assert_eq!(snapshot.shard_map.refreshes_failed, 1);
    assert!(snapshot.shard_map.refreshes_succeeded >= 1 && !snapshot.shard_map.is_stale);
    assert!(snapshot.shard_map.refreshed_at > fresh.now && snapshot.shard_map.refreshed_at <= snapshot.now);
    assert_eq!(snapshot.shards.len(), 8);
    assert_eq!((snapshot.stats.records_delivered, snapshot.histograms.push_delay.count()), (50, 50));
    assert!(!snapshot.is_closed && snapshot.last_error.is_none());

    let failed = snapshot.shard_map.refreshes_failed;
    runtime.block_on(producer.close(SECOND));
    runtime.run_for(SECOND);
    let closed = producer.snapshot();
    assert!(
        closed.is_closed && closed.shard_map.refreshes_failed == failed,
        "stopping is no failure to refresh"
    );
}

#[test]
fn an_observer_does_not_keep_a_producer_open_and_sees_its_end() {
    let World { runtime, producer, .. } = world(Config::builder());
    let observer = producer.observer();
    drop(runtime.block_on(producer.send(record(1))).unwrap());
    assert_eq!(observer.snapshot().stats.records_queued, 1);
    drop(producer);
    runtime.run_for(SECOND);
    assert_eq!(observer.snapshot().stats.records_delivered, 1);
    assert_eq!(runtime.tasks(), 0, "the producer has ended");
}
