//! One client's calls, one after the other, each as its fault has it.

use std::sync::Arc;
use std::time::Duration;

use super::put_records::{Input, put_records};
use super::server::Shared;
use super::{Fault, Operation, Rejection, metadata};
use crate::http::{Connection, ReadError, Reply, Request};

/// Serves a connection until either side ends it.
pub(crate) async fn serve(mut connection: Connection, shared: Arc<Shared>) {
    shared.observe(|kinesis| kinesis.observed.connections += 1);
    loop {
        let unread_from = shared.observe(|kinesis| kinesis.script.unread_body_bytes).unwrap_or(usize::MAX);
        let request = match connection.next_request(unread_from).await {
            Ok(request) => request,
            Err(ReadError::Gone) => return,
            Err(ReadError::BodyTooLarge { unread }) => {
                let reply = Rejection::content_too_large().into_reply().closing();
                if connection.write(&reply.into_bytes(shared.next_request_id())).await.is_ok() {
                    connection.discard(unread).await;
                }
                return;
            }
            Err(ReadError::Refused(reply)) => {
                let _ = connection.write(&reply.into_bytes(0)).await;
                return;
            }
        };
        let (close, is_cbor) = (request.head.close, request.head.is_cbor);
        // It counts as in flight until it is dropped, which is after its reply was written.
        let mut call = Call::arrive(&shared, request);
        let ending = call.run(&mut connection).await;
        let date = shared.observe(|kinesis| kinesis.clock.date());
        match ending {
            Ending::Reply(reply) => {
                let reply = reply.with_header("date", date);
                let reply = if is_cbor && !call.refuses_cbor { reply.in_cbor() } else { reply };
                let reply = if close { reply.closing() } else { reply };
                let id = shared.next_request_id();
                if connection.write(&reply.into_bytes(id)).await.is_err() || close {
                    return;
                }
            }
            Ending::CutOff(reply) => {
                let reply = reply.with_header("date", date);
                let reply = if is_cbor { reply.in_cbor() } else { reply };
                let bytes = reply.into_bytes(shared.next_request_id());
                let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |end| end + 4);
                let _ = connection.write(&bytes[..head + (bytes.len() - head) / 2]).await;
                return;
            }
            Ending::Reset => return connection.reset(),
            Ending::Gone => return,
        }
    }
}

/// How a call ends.
enum Ending {
    Reply(Reply),
    CutOff(Reply),
    Reset,
    /// The client has hung up.
    Gone,
}

/// A call that is under way.
struct Call<'a> {
    shared: &'a Shared,
    operation: Option<Operation>,
    body: Body,
    fault: Fault,
    request_index: usize,
    /// It is refused for being in CBOR, by a server that does not speak it.
    refuses_cbor: bool,
}

enum Body {
    Put(Input),
    Other(bytes::Bytes),
    Refused(Rejection),
    /// It was served.
    Taken,
}

impl<'a> Call<'a> {
    /// Books the request and decides about its fault, under one lock.
    fn arrive(shared: &'a Shared, request: Request) -> Self {
        let operation = Operation::parse(&request.head.operation);
        let body_bytes = request.body.len();
        let body = match operation {
            Some(Operation::PutRecords) => {
                Input::parse(&request.body, request.head.is_cbor).map_or_else(Body::Refused, Body::Put)
            }
            Some(_) => Body::Other(request.body),
            None => Body::Refused(Rejection::new(
                400,
                "UnknownOperationException",
                "This server knows PutRecords, ListShards and DescribeStreamSummary.",
            )),
        };
        let is_cbor = request.head.is_cbor;
        let (key, amz_date) = (request.head.access_key_id, request.head.amz_date);
        let (fault, request_index, refuses_cbor) = shared.observe(|kinesis| {
            let request_index = kinesis.book(operation, key.as_deref(), (body_bytes, is_cbor), body.input());
            if let Some(refusal) = kinesis.script.cbor_refusal.clone().filter(|_| is_cbor) {
                return (Fault::Reject(refusal), request_index, true);
            }
            let is_too_large = kinesis.script.body_bytes_max.is_some_and(|bytes_max| body_bytes > bytes_max);
            let fault = match (operation, &key) {
                (None, _) => Fault::None,
                (Some(_), _) if is_too_large => Fault::Reject(Rejection::content_too_large()),
                (Some(_), None) => Fault::Reject(Rejection::new(
                    400,
                    "MissingAuthenticationTokenException",
                    "Missing Authentication Token",
                )),
                (Some(operation), Some(key)) => {
                    let refusal = kinesis.script.refused_keys.get(key).cloned();
                    match refusal.or_else(|| kinesis.clock.refusal(amz_date.as_deref())) {
                        Some(refusal) => Fault::Reject(refusal),
                        None => {
                            let entries = body.input().map_or(0, |input| input.records.len());
                            kinesis.script.draw(operation, entries)
                        }
                    }
                }
            };
            (fault, request_index, false)
        });
        Self { shared, operation, body, fault, request_index, refuses_cbor }
    }

