//! The service's time, measured from its replies.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_smithy_types::date_time::{DateTime, Format};

use crate::put_records::Refusal;

/// The machine's clock, corrected by how far the service's differs from it.
///
/// The service refuses a signature whose time is more than 5 minutes off. All clients of a transport share one clock, so
/// a renewed client keeps the correction, and the orchestrator, the direct wires and the cache of credentials agree.
///
/// The `Date` of every reply is measured against the middle of its round trip. It takes effect once it is more than
/// [`TOLERANCE`] away from the present correction. A difference beyond what the service tolerates counts only in a reply
/// that refuses the signature's time: had the clock really been off that far, the service would not have accepted the
/// request, so the `Date` is that of a proxy or of an emulator.
#[derive(Clone, Debug)]
pub(crate) struct ServiceClock(Arc<Clock>);

#[derive(Debug)]
struct Clock {
    machine: SharedTimeSource,
    /// The service's time minus the machine's, in milliseconds.
    skew_ms: AtomicI64,
    /// The SDK's setting `disable_clock_skew_correction`.
    is_fixed: bool,
}

/// When and with which correction a request was signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signing {
    at: Instant,
    skew_ms: i64,
}

impl Storable for Signing {
    type Storer = StoreReplace<Self>;
}

impl ServiceClock {
    pub(crate) fn new(machine: SharedTimeSource, is_fixed: bool) -> Self {
        Self(Arc::new(Clock { machine, skew_ms: AtomicI64::new(0), is_fixed }))
    }

    /// To be asked before a request is signed.
    pub(crate) fn signing(&self) -> Signing {
        // The monotonic clock, because the machine's may be set while the request is under way.
        Signing { at: Instant::now(), skew_ms: self.skew_ms() }
    }

    /// Measures the service's time from a reply. True if the request was refused for its time, and signing it again
    /// gives it another one.
    pub(crate) fn measure(&self, signing: Signing, reply: &HttpResponse) -> bool {
        let round_trip = signing.at.elapsed();
        // The reply of a cache carries an old date (RFC 9111, 5.1).
        if self.0.is_fixed || round_trip > ROUND_TRIP_MAX || reply.headers().get("age").is_some() {
            return false;
        }
        let Some(date) = date(reply) else { return false };
        let machine = self.0.machine.now();
        let middle = machine.checked_sub(round_trip / 2).unwrap_or(machine);
        let measured_ms = millis_between(middle, date);
        let error = TOLERANCE + round_trip / 2;
        let is_off =
            |skew_ms: i64, bound: Duration| u128::from(measured_ms.abs_diff(skew_ms)) > bound.as_millis();
        let refusal = (!reply.status().is_success()).then(|| Refusal::of(reply));
        let may_be_refused_for_time = refusal.as_ref().is_some_and(Refusal::may_be_about_time);
        if is_off(signing.skew_ms, SERVICE_TOLERANCE) && !may_be_refused_for_time {
            return false;
        }
        let helps = may_be_refused_for_time && is_off(signing.skew_ms, error);
        let is_contradiction =
            !helps && signing.skew_ms != 0 && refusal.as_ref().is_some_and(Refusal::is_about_time);
        if is_contradiction {
            // The signature agreed with the reply's date and is refused for its time, so that date is not the service's.
            self.correct(signing.skew_ms, 0);
        } else if is_off(self.skew_ms(), error) {
            let is_small = u128::from(measured_ms.unsigned_abs()) <= error.as_millis();
            self.correct(self.skew_ms(), if is_small { 0 } else { measured_ms });
        }
        helps
    }

    fn correct(&self, from_ms: i64, to_ms: i64) {
        // Requests in flight are answered together; the first of the replies moves the clock.
        let moved = self.0.skew_ms.compare_exchange(from_ms, to_ms, Ordering::Relaxed, Ordering::Relaxed);
        if moved.is_ok() {
            tracing::warn!(
                ahead_s = to_ms / 1_000,
                "this machine's clock differs from the service's; requests are signed with the service's time"
            );
        }
    }

    fn skew_ms(&self) -> i64 {
        self.0.skew_ms.load(Ordering::Relaxed)
    }
}

impl TimeSource for ServiceClock {
    fn now(&self) -> SystemTime {
        let machine = self.0.machine.now();
        let skew_ms = self.skew_ms();
        let skew = Duration::from_millis(skew_ms.unsigned_abs());
        let corrected = if skew_ms < 0 { machine.checked_sub(skew) } else { machine.checked_add(skew) };
        corrected.unwrap_or(machine)
    }
}

/// The middle of the second that the reply was written in.
fn date(reply: &HttpResponse) -> Option<SystemTime> {
    let date = DateTime::from_str(reply.headers().get("date")?, Format::HttpDate).ok()?;
    SystemTime::try_from(date).ok()?.checked_add(Duration::from_millis(500))
}

