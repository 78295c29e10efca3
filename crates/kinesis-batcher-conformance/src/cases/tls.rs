//! Over TLS. These cases run in processes of their own; see [`in_child`](crate::in_child).

use kinesis_batcher_local::hostile::Observed;
use kinesis_batcher_local::tls::{TestAuthority, TlsFront};
use kinesis_batcher_local::{EmbeddedKinesis, EmbeddedOptions};

use super::*;
use crate::child::PEM_FILE;
use crate::outcomes::Outcomes;

/// An authority that this process trusts from now on.
fn trusted() -> TestAuthority {
    let authority = TestAuthority::new();
    std::fs::write(std::env::var_os(PEM_FILE).unwrap(), authority.pem()).unwrap();
    authority
}

pub fn what_goes_in_over_tls_comes_out_once<S: Subject>() {
    let authority = trusted();
    let subject = S::start();
    subject.block_on(async {
        let kinesis =
            EmbeddedKinesis::start(EmbeddedOptions { enforce_limits: false, ..EmbeddedOptions::default() });
        let kinesis = kinesis.unwrap();
        kinesis.create_stream("clicks", 4).await.unwrap();
        let front = TlsFront::start(kinesis.address(), &authority, "localhost").unwrap();
        let producer = subject.connect(Target::new(front.endpoint_url(), "clicks")).await.unwrap();
        let outcomes = Outcomes::of_sending(&producer, "secret", 5_000).await;
        outcomes.assert_stored_once(kinesis.stored_records("clicks").await.unwrap());
        kinesis.shutdown().await;
    });
}

pub fn after_each_fault_over_tls_all_is_delivered_and_doubt_is_told_where_there_is_any<S: Subject>() {
    let authority = trusted();
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let front = TlsFront::start(kinesis.address(), &authority, "localhost").unwrap();
        super::faults::suffer(&subject, Target::new(front.endpoint_url(), STREAM), &kinesis).await;
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
