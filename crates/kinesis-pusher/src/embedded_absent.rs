//! What stands in for the embedded Kinesis in a build without it.

use std::convert::Infallible;

use crate::exit::StartError;

/// Nobody can make one.
pub(crate) struct Embedded(Infallible);

/// What a stream holds.
pub(crate) struct Contents {
    /// Records in each shard, oldest shard first; of an aggregate, its members.
    pub(crate) records_by_shard: Vec<u64>,
}

impl Embedded {
    /// Says that there is none.
    ///
    /// # Errors
    /// Always.
    pub(crate) async fn start(_port: u16, _streams: &[String], _shards: u32) -> Result<Self, StartError> {
        Err(StartError::usage(
            "this build has no embedded Kinesis: build it with the feature 'local', or push to a stream with --stream",
        ))
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        match self.0 {}
    }

    /// What a client takes as its endpoint.
    pub(crate) fn endpoint_url(&self) -> String {
        match self.0 {}
    }

    /// Reads every record back.
    ///
    /// # Errors
    /// None, as there is nothing to read.
    pub(crate) async fn read_back(
        &self,
        _: &str,
        _: impl FnMut(&str, &[u8]) -> u64,
    ) -> Result<Contents, String> {
        match self.0 {}
    }

    /// Stops.
    pub(crate) async fn shutdown(self) {
        match self.0 {}
    }
}
