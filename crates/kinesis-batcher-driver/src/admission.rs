//! One record's way into the buffer, with a wait for room if need be.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::shared::Shared;
use crate::waiters::{Parcel, Refused, Ticket};

/// A record that is to be let in. Whoever drops it unfinished must call [`give_up`](Self::give_up) before.
#[derive(Debug)]
pub(crate) enum Admission {
    New(Parcel),
    Waiting(Ticket),
    Over,
}

impl Admission {
    /// Ready once the record was accepted, or refused for good.
    pub(crate) fn poll(&mut self, shared: &Arc<Shared>, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        match std::mem::replace(self, Self::Over) {
            Self::New(parcel) => {
                let refused = match shared.change(|state, now, _| state.offer(now, parcel)) {
                    Err(refused) if refused.reason.is_full() => refused,
                    answer => return Poll::Ready(answer),
                };
                // Cloned outside the lock, and only by those who need it; there may be room by now.
                let waker = cx.waker().clone();
                let answer = shared.change(|state, now, _| match state.offer(now, refused.parcel) {
                    Err(refused) if refused.reason.is_full() => Err(state.wait(refused, waker)),
                    answer => Ok(answer),
                });
                self.go_on(answer)
            }
            Self::Waiting(ticket) => {
                let waker = cx.waker().clone();
                let answer = shared.lock().waiters.poll(ticket, waker);
                // The former waker, if any, is dropped by the map, after the lock.
                self.go_on(answer.map_err(|_former| ticket))
            }
            Self::Over => panic!("a future that has given its result was polled again"),
        }
    }

    /// Takes back a record that waits. One that was let in stays in.
    pub(crate) fn give_up(&mut self, shared: &Arc<Shared>) {
        if let Self::Waiting(ticket) = std::mem::replace(self, Self::Over) {
            let held = shared.change(|state, _, _| state.give_up(ticket));
            drop(held);
        }
    }

    fn go_on(&mut self, answer: Result<Result<(), Refused>, Ticket>) -> Poll<Result<(), Refused>> {
        match answer {
            Ok(answer) => Poll::Ready(answer),
            Err(ticket) => {
                *self = Self::Waiting(ticket);
                Poll::Pending
            }
        }
    }
}
