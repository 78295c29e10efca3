//! Over TLS. These cases run in processes of their own; see [`in_child`](crate::in_child).

use std::time::Duration;

use kinesis_batcher_local::hostile::Observed;
use kinesis_batcher_local::relay::{Relay, RelayOptions};
use kinesis_batcher_local::tls::{TestAuthority, TlsFront};
use kinesis_batcher_local::{EmbeddedKinesis, EmbeddedOptions};

use super::*;
use crate::child::PEM_FILE;
use crate::outcomes::Outcomes;
use crate::subject::{eager, sleep};

/// An authority that this process trusts from now on.
fn trusted() -> TestAuthority {
    let authority = TestAuthority::new();
    std::fs::write(std::env::var_os(PEM_FILE).unwrap(), authority.pem()).unwrap();
    authority
}

/// Whether to speak HTTP/2: no, and yes where the subject can.
fn protocols<S: Subject>() -> &'static [bool] {
    if S::SPEAKS_HTTP2 { &[false, true] } else { &[false] }
}

pub fn what_goes_in_over_tls_comes_out_once<S: Subject>() {
    let authority = trusted();
    let subject = S::start();
    subject.block_on(async {
        let kinesis =
            EmbeddedKinesis::start(EmbeddedOptions { enforce_limits: false, ..EmbeddedOptions::default() });
        let kinesis = kinesis.unwrap();
        for &http2 in protocols::<S>() {
            let stream = if http2 { "clicks-2" } else { "clicks-1" };
            kinesis.create_stream(stream, 4).await.unwrap();
            let front = TlsFront::start(kinesis.address(), &authority, "localhost").unwrap();
            let target = Target::new(front.endpoint_url(), stream).with_http2(http2);
            let producer = subject.connect(target).await.unwrap();
            let outcomes = Outcomes::of_sending(&producer, "secret", 5_000).await;
            outcomes.assert_stored_once(kinesis.stored_records(stream).await.unwrap());
            let seen = front.connections();
            let (spoken, other) = if http2 { (seen.http2, seen.http1) } else { (seen.http1, seen.http2) };
            assert!(spoken > 0 && other == 0, "with HTTP/2 {http2}, of a server that offers both: {seen:?}");
        }
        kinesis.shutdown().await;
    });
}

/// Over HTTP/2, all requests share the connection that dies.
pub fn a_connection_that_dies_under_its_requests_costs_no_record<S: Subject>() {
    let authority = trusted();
    let subject = S::start();
    subject.block_on(async {
        for &http2 in protocols::<S>() {
            let runtime = subject.runtime();
            let kinesis = hostile();
            let front = TlsFront::start(kinesis.address(), &authority, "localhost").unwrap();
            let options = RelayOptions { round_trip: Duration::from_millis(4), ..RelayOptions::default() };
            let relay = Relay::start(front.address(), options).unwrap();
            let url = format!("https://localhost:{}", relay.address().port());
            let target = Target::new(url, STREAM)
                .with_config(eager().in_flight_requests_max(8).request_records_max(20))
                .with_http2(http2);
            let producer = subject.connect(target).await.unwrap();
            let cutting = async {
                for cut in 1..=5 {
                    while kinesis.inspect(|seen| seen.put_requests().len()) < cut * 15 {
                        sleep(&runtime, Duration::from_millis(1)).await;
                    }
                    relay.cut_connections();
                }
            };
            let (outcomes, ()) = futures::join!(Outcomes::of_sending(&producer, "cut", 4_000), cutting);
            outcomes.assert_all_delivered();
            outcomes.assert_nothing_lost(&kinesis);
            assert!(outcomes.possible_duplicates() > 0, "with HTTP/2 {http2}, something was under way");
        }
    });
}

pub fn after_each_fault_over_tls_all_is_delivered_and_doubt_is_told_where_there_is_any<S: Subject>() {
    let authority = trusted();
    let subject = S::start();
    subject.block_on(async {
        for &http2 in protocols::<S>() {
            let kinesis = hostile();
            let front = TlsFront::start(kinesis.address(), &authority, "localhost").unwrap();
            let target = Target::new(front.endpoint_url(), STREAM).with_http2(http2);
            super::faults::suffer(&subject, target, &kinesis).await;
        }
    });
}

pub fn a_request_over_tls_given_up_at_any_point_is_sent_once_at_most<S: Subject>() {
    let authority = trusted();
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let front = TlsFront::start(kinesis.address(), &authority, "localhost").unwrap();
        super::cancelling::give_up_requests(&subject, front.endpoint_url(), &kinesis).await;
    });
}

pub fn a_certificate_of_an_unknown_authority_is_refused_and_the_message_says_so<S: Subject>() {
    let _other = trusted();
    refused(&S::start(), &TestAuthority::new(), "localhost", &["certificate", "UnknownIssuer"]);
}

pub fn a_certificate_for_another_host_is_refused_and_the_message_says_so<S: Subject>() {
    refused(&S::start(), &trusted(), "elsewhere.test", &["certificate", "localhost", "elsewhere.test"]);
}

fn refused(subject: &impl Subject, authority: &TestAuthority, host: &str, parts: &[&str]) {
    subject.block_on(async {
        let kinesis = hostile();
        let front = TlsFront::start(kinesis.address(), authority, host).unwrap();
        let error = subject.connect(Target::new(front.endpoint_url(), STREAM)).await.unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with(&front.endpoint_url()) && !message.contains('\n'), "{message}");
        for part in parts {
            assert!(message.contains(part), "{message:?} does not say {part:?}");
        }
        assert_eq!(kinesis.inspect(Observed::connections), 0, "nothing came through");
    });
}
