//! Streams that cannot be reached: exit 3 and one line that names the thing.

use std::net::TcpListener;

use kinesis_batcher_local::hostile::{Fault, Operation, Rejection};

use crate::run::{Files, finish, hostile, letters, lines, push_to, pusher, pusher_with_credentials};

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_stream_that_does_not_exist_is_named_with_the_place_it_was_looked_for() {
    let files = Files::new();
    let input = files.file("input", "x\n");
    let dead = files.path("dead");
    let kinesis = hostile();
    let arguments = ["--dead-letters", &dead, &input];
    let ran = finish(&mut push_to(&kinesis.endpoint_url(), "no-such-stream", &arguments));
    ran.assert_not_started(&["no-such-stream", "us-east-1", &kinesis.endpoint_url(), "create"]);
    assert_eq!(letters(&dead).len(), 0, "what was never read is no dead letter");
}

#[test]
fn missing_credentials_are_found_out_before_anything_is_read() {
    let kinesis = hostile();
    let url = kinesis.endpoint_url();
    for subcommand in ["push", "shards"] {
        let arguments = [subcommand, "--stream=hostile", "--region=us-east-1", "--endpoint-url", &url];
        let ran = finish(&mut pusher(&arguments));
        ran.assert_not_started(&["no credentials", "AWS_ACCESS_KEY_ID"]);
    }
}

#[test]
fn a_profile_that_is_not_there_is_named() {
    let kinesis = hostile();
    let url = kinesis.endpoint_url();
    let arguments =
        ["push", "--stream=hostile", "--region=us-east-1", "--profile=nobody", "--endpoint-url", &url];
    finish(&mut pusher(&arguments)).assert_not_started(&["profile 'nobody' does not exist"]);
}

#[test]
fn a_missing_region_is_found_out() {
    let ran = finish(pusher_with_credentials(&["push", "--stream=hostile"]).env_remove("AWS_REGION"));
    ran.assert_not_started(&["no region", "AWS_REGION"]);
}

#[test]
fn an_endpoint_where_nobody_listens_is_named() {
    let url = format!("http://127.0.0.1:{}", closed_port());
    for subcommand in ["push", "shards"] {
        let arguments = [subcommand, "--stream=hostile", "--endpoint-url", &url];
        finish(&mut pusher_with_credentials(&arguments)).assert_not_started(&[&url, "cannot be reached"]);
    }
}

#[test]
fn a_stream_that_may_not_be_looked_at_is_named_with_what_to_permit() {
    let kinesis = hostile();
    for operation in [Operation::DescribeStreamSummary, Operation::ListShards] {
        kinesis.every(operation, Fault::Reject(Rejection::access_denied()));
    }
    let ran = finish(&mut push_to(&kinesis.endpoint_url(), "hostile", &[]));
    ran.assert_not_started(&["stream hostile is denied", "kinesis:ListShards"]);
}

#[test]
fn the_endpoint_may_come_from_the_environment_and_the_stream_from_an_arn() {
    let files = Files::new();
    let input = files.file("input", "x\n");
    let kinesis = hostile();
    let arn = kinesis.stream_arn();
    let arguments = ["push", "--stream-arn", &arn, "--summary=json", &input];
    let ran = finish(
        pusher_with_credentials(&arguments)
            .env_remove("AWS_REGION")
            .env("AWS_ENDPOINT_URL_KINESIS", kinesis.endpoint_url()),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(kinesis.stored().len(), 1);
}

#[test]
fn an_emulator_is_sent_cbor_only_on_demand() {
    let files = Files::new();
    let input = files.file("input", lines("line", 30_000));
    for (cbor_disable, expected) in [(None, false), (Some("true"), false), (Some("false"), true)] {
        let kinesis = hostile();
        let mut command = push_to(&kinesis.endpoint_url(), "hostile", &["--shard-limit-percent=off", &input]);
        command.envs(cbor_disable.map(|value| ("AWS_CBOR_DISABLE", value)));
        let ran = finish(&mut command);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let requests = kinesis.put_requests();
        assert!(!requests[0].is_cbor, "the first goes through the SDK");
        assert_eq!(requests.iter().any(|request| request.is_cbor), expected, "with {cbor_disable:?}");
        assert_eq!(kinesis.stored().len(), 30_000);
    }
}

#[test]
fn region_and_credentials_may_come_from_a_profile() {
    assert_eq!(access_key_with_profile(&[]), "AKIDPROFILE");
}

#[test]
fn a_profile_that_is_asked_for_beats_credentials_in_the_environment() {
    let environment = [("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT"), ("AWS_SECRET_ACCESS_KEY", "s")];
    assert_eq!(access_key_with_profile(&environment), "AKIDPROFILE");
}

/// Who asked the service, when a profile is named that has credentials.
fn access_key_with_profile(environment: &[(&str, &str)]) -> String {
    let files = Files::new();
    let input = files.file("input", "x\n");
    let config = files.file(
        "config",
        "[profile ingest]\nregion = eu-west-1\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = s\n",
    );
    let kinesis = hostile();
    let url = kinesis.endpoint_url();
    let arguments = ["push", "--stream=hostile", "--endpoint-url", &url, "--profile=ingest", &input];
    let mut command = pusher(&arguments);
    command.env("AWS_CONFIG_FILE", config).envs(environment.iter().copied());
    let ran = finish(&mut command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    kinesis.put_requests()[0].access_key_id.clone().expect("the request is signed")
}
