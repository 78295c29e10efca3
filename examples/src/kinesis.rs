//! Two calls of Kinesis by a blocking HTTP client: no AWS SDK, no async. Signatures are made by `aws-sigv4`.

use std::env;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use base64::prelude::{BASE64_STANDARD, Engine};
use kinesis_batcher_core::{
    HashKey, RecordOutcome, Request, RequestError, Response, ServiceError, Shard, ShardMap,
};
use serde_json::{Value, json};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Error, Timeout, http};

/// Which stream, as the command line tells.
#[derive(Clone, Debug, clap::Parser)]
pub struct Target {
    /// Name of the stream.
    #[arg(long)]
    pub stream: String,
    /// Where Kinesis is, if not in AWS.
    #[arg(long)]
    pub endpoint_url: Option<String>,
    /// The region.
    #[arg(long, default_value = "us-east-1")]
    pub region: String,
}

/// One stream of Kinesis. Threads may share it.
pub struct Kinesis {
    agent: Agent,
    target: Target,
    url: String,
    credentials: Credentials,
}

impl Kinesis {
    /// Credentials come from the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
    ///
    /// # Errors
    /// The variable that is missing, by name.
    pub fn new(target: &Target) -> Result<Self, String> {
        let variable = |name: &str| env::var(name).map_err(|_| format!("{name} is not set"));
        let (id, secret) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
        let credentials =
            Credentials::new(id, secret, env::var("AWS_SESSION_TOKEN").ok(), None, "environment");
        let roots = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<_> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&roots));
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(Duration::from_secs(30)))
            // An error's body says what is wrong.
            .http_status_as_error(false);
        let url = target.endpoint_url.clone();
        Ok(Self {
            agent: agent.build().into(),
            target: target.clone(),
            url: url.unwrap_or_else(|| format!("https://kinesis.{}.amazonaws.com/", target.region)),
            credentials,
        })
    }

    /// The open shards.
    pub fn shards(&self) -> Result<ShardMap, RequestError> {
        let (mut shards, mut input) = (vec![], json!({ "StreamName": self.target.stream }));
        // Bounded, should a server never come to its last page: a page has 1,000 shards.
        for _page in 0..1_000 {
            let page = self.call("ListShards", &input)?;
            let listed = page["Shards"].as_array().ok_or_else(|| unreadable("no Shards"))?;
            // A closed shard has a last sequence number.
            for shard in
                listed.iter().filter(|it| it["SequenceNumberRange"]["EndingSequenceNumber"].is_null())
            {
                let key = |name: &str| shard["HashKeyRange"][name].as_str()?.parse::<HashKey>().ok();
                let id = shard["ShardId"].as_str();
                let (Some(id), Some(first), Some(last)) = (id, key("StartingHashKey"), key("EndingHashKey"))
                else {
                    return Err(unreadable("a shard without an id or keys"));
                };
                shards.push(Shard::new(id, first, last));
            }
            match page["NextToken"].as_str() {
                Some(token) => input = json!({ "NextToken": token }),
                None => break,
            }
        }
        ShardMap::known(shards).map_err(|error| unreadable(&error.to_string()))
    }

    /// Sends a request once. Whether and when it is sent again is for the core to say.
    pub fn put_records<T>(&self, request: &Request<T>) -> Result<Response, RequestError> {
        let entries = request.records().map(|record| {
            let mut entry = json!({ "Data": BASE64_STANDARD.encode(record.data()) });
            if let Some(key) = record.partition_key() {
                entry["PartitionKey"] = key.into();
            }
            if let Some(key) = record.explicit_hash_key() {
                entry["ExplicitHashKey"] = key.to_string().into();
            }
            entry
        });
        let input = json!({ "StreamName": self.target.stream, "Records": entries.collect::<Vec<_>>() });
        let reply = self.call("PutRecords", &input)?;
        let outcomes =
            reply["Records"].as_array().ok_or_else(|| unreadable("no Records"))?.iter().map(outcome);
        Ok(Response::new(outcomes.collect()))
    }

    /// The core treats an error by what it means: not sent, refused, or nobody knows.
    fn call(&self, operation: &str, input: &Value) -> Result<Value, RequestError> {
        let request =
            self.request(operation, input).map_err(|error| RequestError::not_sent(&error.to_string()))?;
        let mut reply = self.agent.run(request).map_err(|error| match error {
            Error::HostNotFound | Error::ConnectionFailed => RequestError::not_sent(&error.to_string()),
            Error::Timeout(Timeout::Resolve | Timeout::Connect) => RequestError::not_sent(&error.to_string()),
            Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                RequestError::not_sent(&error.to_string())
            }
            error => RequestError::outcome_unknown(&error.to_string()),
        })?;
        // ureq reads at most 10 MiB; a reply about 500 records has less than 100 KiB.
        let body = reply.body_mut().read_to_vec().map_err(|error| unreadable(&error.to_string()))?;
        let value = serde_json::from_slice::<Value>(&body);
        if reply.status().is_success() {
            return value.map_err(|error| unreadable(&error.to_string()));
        }
        let value = value.unwrap_or_default();
        let text = |name: &str| value[name].as_str().unwrap_or_default();
        Err(RequestError::refused(
            reply.status().as_u16(),
            ServiceError::new(text("__type"), text("message")),
        ))
    }

    fn request(
        &self,
        operation: &str,
        input: &Value,
    ) -> Result<http::Request<Vec<u8>>, Box<dyn std::error::Error>> {
        let target = format!("Kinesis_20131202.{operation}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", &target)];
        let body = serde_json::to_vec(input)?;
        let identity = self.credentials.clone().into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.target.region)
            .name("kinesis")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?;
        let signable =
            SignableRequest::new("POST", &*self.url, headers.into_iter(), SignableBody::Bytes(&body))?;
        let (instructions, _signature) = sign(signable, &parameters.into())?.into_parts();
        let mut request = http::Request::post(&self.url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request.body(body)?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

fn outcome(entry: &Value) -> RecordOutcome {
    let text = |name: &str| entry[name].as_str();
    match (text("ShardId"), text("SequenceNumber"), text("ErrorCode")) {
        (Some(shard), Some(number), None) => {
            RecordOutcome::Stored { shard_id: shard.into(), sequence_number: number.into() }
        }
        (_, _, Some(code)) => {
            RecordOutcome::Failed(ServiceError::new(code, text("ErrorMessage").unwrap_or_default()))
        }
        _ => RecordOutcome::Unknown,
    }
}

fn unreadable(why: &str) -> RequestError {
    RequestError::outcome_unknown(&format!("the reply cannot be read: {why}"))
}
