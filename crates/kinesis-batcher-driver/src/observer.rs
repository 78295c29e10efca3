//! Looking on from outside.

use std::fmt;
use std::sync::Arc;

use kinesis_batcher_core::Config;

use crate::producer::Producer;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// Looks at a producer's figures. Cheap to clone.
///
/// It keeps no producer open: when the last [`Producer`] is dropped, what is held is delivered and the figures come to
/// their end, whoever still looks on. So a registry of metrics can own it.
#[derive(Clone)]
pub struct Observer {
    shared: Arc<Shared>,
}

impl Observer {
    /// As [`Producer::snapshot`].
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = self.shared.now();
        self.shared.lock().snapshot(now)
    }

    /// As [`Producer::config`].
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }
}

impl From<&Producer> for Observer {
    fn from(producer: &Producer) -> Self {
        Self { shared: Arc::clone(producer.shared()) }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}
