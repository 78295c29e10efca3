//! The futures of `send`, `send_and_forget` and `send_all`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use kinesis_batcher_core::Record;

use crate::admission::Admission;
use crate::delivery::Delivery;
use crate::error::{SendAllError, SendError};
use crate::producer::Producer;
use crate::record::TaggedRecord;
use crate::tag::Reply;
use crate::waiters::{Parcel, Refused};

/// The future of [`Producer::send`].
#[derive(Debug)]
#[must_use = "nothing is sent until it is awaited"]
pub struct SendRecord<'a> {
    admission: Admitting<'a>,
    delivery: Option<Delivery>,
}

impl<'a> SendRecord<'a> {
    pub(crate) fn new(producer: &'a Producer, record: Record) -> Self {
        let (reply, delivery) = Delivery::new();
        Self { admission: Admitting::new(producer, Parcel { record, reply }), delivery: Some(delivery) }
    }
}

impl Future for SendRecord<'_> {
    type Output = Result<Delivery, SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.admission.poll(cx));
        let delivery = self.delivery.take().expect("the admission panics when it is polled again");
        Poll::Ready(answer.map(|()| delivery))
    }
}

/// The future of [`Producer::send_and_forget`].
#[derive(Debug)]
#[must_use = "nothing is sent until it is awaited"]
pub struct SendAndForget<'a> {
    admission: Admitting<'a>,
}

impl<'a> SendAndForget<'a> {
    pub(crate) fn new(producer: &'a Producer, record: TaggedRecord) -> Self {
        let parcel = Parcel { record: record.record, reply: Reply::Handler(record.tag) };
        Self { admission: Admitting::new(producer, parcel) }
    }
}

impl Future for SendAndForget<'_> {
    type Output = Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.admission.poll(cx)
    }
}

/// The future of [`Producer::send_all`].
#[derive(Debug)]
#[must_use = "nothing is sent until it is awaited"]
pub struct SendAll<'a> {
    /// The first record that found no room, if one did.
    admission: Option<Admitting<'a>>,
    producer: &'a Producer,
    rest: std::vec::IntoIter<TaggedRecord>,
}

impl<'a> SendAll<'a> {
    pub(crate) fn new(producer: &'a Producer, records: Vec<TaggedRecord>) -> Self {
        Self { admission: None, producer, rest: records.into_iter() }
    }

    /// Offers records until one is refused, a number of them under each hold of the lock.
    fn offer_rest(&mut self) -> Result<(), Refused> {
        let rest = &mut self.rest;
        while rest.len() > 0 {
            self.producer
                .shared()
                .change(|state, now, _| state.offer_all(now, rest.by_ref().take(HOLD_RECORDS)))?;
        }
        Ok(())
    }
}

impl Future for SendAll<'_> {
    type Output = Result<(), SendAllError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            if let Some(admission) = &mut self.admission {
                let answer = ready!(admission.poll(cx));
                self.admission = None;
                if let Err(refused) = answer {
                    let rest = std::mem::take(&mut self.rest).collect();
                    return Poll::Ready(Err(SendAllError { refused, rest }));
                }
            }
            match self.offer_rest() {
                Ok(()) => return Poll::Ready(Ok(())),
                // Refused for good or for now: the admission finds out, and waits if there is something to wait for.
                Err(refused) => self.admission = Some(Admitting::new(self.producer, refused.parcel)),
            }
        }
    }
}

/// An admission that gives up its place when it is dropped.
#[derive(Debug)]
struct Admitting<'a> {
    producer: &'a Producer,
    admission: Admission,
}

impl<'a> Admitting<'a> {
    fn new(producer: &'a Producer, parcel: Parcel) -> Self {
        Self { producer, admission: Admission::New(parcel) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.admission.poll(self.producer.shared(), cx).map_err(SendError::from)
    }
}

impl Drop for Admitting<'_> {
    fn drop(&mut self) {
        self.admission.give_up(self.producer.shared());
    }
}

/// Records that one sender may push while others wait for the lock: some ten microseconds.
const HOLD_RECORDS: usize = 128;
