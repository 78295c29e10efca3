//! The same service over HTTP/2.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::{Request, Response};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::answer::Answer;
use super::server::Shared;
use crate::http::{BODY_BYTES_MAX, Head, Reply};
use crate::tls::serve_http2;

/// Serves a connection until either side ends it.
pub(super) async fn serve(stream: TlsStream<TcpStream>, shared: &Arc<Shared>, index: usize) {
    let answer = Arc::new(Mutex::new(Answer::new()));
    let windows = shared.windows();
    let shared = Arc::clone(shared);
    let service = move |request| respond(request, Arc::clone(&shared), index, Arc::clone(&answer));
    serve_http2(stream, windows, service).await;
}

async fn respond(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    index: usize,
    answer: Arc<Mutex<Answer>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let head = Head::of_http2(&parts.headers);
    let Some(body) = collect(body).await? else {
        let message = "The request is larger than 32 MiB.";
        return Ok(Reply::error(413, "SerializationException", message).into_http2(0));
    };
    let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
    let (id, reply) = shared.answer(index, &mut answer, &head, &body);
    Ok(match reply {
        Ok(bytes) => stored(bytes, head.is_cbor),
        Err(reply) => reply.into_http2(id),
    })
}

/// The body in one piece; `None` if it is too large.
async fn collect(mut body: Incoming) -> Result<Option<BytesMut>, hyper::Error> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::with_capacity(announced.min(BODY_BYTES_MAX));
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            if bytes.len() + data.len() > BODY_BYTES_MAX {
                return Ok(None);
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(Some(bytes))
}

/// The reply to a PutRecords that succeeds, which has an HTTP/1.1 head before its body.
fn stored(reply: &[u8], is_cbor: bool) -> Response<Full<Bytes>> {
    let head = memchr::memmem::find(reply, b"\r\n\r\n").map_or(0, |end| end + 4);
    let content_type = if is_cbor { "application/x-amz-cbor-1.1" } else { "application/x-amz-json-1.1" };
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(&reply[head..])));
    let headers = response.headers_mut();
    headers.insert("content-type", hyper::header::HeaderValue::from_static(content_type));
    headers.insert(
        "x-amzn-requestid",
        hyper::header::HeaderValue::from_static("00000000-0000-4000-8000-000000000000"),
    );
    response
}
