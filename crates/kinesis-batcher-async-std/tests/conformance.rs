//! The promises of every runtime, on async-std, on smol, and on an executor of the program's own.

use std::future::Future;
use std::sync::Arc;

use kinesis_batcher_async_std::{
    AsyncIoRuntime, BoxFuture, ConnectError, Connectivity, Producer, Runtime, connectivity,
};
use kinesis_batcher_conformance::{Ends, Subject, Target};

fn connect(
    target: Target,
    runtime: AsyncIoRuntime,
) -> BoxFuture<'static, Result<kinesis_batcher_driver::Producer, ConnectError>> {
    let mut builder = Producer::builder(target.stream)
        .runtime(runtime)
        .endpoint_url(target.endpoint_url)
        .region(Target::REGION)
        .credentials(Target::credentials())
        .config(target.config)
        .request_timeout(target.request_timeout);
    if let Some(handler) = target.on_completion {
        builder = builder.on_completion(handler);
    }
    if let Some(handler) = target.on_failure {
        builder = builder.on_failure(handler);
    }
    Box::pin(async { Ok(builder.connect().await?.into()) })
}

/// async-std's executor lives as long as the process.
struct AsyncStd;

impl Subject for AsyncStd {
    fn start() -> Self {
        Self
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        async_std::task::block_on(future)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(async_std::task::spawn(task));
    }

    fn connect(
        &self,
        target: Target,
    ) -> BoxFuture<'static, Result<kinesis_batcher_driver::Producer, ConnectError>> {
        connect(target, AsyncIoRuntime::global())
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(AsyncIoRuntime::global())
    }

    fn connectivity(&self) -> Connectivity {
        connectivity()
    }
}

/// So does smol's.
struct Smol;

impl Smol {
    fn runtime() -> AsyncIoRuntime {
        AsyncIoRuntime::spawning_with(|task| smol::spawn(task).detach())
    }
}

impl Subject for Smol {
    fn start() -> Self {
        Self
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        smol::block_on(future)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        smol::spawn(task).detach();
    }

    fn connect(
        &self,
        target: Target,
    ) -> BoxFuture<'static, Result<kinesis_batcher_driver::Producer, ConnectError>> {
        connect(target, Self::runtime())
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(Self::runtime())
    }

    fn connectivity(&self) -> Connectivity {
        connectivity()
    }
}

/// An executor of one's own has an end. It runs on the thread that waits, and on no other.
struct OwnExecutor(Arc<smol::Executor<'static>>);

impl Subject for OwnExecutor {
    fn start() -> Self {
        Self(Arc::default())
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        smol::block_on(self.0.run(future))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task).detach();
    }

    fn connect(
        &self,
        target: Target,
    ) -> BoxFuture<'static, Result<kinesis_batcher_driver::Producer, ConnectError>> {
        connect(target, AsyncIoRuntime::on(&self.0))
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(AsyncIoRuntime::on(&self.0))
    }

    fn connectivity(&self) -> Connectivity {
        connectivity()
    }
}

impl Ends for OwnExecutor {
    fn end(self) {
        drop(self.0);
    }
}

mod on_async_std {
    kinesis_batcher_conformance::conformance!(super::AsyncStd);
}

mod on_smol {
    kinesis_batcher_conformance::conformance!(super::Smol);
}

mod on_its_own_executor {
    kinesis_batcher_conformance::conformance!(super::OwnExecutor, with an end);
}
