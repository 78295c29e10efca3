//! One stream, over the AWS SDK.

use std::fmt;

use aws_config::{Region, SdkConfig};
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_types::service_config::ServiceConfigKey;
use kinesis_batcher_driver::{
    BoxFuture, DescribeError, PutRecords, RequestError, Response, ShardMap, Transport,
};

use crate::client::RenewableClient;
use crate::connect_error::{ConnectError, Target};
use crate::describe::{ConnectOptions, Describer, Memory, StreamDescription};
use crate::put_records::{REFUSED_GAP, put_records};
use crate::stream_id::StreamId;
use crate::wire::Wire;

/// A [`Transport`] to one stream over the AWS SDK.
///
/// It brings neither an HTTP client nor timers: those of the [`SdkConfig`] are used, so that it runs wherever they do.
/// The SDK's own retries are off for PutRecords. When the service refuses the credentials, the next request asks the
/// provider for them again, at most once a second. Requests are signed with the service's time, which is measured from
/// its replies; an [`SdkConfig`] that disables the SDK's clock-skew correction disables that.
pub struct AwsTransport {
    client: RenewableClient,
    target: Target,
    sleep: SharedAsyncSleep,
    wire: Wire,
    options: ConnectOptions,
    memory: Memory,
}

impl AwsTransport {
    /// A transport that has not spoken to the service yet.
    ///
    /// The region is that of the config, or that of the stream's ARN.
    ///
    /// # Errors
    /// [`ConnectError::NoRegion`], [`ConnectError::WrongRegion`] when config and ARN name different ones and no
    /// endpoint is set, and [`ConnectError::Invalid`] when the config lacks an HTTP client, timers or a clock.
    pub fn new(config: &SdkConfig, stream: StreamId) -> Result<Self, ConnectError> {
        let lacks = |what| {
            ConnectError::Invalid(format!("the SDK's config has no {what}; a runtime crate brings one"))
        };
        let sleep = config.sleep_impl().ok_or_else(|| lacks("sleep implementation"))?;
        config.http_client().ok_or_else(|| lacks("HTTP client"))?;
        config.time_source().ok_or_else(|| lacks("time source"))?;
        let region = region(config, &stream)?;
        let target = Target { endpoint: endpoint(config, &region), region: region.to_string(), stream };
        Ok(Self {
            client: RenewableClient::new(config, Some(region)),
            target,
            sleep,
            wire: Wire::default(),
            options: ConnectOptions::default(),
            memory: Memory::default(),
        })
    }

    /// A transport to a stream that is there, and the stream's description.
    ///
    /// Throttled calls, outages and a stream that is being created are waited for, within the
    /// [time-out](ConnectOptions::timeout). If ListShards answers and DescribeStreamSummary does not, the stream's
    /// record size limit and its mode are learnt with the next description.
    ///
    /// # Errors
    /// [`ConnectError`]: each says in one line what is wrong and what to do.
    pub async fn connect(
        config: &SdkConfig,
        stream: StreamId,
        options: ConnectOptions,
    ) -> Result<(Self, StreamDescription), ConnectError> {
        let transport = Self::new(config, stream)?.with_options(options);
        let description = transport.describer().connect().await?;
        Ok((transport, description))
    }

    /// Asks the service for the stream's shards and its limits.
    ///
    /// # Errors
    /// [`ConnectError`]
    pub async fn describe_stream(&self) -> Result<StreamDescription, ConnectError> {
        let renewals = self.client.renewals();
        let result = self.describer().refresh().await;
        if let Err(ConnectError::CredentialsRefused { error }) = &result {
            self.client.forget_credentials(renewals, REFUSED_GAP, error);
        }
        result
    }

    /// Describes the stream with these options; for a transport that was not made by [`connect`](Self::connect).
    #[must_use]
    pub fn with_options(mut self, options: ConnectOptions) -> Self {
        self.options = options;
        self
    }

    /// Writes requests and reads replies this way.
    #[must_use]
    pub fn with_wire(mut self, wire: Wire) -> Self {
        self.wire = wire;
        self
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.target.stream
    }

