//! How a load falls on shards, by its keys.

use kinesis_batcher_core::HashKey;

use super::keys::KeysSpec;

/// Partition keys by their place in the key space, and how often each is used.
#[derive(Debug)]
pub(super) struct Load {
    /// In ascending order.
    points: Vec<u128>,
    /// Weights of all points before each; the last is the sum of all.
    sums: Vec<u64>,
    heaviest: (u32, u64),
    key_bytes: f64,
}

impl Load {
    /// The keys as the simulator names them.
    pub(super) fn new(keys: KeysSpec, count: u32) -> Self {
        let mut weighted: Vec<(u128, u64)> = Vec::with_capacity(count as usize);
        let (mut heaviest, mut bytes, mut sum) = ((0, 0), 0u128, 0u128);
        for index in 0..count {
            let (name, weight) = (name(index), weight(keys, index, count));
            if weight > heaviest.1 {
                heaviest = (index, weight);
            }
            bytes += u128::from(weight) * name.len() as u128;
            sum += u128::from(weight);
            weighted.push((HashKey::of_partition_key(&name).value(), weight));
        }
        weighted.sort_unstable();
        let mut sums = vec![0];
        sums.extend(weighted.iter().scan(0, |sum, &(_, weight)| {
            *sum += weight;
            Some(*sum)
        }));
        let points = weighted.into_iter().map(|(point, _)| point).collect();
        Self { points, sums, heaviest, key_bytes: bytes as f64 / sum.max(1) as f64 }
    }

    /// The key that is used most, and its share of all records.
    pub(super) fn heaviest(&self) -> (String, f64) {
        (name(self.heaviest.0), self.share(self.heaviest.1))
    }

    /// The mean bytes of a record's key.
    pub(super) fn key_bytes(&self) -> f64 {
        self.key_bytes
    }

    /// The share of all records that the busiest of so many shards gets.
    pub(super) fn busiest(&self, shards: u32) -> f64 {
        let most = (0..shards).map(|shard| self.weight_of(shard, shards)).max();
        self.share(most.unwrap_or(0))
    }

    /// The fewest shards, of so many and more, at which none gets more than this share; none up to `most`.
    pub(super) fn fewest_shards(&self, share_max: f64, from: u32, most: u32) -> Option<u32> {
        // A shard that is too busy among so many often is so among one more: looked at first, it saves the others.
        let mut culprit = 0u128;
        (from..=most).find(|&shards| {
            let is_too_much = |shard: u32| self.share(self.weight_of(shard, shards)) > share_max;
            let step = u128::MAX / u128::from(shards);
            let suspect = (culprit / step).min(u128::from(shards) - 1) as u32;
            if is_too_much(suspect) {
                return false;
            }
            match (0..shards).find(|&shard| is_too_much(shard)) {
                None => true,
                Some(shard) => {
                    culprit = u128::from(shard) * step + step / 2;
                    false
                }
            }
        })
    }

    /// What falls on one of so many shards of equal size, the last of which takes the remainder.
    fn weight_of(&self, shard: u32, shards: u32) -> u64 {
        let step = u128::MAX / u128::from(shards);
        let below = |end: u128| self.points.partition_point(|&point| point < end);
        let low = below(u128::from(shard) * step);
        let high =
            if shard + 1 == shards { self.points.len() } else { below((u128::from(shard) + 1) * step) };
        self.sums[high] - self.sums[low]
    }

    fn share(&self, weight: u64) -> f64 {
        weight as f64 / self.sums.last().copied().unwrap_or(1).max(1) as f64
    }
}

fn name(index: u32) -> String {
    format!("k{index}")
}

fn weight(keys: KeysSpec, index: u32, count: u32) -> u64 {
    match keys {
        KeysSpec::Uniform => 1,
        KeysSpec::Zipf(milli) => {
            let part = f64::from(index + 1).powf(-f64::from(milli) / 1_000.0);
            ((part * f64::from(u32::MAX)) as u64).max(1)
        }
        KeysSpec::Hot(_) if count == 1 => 1,
        KeysSpec::Hot(percent) if index == 0 => u64::from(percent) * u64::from(count - 1),
        KeysSpec::Hot(percent) => 100 - u64::from(percent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_keys_fall_evenly_and_need_a_little_more_than_the_mean() {
        let load = Load::new(KeysSpec::Uniform, 100_000);
        let busiest = load.busiest(10);
        assert!(busiest > 0.1 && busiest < 0.104, "{busiest} of all records fall on one of ten shards");
        let fewest = load.fewest_shards(0.1, 1, 100);
        assert!(matches!(fewest, Some(11..=12)), "ten are exactly full on average, so it takes {fewest:?}");
    }

    #[test]
    fn a_hot_key_has_its_share_and_no_number_of_shards_divides_it() {
        let load = Load::new(KeysSpec::Hot(30), 1_000);
        let (key, share) = load.heaviest();
        assert_eq!(key, "k0");
        assert!((share - 0.3).abs() < 1e-9, "{share}");
        assert_eq!(load.fewest_shards(0.299, 1, 200), None);
        assert!(load.busiest(200) >= 0.3);
    }

    #[test]
    fn the_first_of_zipf_keys_is_the_heaviest() {
        let (key, share) = Load::new(KeysSpec::Zipf(1_000), 100).heaviest();
        assert_eq!(key, "k0");
        assert!((share - 0.1928).abs() < 1e-3, "1 / (1 + 1/2 + … + 1/100) is 19.3 %, not {share}");
    }
}
