//! To the stream that was named, the way the AWS CLI would go.

use std::ffi::OsStr;

use aws_types::region::Region;
use kinesis_batcher_core::ShardMap;
use kinesis_batcher_tokio::{
    AwsOptions, AwsTransport, ConnectError, ConnectOptions, Credentials, Producer, ProducerBuilder,
    RecordDistribution, SdkConfig, SharedCredentialsProvider, StreamDescription, StreamId, StreamIdError,
    Wire, connectivity_over,
};

use crate::cli::{Distribution, Target};
use crate::exit::StartError;

/// A builder for a producer to the target's stream, which takes what the target does not say from the environment and
/// the AWS files.
pub(crate) fn producer(target: &Target) -> ProducerBuilder {
    let Target { endpoint_url, region, profile, .. } = target;
    let cbor_disable = std::env::var_os("AWS_CBOR_DISABLE");
    let mut builder = Producer::builder(stream(target))
        .wire(wire(cbor_disable.as_deref()))
        .connect_timeout(target.connect_timeout)
        .record_distribution(target.record_distribution.map(RecordDistribution::from));
    if let Some(url) = endpoint_url {
        builder = builder.endpoint_url(url);
    }
    builder = builder.http_version(target.http_version.into());
    if let Some(region) = region {
        builder = builder.region(region);
    }
    if let Some(profile) = profile {
        builder = builder.profile(profile);
    }
    builder
}

/// How requests are written, by `AWS_CBOR_DISABLE` as the AWS SDK for Java reads it: set to whatever but `false`, it is JSON.
/// Set to `false`, emulators get CBOR, too.
fn wire(cbor_disable: Option<&OsStr>) -> Wire {
    match cbor_disable {
        None => Wire::CborToAws,
        Some(value) if value.eq_ignore_ascii_case("false") => Wire::Cbor,
        Some(_) => Wire::Direct,
    }
}

/// A builder for a producer to a stream of the Kinesis inside this process. Neither environment nor files are looked
/// at: what they say is about another service, and could only lead astray.
pub(crate) fn local_producer(stream: &str, endpoint_url: &str) -> ProducerBuilder {
    let credentials = Credentials::new("local", "local", None, None, "kinesis-pusher");
    let config = SdkConfig::builder()
        .region(Region::from_static("us-east-1"))
        .endpoint_url(endpoint_url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    Producer::builder(stream).sdk_config(config).wire(Wire::Direct)
}

/// What the service says of the target's stream.
///
/// # Errors
/// Why it says nothing.
pub(crate) async fn shards(target: &Target) -> Result<ShardMap, StartError> {
    Ok(transport(target).await?.1.shards)
}

/// The target's stream, over the SDK, and what the service says of it.
///
/// # Errors
/// Why it cannot be reached.
pub(crate) async fn transport(target: &Target) -> Result<(AwsTransport, StreamDescription), StartError> {
    let Target { endpoint_url, region, profile, connect_timeout, record_distribution, http_version, .. } =
        target.clone();
    let options = AwsOptions { region, profile, endpoint_url, ..AwsOptions::default() };
    let stream: StreamId =
        stream(target).parse().map_err(|error: StreamIdError| StartError::usage(error.to_string()))?;
    let config = options
        .load(&stream, connectivity_over(http_version.into()))
        .await
        .map_err(|error| unconnected(&error, target))?;
    let options = ConnectOptions::default()
        .timeout(connect_timeout)
        .record_distribution(record_distribution.map(RecordDistribution::from));
    AwsTransport::connect(&config, stream, options).await.map_err(|error| unconnected(&error, target))
}

/// The one line for a stream that cannot be reached.
pub(crate) fn unconnected(error: &ConnectError, target: &Target) -> StartError {
    match (error, &target.profile) {
        // Only the profile was asked, so the advice is about it alone.
        (ConnectError::NoCredentials { detail }, Some(profile)) => StartError::new(format!(
            "no credentials in profile '{profile}' ({detail}); add or renew them (aws configure --profile {profile}, aws \
             sso login --profile {profile})"
        )),
        _ => StartError::new(error.to_string()),
    }
}

impl From<Distribution> for RecordDistribution {
    fn from(distribution: Distribution) -> Self {
        match distribution {
            Distribution::PartitionKey => Self::PartitionKey,
            Distribution::Auto => Self::Auto,
        }
    }
}

fn stream(target: &Target) -> &str {
    let named = target.stream_arn.as_deref().or(target.stream.as_deref());
    named.expect("the command line demands a stream, or has made one of its own")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cbor_is_for_aws_unless_the_environment_says_otherwise() {
        let wire = |value: Option<&str>| wire(value.map(OsStr::new));
        assert_eq!(wire(None), Wire::CborToAws);
        for value in ["true", "1", "yes", ""] {
            assert_eq!(wire(Some(value)), Wire::Direct, "{value:?} disables it");
        }
        for value in ["false", "FALSE"] {
            assert_eq!(wire(Some(value)), Wire::Cbor, "{value:?} demands it");
        }
    }
}
