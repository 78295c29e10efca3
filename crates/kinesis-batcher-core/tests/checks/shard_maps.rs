//! Arbitrary listings of shards.

use std::num::NonZeroU32;

use kinesis_batcher_core::{HashKey, Shard, ShardMap, ShardMapError};

use super::model::the_promises_hold_or_it_shows;
use super::op::{Answer, Op};
use super::operations::{config, push};
use super::told::Told;

/// Whatever the listings that `bytes` tell, those that tile the key space are taken and route as a search through all
/// shards does, the others are refused with a reason that is true, and a batcher that is given the maps one after the
/// other keeps its promises.
pub fn shard_maps_hold(bytes: &[u8]) {
    let mut told = Told::new(bytes);
    let config = config(&mut told);
    let mut ops = Vec::new();
    while !told.is_over() && ops.len() < OPS_MAX {
        match told.byte() % 8 {
            0..=2 => ops.extend(map(&mut told).map(Op::Map)),
            3..=5 => ops.push(push(&mut told)),
            6 => ops.push(Op::WaitForDeadline),
            _ => ops.push(Op::Answer { which: 0, answer: Answer::Each(told.number(1) as u64) }),
        }
    }
    the_promises_hold_or_it_shows(&config, &ops, false);
}

fn map(told: &mut Told<'_>) -> Option<ShardMap> {
    let how = told.byte();
    let shards = NonZeroU32::MIN.saturating_add(told.below(20) as u32);
    let map = match how % 8 {
        0 => ShardMap::count_only(shards),
        1 => ShardMap::auto(shards),
        2 => ShardMap::uniform(shards),
        // A tiling, perhaps with an error or two.
        3..=6 => {
            let mut shards = tiling(told, shards.get());
            for _ in 0..told.below(6).saturating_sub(3) {
                damage(told, &mut shards);
            }
            known(&shards)?
        }
        // Anything.
        _ => {
            let shards = 0..shards.get() - 1;
            known(&shards.map(|_| shard(told)).collect::<Vec<_>>())?
        }
    };
    let record_bytes_max = if how >= 224 { told.number(4) as usize } else { 0 };
    Some(map.with_record_bytes_max(record_bytes_max))
}

fn tiling(told: &mut Told<'_>, shards: u32) -> Vec<Shard> {
    let mut cuts: Vec<u128> = (1..shards).map(|_| told.hash_key().max(1)).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let firsts = std::iter::once(0).chain(cuts.iter().copied());
    let lasts = cuts.iter().map(|cut| cut - 1).chain(std::iter::once(u128::MAX));
    let mut shards: Vec<Shard> = firsts
        .zip(lasts)
        .map(|(first, last)| Shard::new(&*name(told), HashKey::new(first), HashKey::new(last)))
        .collect();
    // In any order.
    let turned = told.below(shards.len());
    shards.rotate_left(turned);
    shards
}

fn damage(told: &mut Told<'_>, shards: &mut Vec<Shard>) {
    let Some(at) = (told.byte() as usize).checked_rem(shards.len()) else { return };
    let key = HashKey::new(told.hash_key());
    match told.byte() % 5 {
        0 => shards[at].first = key,
        1 => shards[at].last = key,
        2 => drop(shards.remove(at)),
        3 => shards.push(shards[at].clone()),
        _ => shards.push(Shard::new(&*name(told), key, shards[at].last)),
    }
}

fn shard(told: &mut Told<'_>) -> Shard {
    Shard::new(&*name(told), HashKey::new(told.hash_key()), HashKey::new(told.hash_key()))
}

/// Few, so that they come again in other places, and twice in one listing.
fn name(told: &mut Told<'_>) -> String {
    format!("shardId-{:012}", told.below(32))
}

/// The map, if it is one; either verdict is checked.
fn known(shards: &[Shard]) -> Option<ShardMap> {
    let owners = |key: HashKey| shards.iter().filter(|shard| shard.owns(key)).count();
    let is_inverted = |shard: &Shard| shard.first > shard.last;
    // Who owns a key changes at the ends of shards alone.
    let ends = shards.iter().flat_map(|shard| [shard.first, shard.last]);
    let near = |end: HashKey| {
        [end, HashKey::new(end.value().saturating_add(1)), HashKey::new(end.value().saturating_sub(1))]
    };
    let keys: Vec<HashKey> = ends.flat_map(near).chain([HashKey::MIN, HashKey::MAX]).collect();
    let tiles = !shards.iter().any(is_inverted) && keys.iter().all(|&key| owners(key) == 1);
    let result = ShardMap::known(shards.to_vec());
    assert_eq!(result.is_ok(), tiles, "{shards:?} gave {result:?}");
    match result {
        Ok(map) => {
            assert_eq!(map.shards().len(), shards.len(), "no shard is lost");
            for key in keys {
                assert!(map.shards()[map.index_of(key)].owns(key), "{key} is routed to its owner");
            }
            Some(map)
        }
        Err(error) => {
            match &error {
                ShardMapError::Empty => assert!(shards.is_empty(), "{error}"),
                ShardMapError::Gap { at } => {
                    assert_eq!(owners(*at), 0, "{error}");
                    let below = keys.iter().filter(|key| *key < at);
                    assert!(below.into_iter().all(|&key| owners(key) > 0), "it is the lowest: {error}");
                }
                ShardMapError::Overlap { shard } => {
                    let mut accused = shards.iter().filter(|other| other.id == *shard);
                    let is_guilty = |shard: &Shard| is_inverted(shard) || owners(shard.first) > 1;
                    assert!(accused.any(is_guilty), "{error}");
                }
                other => panic!("{} shards are not {other:?}", shards.len()),
            }
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// So that one input takes milliseconds.
const OPS_MAX: usize = 100;
