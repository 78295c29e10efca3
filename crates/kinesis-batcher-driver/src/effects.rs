//! What is decided under the lock and done outside it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;

use futures_channel::oneshot;
use kinesis_batcher_core::{Delivered, Record, UnsealedRequest};

use crate::record::{Completion, Handler};
use crate::request_task;
use crate::shared::Shared;
use crate::tag::{DeliveryResult, Reply, Tag};
use crate::tellings::Telling;
use crate::trouble::Trouble;
use crate::watchers::Returned;

/// What follows from a change of the state. Wakers, receipts, completion handlers and tasks all run code that is not
/// ours, and records and wakers run it when they are dropped: none of that may happen under the lock.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) requests: Vec<UnsealedRequest<Tag>>,
    /// The records of a request of which every one was stored.
    pub(crate) delivered: Option<Delivered<Tag>>,
    pub(crate) deliveries: Vec<(oneshot::Sender<DeliveryResult>, DeliveryResult)>,
    pub(crate) completions: Vec<Completion>,
    /// Records that failed and that nobody asked about.
    pub(crate) unclaimed: Vec<Record>,
    /// All of the records above.
    returned: Returned,
    pub(crate) wakers: Vec<Waker>,
    /// Lines for the log.
    pub(crate) troubles: Vec<Trouble>,
    /// Tell what is under way to stop.
    pub(crate) stop: bool,
}

impl Effects {
    /// Notes that a record came back, and says whom to tell.
    pub(crate) fn returned(&mut self, tag: Tag) -> Reply {
        let (reply, epoch) = tag.into_parts();
        self.returned.add(epoch);
        reply
    }

    /// Does it all. Requests go first: the rest can wait while they are on the wire.
    pub(crate) fn run(mut self, shared: &Arc<Shared>) {
        for request in self.requests {
            request_task::spawn(shared, request);
        }
        if self.stop {
            shared.stop.raise();
        }
        let handler = shared.handler.as_ref();
        if let Some(delivered) = &mut self.delivered {
            let handler = handler.filter(|handler| handler.hears_of_deliveries());
            delivered.tell(|tag, receipt| {
                let (reply, epoch) = tag.into_parts();
                self.returned.add(epoch);
                match reply {
                    Reply::Delivery(sender) => tell_sender(sender, Ok(receipt)),
                    Reply::Handler(tag) => tell_handler(handler, || Completion::Delivered { tag, receipt }),
                }
            });
        }
        for (sender, result) in self.deliveries {
            tell_sender(sender, result);
        }
        for completion in self.completions {
            tell_handler(handler, || completion);
        }
        drop(self.unclaimed);
        self.wakers.into_iter().for_each(Waker::wake);
        self.troubles.into_iter().for_each(Trouble::tell);
        if !self.returned.is_empty()
            && shared.tellings.leave(Telling { returned: self.returned, emptied: self.delivered })
        {
            // Whatever is changed, tellings are counted.
            shared.change(|_, _, _| ());
        }
    }
}

fn tell_sender(sender: oneshot::Sender<DeliveryResult>, result: DeliveryResult) {
    // Whoever sent it may have let the delivery go; then nobody asks.
    drop(sender.send(result));
}

fn tell_handler(handler: Option<&Handler>, completion: impl FnOnce() -> Completion) {
    if let Some(handler) = handler {
        // A handler that panics must not cost the others their completions. The panic hook has told it.
        drop(catch_unwind(AssertUnwindSafe(|| handler.call(completion()))));
    }
}