/// From one time to another, in milliseconds; as far as there are any.
fn millis_between(from: SystemTime, to: SystemTime) -> i64 {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2);
    match to.duration_since(from) {
        Ok(ahead) => millis(ahead),
        Err(behind) => -millis(behind.duration()),
    }
}

/// Measures the replies that the SDK's orchestrator receives.
///
/// It replaces the SDK's own correction, which would add the same difference a second time.
#[derive(Debug)]
pub(crate) struct Measure(pub(crate) ServiceClock);

#[dyn_dispatch_hint]
impl Intercept for Measure {
    fn name(&self) -> &'static str {
        "MeasureServiceClock"
    }

    fn read_before_signing(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(self.0.signing());
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let (Some(signing), Some(reply)) = (config.load::<Signing>(), context.response()) {
            self.0.measure(*signing, reply);
        }
        Ok(())
    }
}

/// How far the clocks may differ uncorrected: a tenth of what the service tolerates, and well above what latency and
/// the seconds of a `Date` add up to.
const TOLERANCE: Duration = Duration::from_secs(30);
/// How far a signature's time may be off.
const SERVICE_TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// A measurement is off by up to half of the round trip; beyond this it says nothing.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use aws_smithy_async::time::StaticTimeSource;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    const NOW: u64 = 1_767_225_600;
    const EXPIRED: &str = r#"{"__type":"InvalidSignatureException","message":"Signature expired: 20260101T000000Z is now earlier than 20260101T001500Z (20260101T002000Z - 5 min.)"}"#;
    const OK: &str = r#"{"Records":[]}"#;

    fn clock() -> ServiceClock {
        ServiceClock::new(SharedTimeSource::new(StaticTimeSource::from_secs(NOW)), false)
    }

    fn reply(status: u16, ahead_s: i64, body: &'static str) -> HttpResponse {
        let mut reply = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        let date = DateTime::from_secs(NOW as i64 + ahead_s).fmt(Format::HttpDate).unwrap();
        reply.headers_mut().insert("date", date);
        reply
    }

    fn ahead_s(clock: &ServiceClock) -> i64 {
        millis_between(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW), clock.now()).div_euclid(1_000)
    }

    #[test]
    fn a_signature_that_expired_is_made_again_with_the_service_s_time() {
        for step in [1_200, -1_200, 3_600, -86_400] {
            let clock = clock();
            let signing = clock.signing();
            assert!(clock.measure(signing, &reply(400, step, EXPIRED)), "signing again helps after {step} s");
            assert_eq!(ahead_s(&clock), step);
            assert!(clock.measure(signing, &reply(400, step, EXPIRED)), "the same for others in flight");
            assert_eq!(ahead_s(&clock), step, "which move the clock no further");
            clock.measure(clock.signing(), &reply(200, step + 1, OK));
            assert_eq!(ahead_s(&clock), step, "a second more or less is not a step");
            clock.measure(clock.signing(), &reply(400, 0, EXPIRED));
            assert_eq!(ahead_s(&clock), 0, "and back, when this machine's clock is set right");
        }
    }

    #[test]
    fn a_clock_that_drifts_is_followed_before_any_signature_is_refused() {
        let clock = clock();
        for drift in 1..=3_600 {
            assert!((drift - ahead_s(&clock)).abs() <= 32, "signed {} s after {drift}", ahead_s(&clock));
            clock.measure(clock.signing(), &reply(200, drift, OK));
        }
    }

    #[test]
    fn the_date_of_a_proxy_moves_nothing() {
        let clock = clock();
        let throttled = r#"{"__type":"ProvisionedThroughputExceededException"}"#;
        for (status, body) in [(200, OK), (400, throttled), (403, "<html>"), (503, "")] {
            assert!(!clock.measure(clock.signing(), &reply(status, 3_600, body)));
            assert_eq!(ahead_s(&clock), 0, "{status} {body}");
        }
        let mut cached = reply(400, 3_600, EXPIRED);
        cached.headers_mut().insert("age", "3600");
        assert!(!clock.measure(clock.signing(), &cached));
        let mut odd = reply(400, 0, EXPIRED);
        odd.headers_mut().insert("date", "soon");
        assert!(!clock.measure(clock.signing(), &odd));
        assert_eq!(ahead_s(&clock), 0);
    }

    #[test]
    fn a_date_that_does_not_help_is_given_up() {
        let clock = clock();
        assert!(clock.measure(clock.signing(), &reply(400, 3_600, EXPIRED)));
        assert!(!clock.measure(clock.signing(), &reply(400, 3_600, EXPIRED)), "it is refused all the same");
        assert_eq!(ahead_s(&clock), 0, "this machine's clock may be right after all");
    }

    #[test]
    fn a_clock_that_the_config_fixes_stays() {
        let clock = ServiceClock::new(SharedTimeSource::new(StaticTimeSource::from_secs(NOW)), true);
        assert!(!clock.measure(clock.signing(), &reply(400, 1_200, EXPIRED)));
        assert_eq!(ahead_s(&clock), 0);
    }
}
