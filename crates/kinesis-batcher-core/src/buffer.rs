//! How much is held, and who must wait.

use crate::event::PushErrorReason;
use crate::lane::Held;

/// Bounds what is held by bytes and by records, and keeps one shard from taking all of it.
///
/// A shard may hold at most as much as is still free (Choudhury and Hahne, "Dynamic queue length thresholds for
/// shared-memory packet switches", 1998): a single hot shard fills half of the buffer and no more, while streams
/// whose shards share the load evenly use nearly all of it.
#[derive(Debug)]
pub(crate) struct Buffer {
    held: Held,
    bytes_max: u64,
    records_max: u64,
    /// A push was refused and nobody was told since that there is room.
    refused: bool,
    /// Something was let go since that push.
    released: bool,
}

impl Buffer {
    pub(crate) fn new(bytes_max: usize, records_max: usize) -> Self {
        Self {
            held: Held::default(),
            bytes_max: bytes_max as u64,
            records_max: records_max as u64,
            refused: false,
            released: false,
        }
    }

    pub(crate) fn held(&self) -> Held {
        self.held
    }

    pub(crate) fn bytes_max(&self) -> usize {
        usize::try_from(self.bytes_max).expect("the bound came in as usize")
    }

    /// Takes a record in, if it fits. `shard` is what its shard holds, where shards are told apart; `unpolled` is
    /// the number of events that the caller has not taken yet: they are bounded with the records they came from.
    pub(crate) fn admit(
        &mut self,
        bytes: usize,
        shard: Option<Held>,
        unpolled: usize,
    ) -> Result<(), PushErrorReason> {
        let refusal = self.refusal(bytes as u64, shard, unpolled as u64);
        match refusal {
            Some(reason) => {
                (self.refused, self.released) = (true, false);
                Err(reason)
            }
            None => {
                self.held.add(Held { records: 1, bytes: bytes as u64 });
                Ok(())
            }
        }
    }

    /// Lets records go.
    pub(crate) fn release(&mut self, records: Held) {
        self.held.subtract(records);
        self.released = true;
    }

    /// An event was taken, which makes room if events had filled the bound.
    pub(crate) fn event_taken(&mut self) {
        self.released |= self.refused;
    }

    /// Whether to say that there is room; true once for each time that there was none.
    pub(crate) fn take_unblocked(&mut self) -> bool {
        let unblocked = self.refused && self.released;
        if unblocked {
            (self.refused, self.released) = (false, false);
        }
        unblocked
    }

    fn refusal(&self, bytes: u64, shard: Option<Held>, unpolled: u64) -> Option<PushErrorReason> {
        let bytes_free = self.bytes_max - self.held.bytes;
        let records_free = self.records_max.saturating_sub(self.held.records + unpolled);
        if bytes > bytes_free || records_free == 0 {
            return Some(PushErrorReason::Full);
        }
        // A shard that holds nothing may always have one record, or the last of them would wait on the others.
        let shard = shard.filter(|held| held.records > 0)?;
        (shard.bytes + bytes > bytes_free || shard.records + 1 > records_free)
            .then_some(PushErrorReason::ShardFull)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hot_shard_fills_half_of_the_buffer_and_leaves_the_rest_to_others() {
        let mut buffer = Buffer::new(1_000, 1_000_000);
        let mut hot = Held::default();
        while buffer.admit(10, Some(hot), 0).is_ok() {
            hot.add(Held { records: 1, bytes: 10 });
        }
        assert_eq!(hot.bytes, 500);
        assert_eq!(buffer.admit(10, Some(hot), 0), Err(PushErrorReason::ShardFull));
        assert_eq!(buffer.admit(10, Some(Held::default()), 0), Ok(()), "another shard still gets in");
    }

    #[test]
    fn without_shards_the_whole_buffer_is_used_to_the_last_byte() {
        let mut buffer = Buffer::new(1_000, 1_000_000);
        for _ in 0..100 {
            assert_eq!(buffer.admit(10, None, 0), Ok(()));
        }
        assert_eq!(buffer.held().bytes, 1_000);
        assert_eq!(buffer.admit(1, None, 0), Err(PushErrorReason::Full));
    }

    #[test]
    fn room_is_announced_once_and_only_after_a_refusal() {
        let mut buffer = Buffer::new(20, 2);
        buffer.admit(10, None, 0).expect("there is room");
        buffer.admit(10, None, 0).expect("there is room");
        assert!(!buffer.take_unblocked(), "nobody was refused");
        buffer.release(Held { records: 1, bytes: 10 });
        buffer.admit(10, None, 0).expect("there is room");
        buffer.admit(10, None, 0).expect_err("it is full");
        assert!(!buffer.take_unblocked(), "nothing was released since the refusal");
        buffer.release(Held { records: 1, bytes: 10 });
        assert!(buffer.take_unblocked());
        assert!(!buffer.take_unblocked(), "it is said once");
    }

    #[test]
    fn events_that_are_not_taken_count_as_records() {
        let mut buffer = Buffer::new(1_000, 3);
        assert_eq!(buffer.admit(1, None, 3), Err(PushErrorReason::Full));
        buffer.event_taken();
        assert!(buffer.take_unblocked());
        assert_eq!(buffer.admit(1, None, 2), Ok(()));
    }
}
