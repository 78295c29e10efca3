//! What the core carries along with each record: whom to tell of its end.

use futures_channel::oneshot;
use kinesis_batcher_core::Receipt;

use crate::error::DeliveryError;

/// What becomes of a record, as it goes to its [`Delivery`](crate::Delivery).
pub(crate) type DeliveryResult = Result<Receipt, DeliveryError>;

/// Whom to tell what became of a record.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The completion handler, if there is one, by the sender's own tag.
    Handler(u64),
    /// The one who holds the other end.
    Delivery(oneshot::Sender<DeliveryResult>),
}

/// A [`Reply`] with the flush epoch in which the record was accepted. Flat, because the core holds one for each
/// buffered record: 16 bytes instead of 24.
#[derive(Debug)]
pub(crate) enum Tag {
    Handler { epoch: u32, tag: u64 },
    Delivery { epoch: u32, sender: oneshot::Sender<DeliveryResult> },
}

impl Tag {
    pub(crate) fn new(reply: Reply, epoch: u32) -> Self {
        match reply {
            Reply::Handler(tag) => Self::Handler { epoch, tag },
            Reply::Delivery(sender) => Self::Delivery { epoch, sender },
        }
    }

    pub(crate) fn forget(epoch: u32, tag: u64) -> Self {
        Self::Handler { epoch, tag }
    }

    pub(crate) fn into_parts(self) -> (Reply, u32) {
        match self {
            Self::Handler { epoch, tag } => (Reply::Handler(tag), epoch),
            Self::Delivery { epoch, sender } => (Reply::Delivery(sender), epoch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_takes_sixteen_bytes_of_each_buffered_record() {
        assert_eq!(size_of::<Tag>(), 16);
    }
}
