//! UpdateShardCount as the service does it: by splits and merges, so that each shard names its parents.

use ferrokinesis::sequence::{MAX_SEQ_IX, SeqObj, parse_sequence, shard_id_name, stringify_sequence};
use ferrokinesis::types::{HashKeyRange, SequenceNumberRange, Shard};

/// Splits and merges open shards until `count` shards of equal size are open.
///
/// Closes a shard only if its range has to change. Where ranges do not line up, this leaves short-lived shards behind,
/// which are closed and never hold a record, as the documentation of the API says of the service. `count` is at least
/// 1; `now` is in milliseconds since 1970.
pub(super) fn update_shard_count(shards: &mut Vec<Shard>, count: u32, now: u64) {
    let known = shards.len();
    let starts = uniform_starts(count);
    for index in open(shards) {
        split_at(shards, index, &starts, now);
    }
    let open = open(shards);
    for (position, &start) in starts.iter().enumerate() {
        let end = starts.get(position + 1).map_or(u128::MAX, |next| next - 1);
        let belongs = |index: &&usize| (start..=end).contains(&shards[**index].hash_key_range.start_u128());
        let pieces: Vec<usize> = open.iter().filter(belongs).copied().collect();
        merge_all(shards, pieces, now);
    }
    // Records of the new shards bear this time, so it has to be after everything that their ancestors hold.
    for shard in shards.iter_mut().skip(known).filter(|shard| is_open(shard)) {
        let created = created(shard).max(now + SUCCESSION);
        let index = shard_index(shard);
        shard.sequence_number_range.starting_sequence_number = starting_sequence_number(index, created);
    }
}

/// Whether a shard takes records.
pub(super) fn is_open(shard: &Shard) -> bool {
    shard.sequence_number_range.ending_sequence_number.is_none()
}

/// The first hash keys of `count` ranges of equal size, as CreateStream divides them.
fn uniform_starts(count: u32) -> Vec<u128> {
    let count = u128::from(count);
    // 2^128 divided by the count, where 2^128 itself does not fit: a remainder of count − 1 is one short of a whole.
    let (width, remainder) = (u128::MAX / count, u128::MAX % count);
    let width = if count > 1 && remainder == count - 1 { width + 1 } else { width };
    (0..count).map(|position| position * width).collect()
}

/// Positions of the open shards, in the order of their hash keys.
fn open(shards: &[Shard]) -> Vec<usize> {
    let mut open: Vec<usize> = (0..shards.len()).filter(|&index| is_open(&shards[index])).collect();
    open.sort_by_key(|&index| shards[index].hash_key_range.start_u128());
    open
}

/// Splits a shard at each of these keys that lies inside it, in halves, so that few generations are needed.
fn split_at(shards: &mut Vec<Shard>, index: usize, keys: &[u128], now: u64) {
    let (start, end) = range(&shards[index]);
    let inside = &keys[keys.partition_point(|&key| key <= start)..keys.partition_point(|&key| key <= end)];
    let Some(&middle) = inside.get(inside.len() / 2) else { return };
    let (parent, after) = close(&mut shards[index], now);
    let lower = push(shards, (start, middle - 1), [Some(parent.clone()), None], after);
    let upper = push(shards, (middle, end), [Some(parent), None], after);
    split_at(shards, lower, inside, now);
    split_at(shards, upper, inside, now);
}

/// Merges neighbours, given in the order of their keys, until one is left: in pairs, for few generations.
fn merge_all(shards: &mut Vec<Shard>, mut pieces: Vec<usize>, now: u64) {
    while pieces.len() > 1 {
        pieces = pieces
            .chunks(2)
            .map(|pair| match *pair {
                [lower, upper] => merge(shards, lower, upper, now),
                [odd] => odd,
                _ => unreachable!("chunks of two have one or two elements"),
            })
            .collect();
    }
}

fn merge(shards: &mut Vec<Shard>, lower: usize, upper: usize, now: u64) -> usize {
    let (start, end) = (range(&shards[lower]).0, range(&shards[upper]).1);
    let (parent, after_lower) = close(&mut shards[lower], now);
    let (adjacent, after_upper) = close(&mut shards[upper], now);
    push(shards, (start, end), [Some(parent), Some(adjacent)], after_lower.max(after_upper))
}

/// Closes a shard; its id, and when its children begin.
fn close(shard: &mut Shard, now: u64) -> (String, u64) {
    let created = created(shard);
    let ending = SeqObj {
        shard_create_time: created,
        seq_ix: Some(MAX_SEQ_IX),
        seq_time: Some(now),
        shard_ix: shard_index(shard),
        ..sequence()
    };
    shard.sequence_number_range.ending_sequence_number = Some(stringify_sequence(&ending));
    (shard.shard_id.clone(), created + SUCCESSION)
}

fn push(
    shards: &mut Vec<Shard>,
    (start, end): (u128, u128),
    [parent_shard_id, adjacent_parent_shard_id]: [Option<String>; 2],
    created: u64,
) -> usize {
    let index = shards.len();
    // As many shards as memory holds are far fewer.
    let number = i64::try_from(index).unwrap_or(i64::MAX);
    shards.push(Shard {
        shard_id: shard_id_name(number),
        hash_key_range: HashKeyRange::new(start.to_string(), end.to_string()),
        sequence_number_range: SequenceNumberRange {
            starting_sequence_number: starting_sequence_number(number, created),
            ending_sequence_number: None,
        },
        parent_shard_id,
        adjacent_parent_shard_id,
    });
    index
}

