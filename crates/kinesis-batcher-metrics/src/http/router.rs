//! Routes and what they answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use kinesis_batcher_driver::{Observer, ServiceError, Snapshot};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use super::api::Report;
use super::auth::{Gatekeeper, require};
use super::credentials::Credentials;
use super::page;
use crate::collector::ProducerCollector;
use crate::view::{message, stalled_for};

/// Settings for [`router`].
#[derive(Debug)]
#[must_use = "settings take effect once a router is made"]
pub struct StatusOptions {
    stream: Option<String>,
    stall_after: Duration,
    shards_max: Option<usize>,
    credentials: Option<Credentials>,
}

impl StatusOptions {
    /// The stream's name: the page's title, and the label `stream` of every metric. None unless set.
    pub fn stream(mut self, name: impl Into<String>) -> Self {
        self.stream = Some(name.into());
        self
    }

    /// How long records may be held with nothing being stored before `/readyz` says no; one minute unless set. It should be
    /// longer than the producer's request time-out, or one request that hangs is enough.
    pub fn stall_after(mut self, stall_after: Duration) -> Self {
        self.stall_after = stall_after;
        self
    }

    /// As [`ProducerCollector::with_shards_max`], for `/metrics`. The page and `/api/stats` tell of every shard.
    pub fn shards_max(mut self, shards_max: usize) -> Self {
        self.shards_max = Some(shards_max);
        self
    }

    /// Who may look; everybody unless set. `/healthz` stays open, as those who ask there carry no credentials.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }
}

impl Default for StatusOptions {
    fn default() -> Self {
        Self { stream: None, stall_after: Duration::from_secs(60), shards_max: None, credentials: None }
    }
}

/// The routes of one producer's service, to be served by [`serve`](crate::serve) or mounted into a router of your own, under
/// any path. A `&Producer` will do; it is not kept open.
///
/// | path | what it answers |
/// |---|---|
/// | `/` | the status page, which needs no other file and asks no other server |
/// | `/metrics` | OpenMetrics, for Prometheus |
/// | `/api/stats` | what the page shows, as JSON |
/// | `/readyz` | 200, or 503 while the stream cannot be written to, while records are held and nothing is stored, or once the producer was closed |
/// | `/healthz` | 200: the process answers |
///
/// ```
/// use axum::Router;
/// use kinesis_batcher_driver::Producer;
/// use kinesis_batcher_metrics::{StatusOptions, router};
///
/// fn mount(app: Router, producer: &Producer) -> Router {
///     app.nest("/kinesis", router(producer, StatusOptions::default().stream("orders")))
/// }
/// ```
pub fn router(producer: impl Into<Observer>, options: StatusOptions) -> Router {
    let observer = producer.into();
    let StatusOptions { stream, stall_after, shards_max, credentials } = options;
    let mut collector = match &stream {
        Some(stream) => ProducerCollector::default().with_stream(stream, observer.clone()),
        None => ProducerCollector::new(observer.clone()),
    };
    if let Some(shards_max) = shards_max {
        collector = collector.with_shards_max(shards_max);
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collector));
    let service = Arc::new(Service { observer, stream, stall_after, registry });

    let mut protected = Router::new()
        .route("/", get(page::page))
        .route("/metrics", get(metrics))
        .route("/api/stats", get(stats))
        .route("/readyz", get(readyz))
        .with_state(service);
    if let Some(credentials) = credentials {
        protected = protected.route_layer(from_fn_with_state(Gatekeeper::new(credentials), require));
    }
    protected.route("/healthz", get(|| async { "ok\n" })).layer(map_response(seal))
}

struct Service {
    observer: Observer,
    stream: Option<String>,
    stall_after: Duration,
    registry: Registry,
}

async fn metrics(State(service): State<Arc<Service>>) -> Response {
    let mut body = String::new();
    match text::encode(&mut body, &service.registry) {
        Ok(()) => ([(CONTENT_TYPE, OPENMETRICS)], body).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be encoded\n").into_response(),
    }
}

async fn stats(State(service): State<Arc<Service>>) -> Response {
    let snapshot = service.observer.snapshot();
    let report = Report::new(service.stream.as_deref(), service.observer.config(), &snapshot);
    match serde_json::to_vec(&report) {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the figures could not be encoded\n").into_response(),
    }
}

async fn readyz(State(service): State<Arc<Service>>) -> Response {
    match unreadiness(&service.observer.snapshot(), service.stall_after) {
        None => "ok\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}

/// Why the producer should be sent no more, if so.
fn unreadiness(snapshot: &Snapshot, stall_after: Duration) -> Option<String> {
    if snapshot.is_closed {
        return Some("the producer is closed\n".to_owned());
    }
    let stalled = stalled_for(snapshot);
    let held = snapshot.stats.records_queued + snapshot.stats.records_in_flight;
    if let Some(hold) = &snapshot.hold {
        return Some(format!(
            "the stream cannot be written to for {} s: {}; {held} records are held\n",
            snapshot.now.since(hold.since).as_secs(),
            cause(&hold.error)
        ));
    }
    (stalled >= stall_after).then(|| {
        let error = snapshot.last_error.as_ref().map_or("none".to_owned(), cause);
        format!(
            "{held} records are held and nothing was stored for {} s; last error: {error}\n",
            stalled.as_secs()
        )
    })
}

/// Code, and what else of an error may be shown.
fn cause(error: &ServiceError) -> String {
    let mut cause = error.code().to_string();
    if let Some(message) = message(error) {
        cause = format!("{cause}: {message}");
    }
    match error.request_id() {
        Some(request_id) => format!("{cause} (request id {request_id})"),
        None => cause,
    }
}

/// What holds for every answer: it is of this moment, and what it says it is.
async fn seal(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
