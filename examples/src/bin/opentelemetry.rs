//! Sends each line of standard input, and an OpenTelemetry collector gets a span for every request to Kinesis.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 … --bin opentelemetry -- --stream NAME --region R < lines`
//!
//! The producer knows nothing of OpenTelemetry: it speaks `tracing`, and a layer of this program's own passes that on.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use kinesis_batcher_tokio::{Completion, Producer, Record};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::io::{AsyncBufReadExt, BufReader};
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Level, info_span, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Parser)]
struct Arguments {
    /// Name or ARN of the stream.
    #[arg(long)]
    stream: String,
    /// Where Kinesis is, if not in AWS.
    #[arg(long)]
    endpoint_url: Option<String>,
    /// The region; else that of the environment or of the profile.
    #[arg(long)]
    region: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let provider = match traces() {
        Ok(provider) => provider,
        Err(error) => {
            eprintln!("opentelemetry: {error}");
            return ExitCode::FAILURE;
        }
    };
    let pushed = push(arguments).instrument(info_span!("push")).await;
    // Spans are exported in batches: without this the last ones would be lost. A collector that is down costs them,
    // and not a record.
    if let Err(error) = tokio::task::spawn_blocking(move || provider.shutdown()).await.unwrap_or(Ok(())) {
        eprintln!("opentelemetry: spans were lost: {error}");
    }
    match pushed {
        Ok(0) => return ExitCode::SUCCESS,
        Ok(undelivered) => eprintln!("opentelemetry: {undelivered} lines were not delivered"),
        Err(error) => eprintln!("opentelemetry: {error}"),
    }
    ExitCode::FAILURE
}

/// Sends spans to the collector that the `OTEL_…` variables name, and warnings to standard error.
fn traces() -> Result<SdkTracerProvider, Box<dyn Error>> {
    let exporter = SpanExporter::builder().with_http().build()?;
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().build())
        .with_batch_exporter(exporter)
        .build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("opentelemetry"));
    // Requests are at DEBUG. Without a filter the spans of the SDK and of hyper would come along, and the exporter's own
    // requests would be exported too.
    let ours =
        Targets::new().with_target("kinesis_batcher", Level::DEBUG).with_target(module_path!(), Level::INFO);
    tracing_subscriber::registry()
        .with(spans.with_filter(ours))
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(LevelFilter::WARN))
        .init();
    Ok(provider)
}

/// How many lines were not delivered.
async fn push(arguments: Arguments) -> Result<u64, Box<dyn Error>> {
    let mut builder = Producer::builder(arguments.stream).on_completion(|completion| {
        if let Completion::Failed { tag, failure, .. } = completion {
            warn!(line = tag, %failure, "not delivered");
        }
    });
    if let Some(url) = arguments.endpoint_url {
        builder = builder.endpoint_url(url);
    }
    if let Some(region) = arguments.region {
        builder = builder.region(region);
    }
    let producer = builder.connect().await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (mut number, mut refused) = (0_u64, 0);
    while let Some(line) = lines.next_line().await? {
        number += 1;
        match Record::new(number.to_string(), line) {
            Ok(record) => producer.send_and_forget((record, number)).await?,
            Err(error) => {
                warn!(line = number, %error, "no record");
                refused += 1;
            }
        }
    }
    let report = producer.close(Duration::from_secs(60)).await;
    Ok(refused + report.failed + report.undelivered.len() as u64)
}
