//! The environment and the AWS files: what is empty counts as unset, and what cannot be used is refused by name.

use std::net::TcpListener;
use std::process::Command;

use kinesis_batcher_local::hostile::{Fault, HostileKinesis, Operation, Rejection};
use kinesis_batcher_local::tls::{TestAuthority, TlsFront};

use crate::run::{Files, finish, hostile, push_to, pusher, pusher_with_credentials};

/// Every variable of the AWS tools that may be set to nothing, where the SDK would take nothing for a value.
const VARIABLES: &[&str] = &[
    "AWS_ACCOUNT_ID",
    "AWS_ACCOUNT_ID_ENDPOINT_MODE",
    "AWS_CA_BUNDLE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_ENDPOINT_URL",
    "AWS_EXECUTION_ENV",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_MAX_ATTEMPTS",
    "AWS_PROFILE",
    "AWS_RETRY_MODE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SDK_UA_APP_ID",
    "AWS_SESSION_TOKEN",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "HTTPS_PROXY",
];

fn shards(arguments: &[&str]) -> Command {
    pusher_with_credentials(&[&["shards", "--stream=hostile"], arguments].concat())
}

/// A port on which nothing listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn empty_settings_count_as_unset() {
    let files = Files::new();
    let config = files.file(
        "config",
        "[default]\nendpoint_url =\nregion =\nmax_attempts =\nretry_mode =\nuse_fips_endpoint =\nca_bundle =\n\
         ec2_metadata_service_endpoint =\nservices = local\n[services local]\nkinesis =\n  endpoint_url =\n",
    );
    let kinesis = hostile();
    let mut command = shards(&[]);
    command.env("AWS_CONFIG_FILE", &config).envs(VARIABLES.iter().map(|name| (name, "")));
    command.env("AWS_ENDPOINT_URL_KINESIS", "").env("AWS_ENDPOINT_URL", kinesis.endpoint_url());
    let ran = finish(&mut command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);

    // Each by itself, beside an endpoint that is given.
    for name in VARIABLES {
        let ran = finish(shards(&["--endpoint-url", &kinesis.endpoint_url()]).env(name, ""));
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.stderr);
    }
}

/// It needs no network to see that the region's own endpoint is meant.
#[test]
fn an_empty_endpoint_means_the_regions_own() {
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KINESIS"] {
        let proxy = format!("http://127.0.0.1:{}", closed_port());
        let ran = finish(shards(&["--connect-timeout=0"]).env(name, "").env("HTTPS_PROXY", proxy));
        ran.assert_not_started(&["https://kinesis.us-east-1.amazonaws.com"]);
    }
}

#[test]
fn a_variable_that_cannot_be_used_is_named_and_its_value_is_not_shown() {
    let kinesis = hostile();
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "AKID\rEXAMPLE"),
        ("AWS_ACCESS_KEY_ID", "AKIDÉXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hush\r"),
        ("AWS_SESSION_TOKEN", "tok\nen"),
        ("AWS_ACCOUNT_ID", "12 34"),
        ("AWS_REGION", "us-east-1\r"),
        ("AWS_REGION", "us east 1"),
        ("AWS_ENDPOINT_URL", "http://["),
        ("AWS_ENDPOINT_URL_KINESIS", "localhost:4567"),
        ("AWS_ENDPOINT_URL_STS", "ftp://sts"),
        ("AWS_USE_FIPS_ENDPOINT", "yes"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "1"),
        ("AWS_ACCOUNT_ID_ENDPOINT_MODE", "sometimes"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "169.254.169.254"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv5"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/creds"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "creds"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a\rb"),
        ("AWS_ROLE_SESSION_NAME", "a\rb"),
        ("AWS_EXECUTION_ENV", "a\rb"),
        ("AWS_SDK_UA_APP_ID", "a\rb"),
    ] {
        let ran = finish(shards(&["--endpoint-url", &kinesis.endpoint_url()]).env(name, value));
        ran.assert_not_started(&[&format!("error: {name} ")]);
        assert!(!ran.stderr.contains(value), "{}", ran.stderr);
    }
}

/// The SDK panics on some of them, and a producer has no use for them.
#[test]
fn the_sdks_retry_settings_have_no_effect_whatever_they_say() {
    let kinesis = hostile();
    for (name, value) in
        [("AWS_MAX_ATTEMPTS", "0"), ("AWS_MAX_ATTEMPTS", "many"), ("AWS_RETRY_MODE", "legacy")]
    {
        let ran = finish(shards(&["--endpoint-url", &kinesis.endpoint_url()]).env(name, value));
        assert_eq!(ran.code, Some(0), "{name}={value}: {}", ran.stderr);
    }
}

