//! What a registry asks at each scrape.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use kinesis_batcher_driver::Observer;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use crate::families::FAMILIES;
use crate::shards::ShardTable;
use crate::view::View;

/// The figures of one producer or of several, for a [`Registry`](prometheus_client::registry::Registry).
///
/// It reads them when the registry is scraped and costs nothing in between. It keeps no producer open.
///
/// ```
/// use kinesis_batcher_driver::Producer;
/// use kinesis_batcher_metrics::ProducerCollector;
/// use prometheus_client::registry::Registry;
///
/// fn register(registry: &mut Registry, orders: &Producer, clicks: &Producer) {
///     let collector = ProducerCollector::default().with_stream("orders", orders).with_stream("clicks", clicks);
///     registry.register_collector(Box::new(collector));
/// }
/// ```
///
/// Register one collector for all producers, not one for each: a registry would describe each metric twice.
#[derive(Debug, Default)]
pub struct ProducerCollector {
    sources: Vec<Source>,
}

struct Source {
    observer: Observer,
    /// The value of the label `stream`.
    stream: Option<String>,
    shards: Mutex<ShardTable>,
}

impl ProducerCollector {
    /// For one producer, whose figures have no label `stream`. A `&Producer` will do.
    #[must_use]
    pub fn new(producer: impl Into<Observer>) -> Self {
        Self::default().with(None, producer.into())
    }

    /// Adds a producer whose figures have the label `stream` with this value. Values must differ.
    ///
    /// # Panics
    /// If another producer has the same value: their figures could not be told apart.
    #[must_use]
    pub fn with_stream(self, stream: &str, producer: impl Into<Observer>) -> Self {
        let is_new = self.sources.iter().all(|source| source.stream.as_deref() != Some(stream));
        assert!(is_new, "two producers have the label stream=\"{stream}\"");
        self.with(Some(stream.to_owned()), producer.into())
    }

    /// How many shards of each producer are told one by one; 100 unless set. Those with the highest utilisation are,
    /// the others are added up as `shard="other"`. Each is nine lines of a scrape.
    #[must_use]
    pub fn with_shards_max(mut self, shards_max: usize) -> Self {
        for source in &mut self.sources {
            source.shards.get_mut().unwrap_or_else(PoisonError::into_inner).set_shown_max(shards_max);
        }
        self
    }

    fn with(mut self, stream: Option<String>, observer: Observer) -> Self {
        let shards = Mutex::new(ShardTable::new(&observer.snapshot()));
        self.sources.push(Source { observer, stream, shards });
        self
    }
}

impl Collector for ProducerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let views: Vec<View<'_>> = self.sources.iter().map(Source::look).collect();
        FAMILIES.iter().try_for_each(|family| family.encode(&mut encoder, &views))
    }
}

impl Source {
    fn look(&self) -> View<'_> {
        let snapshot = self.observer.snapshot();
        // A panic under this lock leaves figures of shards behind that are a scrape old; they do.
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner).update(&snapshot);
        View { stream: self.stream.as_deref(), config: self.observer.config(), snapshot, shards }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("stream", &self.stream).finish_non_exhaustive()
    }
}
