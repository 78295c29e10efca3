//! How records are written in JSON for the comparison with AWS's packages.
#![allow(missing_docs, unreachable_pub)]

use base64::prelude::{BASE64_STANDARD, Engine};
use kinesis_aggregation::{AggregateBuilder, Full, Tag, UserRecord};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub partition_key: String,
    pub explicit_hash_key: Option<String>,
    /// In base64.
    pub data: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, Option<String>)>,
}

impl Member {
    pub fn of(record: &UserRecord<'_>) -> Self {
        Self {
            partition_key: record.partition_key.to_owned(),
            explicit_hash_key: record.explicit_hash_key.map(str::to_owned),
            data: to_base64(record.data),
            tags: record.tags.map(|tag| (tag.key.to_owned(), tag.value.map(str::to_owned))).collect(),
        }
    }

    /// Adds it and checks that the builder foretold the length.
    pub fn push_to(&self, builder: &mut AggregateBuilder) -> Result<(), Full> {
        let explicit =
            self.explicit_hash_key.as_ref().map(|key| key.parse().expect("a hash key has 128 bits"));
        let data = from_base64(&self.data);
        let tags: Vec<_> =
            self.tags.iter().map(|(key, value)| Tag { key, value: value.as_deref() }).collect();
        let foretold = builder.encoded_len_with(&self.partition_key, explicit, data.len(), &tags);
        builder.push(&self.partition_key, explicit, &data, &tags)?;
        assert_eq!(builder.encoded_len(), foretold, "the length is not the one foretold");
        Ok(())
    }
}

pub fn to_base64(data: &[u8]) -> String {
    BASE64_STANDARD.encode(data)
}

pub fn from_base64(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).expect("payloads are in base64")
}
