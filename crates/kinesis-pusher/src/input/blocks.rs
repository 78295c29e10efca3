//! Memory that many records share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Blocks of memory to read into, whose slices are records without a copy or an allocation for each.
///
/// One record that waits for a throttled shard keeps its whole block. So that the producer's bound on buffered bytes
/// still says how much memory a run takes, no more than a fixed number of bytes is lent at a time, on top of that
/// bound; beyond it, whoever reads copies record by record. In steady state blocks come back as fast as they are lent, and
/// are still in the processor's caches when they do.
#[derive(Clone)]
pub(crate) struct Blocks {
    pool: Arc<Pool>,
    lent_bytes_max: usize,
}

struct Pool {
    /// Ready to be lent again.
    free: Mutex<Vec<Vec<u8>>>,
    lent_bytes: AtomicUsize,
}

/// A block that slices point into.
struct Lent {
    block: Vec<u8>,
    pool: Arc<Pool>,
}

impl Blocks {
    /// Blocks of which slices keep at most `lent_bytes_max` bytes in memory.
    pub(crate) fn new(lent_bytes_max: usize) -> Self {
        let pool = Pool { free: Mutex::default(), lent_bytes: AtomicUsize::new(0) };
        Self { pool: Arc::new(pool), lent_bytes_max }
    }

    /// A block of [`BLOCK_BYTES`] that holds whatever it held before.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.pool.free().pop().unwrap_or_else(|| vec![0; BLOCK_BYTES])
    }

    /// Whether one block more may be lent. Only others lend meanwhile, so that the thread that lends can rely on a yes.
    pub(crate) fn may_lend(&self) -> bool {
        self.pool.lent_bytes.load(Ordering::Relaxed) + BLOCK_BYTES <= self.lent_bytes_max
    }

    /// Lends a block; it comes back with the last of its slices.
    pub(crate) fn lend(&self, block: Vec<u8>) -> Bytes {
        self.pool.lent_bytes.fetch_add(block.len(), Ordering::Relaxed);
        Bytes::from_owner(Lent { block, pool: Arc::clone(&self.pool) })
    }
}

impl Pool {
    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, block: Vec<u8>) {
        let mut free = self.free();
        if block.len() == BLOCK_BYTES && free.len() < FREE_BLOCKS_MAX {
            free.push(block);
        }
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.block
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pool.lent_bytes.fetch_sub(self.block.len(), Ordering::Relaxed);
        self.pool.keep(std::mem::take(&mut self.block));
    }
}

/// Large enough that neither a system call nor a block costs anything a line; what a pipe holds on Linux; and small
/// enough that a block is still in a core's own cache when its lines are looked at.
pub(super) const BLOCK_BYTES: usize = 64 << 10;

/// Blocks that wait to be lent again: 4 MiB.
const FREE_BLOCKS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_lent_until_the_last_slice_of_it_is_gone() {
        let blocks = Blocks::new(BLOCK_BYTES);
        assert!(blocks.may_lend(), "nothing is lent yet");
        let block = blocks.lend(blocks.take());
        let slice = block.slice(7..9);
        drop(block);
        assert!(!blocks.may_lend(), "one slice keeps all of it");
        let address = slice.as_ptr();
        drop(slice);
        assert!(blocks.may_lend(), "the last slice gave it back");
        let again = blocks.take();
        assert!(again.as_ptr_range().contains(&address), "the same memory is lent again");
    }

    #[test]
    fn no_more_is_kept_than_a_few_blocks() {
        let blocks = Blocks::new(usize::MAX);
        let lent: Vec<Bytes> = (0..2 * FREE_BLOCKS_MAX).map(|_| blocks.lend(blocks.take())).collect();
        drop(lent);
        assert_eq!(blocks.pool.free().len(), FREE_BLOCKS_MAX);
        assert_eq!(blocks.pool.lent_bytes.load(Ordering::Relaxed), 0, "nothing is lent any more");
    }
}