#[test]
fn an_entry_of_a_profile_that_cannot_be_used_is_named_with_its_profile() {
    let files = Files::new();
    let kinesis = hostile();
    let url = kinesis.endpoint_url();
    for entry in [
        "aws_access_key_id = AK\rID\naws_secret_access_key = s",
        "aws_session_token = a\rb\naws_access_key_id = AKID\naws_secret_access_key = s",
        "region = us east 1",
        "endpoint_url = localhost",
        "use_fips_endpoint = yes",
        "role_session_name = a\u{1}b",
    ] {
        let config = files.file("config", format!("[profile ingest]\n{entry}\n"));
        let key = entry.split(' ').next().unwrap();
        let ran =
            finish(shards(&["--endpoint-url", &url, "--profile=ingest"]).env("AWS_CONFIG_FILE", config));
        ran.assert_not_started(&[key, "in profile 'ingest'"]);
    }
    // It is the source's key that would be signed with.
    let config = files.file(
        "config",
        "[profile ingest]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n\
         [profile base]\naws_access_key_id = AK\rID\naws_secret_access_key = s\n",
    );
    let ran = finish(shards(&["--endpoint-url", &url, "--profile=ingest"]).env("AWS_CONFIG_FILE", config));
    ran.assert_not_started(&["aws_access_key_id", "in profile 'base'"]);
}

/// The SDK's client of STS would take the empty text for its endpoint, and panic.
#[test]
fn an_empty_endpoint_that_credentials_would_be_asked_from_is_named() {
    let files = Files::new();
    let config = files.file(
        "config",
        "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n\
         [profile base]\naws_access_key_id = AKID\naws_secret_access_key = s\n",
    );
    let url = format!("http://127.0.0.1:{}", closed_port());
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"] {
        let arguments = ["shards", "--stream=hostile", "--region=us-east-1", "--endpoint-url", &url];
        let ran = finish(pusher(&arguments).env("AWS_CONFIG_FILE", &config).env(name, ""));
        ran.assert_not_started(&[name, "unset it"]);
    }
}

#[test]
fn a_file_that_is_no_profile_file_is_named_with_the_line() {
    let files = Files::new();
    let config = files.file("config", "[default]\nregion = us-east-1\n[[\n");
    let kinesis = hostile();
    let ran = finish(shards(&["--endpoint-url", &kinesis.endpoint_url()]).env("AWS_CONFIG_FILE", &config));
    ran.assert_not_started(&[&config, "line 3"]);
}

#[test]
fn a_profile_that_does_not_exist_is_named_with_the_files() {
    let files = Files::new();
    let config = files.file("config", "[profile other]\nregion = us-east-1\n");
    let kinesis = hostile();
    let url = kinesis.endpoint_url();
    let parts = ["profile 'nope' does not exist in", &config];
    let ran = finish(shards(&["--endpoint-url", &url, "--profile=nope"]).env("AWS_CONFIG_FILE", &config));
    ran.assert_not_started(&parts);
    let ran =
        finish(shards(&["--endpoint-url", &url]).env("AWS_CONFIG_FILE", &config).env("AWS_PROFILE", "nope"));
    ran.assert_not_started(&parts);
}

