//! What is to be told, in its order.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::event::{Event, Failure, Receipt};
use crate::record::Record;

/// Events that nobody has taken yet.
///
/// Nearly all of them are deliveries. Failures are twice as large and lie elsewhere, or each delivery would take their
/// room and be moved with it.
pub(crate) struct Events<T> {
    waiting: VecDeque<Waiting<T>>,
    /// Deliveries and failures among them.
    records: usize,
}

enum Waiting<T> {
    Delivered { tag: T, receipt: Receipt },
    Failed(Box<(T, Record, Failure)>),
    ShardMapStale,
    Unblocked,
    Drained,
}

impl<T> Events<T> {
    pub(crate) fn new() -> Self {
        Self { waiting: VecDeque::new(), records: 0 }
    }

    #[inline]
    pub(crate) fn push(&mut self, event: Event<T>) {
        self.records += usize::from(matches!(event, Event::Delivered { .. } | Event::Failed { .. }));
        self.waiting.push_back(match event {
            Event::Delivered { tag, receipt } => Waiting::Delivered { tag, receipt },
            Event::Failed { tag, record, failure } => Waiting::Failed(Box::new((tag, record, failure))),
            Event::ShardMapStale => Waiting::ShardMapStale,
            Event::Unblocked => Waiting::Unblocked,
            Event::Drained => Waiting::Drained,
        });
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Event<T>> {
        Some(match self.waiting.pop_front()? {
            Waiting::Delivered { tag, receipt } => {
                self.records -= 1;
                Event::Delivered { tag, receipt }
            }
            Waiting::Failed(failed) => {
                self.records -= 1;
                let (tag, record, failure) = *failed;
                Event::Failed { tag, record, failure }
            }
            Waiting::ShardMapStale => Event::ShardMapStale,
            Waiting::Unblocked => Event::Unblocked,
            Waiting::Drained => Event::Drained,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Deliveries and failures. The others are few, and take no room in the buffer.
    pub(crate) fn records(&self) -> usize {
        self.records
    }
}
