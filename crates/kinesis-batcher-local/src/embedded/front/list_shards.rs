//! ListShards, with ShardFilter and NextToken.

use base64_simd::STANDARD;
use ferrokinesis::actions::Operation;
use ferrokinesis::constants::INVALID_ARGUMENT;
use ferrokinesis::sequence::parse_sequence;
use ferrokinesis::store::Store;
use ferrokinesis::types::{Shard, Stream};
use ferrokinesis::util::current_time_ms;
use serde_json::{Value, json};

use super::super::emulator::{Refusal, validated};
use super::super::reshard::is_open;

/// The stream that a request is about, by its name or its token; null where it names none.
pub(super) fn stream_name(input: &Value) -> Value {
    match &input["NextToken"] {
        Value::String(token) => Token::parse(token).map_or(Value::Null, |token| token.stream_name.into()),
        _ => input["StreamName"].clone(),
    }
}

/// A page of shards, the oldest first.
pub(super) async fn answer(store: &Store, input: &Value) -> Result<Value, Refusal> {
    let checked = validated(Operation::ListShards, input)?;
    let now = current_time_ms();
    let token = match checked["NextToken"].as_str() {
        None => Token::first(input)?,
        Some(_) if REFUSED_WITH_TOKEN.iter().any(|field| !input[*field].is_null()) => {
            return Err(invalid("NextToken cannot be given together with anything but MaxResults."));
        }
        Some(token) => {
            let token = Token::parse(token).ok_or_else(|| invalid("NextToken is invalid."))?;
            if now.saturating_sub(token.issued_at) > TOKEN_MILLIS {
                let message = format!("NextToken expired after {TOKEN_MILLIS} milliseconds.");
                return Err(Refusal::client_error("ExpiredNextTokenException", Some(&message)));
            }
            token
        }
    };
    let stream = store.get_stream(&token.stream_name).await?;
    let filter = Filter::new(&token.filter, &stream, now)?;
    let is_due = |shard: &&Shard| {
        token.after.as_deref().is_none_or(|after| *shard.shard_id > *after) && filter.passes(shard, &stream)
    };
    let page = checked["MaxResults"].as_u64().and_then(|max| usize::try_from(max).ok());
    let page = page.map_or(PAGE_SHARDS_MAX, |max| max.min(PAGE_SHARDS_MAX));
    let mut due = stream.shards.iter().filter(is_due);
    let shards: Vec<&Shard> = due.by_ref().take(page).collect();
    let mut output = json!({ "Shards": shards });
    if let (Some(last), true) = (shards.last(), due.next().is_some()) {
        output["NextToken"] = token.following(&last.shard_id, now).into();
    }
    Ok(output)
}

/// Where a listing goes on.
struct Token {
    stream_name: String,
    after: Option<String>,
    filter: Value,
    issued_at: u64,
}

impl Token {
    /// Where a listing begins.
    fn first(input: &Value) -> Result<Self, Refusal> {
        let stream_name = input["StreamName"].as_str();
        let stream_name =
            stream_name.ok_or_else(|| invalid("Either NextToken or StreamName should be provided."))?;
        let mut after = input["ExclusiveStartShardId"].as_str().map(str::to_owned);
        let filter = input["ShardFilter"].clone();
        if filter["Type"] == "AFTER_SHARD_ID" {
            let given = filter["ShardId"].as_str();
            let given = given.ok_or_else(|| invalid("AFTER_SHARD_ID takes a ShardId."))?;
            after = after.max(Some(given.to_owned()));
        }
        Ok(Self { stream_name: stream_name.to_owned(), after, filter, issued_at: 0 })
    }

    fn following(&self, shard_id: &str, now: u64) -> String {
        STANDARD.encode_to_string(json!([self.stream_name, shard_id, self.filter, now]).to_string())
    }