fn range(shard: &Shard) -> (u128, u128) {
    (shard.hash_key_range.start_u128(), shard.hash_key_range.end_u128())
}

/// When a shard was created by its sequence numbers, in milliseconds since 1970, a whole second.
fn created(shard: &Shard) -> u64 {
    parse_sequence(&shard.sequence_number_range.starting_sequence_number)
        .map_or(0, |sequence| sequence.shard_create_time)
}

fn shard_index(shard: &Shard) -> i64 {
    parse_sequence(&shard.sequence_number_range.starting_sequence_number)
        .map_or(0, |sequence| sequence.shard_ix)
}

fn starting_sequence_number(shard_index: i64, created: u64) -> String {
    stringify_sequence(&SeqObj { shard_create_time: created, shard_ix: shard_index, ..sequence() })
}

fn sequence() -> SeqObj {
    SeqObj {
        shard_create_time: 0,
        seq_ix: None,
        byte1: None,
        seq_time: None,
        seq_rand: None,
        shard_ix: 0,
        version: 2,
    }
}

/// Sequence numbers begin with the second of the shard's creation, so children are created a second later, in
/// milliseconds: then sequence numbers of one key grow across generations.
const SUCCESSION: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn stream(count: u32) -> Vec<Shard> {
        let starts = uniform_starts(count);
        let mut shards = Vec::new();
        for (position, &start) in starts.iter().enumerate() {
            let end = starts.get(position + 1).map_or(u128::MAX, |next| next - 1);
            push(&mut shards, (start, end), [None, None], NOW - 60_000);
        }
        shards
    }

    fn open_ranges(shards: &[Shard]) -> Vec<(u128, u128)> {
        open(shards).into_iter().map(|index| range(&shards[index])).collect()
    }

    /// Each child lies in its parents' ranges, parents are closed and hold older sequence numbers.
    fn assert_lineage(shards: &[Shard], roots: usize) {
        for (index, shard) in shards.iter().enumerate() {
            assert_eq!(shard.shard_id, shard_id_name(index as i64), "ids count up");
            let parents: Vec<&Shard> = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id]
                .into_iter()
                .flatten()
                .map(|id| shards.iter().find(|other| other.shard_id == *id).unwrap())
                .collect();
            assert_eq!(parents.is_empty(), index < roots, "{} names its parents", shard.shard_id);
            for parent in &parents {
                assert!(!is_open(parent), "{} was closed", parent.shard_id);
                let ending = parent.sequence_number_range.ending_sequence_number.as_deref().unwrap();
                assert!(
                    *ending < *shard.sequence_number_range.starting_sequence_number,
                    "sequence numbers grow from {} to {}",
                    parent.shard_id,
                    shard.shard_id
                );
            }
            let (start, end) = range(shard);
            match parents[..] {
                [] => {}
                [parent] => assert!(range(parent).0 <= start && end <= range(parent).1),
                [lower, upper] => {
                    assert_eq!((range(lower).0, range(upper).1), (start, end), "a merge covers its parents");
                    assert_eq!(range(lower).1 + 1, range(upper).0, "they are neighbours");
                }
                _ => unreachable!("a shard has two parents at most"),
            }
        }
    }

    #[test]
    fn any_count_becomes_any_other_with_parents_and_equal_ranges() {
        let counts = [1, 2, 3, 4, 5, 7, 8, 16, 33, 100];
        for from in counts {
            for to in counts {
                let mut shards = stream(from);
                update_shard_count(&mut shards, to, NOW);
                assert_eq!(open_ranges(&shards), open_ranges(&stream(to)), "from {from} to {to}");
                assert_lineage(&shards, from as usize);
            }
        }
    }

    #[test]
    fn doubling_splits_each_shard_once_and_halving_merges_each_pair_once() {
        let mut shards = stream(4);
        update_shard_count(&mut shards, 8, NOW);
        assert_eq!(shards.len(), 12, "no short-lived shards");
        update_shard_count(&mut shards, 4, NOW + 10_000);
        assert_eq!(shards.len(), 16);
        assert_lineage(&shards, 4);
    }

    #[test]
    fn a_shard_that_has_its_range_already_stays_open() {
        let mut shards = stream(2);
        split_at(&mut shards, 0, &[1 << 126], NOW);
        update_shard_count(&mut shards, 4, NOW + 10_000);
        assert_eq!(open(&shards), [2, 3, 4, 5], "only the second half was split");
        assert_lineage(&shards, 2);
    }

    #[test]
    fn records_of_new_shards_are_dated_a_second_ahead_at_most_where_the_stream_rested() {
        let mut shards = stream(8);
        update_shard_count(&mut shards, 5, NOW);
        let ahead = open(&shards).into_iter().map(|index| created(&shards[index]) - NOW).max();
        assert_eq!(ahead, Some(SUCCESSION));
    }
}
