//! What is to be told, in its order.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::event::{Event, Failure, Receipt};
use crate::record::Record;

/// Events that nobody has taken yet.
///
/// Nearly all of them are deliveries. Failures are twice as large and lie elsewhere, or each delivery would take their
/// room and be moved with it.
pub(crate) struct Events<T>(VecDeque<Waiting<T>>);

enum Waiting<T> {
    Delivered { tag: T, receipt: Receipt },
    Failed(Box<(T, Record, Failure)>),
    ShardMapStale,
    Unblocked,
    Drained,
}

impl<T> Events<T> {
    pub(crate) fn new() -> Self {
        Self(VecDeque::new())
    }

    #[inline]
    pub(crate) fn push(&mut self, event: Event<T>) {
        self.0.push_back(match event {
            Event::Delivered { tag, receipt } => Waiting::Delivered { tag, receipt },
            Event::Failed { tag, record, failure } => Waiting::Failed(Box::new((tag, record, failure))),
            Event::ShardMapStale => Waiting::ShardMapStale,
            Event::Unblocked => Waiting::Unblocked,
            Event::Drained => Waiting::Drained,
        });
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Event<T>> {
        Some(match self.0.pop_front()? {
            Waiting::Delivered { tag, receipt } => Event::Delivered { tag, receipt },
            Waiting::Failed(failed) => {
                let (tag, record, failure) = *failed;
                Event::Failed { tag, record, failure }
            }
            Waiting::ShardMapStale => Event::ShardMapStale,
            Waiting::Unblocked => Event::Unblocked,
            Waiting::Drained => Event::Drained,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
