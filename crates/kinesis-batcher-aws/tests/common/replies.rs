//! Replies to PutRecords as JSON text, usual, odd and broken.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// The JSON text of a string: plain, escaped, beyond the basic plane, half of a pair, and what is no escape.
fn string() -> impl Strategy<Value = String> {
    let usual = prop_oneof![
        Just("shardId-000000000007".to_owned()),
        "[1-9][0-9]{55}",
        "[0-9]{1,60}",
        Just("ProvisionedThroughputExceededException".to_owned()),
        Just(String::new()),
    ];
    let part = prop_oneof![
        4 => "[a-zA-Z0-9 é😀\u{7f}\t]{0,4}",
        2 => select(vec![r#"\""#, r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t", r"\u0041", r"\u00e9", r"\u0000"])
            .prop_map(str::to_owned),
        1 => select(vec![r"\ud83d\ude00", r"\uD83D\uDE00", r"\ud800", r"\udc00", r"\ud83dx", r"\ud83d\u0041", r"\u12", r"\x"])
            .prop_map(str::to_owned),
    ];
    prop_oneof![3 => usual, 1 => vec(part, 0..4).prop_map(|parts| parts.concat())]
        .prop_map(|text| format!("\"{text}\""))
}

fn number() -> impl Strategy<Value = String> {
    let odd = [
        "0",
        "-0",
        "1e400",
        "-1.5E-3",
        "1E+2",
        "123456789012345678901234567890",
        "0.10",
        "01",
        "1.",
        ".5",
        "-",
        "1e",
        "+1",
        "NaN",
        "0x1",
    ];
    prop_oneof![any::<i64>().prop_map(|number| number.to_string()), select(odd.map(str::to_owned).to_vec())]
}

/// Any value, or what is nearly one.
fn value() -> impl Strategy<Value = String> {
    let literal = select(["null", "true", "false", "nul", "nullx", "True", ""].map(str::to_owned).to_vec());
    let leaf = prop_oneof![3 => string(), 1 => number(), 1 => literal];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(","))),
            vec((string(), inner), 0..4).prop_map(object),
        ]
    })
}

fn object(fields: Vec<(String, String)>) -> String {
    let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn field_of_an_entry() -> impl Strategy<Value = (String, String)> {
    let known =
        select(vec!["SequenceNumber", "ShardId", "ErrorCode", "ErrorMessage", r"Shard\u0049d", "shardId"]);
    let known = known.prop_map(|name| format!("\"{name}\""));
    prop_oneof![
        12 => (known.clone(), string()),
        2 => (known.clone(), Just("null".to_owned())),
        1 => (known, value()),
        1 => (string(), value()),
    ]
}

fn entry() -> impl Strategy<Value = String> {
    let stored = "[1-9][0-9]{55}"
        .prop_map(|number| format!(r#"{{"SequenceNumber":"{number}","ShardId":"shardId-000000000001"}}"#));
    prop_oneof![10 => stored, 10 => vec(field_of_an_entry(), 0..6).prop_map(object), 1 => value()]
}

/// A reply, or nearly one, without the fields that only the SDK looks at.
pub fn reply() -> impl Strategy<Value = String> {
    let entries =
        vec(entry(), 0..5).prop_map(|entries| ("\"Records\"".to_owned(), format!("[{}]", entries.join(","))));
    let other = (prop_oneof![string(), Just("\"Records\"".to_owned())], value());
    vec(prop_oneof![3 => entries, 1 => other], 0..3).prop_map(object)
}
