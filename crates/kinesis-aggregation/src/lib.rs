//! The KPL aggregated-record format for Amazon Kinesis, both ways.
//!
//! This crate does not talk to Kinesis. It opens no connection, knows no shards, keeps no time and decides
//! nothing about when to send; for that see `kinesis-batcher`. It turns many small *user records* into the
//! data of one Kinesis record, and such data back into user records, and does no more.
//!
//! It is for whoever writes a producer or a consumer of their own and wants what AWS's libraries give their
//! users: a shard takes 1,000 records a second whatever their size, so records of 100 bytes fill a tenth of
//! the 1 MiB/s that is paid for, unless they travel together. What is built here is read by the KCL, by AWS
//! Lambda's and Firehose's de-aggregation and by the `aws-kinesis-agg` packages, and the reverse.
//!
//! `no_std` with `alloc`, no unsafe code, no panics on input. The feature `std`, which is off by default, changes no
//! result: it lets [`seal`] and [`hash_keys_of`] ask an x86-64 at run time whether it has wider vectors than all of
//! them have.
//!
//! # Writing
//! ```
//! use kinesis_aggregation::AggregateBuilder;
//!
//! // A stream's records may have 1 MiB unless it was configured otherwise; the outer key counts as well.
//! let mut builder = AggregateBuilder::new((1 << 20) - "a".len());
//! let mut to_send = Vec::new();
//! for n in 0..20_000_u32 {
//!     let (key, data) = (format!("user-{}", n % 100), format!("event {n} {:100}", ""));
//!     if builder.push(&key, None, data.as_bytes(), &[]).is_err() {
//!         to_send.push(builder.finish());
//!         builder.push(&key, None, data.as_bytes(), &[])?;
//!     }
//! }
//! to_send.push(builder.finish());
//! # assert_eq!(to_send.len(), 3);
//! # Ok::<(), kinesis_aggregation::Full>(())
//! ```
//! All members of an aggregate must belong to the shard that it is sent to: each has a
//! [hash key](UserRecord::hash_key), and the KCL drops the whole aggregate if one of them lies outside the
//! shard that it read it from. So give the Kinesis record the hash key of a member as its explicit hash key;
//! its partition key then has no effect (the KPL uses `a`). When the shard has been split meanwhile, deal the
//! members out anew: [`AggregateBuilder::as_aggregate`] and [`AggregateBuilder::push_user_record`].
//!
//! Whoever sends many aggregates at once, or may have to deal them out anew before they are sent, takes them
//! with [`AggregateBuilder::finish_unsealed`] and has the checksums of all written just before sending, by
//! [`seal`]; [`decode_without_checksum`] reads them in between.
//!
//! An aggregate must not hold an aggregate: consumers unpack once. [`starts_with_magic`] and [`decode`] tell
//! them apart from other payloads.
//!
//! # Reading
//! ```
//! use kinesis_aggregation::{Decoded, decode};
//! # let mut builder = kinesis_aggregation::AggregateBuilder::new(1 << 20);
//! # builder.push("user-17", None, b"hello", &[])?;
//! # let data = builder.finish();
//!
//! match decode(&data) {
//!     Decoded::Aggregate(aggregate) => {
//!         for (sub_sequence_number, record) in aggregate.iter().enumerate() {
//!             println!("{sub_sequence_number} {}: {} bytes", record.partition_key, record.data.len());
//!         }
//!     }
//!     // `Damaged` says why data that begins like an aggregate is none.
//!     Decoded::Plain | Decoded::Damaged(_) => println!("{} bytes", data.len()),
//! }
//! # Ok::<(), kinesis_aggregation::Full>(())
//! ```
//! Decoding borrows; nothing is copied. Whatever the bytes, it ends in one of those three, in time and memory
//! proportional to their number. Where parsers differ, this one follows the KCL's: fields it does not know
//! are stepped over, the last of a repeated singular field counts, and a message without a required field is
//! no message. It is stricter in three: keys must be UTF-8, fields must have the type of the format, and a
//! record that names a key beyond its table makes the whole a plain record, where the KCL loses it.
//!
//! # The format
//! `F3 89 9A C2`, a protobuf message, the message's MD5. From the KPL's `aggregation-format.md`:
//! ```text
//! AggregatedRecord { 1: repeated string partition_key_table; 2: repeated string explicit_hash_key_table;
//!                    3: repeated Record records }
//! Record           { 1: required uint64 partition_key_index; 2: optional uint64 explicit_hash_key_index;
//!                    3: required bytes data; 4: repeated Tag tags }
//! Tag              { 1: required string key; 2: optional string value }
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod builder;
mod damage;
mod decode;
mod format;
mod hash_key;
mod key_table;
mod md5_lanes;
mod seal;
mod user_record;
mod wide;
mod wire;

pub use builder::{AggregateBuilder, Full};
pub use damage::Damage;
pub use decode::{Aggregate, Decoded, UserRecords, decode, decode_without_checksum};
pub use format::{CHECKSUM_LEN, ENCODED_LEN_MAX, MAGIC, starts_with_magic};
pub use hash_key::{InvalidExplicitHashKey, hash_key_of, hash_keys_of};
pub use seal::seal;
pub use user_record::{Tag, Tags, UserRecord};

/// Compiles and runs what the README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
