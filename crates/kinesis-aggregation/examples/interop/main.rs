//! The codec as a filter, for the comparison with AWS's packages in `interop/`.
//!
//! A line in is a request, a line out its answer: `{"encode": [members]}` gives `{"data": base64}` or
//! `{"full": length}`; `{"decode": base64}` gives `{"members": [members]}`, or `{"plain": reason}`.
#![allow(clippy::print_stdout)]

mod case;

use std::io::{self, BufRead, Write};

use kinesis_aggregation::{AggregateBuilder, Decoded, decode};
use serde::{Deserialize, Serialize};

use case::{Member, from_base64, to_base64};

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Request {
    Encode(Vec<Member>),
    Decode(String),
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Data(String),
    Full(usize),
    Members(Vec<Member>),
    Plain(String),
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut builder = AggregateBuilder::new(1 << 20);
    for line in io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?)? {
            Request::Encode(members) => encode(&mut builder, &members),
            Request::Decode(data) => decode_all(&from_base64(&data)),
        };
        println!("{}", serde_json::to_string(&answer)?);
        io::stdout().flush()?;
    }
    Ok(())
}

fn encode(builder: &mut AggregateBuilder, members: &[Member]) -> Answer {
    builder.clear();
    for member in members {
        if let Err(full) = member.push_to(builder) {
            return Answer::Full(full.encoded_len);
        }
    }
    Answer::Data(to_base64(&builder.finish()))
}

fn decode_all(data: &[u8]) -> Answer {
    match decode(data) {
        Decoded::Aggregate(aggregate) => {
            Answer::Members(aggregate.iter().map(|record| Member::of(&record)).collect())
        }
        Decoded::Plain => Answer::Plain("no magic".to_owned()),
        Decoded::Damaged(damage) => Answer::Plain(damage.to_string()),
    }
}