    fn parse(token: &str) -> Option<Self> {
        let decoded: Value = serde_json::from_slice(&STANDARD.decode_to_vec(token).ok()?).ok()?;
        Some(Self {
            stream_name: decoded[0].as_str()?.to_owned(),
            after: Some(decoded[1].as_str()?.to_owned()),
            filter: decoded[2].clone(),
            issued_at: decoded[3].as_u64()?,
        })
    }
}

/// Which shards a listing shows, times in seconds since 1970.
#[derive(Debug, PartialEq)]
enum Filter {
    /// All that may hold records from this time on.
    From(f64),
    /// Those that were open at this time.
    At(f64),
    /// Those that are open.
    Latest,
}

impl Filter {
    /// The filter of a request; null is FROM_TRIM_HORIZON, the service's default.
    fn new(filter: &Value, stream: &Stream, now: u64) -> Result<Self, Refusal> {
        let retained = now.saturating_sub(u64::from(stream.retention_period_hours) * 3_600_000);
        let trim_horizon = (retained as f64 / 1e3).max(stream.stream_creation_timestamp.0);
        let time = || {
            let time =
                filter["Timestamp"].as_f64().ok_or_else(|| invalid("The filter takes a Timestamp."))?;
            // The service corrects earlier times, too.
            Ok(time.max(trim_horizon))
        };
        match (filter, filter["Type"].as_str()) {
            (Value::Null, _) | (_, Some("FROM_TRIM_HORIZON" | "AFTER_SHARD_ID")) => {
                Ok(Self::From(trim_horizon))
            }
            (_, Some("AT_TRIM_HORIZON")) => Ok(Self::At(trim_horizon)),
            (_, Some("AT_LATEST")) => Ok(Self::Latest),
            (_, Some("AT_TIMESTAMP")) => Ok(Self::At(time()?)),
            (_, Some("FROM_TIMESTAMP")) => Ok(Self::From(time()?)),
            (_, other) => Err(invalid(&format!("ShardFilter has no Type {}.", other.unwrap_or("null")))),
        }
    }

    fn passes(&self, shard: &Shard, stream: &Stream) -> bool {
        match *self {
            Self::From(time) => closed_at(shard).is_none_or(|closed| time <= closed),
            // A time ahead of the clock is the latest, which every open shard has begun by.
            Self::At(time) => {
                closed_at(shard).is_none_or(|closed| time <= closed) && opened_at(shard, stream) <= time
            }
            Self::Latest => is_open(shard),
        }
    }
}

/// The second after the one in which a shard was closed, so that a time within that second finds the shard: it may
/// hold records of it.
fn closed_at(shard: &Shard) -> Option<f64> {
    closing_second(shard).map(|second| second + 1.0)
}

fn closing_second(shard: &Shard) -> Option<f64> {
    let ending = shard.sequence_number_range.ending_sequence_number.as_deref()?;
    let closed = parse_sequence(ending).ok()?.seq_time?;
    Some((closed / 1_000) as f64)
}

/// When a shard's parents were closed, or its stream was created, in whole seconds.
fn opened_at(shard: &Shard, stream: &Stream) -> f64 {
    let parents = shard.parent_shard_id.iter().chain(&shard.adjacent_parent_shard_id);
    let closed = parents.filter_map(|id| stream.shards.iter().find(|parent| parent.shard_id == *id));
    closed.filter_map(closing_second).fold(stream.stream_creation_timestamp.0, f64::max)
}

fn invalid(message: &str) -> Refusal {
    Refusal::client_error(INVALID_ARGUMENT, Some(message))
}

/// The service's default and maximum (S-10).
const PAGE_SHARDS_MAX: usize = 1_000;

/// The service's life of a token (S-10).
const TOKEN_MILLIS: u64 = 300_000;

/// A token stands for all of these.
const REFUSED_WITH_TOKEN: [&str; 4] =
    ["StreamName", "ExclusiveStartShardId", "StreamCreationTimestamp", "ShardFilter"];
