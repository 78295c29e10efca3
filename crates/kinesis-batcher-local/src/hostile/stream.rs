//! The one stream: its shards, where records belong, and resharding.

use std::time::Instant;

use kinesis_model::ShardMeter;

use super::limits::WallClock;
use super::options::HostileOptions;
use crate::ShardDescription;
use crate::routing::{shard_id, tile};

/// A split or merge that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReshardError {
    /// There is no such shard, or it was split or merged already.
    #[error("there is no open shard {0}")]
    NotOpen(String),
    /// The second shard does not begin where the first ends.
    #[error("{0} does not end where {1} begins")]
    NotNeighbours(String, String),
    /// The shard has a single hash key.
    #[error("{0} is too small to be split")]
    TooSmall(String),
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) options: HostileOptions,
    /// In the order of their numbers.
    shards: Vec<Shard>,
    /// Positions of the open shards, in the order of their ranges, which tile the space.
    open: Vec<usize>,
    auto_next: usize,
    sequence_next: u64,
    clock: WallClock,
}

#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) description: ShardDescription,
    pub(crate) first_sequence: u64,
    pub(crate) last_sequence: Option<u64>,
    meter: Option<ShardMeter>,
}

impl Stream {
    pub(crate) fn new(options: HostileOptions) -> Self {
        let ranges: Vec<_> = tile(options.shards).collect();
        let mut stream = Self {
            options,
            shards: Vec::new(),
            open: Vec::new(),
            auto_next: 0,
            sequence_next: 1,
            clock: WallClock::start(),
        };
        for range in ranges {
            let position = stream.add(*range.start(), *range.end(), [None, None]);
            stream.open.push(position);
        }
        stream
    }

    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    pub(crate) fn open_count(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:kinesis:us-east-1:000000000000:stream/{}", self.options.stream_name)
    }

    /// Position of the open shard for a hash key.
    pub(crate) fn route(&self, hash_key: u128) -> usize {
        let after =
            self.open.partition_point(|&shard| self.shards[shard].description.starting_hash_key <= hash_key);
        self.open[after.checked_sub(1).expect("the open shards tile the space, so one of them begins at 0")]
    }

    /// Position of the shard for the next record of a stream that distributes by itself.
    pub(crate) fn route_automatically(&mut self) -> usize {
        self.auto_next = (self.auto_next + 1) % self.open.len();
        self.open[self.auto_next]
    }

    pub(crate) fn shard_id(&self, position: usize) -> &str {
        &self.shards[position].description.shard_id
    }

    /// True if the shard's limits let a record of this size through.
    pub(crate) fn admit(&mut self, position: usize, now: Instant, bytes: usize) -> bool {
        let now = self.clock.at(now);
        self.shards[position].meter.as_mut().is_none_or(|meter| meter.admit(now, bytes))
    }

    pub(crate) fn next_sequence(&mut self) -> u64 {
        let number = self.sequence_next;
        self.sequence_next += 1;
        number
    }

    pub(crate) fn split(&mut self, id: &str) -> Result<[String; 2], ReshardError> {
        let place = self.find_open(id)?;
        let (start, end) = self.range(place);
        if start == end {
            return Err(ReshardError::TooSmall(id.to_owned()));
        }
        let middle = start + (end - start) / 2;
        let parents = [Some(id.to_owned()), None];
        self.close(place);
        let lower = self.add(start, middle, parents.clone());
        let upper = self.add(middle + 1, end, parents);
        self.open.splice(place..=place, [lower, upper]);
        Ok([lower, upper].map(|position| self.shard_id(position).to_owned()))
    }

    pub(crate) fn merge(&mut self, lower: &str, upper: &str) -> Result<String, ReshardError> {
        let (place, neighbour) = (self.find_open(lower)?, self.find_open(upper)?);
        if neighbour != place + 1 {
            return Err(ReshardError::NotNeighbours(lower.to_owned(), upper.to_owned()));
        }
        let ((start, _), (_, end)) = (self.range(place), self.range(neighbour));
        self.close(place);
        self.close(neighbour);
        let child = self.add(start, end, [Some(lower.to_owned()), Some(upper.to_owned())]);
        self.open.splice(place..=neighbour, [child]);
        Ok(self.shard_id(child).to_owned())
    }

