//! What became of one record, for the one who sent it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_channel::oneshot;
use futures_core::FusedFuture;
use kinesis_batcher_core::Receipt;

use crate::error::DeliveryError;
use crate::tag::{DeliveryResult, Reply};

/// An accepted record on its way: a future of its [`Receipt`].
///
/// It may be awaited on any runtime, or dropped: the record is delivered all the same, and only the statistics tell of
/// it. Nothing about it waits for the [`Producer`](crate::Producer) handle to live on.
///
/// # Errors
/// [`DeliveryError`] with the record when it was not delivered.
#[derive(Debug)]
pub struct Delivery {
    receiver: oneshot::Receiver<DeliveryResult>,
}

impl Delivery {
    pub(crate) fn new() -> (Reply, Self) {
        let (sender, receiver) = oneshot::channel();
        (Reply::Delivery(sender), Self { receiver })
    }
}

impl Future for Delivery {
    type Output = Result<Receipt, DeliveryError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver)
            .poll(cx)
            .map(|result| result.expect("the core gives each accepted tag back in exactly one event"))
    }
}

impl FusedFuture for Delivery {
    fn is_terminated(&self) -> bool {
        self.receiver.is_terminated()
    }
}
