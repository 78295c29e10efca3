//! Records in few, large allocations: 32 bytes each on top of key and data.

use base64_simd::STANDARD;

use super::scan::Data;
use crate::StoredRecord;
use crate::routing::{sequence_number, shard_id};

/// What one thread of the server has stored.
#[derive(Default)]
pub(crate) struct Store {
    /// Keys and data, back to back. A block is never moved once it has begun.
    blocks: Vec<Vec<u8>>,
    entries: Vec<Entry>,
}

/// Data follows its key in the block.
struct Entry {
    sequence: u64,
    block: u32,
    start: u32,
    data_bytes: u32,
    shard: u32,
    key_bytes: u32,
}

/// Data that is not base64.
pub(crate) struct NotBase64;

/// A point to go back to.
pub(crate) struct Mark {
    blocks: usize,
    last_block_bytes: usize,
    entries: usize,
}

impl Store {
    /// Stores a record, its data without base64, and gives the size of the data.
    pub(crate) fn push(
        &mut self,
        shard: u32,
        sequence: u64,
        key: &[u8],
        data: &Data<'_>,
    ) -> Result<usize, NotBase64> {
        let room = key.len()
            + match data {
                Data::Base64(text) => text.len() / 4 * 3,
                Data::Bytes(bytes) => bytes.len(),
            };
        if self.blocks.last().is_none_or(|block| block.capacity() - block.len() < room) {
            self.blocks.push(Vec::with_capacity(room.max(BLOCK_BYTES)));
        }
        let block_index = self.blocks.len() - 1;
        let block = &mut self.blocks[block_index];
        let start = block.len();
        block.extend_from_slice(key);
        match data {
            Data::Base64(text) => {
                STANDARD.decode_append(text, block).map_err(|_| NotBase64)?;
            }
            Data::Bytes(bytes) => block.extend_from_slice(bytes),
        }
        let data_bytes = block.len() - start - key.len();
        let number =
            |size: usize| u32::try_from(size).expect("a request, and so a block, is smaller than 4 GiB");
        self.entries.push(Entry {
            sequence,
            block: number(block_index),
            start: number(start),
            data_bytes: number(data_bytes),
            shard,
            key_bytes: number(key.len()),
        });
        Ok(data_bytes)
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            blocks: self.blocks.len(),
            last_block_bytes: self.blocks.last().map_or(0, Vec::len),
            entries: self.entries.len(),
        }
    }

    /// Forgets everything since the mark: a refused request leaves nothing behind.
    pub(crate) fn roll_back(&mut self, mark: &Mark) {
        // The first block stays: a server that stores nothing needs it for every request.
        self.blocks.truncate(mark.blocks.max(1));
        if let Some(block) = self.blocks.last_mut() {
            block.truncate(mark.last_block_bytes);
        }
        self.entries.truncate(mark.entries);
    }

    /// Every record, with the number that orders it among those of other threads.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u64, StoredRecord)> + '_ {
        self.entries.iter().map(|entry| {
            let block = &self.blocks[entry.block as usize];
            let (key, rest) = block[entry.start as usize..].split_at(entry.key_bytes as usize);
            let record = StoredRecord {
                shard_id: shard_id(entry.shard),
                sequence_number: sequence_number(entry.sequence),
                partition_key: String::from_utf8_lossy(key).into_owned(),
                data: rest[..entry.data_bytes as usize].to_vec(),
            };
            (entry.sequence, record)
        })
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Large enough to be rare, small enough not to waste memory.
const BLOCK_BYTES: usize = 4 << 20;