    /// The SDK's client as it is now, for calls of one's own.
    #[must_use]
    pub fn client(&self) -> aws_sdk_kinesis::Client {
        self.client.get()
    }

    fn describer(&self) -> Describer<'_> {
        Describer {
            client: self.client.get(),
            target: &self.target,
            sleep: &self.sleep,
            options: &self.options,
            memory: &self.memory,
        }
    }
}

impl Transport for AwsTransport {
    fn put_records<'a>(&'a self, request: &'a PutRecords) -> BoxFuture<'a, Result<Response, RequestError>> {
        Box::pin(put_records(&self.client, self.wire, &self.target.stream, request))
    }

    fn describe(&self) -> BoxFuture<'_, Result<ShardMap, DescribeError>> {
        Box::pin(async {
            self.describe_stream().await.map(|description| description.shards).map_err(DescribeError::new)
        })
    }
}

impl fmt::Debug for AwsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsTransport")
            .field("stream", &self.target.stream)
            .field("region", &self.target.region)
            .field("endpoint", &self.target.endpoint)
            .finish_non_exhaustive()
    }
}

fn region(config: &SdkConfig, stream: &StreamId) -> Result<Region, ConnectError> {
    match (config.region(), stream.region()) {
        // Emulators put what they like into their ARNs, so with an endpoint the region is the caller's business.
        (Some(region), Some(expected)) if region.as_ref() != expected && endpoint_url(config).is_none() => {
            Err(ConnectError::WrongRegion {
                region: region.to_string(),
                expected: format!("the stream's ARN is of {expected}"),
            })
        }
        (Some(region), _) => Ok(region.clone()),
        (None, Some(region)) => Ok(Region::new(region.to_owned())),
        (None, None) => Err(ConnectError::NoRegion),
    }
}

fn endpoint(config: &SdkConfig, region: &Region) -> String {
    endpoint_url(config).unwrap_or_else(|| format!("the service's endpoint for {region}"))
}

/// The endpoint that the SDK will take, from wherever it takes it.
fn endpoint_url(config: &SdkConfig) -> Option<String> {
    let key =
        ServiceConfigKey::builder().service_id("Kinesis").env("AWS_ENDPOINT_URL").profile("endpoint_url");
    let key = key.build().expect("all three are set");
    let is_programmatic = config.get_origin("endpoint_url").is_client_config();
    let specific =
        config.service_config().filter(|_| !is_programmatic).and_then(|service| service.load_config(key));
    specific.or_else(|| config.endpoint_url().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(region: Option<&'static str>, endpoint: Option<&str>) -> SdkConfig {
        let mut builder = SdkConfig::builder();
        builder.set_region(region.map(Region::from_static));
        builder.set_endpoint_url(endpoint.map(str::to_owned));
        builder.build()
    }

    // S-37
    #[test]
    fn the_region_is_the_configured_one_or_the_one_in_the_arn() {
        let arn: StreamId = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks".parse().unwrap();
        let name: StreamId = "clicks".parse().unwrap();
        assert_eq!(region(&config(None, None), &arn).unwrap().as_ref(), "eu-west-1");
        assert_eq!(region(&config(Some("eu-west-2"), None), &name).unwrap().as_ref(), "eu-west-2");
        assert_eq!(region(&config(None, None), &name), Err(ConnectError::NoRegion));
        let error = region(&config(Some("us-east-1"), None), &arn).unwrap_err().to_string();
        assert!(error.contains("us-east-1, but the stream's ARN is of eu-west-1"), "{error}");
        let emulator = config(Some("us-east-1"), Some("http://127.0.0.1:4567"));
        assert_eq!(region(&emulator, &arn).unwrap().as_ref(), "us-east-1");
    }

    #[test]
    fn a_config_without_an_http_client_is_refused_and_not_a_panic() {
        let error =
            AwsTransport::new(&config(Some("eu-west-1"), None), "clicks".parse().unwrap()).unwrap_err();
        assert!(matches!(error, ConnectError::Invalid(_)), "{error}");
    }
}
