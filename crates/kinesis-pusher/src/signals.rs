//! SIGINT, SIGTERM and SIGHUP.

use std::io;
#[cfg(unix)]
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::exit::{Exit, StartError};
use crate::output;

/// How far a stop was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Not at all.
    Run,
    /// Read no more, deliver what was read.
    Drain,
    /// Hand back what is not delivered.
    AtOnce,
}

impl Stop {
    /// What one more signal asks for.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Run => Self::Drain,
            Self::Drain | Self::AtOnce => Self::AtOnce,
        }
    }
}

/// What was asked for so far; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    stop: watch::Receiver<Stop>,
}

impl Signals {
    /// Takes the signals over from the system's default, which would end the process: the first asks to drain, the
    /// second to stop at once. A third one ends the process, should even that hang.
    ///
    /// # Errors
    /// When the system refuses a handler.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn listen() -> Result<Self, StartError> {
        let mut source = Source::new().map_err(|error| {
            StartError::new(format!("cannot listen for signals: {error}; check the process limits"))
        })?;
        let (sender, stop) = watch::channel(Stop::Run);
        tokio::spawn(async move {
            source.next().await;
            sender.send_replace(Stop::Drain);
            source.next().await;
            sender.send_replace(Stop::AtOnce);
            source.next().await;
            output::error("stopped by a third signal; what was not delivered is not accounted for");
            std::process::exit(Exit::NotDelivered as i32);
        });
        Ok(Self { stop })
    }

    /// Signals that a test sends.
    #[cfg(test)]
    pub(crate) fn manual() -> (watch::Sender<Stop>, Self) {
        let (sender, stop) = watch::channel(Stop::Run);
        (sender, Self { stop })
    }

    /// What was asked for until now.
    pub(crate) fn stop(&self) -> Stop {
        *self.stop.borrow()
    }

    /// Waits until at least that much is asked for; for ever when nobody can ask any more.
    pub(crate) async fn reached(&mut self, stop: Stop) {
        if self.stop.wait_for(|asked| *asked >= stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
struct Source {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` where hang-ups are ignored, as `nohup` asks for.
    hang_up: Option<tokio::signal::unix::Signal>,
    hung_up_at: Option<Instant>,
}

#[cfg(unix)]
impl Source {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hang_up = if ignores_hang_ups() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up,
            hung_up_at: None,
        })
    }

    async fn next(&mut self) {
        loop {
            let hang_up = async {
                match &mut self.hang_up {
                    Some(hang_up) => hang_up.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = hang_up => {}
            }
            let now = Instant::now();
            let before = self.hung_up_at.replace(now);
            if before.is_none_or(|before| now.duration_since(before) > HANG_UP) {
                return;
            }
        }
    }
}

/// Whether the process was started with SIGHUP ignored. Not known outside Linux, where it counts as no.
#[cfg(unix)]
fn ignores_hang_ups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // One bit a signal; SIGHUP is signal 1.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// A terminal that closes sends SIGHUP twice: the kernel does, and the shell. Both are one.
#[cfg(unix)]
const HANG_UP: Duration = Duration::from_secs(1);

#[cfg(not(unix))]
struct Source;

#[cfg(not(unix))]
impl Source {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