    fn find_open(&self, id: &str) -> Result<usize, ReshardError> {
        let place = self.open.iter().position(|&shard| self.shard_id(shard) == id);
        place.ok_or_else(|| ReshardError::NotOpen(id.to_owned()))
    }

    fn range(&self, place: usize) -> (u128, u128) {
        let description = &self.shards[self.open[place]].description;
        (description.starting_hash_key, description.ending_hash_key)
    }

    fn close(&mut self, place: usize) {
        let last_sequence = self.next_sequence();
        let shard = &mut self.shards[self.open[place]];
        shard.description.open = false;
        shard.last_sequence = Some(last_sequence);
    }

    fn add(&mut self, start: u128, end: u128, parents: [Option<String>; 2]) -> usize {
        let [parent_shard_id, adjacent_parent_shard_id] = parents;
        let number = u32::try_from(self.shards.len()).expect("no test opens 4 billion shards");
        let first_sequence = self.next_sequence();
        let now = self.clock.at(Instant::now());
        self.shards.push(Shard {
            description: ShardDescription {
                shard_id: shard_id(number),
                starting_hash_key: start,
                ending_hash_key: end,
                parent_shard_id,
                adjacent_parent_shard_id,
                open: true,
            },
            first_sequence,
            last_sequence: None,
            meter: self.options.shard_limits.map(|limits| ShardMeter::new(limits, now)),
        });
        self.shards.len() - 1
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn stream() -> Stream {
        Stream::new(HostileOptions::default())
    }

    fn assert_open_shards_tile(stream: &Stream) {
        let mut next = Some(0);
        for &shard in &stream.open {
            let description = &stream.shards[shard].description;
            assert!(description.open, "{} is routed to though closed", description.shard_id);
            assert_eq!(Some(description.starting_hash_key), next, "a gap before {}", description.shard_id);
            next = description.ending_hash_key.checked_add(1);
        }
        assert_eq!(next, None, "the last open shard ends with the space");
    }

    #[test]
    fn the_open_shards_tile_the_space_after_every_reshard() {
        let mut stream = stream();
        assert_open_shards_tile(&stream);
        let [lower, upper] = stream.split("shardId-000000000001").unwrap();
        assert_eq!([lower.as_str(), upper.as_str()], ["shardId-000000000004", "shardId-000000000005"]);
        assert_open_shards_tile(&stream);
        assert_eq!(stream.merge(&upper, "shardId-000000000002").unwrap(), "shardId-000000000006");
        assert_open_shards_tile(&stream);
        assert_eq!(stream.open_count(), 4);
    }

    #[test]
    fn a_record_of_a_split_shard_goes_to_the_child_that_holds_its_hash_key() {
        let mut stream = stream();
        let hash_key = (1 << 126) + 7;
        assert_eq!(stream.shard_id(stream.route(hash_key)), "shardId-000000000001");
        let [lower, _] = stream.split("shardId-000000000001").unwrap();
        assert_eq!(stream.shard_id(stream.route(hash_key)), lower);
    }

    #[test]
    fn what_cannot_be_resharded_is_refused() {
        let mut stream = stream();
        let name = |number| shard_id(number);
        assert_eq!(stream.merge(&name(0), &name(2)), Err(ReshardError::NotNeighbours(name(0), name(2))));
        assert_eq!(stream.merge(&name(1), &name(0)), Err(ReshardError::NotNeighbours(name(1), name(0))));
        stream.split(&name(0)).unwrap();
        assert_eq!(stream.split(&name(0)), Err(ReshardError::NotOpen(name(0))));
        assert_eq!(stream.open_count(), 5, "a refused reshard changes nothing");
    }
}
