//! Reading back what was stored, past HTTP.

use base64_simd::STANDARD;
use ferrokinesis::types::StoredRecord as EmulatedRecord;

use super::{EmbeddedError, EmbeddedKinesis};
use crate::StoredRecord;

impl EmbeddedKinesis {
    /// Everything stored in a stream, closed shards included: oldest shard first, each in the order of its sequence
    /// numbers. Explicit hash keys are not kept, as in the service; the shard shows where they led.
    ///
    /// # Errors
    /// No such stream.
    pub async fn stored_records(&self, stream: &str) -> Result<Vec<StoredRecord>, EmbeddedError> {
        let mut records: Vec<StoredRecord> = Vec::new();
        for shard in self.shards(stream).await? {
            let mut after: Option<String> = None;
            loop {
                let page =
                    self.stored_in_shard(stream, &shard.shard_id, after.as_deref(), PAGE_RECORDS).await?;
                let full = page.len() == PAGE_RECORDS;
                records.extend(page);
                if !full {
                    break;
                }
                after = records.last().map(|record| record.sequence_number.clone());
            }
        }
        Ok(records)
    }

    /// At most `limit` records of one shard, those after a sequence number or the first ones: for streams too large
    /// to be read at once.
    ///
    /// # Errors
    /// No such stream or shard.
    pub async fn stored_in_shard(
        &self,
        stream: &str,
        shard_id: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, EmbeddedError> {
        let shards = self.shards(stream).await?;
        let index = shards.iter().position(|shard| shard.shard_id == shard_id).ok_or_else(|| {
            EmbeddedError::Service {
                code: "ResourceNotFoundException".to_owned(),
                message: format!("Stream {stream} has no shard {shard_id}."),
            }
        })?;
        // The emulator's store is a sorted map by `{shard as hex}/{sequence number}`, and a shard's position is its
        // number. The space sorts right after the number itself.
        let from = after.map_or_else(|| format!("{index:08x}/"), |number| format!("{index:08x}/{number} "));
        let to = format!("{:08x}", index + 1);
        let (store, name, shard) = (self.emulator.store.clone(), stream.to_owned(), shard_id.to_owned());
        let page = self.server.runtime().spawn(async move {
            let page = store.get_records_range_limited(&name, &from, &to, limit).await;
            page.into_iter().map(|(key, record)| stored(&shard, &key, record)).collect()
        });
        page.await.map_err(|_| EmbeddedError::Stopped)?
    }
}

fn stored(shard_id: &str, key: &str, record: EmulatedRecord) -> Result<StoredRecord, EmbeddedError> {
    let sequence_number = key.split_once('/').map_or(key, |(_, number)| number).to_owned();
    // The emulator stores the text it was sent, and lets some through that is no base64.
    let data = STANDARD.decode_to_vec(record.data).map_err(|_| EmbeddedError::Service {
        code: "SerializationException".to_owned(),
        message: format!("The data of record {sequence_number} was sent as something else than base64."),
    })?;
    Ok(StoredRecord {
        shard_id: shard_id.to_owned(),
        sequence_number,
        partition_key: record.partition_key,
        data,
    })
}

/// Long enough for speed, short enough not to keep the server from answering for long: about 10 ms.
const PAGE_RECORDS: usize = 10_000;
