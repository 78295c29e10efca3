//! The promises of every runtime, on both of tokio's schedulers.
#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::sync::Arc;

use kinesis_batcher_conformance::{Ends, Subject, Target};
use kinesis_batcher_tokio::{
    BoxFuture, ConnectError, Connectivity, HttpVersion, Producer, Runtime, TokioRuntime, connectivity,
};
use tokio::runtime::Builder;

/// A tokio runtime, of either flavour.
struct Tokio(tokio::runtime::Runtime);

impl Tokio {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn connect(target: Target) -> BoxFuture<'static, Result<kinesis_batcher_driver::Producer, ConnectError>> {
        let mut builder = Producer::builder(target.stream)
            .endpoint_url(target.endpoint_url)
            .region(Target::REGION)
            .credentials(Target::credentials())
            .config(target.config)
            .request_timeout(target.request_timeout)
            .http_version(if target.http2 { HttpVersion::Http2 } else { HttpVersion::default() });
        if let Some(handler) = target.on_completion {
            builder = builder.on_completion(handler);
        }
        if let Some(handler) = target.on_failure {
            builder = builder.on_failure(handler);
        }
        Box::pin(async { Ok(builder.connect().await?.into()) })
    }
}

macro_rules! subject {
    ($name:ident, $builder:expr) => {
        struct $name(Tokio);

        impl Subject for $name {
            const SPEAKS_HTTP2: bool = true;

            fn start() -> Self {
                Self(Tokio($builder.enable_all().build().unwrap()))
            }

            fn block_on<F: Future>(&self, future: F) -> F::Output {
                self.0.block_on(future)
            }

            fn spawn(&self, task: BoxFuture<'static, ()>) {
                drop(self.0.0.spawn(task));
            }

            fn connect(
                &self,
                target: Target,
            ) -> BoxFuture<'static, Result<kinesis_batcher_driver::Producer, ConnectError>> {
                Tokio::connect(target)
            }

            fn runtime(&self) -> Arc<dyn Runtime> {
                Arc::new(TokioRuntime::new(self.0.0.handle().clone()))
            }

            fn connectivity(&self) -> Connectivity {
                connectivity()
            }
        }

        impl Ends for $name {
            fn end(self) {
                self.0.0.shutdown_background();
            }
        }
    };
}

subject!(MultiThread, Builder::new_multi_thread().worker_threads(2));
subject!(CurrentThread, Builder::new_current_thread());

mod on_many_threads {
    kinesis_batcher_conformance::conformance!(super::MultiThread, with an end);
}

mod on_the_current_thread {
    kinesis_batcher_conformance::conformance!(super::CurrentThread, with an end);
}