    async fn run(&mut self, connection: &mut Connection) -> Ending {
        let fault = delayed(std::mem::replace(&mut self.fault, Fault::None)).await;
        match fault {
            Fault::Reject(rejection) => Ending::Reply(rejection.into_reply()),
            Fault::ResetBeforeStoring => Ending::Reset,
            Fault::HangBeforeStoring => match self.hang(connection).await {
                true => Ending::Reply(self.serve(&Fault::None)),
                false => Ending::Gone,
            },
            Fault::HangAfterStoring => {
                let reply = self.serve(&fault);
                match self.hang(connection).await {
                    true => Ending::Reply(reply),
                    false => Ending::Gone,
                }
            }
            Fault::ResetAfterStoring => {
                self.serve(&fault);
                Ending::Reset
            }
            Fault::CutOffReply => Ending::CutOff(self.serve(&fault)),
            Fault::SlowReply(delay) => {
                let reply = self.serve(&fault);
                tokio::time::sleep(delay).await;
                Ending::Reply(reply)
            }
            fault => Ending::Reply(self.serve(&fault)),
        }
    }

    /// Does what the call asks for.
    fn serve(&mut self, fault: &Fault) -> Reply {
        let body = std::mem::replace(&mut self.body, Body::Taken);
        let (operation, request_index) = (self.operation, self.request_index);
        let served = self.shared.observe(|kinesis| match (body, operation) {
            (Body::Put(input), _) => put_records(kinesis, input, fault, request_index),
            (Body::Other(body), Some(Operation::ListShards)) => metadata::list_shards(&kinesis.stream, &body),
            (Body::Other(body), _) => metadata::describe_stream_summary(&kinesis.stream, &body),
            (Body::Refused(rejection), _) => Err(rejection),
            (Body::Taken, _) => unreachable!("a call is served once"),
        });
        match served {
            Ok(_) if *fault == Fault::EmptyReply => Reply::json(Vec::new()),
            Ok(body) => Reply::json(body),
            Err(rejection) => rejection.into_reply(),
        }
    }

    /// True once released, false if the client hangs up first.
    async fn hang(&self, connection: &mut Connection) -> bool {
        let released = self.shared.released();
        let _held = Held::new(self.shared);
        tokio::select! {
            () = released => true,
            () = connection.closed_by_client() => false,
        }
    }
}

impl Body {
    fn input(&self) -> Option<&Input> {
        match self {
            Self::Put(input) => Some(input),
            _ => None,
        }
    }
}

/// Waits for as long as the fault says, and gives what happens then.
async fn delayed(mut fault: Fault) -> Fault {
    let mut total = Duration::ZERO;
    while let Fault::Delayed { delay, then } = fault {
        total += delay;
        fault = *then;
    }
    if !total.is_zero() {
        tokio::time::sleep(total).await;
    }
    fault
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let operation = self.operation;
        self.shared.observe(|kinesis| kinesis.close_book(operation));
    }
}

/// Counts a call as held while it lives.
struct Held<'a>(&'a Shared);

impl<'a> Held<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.observe(|kinesis| kinesis.observed.held += 1);
        Self(shared)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.observe(|kinesis| kinesis.observed.held -= 1);
    }
}
