//! One request on its way, in a task of its own.

use std::sync::Arc;

use kinesis_batcher_core::{Request, RequestError, Response};
use tracing::{Instrument, debug_span, field};

use crate::effects::Effects;
use crate::guarded::{Interrupted, guarded};
use crate::shared::Shared;
use crate::tag::Tag;
use crate::transport::PutRecords;

/// Sends a request in a new task, so that building, signing and reading spread over the runtime's threads.
pub(crate) fn spawn(shared: &Arc<Shared>, request: Request<Tag>) {
    let in_flight = InFlight { shared: Arc::clone(shared), request: Some(PutRecords::new(request)) };
    shared.runtime.spawn(Box::pin(in_flight.run()));
}

/// A request that must be answered, whatever happens to the task.
struct InFlight {
    shared: Arc<Shared>,
    request: Option<PutRecords>,
}

impl InFlight {
    /// Sends the request, and after it those that its answer makes way for: the first of them here, the others in
    /// tasks of their own.
    async fn run(mut self) {
        while let Some(request) = &self.request {
            let shared = &*self.shared;
            let span = debug_span!(
                "put_records",
                records = request.len(),
                bytes = request.bytes(),
                outcome = field::Empty,
                code = field::Empty
            );
            let call = guarded(shared, shared.request_timeout, async {
                // Inside the guard, so that a transport that panics before it returns a future is caught too.
                shared.transport.put_records(request).await
            });
            let outcome = match call.instrument(span.clone()).await {
                Ok(outcome) => outcome,
                Err(interrupted) => Err(outcome_unknown(interrupted)),
            };
            match &outcome {
                Ok(_) => span.record("outcome", "answered"),
                Err(error) => span
                    .record("outcome", if error.is_outcome_unknown() { "unknown" } else { "failed" })
                    .record("code", field::display(error.error().code())),
            };
            drop(span);
            self.answer(outcome);
        }
    }

    fn answer(&mut self, outcome: Result<Response, RequestError>) {
        let Some(request) = self.request.take() else { return };
        let mut effects = settle(&self.shared, request, outcome);
        self.request = effects.requests.pop().map(PutRecords::new);
        effects.run(&self.shared);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // Left when the runtime dropped the task; if that is its end, the guards of the other tasks tell.
        let Some(request) = self.request.take() else { return };
        let error = RequestError::outcome_unknown("the task that sent it was dropped");
        settle(&self.shared, request, Err(error)).run(&self.shared);
    }
}

/// Gives a request back to the core. The outcome is read through before the lock is taken.
fn settle(shared: &Shared, request: PutRecords, outcome: Result<Response, RequestError>) -> Effects {
    let now = shared.now();
    let answered = request.into_request().answered(now, outcome);
    let ((), effects) =
        shared.change_at_and_defer(now, |state, now, effects| state.handle_answer(now, answered, effects));
    effects
}

fn outcome_unknown(interrupted: Interrupted) -> RequestError {
    RequestError::outcome_unknown(match interrupted {
        Interrupted::TimedOut => "no reply within the request time-out",
        Interrupted::Panicked => "the transport panicked",
        Interrupted::Stopped => "given up at the end of the close deadline",
    })
}
