//! A blocking client that sends what it is told and shows what came back, byte for byte.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base64_simd::STANDARD;
use serde_json::{Value, json};

use crate::{ShardDescription, StoredRecord, cbor};

/// Calls a Kinesis on loopback over plain HTTP, one connection a call, with a made-up signature.
///
/// It blocks its thread, which does not disturb the servers of this crate: they have threads of their own.
#[derive(Debug, Clone)]
pub struct RawClient {
    address: SocketAddr,
    access_key_id: String,
    timeout: Duration,
    content_type: &'static str,
}

impl RawClient {
    /// A client that waits at most 10 s for a reply.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            access_key_id: "AKIDEXAMPLE".to_owned(),
            timeout: Duration::from_secs(10),
            content_type: JSON,
        }
    }

    /// The same with other credentials.
    #[must_use]
    pub fn with_access_key_id(mut self, access_key_id: impl Into<String>) -> Self {
        self.access_key_id = access_key_id.into();
        self
    }

    /// The same with another patience; not zero.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same in CBOR: what is given as JSON is sent as CBOR, with `Data` in byte strings.
    #[must_use]
    pub fn with_cbor(mut self) -> Self {
        self.content_type = cbor::CONTENT_TYPE;
        self
    }

    /// Calls an operation, such as `ListShards`, and takes whatever reply there is.
    ///
    /// # Errors
    /// No connection, a reset, a reply that is no HTTP or shorter than it claims, or none in time.
    pub fn call(&self, operation: &str, input: &Value) -> io::Result<RawReply> {
        match self.content_type {
            JSON => self.call_with_body(operation, input.to_string().as_bytes()),
            _ => self.call_with_body(operation, &cbor::of_json(input)),
        }
    }

    /// As [`call`](Self::call), with a body that need not be what it is said to be.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_with_body(&self, operation: &str, body: &[u8]) -> io::Result<RawReply> {
        let mut stream = self.connect()?;
        self.send(&mut stream, operation, body)?;
        self.receive(&mut stream)
    }

    /// A connection for several calls, or for one whose reply is never waited for.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, self.timeout)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(self.timeout))?;
        Ok(stream)
    }

    /// Sends a request on a connection.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&self, stream: &mut TcpStream, operation: &str, body: &[u8]) -> io::Result<()> {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: {content_type}\r\nX-Amz-Target: \
             Kinesis_20131202.{operation}\r\nX-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential={key}/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host;x-amz-date, \
             Signature={zeros:0>64}\r\nContent-Length: {length}\r\n\r\n",
            address = self.address,
            content_type = self.content_type,
            key = self.access_key_id,
            zeros = 0,
            length = body.len(),
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)
    }

    /// Takes the next reply off a connection.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn receive(&self, stream: &mut TcpStream) -> io::Result<RawReply> {
        let deadline = Instant::now() + self.timeout;
        let mut received = Vec::new();
        loop {
            if let Some(reply) = parse_reply(&received)? {
                return Ok(reply);
            }
            let patience = deadline.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no reply in time"));
            }
            stream.set_read_timeout(Some(patience))?;
            let mut chunk = [0; 64 * 1024];
            match stream.read(&mut chunk) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the reply is incomplete")),
                Ok(count) => received.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "no reply in time"));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Calls PutRecords with `(partition key, data)` pairs.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn put_records(&self, stream_name: &str, records: &[(&str, &[u8])]) -> io::Result<RawReply> {
        self.call("PutRecords", &put_records_input(stream_name, records))
    }

    /// Creates a stream and waits until it is ACTIVE.
    ///
    /// # Errors
    /// What the server said, or a server that does not make the stream ACTIVE in this client's timeout.
    pub fn create_stream(&self, stream_name: &str, shards: u32) -> io::Result<()> {
        self.call("CreateStream", &json!({ "StreamName": stream_name, "ShardCount": shards }))?.ok()?;
        self.wait_until_active(stream_name)
    }

    /// Waits until a stream is ACTIVE, as after a call that created or changed it.
    ///
    /// # Errors
    /// What the server said, or a stream that is not ACTIVE in this client's timeout.
    pub fn wait_until_active(&self, stream_name: &str) -> io::Result<()> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let reply = self.call("DescribeStreamSummary", &json!({ "StreamName": stream_name }))?.ok()?;
            if reply["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE" {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("{stream_name} does not become ACTIVE"),
                ));
            }
            // The API has nothing to wait on.
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Every shard of a stream, closed ones included, in the order the server lists them.
    ///
    /// # Errors
    /// What the server said, or a reply without the fields that the API promises.
    pub fn shards(&self, stream_name: &str) -> io::Result<Vec<ShardDescription>> {
        let mut input = json!({ "StreamName": stream_name });
        let mut shards = Vec::new();
        loop {
            let reply = self.call("ListShards", &input)?.ok()?;
            for shard in reply["Shards"].as_array().ok_or_else(|| incomplete("Shards"))? {
                shards.push(parse_shard(shard)?);
            }
            match reply["NextToken"].as_str() {
                Some(token) => input = json!({ "NextToken": token }),
                None => return Ok(shards),
            }
        }
    }

    /// Everything stored in a stream, shard by shard in the order of sequence numbers, read with GetShardIterator and
    /// GetRecords until the end of each shard.
    ///
    /// # Errors
    /// What the server said, or a reply without the fields that the API promises.
    pub fn stored_records(&self, stream_name: &str) -> io::Result<Vec<StoredRecord>> {
        let mut records = Vec::new();
        for shard in self.shards(stream_name)? {
            self.read_shard(stream_name, &shard.shard_id, &mut records)?;
        }
        Ok(records)
    }

    fn read_shard(
        &self,
        stream_name: &str,
        shard_id: &str,
        records: &mut Vec<StoredRecord>,
    ) -> io::Result<()> {
        let input =
            json!({ "StreamName": stream_name, "ShardId": shard_id, "ShardIteratorType": "TRIM_HORIZON" });
        let reply = self.call("GetShardIterator", &input)?.ok()?;
        let mut iterator = reply["ShardIterator"].as_str().map(str::to_owned);
        while let Some(current) = iterator {
            let reply = self.call("GetRecords", &json!({ "ShardIterator": current }))?.ok()?;
            let page = reply["Records"].as_array().ok_or_else(|| incomplete("Records"))?;
            // A server may hand out an empty page before the last one; only one that has also caught up ends it.
            if page.is_empty() && reply["MillisBehindLatest"].as_u64().unwrap_or(0) == 0 {
                return Ok(());
            }
            for record in page {
                records.push(parse_record(shard_id, record)?);
            }
            iterator = reply["NextShardIterator"].as_str().map(str::to_owned);
        }
        Ok(())
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct RawReply {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case, and their values.
    pub headers: Vec<(String, String)>,
    /// The body, as long as it was said to be.
    pub body: Vec<u8>,
}

impl RawReply {
    /// The value of a header; `name` is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON, with byte strings in base64 if it is CBOR, or null when it is neither.
    #[must_use]
    pub fn json(&self) -> Value {
        if self.header("content-type") == Some(cbor::CONTENT_TYPE) {
            return cbor::to_json(&self.body).unwrap_or(Value::Null);
        }
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The AWS error code in the body, such as `ValidationException`.
    #[must_use]
    pub fn error_code(&self) -> Option<String> {
        let json = self.json();
        json["__type"].as_str().map(|code| code.rsplit('#').next().unwrap_or(code).to_owned())
    }

    /// The body as JSON if the call succeeded.
    ///
    /// # Errors
    /// Any status but 200, with the code and text that the server gave.
    pub fn ok(&self) -> io::Result<Value> {
        if self.status == 200 {
            return Ok(self.json());
        }
        let json = self.json();
        let message = json["message"].as_str().or(json["Message"].as_str()).unwrap_or("no message");
        let code = self.error_code().unwrap_or_else(|| "no error code".to_owned());
        Err(io::Error::other(format!("HTTP {}: {code}: {message}", self.status)))
    }
}

fn put_records_input(stream_name: &str, records: &[(&str, &[u8])]) -> Value {
    let entries: Vec<Value> = records
        .iter()
        .map(|(key, data)| json!({ "PartitionKey": key, "Data": STANDARD.encode_to_string(data) }))
        .collect();
    json!({ "StreamName": stream_name, "Records": entries })
}

/// `None` while there is not enough to tell.
fn parse_reply(received: &[u8]) -> io::Result<Option<RawReply>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head.parse(received).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let httparse::Status::Complete(head_bytes) = parsed else { return Ok(None) };
    let status = head.code.unwrap_or(0);
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(Ok(0), |(_, value)| {
        value.parse::<usize>().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    })?;
    let body = &received[head_bytes..];
    Ok((body.len() >= length).then(|| RawReply { status, headers, body: body[..length].to_vec() }))
}

fn parse_shard(shard: &Value) -> io::Result<ShardDescription> {
    let hash_key = |end: &'static str| {
        shard["HashKeyRange"][end].as_str().and_then(|text| text.parse().ok()).ok_or_else(|| incomplete(end))
    };
    Ok(ShardDescription {
        shard_id: text(shard, "ShardId")?,
        starting_hash_key: hash_key("StartingHashKey")?,
        ending_hash_key: hash_key("EndingHashKey")?,
        parent_shard_id: shard["ParentShardId"].as_str().map(str::to_owned),
        adjacent_parent_shard_id: shard["AdjacentParentShardId"].as_str().map(str::to_owned),
        open: shard["SequenceNumberRange"]["EndingSequenceNumber"].is_null(),
    })
}

fn parse_record(shard_id: &str, record: &Value) -> io::Result<StoredRecord> {
    let data = STANDARD.decode_to_vec(text(record, "Data")?).map_err(|_| incomplete("Data"))?;
    Ok(StoredRecord {
        shard_id: shard_id.to_owned(),
        sequence_number: text(record, "SequenceNumber")?,
        partition_key: text(record, "PartitionKey")?,
        data,
    })
}

fn text(value: &Value, field: &'static str) -> io::Result<String> {
    value[field].as_str().map(str::to_owned).ok_or_else(|| incomplete(field))
}

fn incomplete(field: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the reply has no usable {field}"))
}

const JSON: &str = "application/x-amz-json-1.1";
/// A dozen is what these servers send.
const HEADERS_MAX: usize = 64;
