//! An HTTP service that takes records, and answers 200 only once they are stored.
//!
//! `… --bin axum_ingest -- --listen 127.0.0.1:8080 --stream NAME`, then
//! `curl --data-binary 'what happened' http://127.0.0.1:8080/records/user-17`
//!
//! Region, credentials and endpoint are those of the environment: `AWS_REGION`, `AWS_ENDPOINT_URL` and so on.
//!
//! | status | what it means | what the client does |
//! |---|---|---|
//! | 200 | stored; shard and sequence number in the body | nothing |
//! | 400, 413, 502 | it cannot be stored; 502 if Kinesis says so | mends it |
//! | 503, Retry-After | the buffer is full, or it took too long | sends it again; the body says if that may make two |

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use clap::Parser;
use kinesis_batcher_tokio::{Config, FailureReason, Producer, PushErrorReason, Record};
use tokio::{net::TcpListener, sync::watch, time::sleep};

#[derive(Parser)]
struct Arguments {
    /// Where HTTP requests come in.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Name or ARN of the stream.
    #[arg(long)]
    stream: String,
    /// Records held at once. Beyond them clients are told to come back later.
    #[arg(long, default_value_t = 10_000)]
    buffer_records_max: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = serve(Arguments::parse()).await else { return ExitCode::SUCCESS };
    eprintln!("axum_ingest: {error}");
    ExitCode::FAILURE
}

async fn serve(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let config = Config::builder()
        // Clients wait for this, too.
        .linger(Duration::from_millis(10))
        .time_to_live(Duration::from_secs(10))
        .buffer_records_max(arguments.buffer_records_max);
    let producer = Producer::builder(arguments.stream).config(config.build()?).connect().await?;
    let service = Router::new()
        .route("/records/{key}", post(ingest))
        .layer(DefaultBodyLimit::max(1 << 20))
        .with_state(producer.clone());

    // By Ctrl-C and SIGTERM.
    let (stop, mut stopped) = watch::channel(false);
    let mut asked = stopped.clone();
    ctrlc::set_handler(move || _ = stop.send_replace(true))?;
    let listener = TcpListener::bind(arguments.listen).await?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;

    // It takes no more connections then, and ends when the requests it has are answered, by the producer's receipts.
    let server = axum::serve(listener, service)
        .with_graceful_shutdown(async move { drop(asked.wait_for(|stop| *stop).await) });
    tokio::select! {
        served = server => served?,
        () = async {
            drop(stopped.wait_for(|stop| *stop).await);
            sleep(PATIENCE).await;
        } => eprintln!("axum_ingest: some clients do not end their requests"),
    }
    let report = producer.close(PATIENCE).await;
    match report.undelivered.len() {
        0 => Ok(()),
        undelivered => Err(format!("{undelivered} records were not delivered").into()),
    }
}

async fn ingest(
    State(producer): State<Producer>,
    Path(key): Path<String>,
    body: Bytes,
) -> Result<String, Response> {
    let record = Record::new(key, body).map_err(|error| refusal(StatusCode::BAD_REQUEST, &error))?;
    // Does not wait for room: the client does.
    let delivery = producer.try_send(record).map_err(|refused| match refused.reason {
        PushErrorReason::TooLarge { .. } => refusal(StatusCode::PAYLOAD_TOO_LARGE, &refused),
        PushErrorReason::PartitionKeyMissing => refusal(StatusCode::BAD_REQUEST, &refused),
        _ => refusal(StatusCode::SERVICE_UNAVAILABLE, &refused),
    })?;
    // A client that hangs up drops this future; the record is delivered all the same.
    let receipt = delivery.await.map_err(|error| match error.failure().reason {
        FailureReason::Expired { .. } | FailureReason::Aborted => {
            refusal(StatusCode::SERVICE_UNAVAILABLE, &error)
        }
        _ => refusal(StatusCode::BAD_GATEWAY, &error),
    })?;
    Ok(format!("{} {}\n", receipt.shard_id, receipt.sequence_number))
}

fn refusal(status: StatusCode, why: &dyn Display) -> Response {
    let mut response = (status, format!("{why}\n")).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

const PATIENCE: Duration = Duration::from_secs(20);
