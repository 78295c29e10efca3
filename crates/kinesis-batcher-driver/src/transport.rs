//! What the driver needs of a way to the service.

use std::fmt;

use futures_core::future::BoxFuture;
use kinesis_batcher_core::limits::REQUEST_BYTES_MAX;
use kinesis_batcher_core::{
    Batcher, Config, Record, Request, RequestError, RequestRecord, Response, ShardLimit, ShardMap, Timestamp,
};

use crate::tag::Tag;

/// A way to one stream of the service.
///
/// Its futures run as parts of the driver's tasks and may be dropped at any await point: on a time-out, at the end of
/// [`Producer::close`](crate::Producer::close), or with the runtime. They must not block the thread. It does not
/// retry: whether, when and what to send again is the core's to decide, and a second policy below would multiply it.
pub trait Transport: Send + Sync + 'static {
    /// Sends one PutRecords request and reads its reply.
    ///
    /// # Errors
    /// [`RequestError`] when there is no usable reply. It says whether records may be stored all the same; in doubt,
    /// that is [`RequestError::outcome_unknown`], which is also what the driver makes of a panic or a time-out.
    fn put_records<'a>(&'a self, request: &'a PutRecords) -> BoxFuture<'a, Result<Response, RequestError>>;

    /// Asks the service for the stream's open shards and its record size limit.
    ///
    /// Called at most once at a time: on an interval, and when replies show that the shards have changed.
    ///
    /// # Errors
    /// [`DescribeError`], whatever the reason. The old map stays in use and the call is made again later.
    fn describe(&self) -> BoxFuture<'_, Result<ShardMap, DescribeError>>;
}

/// A PutRecords request on its way through a [`Transport`].
///
/// It lends out its records and cannot be taken apart, so that they come back to the producer whatever becomes of the
/// transport's future.
pub struct PutRecords {
    request: Request<Tag>,
}

impl PutRecords {
    pub(crate) fn new(request: Request<Tag>) -> Self {
        Self { request }
    }

    pub(crate) fn into_request(self) -> Request<Tag> {
        self.request
    }

    /// A request of these records in this order, for tests and benchmarks of transports; `None` unless they fit into
    /// one request: 1 to 500 of them, 10 MiB together. Records without a partition key are welcome.
    #[must_use]
    pub fn of_records(records: impl IntoIterator<Item = Record>) -> Option<Self> {
        let config = Config::builder()
            .linger(std::time::Duration::ZERO)
            .shard_limit(ShardLimit::Off)
            .request_bytes_max(REQUEST_BYTES_MAX)
            .build()
            .expect("zero linger, no limit and what the service takes are within their ranges");
        // One lane for the whole stream, or the core would mix the order fairly.
        let map = ShardMap::auto(std::num::NonZeroU32::MIN).with_record_bytes_max(usize::MAX);
        let mut batcher = Batcher::new(config, map, 0, Timestamp::ZERO);
        let mut count = 0;
        for record in records {
            batcher.push(Timestamp::ZERO, record, Tag::forget(0, 0)).ok()?;
            count += 1;
        }
        batcher.poll_request().filter(|request| request.len() == count).map(Self::new)
    }

    /// How many records it has, 1 to 500.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a request is never empty")]
    pub fn len(&self) -> usize {
        self.request.len()
    }

    /// Bytes of data and partition keys, at most 10 MiB, before base64.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.request.bytes()
    }

    /// The records. The outcomes of the [`Response`] come in the same order.
    pub fn records(&self) -> impl ExactSizeIterator<Item = RequestRecord<'_>> + Clone {
        self.request.records()
    }
}

impl fmt::Debug for PutRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PutRecords({} records, {} B)", self.len(), self.bytes())
    }
}

/// Why a stream could not be described: the transport's own error.
#[derive(Debug)]
pub struct DescribeError(Box<dyn std::error::Error + Send + Sync>);

impl DescribeError {
    /// Wraps the transport's error, or a message.
    #[must_use]
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// The transport's error.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn std::error::Error + Send + Sync> {
        self.0
    }
}

impl fmt::Display for DescribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for DescribeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The message is shown as this error's own, so the chain goes on behind it.
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_made_by_hand_keeps_the_order_of_its_records() {
        let records = (0..500).map(|n| Record::new(format!("key-{n}"), format!("{n}")).unwrap());
        let request = PutRecords::of_records(records).expect("five hundred small records are one request");
        let data: Vec<String> =
            request.records().map(|record| String::from_utf8(record.data().to_vec()).unwrap()).collect();
        assert_eq!(data, (0..500).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn what_does_not_fit_into_one_request_is_none() {
        assert!(PutRecords::of_records([]).is_none());
        let record = || Record::new("k", "v").unwrap();
        assert!(PutRecords::of_records((0..501).map(|_| record())).is_none());
        let large = |bytes: usize| (0..10).map(move |_| Record::new("k", vec![0; bytes]).unwrap());
        assert!(PutRecords::of_records(large((1 << 20) - 1)).is_some(), "10 MiB are one request");
        assert!(PutRecords::of_records(large(1 << 20)).is_none());
    }
}