#[cfg(unix)]
#[test]
fn too_few_open_files_are_an_error_with_advice() {
    let kinesis = hostile();
    for limit in [6, 8, 10] {
        let mut command = Command::new("sh");
        let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_kinesis-pusher")]);
        command.args(["shards", "--stream=hostile", "--endpoint-url", &kinesis.endpoint_url()]);
        finish(&mut command).assert_not_started(&["Too many open files", "ulimit -n"]);
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_named_by_its_variable() {
    for (name, value) in [
        ("HTTPS_PROXY", "http://["),
        ("https_proxy", "not a proxy"),
        ("ALL_PROXY", "http://["),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1080"),
    ] {
        let ran = finish(shards(&["--endpoint-url=https://kinesis.invalid"]).env(name, value));
        ran.assert_not_started(&[name]);
    }
    let kinesis = hostile();
    let ran = finish(shards(&["--endpoint-url", &kinesis.endpoint_url()]).env("HTTPS_PROXY", "http://["));
    assert_eq!(ran.code, Some(0), "plain HTTP goes through no proxy: {}", ran.stderr);
}

#[test]
fn a_proxy_that_is_dead_is_named_and_its_password_is_not() {
    let port = closed_port();
    let proxy = format!("http://user:sesame@127.0.0.1:{port}");
    let ran = finish(shards(&["--endpoint-url=https://kinesis.invalid"]).env("HTTPS_PROXY", proxy));
    ran.assert_not_started(&["proxy", &format!("127.0.0.1:{port}")]);
    assert!(!ran.stderr.contains("sesame"), "{}", ran.stderr);
}

/// A hostile server behind TLS, with a certificate of an authority of its own.
fn secure() -> (HostileKinesis, TlsFront, TestAuthority) {
    let kinesis = hostile();
    let authority = TestAuthority::new();
    let front = TlsFront::start(kinesis.address(), &authority, "localhost").unwrap();
    (kinesis, front, authority)
}

#[test]
fn a_ca_bundle_of_the_environment_or_the_profile_is_trusted() {
    let (_kinesis, front, authority) = secure();
    let files = Files::new();
    let bundle = files.file("authority.pem", authority.pem());
    let config = files.file("config", format!("[default]\nca_bundle = {bundle}\n"));
    let url = front.endpoint_url();
    let ran = finish(&mut shards(&["--endpoint-url", &url]));
    ran.assert_not_started(&[&url]);
    let ran = finish(shards(&["--endpoint-url", &url]).env("AWS_CA_BUNDLE", &bundle));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = finish(shards(&["--endpoint-url", &url]).env("AWS_CONFIG_FILE", config));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn a_ca_bundle_that_cannot_be_used_is_named() {
    let (_kinesis, front, _authority) = secure();
    let files = Files::new();
    let url = front.endpoint_url();
    for path in [files.path("missing.pem"), files.file("text.pem", "no certificate\n")] {
        let ran = finish(shards(&["--endpoint-url", &url]).env("AWS_CA_BUNDLE", &path));
        ran.assert_not_started(&[&path, "AWS_CA_BUNDLE"]);
    }
}

#[test]
fn every_subcommand_waits_for_a_service_that_throttles_or_is_out_of_order() {
    let files = Files::new();
    let input = files.file("input", "x\n");
    for rejection in
        [Rejection::limit_exceeded(), Rejection::internal_failure(), Rejection::service_unavailable()]
    {
        for subcommand in ["push", "read", "shards"] {
            let kinesis = hostile();
            for operation in [Operation::DescribeStreamSummary, Operation::ListShards] {
                for _ in 0..4 {
                    kinesis.next(operation, Fault::Reject(rejection.clone()));
                }
            }
            let url = kinesis.endpoint_url();
            let mut arguments = vec![subcommand, "--stream=hostile", "--endpoint-url", &url];
            match subcommand {
                "push" => arguments.push(&input),
                // It connects, and then the server does not know the calls of a reader.
                "read" => arguments.push("--until-caught-up"),
                _ => {}
            }
            let ran = finish(&mut pusher_with_credentials(&arguments));
            let summaries = kinesis.requests(Operation::DescribeStreamSummary);
            assert!(
                summaries >= 3 && kinesis.requests(Operation::ListShards) >= 5,
                "{subcommand}: {}",
                ran.stderr
            );
            assert!(subcommand == "read" || ran.code == Some(0), "{subcommand}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_service_that_stays_out_of_order_is_given_up_after_the_connect_time_out() {
    let kinesis = hostile();
    kinesis.every(Operation::DescribeStreamSummary, Fault::Reject(Rejection::limit_exceeded()));
    kinesis.every(Operation::ListShards, Fault::Reject(Rejection::limit_exceeded()));
    let ran = finish(&mut push_to(&kinesis.endpoint_url(), "hostile", &["--connect-timeout=2s"]));
    ran.assert_not_started(&["LimitExceededException", "gave up after"]);
}

#[test]
fn aggregation_needs_to_know_the_distribution_and_takes_it_by_hand() {
    let files = Files::new();
    let input = files.file("input", "x\ny\n");
    let kinesis = hostile();
    kinesis.every(Operation::DescribeStreamSummary, Fault::Reject(Rejection::access_denied()));
    let url = kinesis.endpoint_url();
    let ran = finish(&mut push_to(&url, "hostile", &["--aggregate", &input]));
    ran.assert_not_started(&["kinesis:DescribeStreamSummary", "--record-distribution"]);
    assert_eq!(kinesis.put_requests().len(), 0);
    for (strategy, records) in [("partition-key", 1), ("auto", 2)] {
        let before = kinesis.stored().len();
        let arguments = ["--aggregate", "--record-distribution", strategy, "--partition-key=const:k", &input];
        let ran = finish(&mut push_to(&url, "hostile", &arguments));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(kinesis.stored().len() - before, records, "{strategy}");
    }
}
