//! One request on its way, in a task of its own.

use std::sync::Arc;

use kinesis_batcher_core::{Request, RequestError, Response, UnsealedRequest};
use tracing::{Instrument, debug_span, field};

use crate::effects::Effects;
use crate::guarded::{Interrupted, guarded};
use crate::shared::Shared;
use crate::tag::Tag;
use crate::transport::PutRecords;

/// Sends a request in a new task, so that checksums, building, signing and reading spread over the runtime's threads.
pub(crate) fn spawn(shared: &Arc<Shared>, request: UnsealedRequest<Tag>) {
    let in_flight = InFlight { shared: Arc::clone(shared), unsealed: Some(request), sealed: None };
    shared.runtime.spawn(Box::pin(in_flight.run()));
}

/// A request that must be answered, whatever happens to the task.
struct InFlight {
    shared: Arc<Shared>,
    /// What is to be sent next.
    unsealed: Option<UnsealedRequest<Tag>>,
    /// What is being sent.
    sealed: Option<PutRecords>,
}

impl InFlight {
    /// Sends the request, and after it those that its answer makes way for: the first of them here, the others in
    /// tasks of their own.
    async fn run(mut self) {
        while let Some(unsealed) = self.unsealed.take() {
            let request = &*self.sealed.insert(PutRecords::new(unsealed.seal()));
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
        let Some(request) = self.sealed.take() else { return };
        let mut effects = settle(&self.shared, request.into_request(), outcome);
        self.unsealed = effects.requests.pop();
        effects.run(&self.shared);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // Left when the runtime dropped the task; if that is its end, the guards of the other tasks tell.
        let sealed = self.sealed.take().map(PutRecords::into_request);
        let Some(request) = sealed.or_else(|| self.unsealed.take().map(UnsealedRequest::seal)) else {
            return;
        };
        let error = RequestError::outcome_unknown("the task that sent it was dropped");
        settle(&self.shared, request, Err(error)).run(&self.shared);
    }
}

/// Gives a request back to the core. The outcome is read through before the lock is taken.
fn settle(shared: &Shared, request: Request<Tag>, outcome: Result<Response, RequestError>) -> Effects {
    let now = shared.now();
    let answered = request.answered(now, outcome);
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
