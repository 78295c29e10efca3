use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use crate::format::{CHECKSUM_LEN, MAGIC};
use crate::md5_lanes::md5s;

/// Writes the checksums into aggregates that
/// [`AggregateBuilder::finish_unsealed`](crate::AggregateBuilder::finish_unsealed) has returned, each into its
/// last [`CHECKSUM_LEN`] bytes.
///
/// Where there are several to send, this is faster than [`finish`](crate::AggregateBuilder::finish) for each:
/// MD5 cannot be hurried for one message, but several go through it together in vector registers: eight with
/// those that every x86-64 or AArch64 has, sixteen with the feature `std` on an x86-64 that turns out to have AVX2.
/// The README has what that spares.
///
/// An aggregate is changed where it lies unless its [`Bytes`] are shared, which are copied first. Sealing a
/// sealed one again costs the time and changes nothing; of anything that begins like an aggregate and is none,
/// it overwrites the last bytes, so leave payloads of others out. Empty bytes stay empty.
///
/// ```
/// use kinesis_aggregation::{AggregateBuilder, seal};
///
/// let mut builder = AggregateBuilder::new(1 << 20);
/// let mut queue = Vec::new();
/// for n in 0..16_u8 {
///     builder.push("user-17", None, &[n; 100], &[])?;
///     queue.push(builder.finish_unsealed());
/// }
/// seal(&mut queue);
///
/// builder.push("user-17", None, &[0; 100], &[])?;
/// assert_eq!(queue[0], builder.finish());
/// # Ok::<(), kinesis_aggregation::Full>(())
/// ```
pub fn seal<'a>(aggregates: impl IntoIterator<Item = &'a mut Bytes>) {
    let aggregates: Vec<&mut Bytes> =
        aggregates.into_iter().filter(|aggregate| message_of(aggregate).is_some()).collect();
    let messages: Vec<&[u8]> = aggregates.iter().filter_map(|aggregate| message_of(aggregate)).collect();
    let checksums = md5s(&messages);
    for (aggregate, checksum) in aggregates.into_iter().zip(checksums) {
        // One that was sealed before may be shared by now, and need not be copied.
        if !aggregate.ends_with(&checksum) {
            let mut bytes = BytesMut::from(core::mem::take(aggregate));
            let checksum_at = bytes.len() - CHECKSUM_LEN;
            bytes[checksum_at..].copy_from_slice(&checksum);
            *aggregate = bytes.freeze();
        }
    }
}

fn message_of(aggregate: &[u8]) -> Option<&[u8]> {
    let (message, _) = aggregate.strip_prefix(&MAGIC)?.split_last_chunk::<CHECKSUM_LEN>()?;
    Some(message)
}
