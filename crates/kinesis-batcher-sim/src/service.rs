//! Where the model of the service and the core meet: the same things as each of them has them.

use std::num::NonZeroU32;

use kinesis_batcher_core::{HashKey, SequenceNumber, Shard, ShardId, ShardMap, Timestamp};
use kinesis_model::{Distribution, Permits, Time};

pub(crate) use kinesis_model::{
    AccountFault, EntryReply, Kinesis, PutEntry, PutReply, Refusal, ServiceFaults, ServiceOptions,
};

/// A time as the model has it.
#[inline]
pub(crate) fn time(now: Timestamp) -> Time {
    Time::from_nanos(now.as_nanos())
}

/// A time of the model.
#[inline]
pub(crate) fn timestamp(at: Time) -> Timestamp {
    Timestamp::from_nanos(at.as_nanos())
}

/// The name of a shard, as a transport reads it out of a reply.
pub(crate) fn shard_id(id: kinesis_model::ShardId) -> ShardId {
    let mut digits = [b'0'; 12];
    write_decimal(u64::from(id.number()), &mut digits);
    ShardId::from_digits(&digits).expect("they are digits")
}

/// A sequence number, as a transport reads it out of a reply.
pub(crate) fn sequence_number(number: kinesis_model::SequenceNumber) -> SequenceNumber {
    let mut digits = [b'0'; 56];
    (digits[0], digits[1]) = (b'4', b'9');
    write_decimal(number.value(), &mut digits);
    SequenceNumber::from_digits(&digits).expect("they are digits, and the first is no zero")
}

/// What a producer learns that asks for the shards.
pub(crate) fn shard_map(service: &Kinesis) -> ShardMap {
    let options = service.options();
    let open = u32::try_from(service.open_shards().len()).ok().and_then(NonZeroU32::new);
    let open = open.expect("a stream has an open shard, and no more than its options allow");
    let map = match (options.distribution, options.permits) {
        (Distribution::Auto, _) => ShardMap::auto(open),
        (_, Permits::SummaryOnly) => ShardMap::count_only(open),
        _ => {
            let shards = service.open_shards().map(|shard| {
                Shard::new(shard_id(shard.id), HashKey::new(shard.first), HashKey::new(shard.last))
            });
            ShardMap::known(shards.collect()).expect("the open shards tile the key space")
        }
    };
    map.with_record_bytes_max(options.record_bytes_max)
}

/// Writes decimal digits at the end of zeros, without an allocation.
fn write_decimal(mut value: u64, zeros: &mut [u8]) {
    for digit in zeros.iter_mut().rev() {
        if value == 0 {
            break;
        }
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_model::ServiceOptions;

    #[test]
    fn names_and_numbers_read_the_same_on_both_sides() {
        for number in [0, 9, 10, 1_234_567_890, u64::MAX] {
            let model = kinesis_model::SequenceNumber::new(number);
            assert_eq!(sequence_number(model).to_string(), model.to_string());
        }
        for number in [0, 7, u32::MAX] {
            let model = kinesis_model::ShardId::new(number);
            assert_eq!(shard_id(model).to_string(), model.to_string());
        }
    }

    // S-26
    #[test]
    fn a_producer_learns_what_its_permits_and_the_distribution_show() {
        let mut options = ServiceOptions::default();
        options.record_bytes_max = 10 << 20;
        let mut service = Kinesis::new(options, 0, Time::ZERO);
        let map = shard_map(&service);
        assert_eq!((map.shards().len(), map.record_bytes_max()), (4, 10 << 20));
        service.set_permits(Permits::SummaryOnly);
        let map = shard_map(&service);
        assert_eq!((map.open_shards(), map.shards().len(), map.is_auto()), (4, 0, false));
        service.set_distribution(Distribution::Auto);
        assert!(shard_map(&service).is_auto());
    }
}
