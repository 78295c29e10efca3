//! A stream without a network: limits for each shard, delays and faults, behind the driver's `Transport`.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests and an example share it")]

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use kinesis_batcher_tokio::{
    BoxFuture, DescribeError, ErrorCode, HashKey, PutRecords, RecordOutcome, RequestError, RequestRecord,
    Response, ServiceError, ShardMap, Transport,
};
use tokio::time::{Instant, sleep};

/// How it answers.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Of each request, from and to.
    pub latency: (Duration, Duration),
    /// Records a second and shard.
    pub records_per_second: u64,
    /// A shard that others write to as well, by its index, and what they leave of its limit.
    pub hot: Option<(usize, u64)>,
    /// Of a thousand requests: how many fail, half of them with an outcome that nobody knows.
    pub failing_requests: u64,
    /// Of a thousand records: how many are refused for good.
    pub refused_records: u64,
    /// What every request is refused with, at status 400.
    pub refusal: Option<ServiceError>,
}

/// The stream.
pub struct FakeKinesis {
    behaviour: Mutex<Behaviour>,
    state: Mutex<State>,
}

struct State {
    map: ShardMap,
    /// What each shard took in the present second.
    taken: Vec<u64>,
    second: u64,
    started: Instant,
    random: u64,
}

impl FakeKinesis {
    pub fn new(shards: u32, behaviour: Behaviour) -> Self {
        let state =
            State { map: map(shards), taken: Vec::new(), second: 0, started: Instant::now(), random: 1 };
        Self { behaviour: Mutex::new(behaviour), state: Mutex::new(state) }
    }

    /// Answers otherwise from now on.
    #[allow(dead_code, reason = "not every program that includes this file changes its mind")]
    pub fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// Divides the key space anew. Producers learn of it from replies.
    #[allow(dead_code, reason = "not every program that includes this file reshards")]
    pub fn reshard(&self, shards: u32) {
        self.state.lock().unwrap().map = map(shards);
    }

    fn answer(&self, behaviour: &Behaviour, request: &PutRecords) -> Result<Response, RequestError> {
        if let Some(error) = &behaviour.refusal {
            return Err(RequestError::refused(400, error.clone()));
        }
        let mut state = self.state.lock().unwrap();
        match state.random_below(2_000) {
            dice if dice < behaviour.failing_requests => {
                return Err(RequestError::refused(
                    500,
                    ServiceError::new(ErrorCode::InternalFailure.as_str(), "told to"),
                ));
            }
            dice if dice < 2 * behaviour.failing_requests => {
                return Err(RequestError::outcome_unknown("told to"));
            }
            _ => {}
        }
        let second = state.started.elapsed().as_secs();
        if second != state.second || state.taken.len() != state.map.shards().len() {
            state.second = second;
            state.taken = vec![0; state.map.shards().len()];
        }
        Ok(Response::new(request.records().map(|record| state.outcome(behaviour, &record)).collect()))
    }
}

impl State {
    fn outcome(&mut self, behaviour: &Behaviour, record: &RequestRecord<'_>) -> RecordOutcome {
        if self.random_below(1_000) < behaviour.refused_records {
            return RecordOutcome::Failed(ServiceError::from_code("KMSAccessDeniedException"));
        }
        let key =
            record.explicit_hash_key().or_else(|| record.partition_key().map(HashKey::of_partition_key));
        let index = self.map.index_of(key.unwrap_or(HashKey::MIN));
        let limit = match behaviour.hot {
            Some((hot, left)) if hot == index => left,
            _ => behaviour.records_per_second,
        };
        if self.taken[index] >= limit {
            return RecordOutcome::Failed(ServiceError::from_code("ProvisionedThroughputExceededException"));
        }
        self.taken[index] += 1;
        RecordOutcome::Stored { shard_id: self.map.shards()[index].id.clone(), sequence_number: "1".into() }
    }

    /// SplitMix64: the same faults in every run.
    fn random_below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

impl Transport for FakeKinesis {
    fn put_records<'a>(&'a self, request: &'a PutRecords) -> BoxFuture<'a, Result<Response, RequestError>> {
        let behaviour = self.behaviour.lock().unwrap().clone();
        Box::pin(async move {
            let (from, to) = behaviour.latency;
            let more = self.state.lock().unwrap().random_below(1_000);
            sleep(from + (to - from) * u32::try_from(more).unwrap() / 1_000).await;
            self.answer(&behaviour, request)
        })
    }

    fn describe(&self) -> BoxFuture<'_, Result<ShardMap, DescribeError>> {
        Box::pin(async { Ok(self.state.lock().unwrap().map.clone()) })
    }
}

pub fn map(shards: u32) -> ShardMap {
    ShardMap::uniform(NonZeroU32::new(shards).expect("a stream has a shard"))
}

impl Default for Behaviour {
    /// Answers at once, and to everybody's content.
    fn default() -> Self {
        Self {
            latency: (Duration::ZERO, Duration::ZERO),
            records_per_second: u64::MAX,
            hot: None,
            failing_requests: 0,
            refused_records: 0,
            refusal: None,
        }
    }
}
