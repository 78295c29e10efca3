//! What a producer is made of.

use std::sync::Arc;
use std::time::Duration;

use kinesis_batcher_core::{Config, ShardMap};

use crate::error::DeliveryError;
use crate::producer::Producer;
use crate::record::{Completion, Handler};
use crate::runtime::Runtime;
use crate::shared::{Shared, TaskGuard};
use crate::transport::{DescribeError, Transport};
use crate::{refresh_task, timer_task};

/// Settings for a [`Producer`].
#[derive(Debug)]
#[must_use = "settings take effect once a producer is made"]
pub struct ProducerBuilder {
    config: Config,
    request_timeout: Duration,
    refresh_interval: Option<Duration>,
    handler: Option<Handler>,
}

impl ProducerBuilder {
    /// The settings of the core: batching, limits, buffer, retries.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// How long one PutRecords request may take; 30 s unless set. After that it is given up and its records are sent
    /// again, marked as possible duplicates.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How often to ask the service for the stream's shards, besides the times that replies show them to have
    /// changed; 5 min unless set, less up to a tenth drawn at random. `None`: only when replies show it.
    pub fn refresh_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.refresh_interval = interval.into();
        self
    }

    /// Calls `handler` with what became of each record that was sent without a [`Delivery`](crate::Delivery).
    ///
    /// It runs outside the producer's lock, on whichever of the runtime's threads brought the reply, up to some
    /// hundred times in a row. It may use the producer, and must not block: what it cannot finish at once goes into a
    /// channel of its own. A panic in it is caught, and costs that one completion. A handler that owns a clone of the
    /// producer keeps it from closing when the other clones are dropped.
    pub fn on_completion(mut self, handler: impl Fn(Completion) + Send + Sync + 'static) -> Self {
        self.handler = Some(Handler::Completions(Box::new(handler)));
        self
    }

    /// Calls `handler` only with the records that will not be sent any more, each with the tag it was sent with. That is
    /// cheaper than a handler of completions, which makes a receipt for each record: what was delivered is counted by
    /// [`Producer::stats`] and nowhere else.
    ///
    /// All else is as with [`on_completion`](Self::on_completion). There is one handler: whichever of the two is set last.
    pub fn on_failure(mut self, handler: impl Fn(u64, DeliveryError) + Send + Sync + 'static) -> Self {
        self.handler = Some(Handler::Failures(Box::new(handler)));
        self
    }

    /// Starts a producer for a stream whose shards are known already, or with [`ShardMap::unknown`]: such a producer
    /// buffers records and sends none until the transport has described the stream, which it is asked for at once.
    pub fn start(
        self,
        runtime: Arc<dyn Runtime>,
        transport: Arc<dyn Transport>,
        shards: ShardMap,
    ) -> Producer {
        let shared = Shared::new(self.config, shards, runtime, transport, self.handler, self.request_timeout);
        let shared = Arc::new(shared);
        // The handle first: should the runtime be gone, the guards of its tasks find a producer to stop.
        let producer = Producer::new(Arc::clone(&shared));
        shared.change(|state, _, effects| state.note_aggregation(effects));
        let guard = || TaskGuard::new(Arc::clone(&shared));
        shared.runtime.spawn(Box::pin(timer_task::run(guard())));
        shared.runtime.spawn(Box::pin(refresh_task::run(guard(), self.refresh_interval)));
        producer
    }

    /// Asks the transport for the stream's shards and starts a producer.
    ///
    /// # Errors
    /// [`DescribeError`], the transport's own error.
    pub async fn connect(
        self,
        runtime: Arc<dyn Runtime>,
        transport: Arc<dyn Transport>,
    ) -> Result<Producer, DescribeError> {
        let shards = transport.describe().await?;
        Ok(self.start(runtime, transport, shards))
    }
}

impl Default for ProducerBuilder {
    fn default() -> Self {
        Self {
            config: Config::default(),
            request_timeout: Duration::from_secs(30),
            refresh_interval: Some(Duration::from_secs(5 * 60)),
            handler: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handler_that_is_set_last_is_the_only_one() {
        let hears_of_deliveries =
            |builder: ProducerBuilder| builder.handler.map(|handler| handler.hears_of_deliveries());
        let builder = ProducerBuilder::default;
        assert_eq!(hears_of_deliveries(builder().on_completion(drop).on_failure(|_, _| ())), Some(false));
        assert_eq!(hears_of_deliveries(builder().on_failure(|_, _| ()).on_completion(drop)), Some(true));
    }
}
