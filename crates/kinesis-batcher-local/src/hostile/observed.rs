//! What the server has seen and stored.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// An operation that the server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Writes records.
    PutRecords,
    /// Lists shards, a page a call.
    ListShards,
    /// Describes the stream without its shards.
    DescribeStreamSummary,
}

impl Operation {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "PutRecords" => Some(Self::PutRecords),
            "ListShards" => Some(Self::ListShards),
            "DescribeStreamSummary" => Some(Self::DescribeStreamSummary),
            _ => None,
        }
    }
}

/// A record that was stored, whatever the client was told.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// The shard it landed in.
    pub shard_id: String,
    /// 56 digits; greater is later, in the whole stream.
    pub sequence_number: String,
    /// As sent; empty when there was none, which the distribution `AUTO` permits.
    pub partition_key: String,
    /// As sent.
    pub explicit_hash_key: Option<String>,
    /// The payload, after base64.
    pub data: Vec<u8>,
    /// Position of its request in [`Observed::put_requests`].
    pub request_index: usize,
}

/// Names the record and the size of its payload; payloads do not belong in logs.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("shard_id", &self.shard_id)
            .field("sequence_number", &self.sequence_number)
            .field("partition_key", &self.partition_key)
            .field("explicit_hash_key", &self.explicit_hash_key)
            .field("data_bytes", &self.data.len())
            .field("request_index", &self.request_index)
            .finish()
    }
}

/// A PutRecords request that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutRequest {
    /// When its end was read, since the server started.
    pub arrived: Duration,
    /// Entries in it; 0 for a body that cannot be read.
    pub entries: usize,
    /// Data and partition keys, before base64.
    pub record_bytes: usize,
    /// The body on the wire.
    pub body_bytes: usize,
    /// It is in CBOR.
    pub is_cbor: bool,
    /// From the Authorization header.
    pub access_key_id: Option<String>,
    /// Entries of it that were stored, so far.
    pub entries_stored: usize,
}

/// What the server has seen and stored so far.
#[derive(Debug, Default)]
pub struct Observed {
    pub(crate) stored: Vec<Stored>,
    pub(crate) put_requests: Vec<PutRequest>,
    pub(crate) requests: HashMap<Operation, u64>,
    pub(crate) puts_in_flight: usize,
    pub(crate) puts_in_flight_max: usize,
    pub(crate) held: usize,
    pub(crate) under_way: usize,
    pub(crate) access_key_ids: Vec<String>,
    pub(crate) connections: u64,
}

impl Observed {
    /// Every stored record, in the order of arrival.
    #[must_use]
    pub fn stored(&self) -> &[Stored] {
        &self.stored
    }

    /// Every PutRecords request, refused ones included, in the order of arrival.
    #[must_use]
    pub fn put_requests(&self) -> &[PutRequest] {
        &self.put_requests
    }

    /// Requests of an operation, refused ones included.
    #[must_use]
    pub fn requests(&self, operation: Operation) -> u64 {
        self.requests.get(&operation).copied().unwrap_or(0)
    }

    /// PutRecords requests that were read and not yet answered, reset or given up.
    #[must_use]
    pub fn puts_in_flight(&self) -> usize {
        self.puts_in_flight
    }

    /// The most of them at any time.
    #[must_use]
    pub fn puts_in_flight_max(&self) -> usize {
        self.puts_in_flight_max
    }

    /// Calls that hang until they are released.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Every access key id once, in the order of first use.
    #[must_use]
    pub fn access_key_ids(&self) -> &[String] {
        &self.access_key_ids
    }

    /// Connections so far, closed ones included.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections
    }
}
