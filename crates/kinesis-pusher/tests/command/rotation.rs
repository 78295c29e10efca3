//! Credentials whose source changes, breaks or goes away under load: no record is lost (S-41).

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::primitives::{DateTime, DateTimeFormat};
use kinesis_batcher_local::hostile::{HostileKinesis, Rejection};

use crate::endless::Endless;
use crate::run::{Files, Running, hostile, number, pusher, wait_until};

/// A `push` that finds no credentials by itself.
fn push(kinesis: &HostileKinesis) -> Command {
    let url = kinesis.endpoint_url();
    let arguments =
        ["push", "--stream=hostile", "--region=us-east-1", "--endpoint-url", &url, "--summary=json"];
    let mut command = pusher(&[&arguments[..], &["--linger=1ms", "--shard-limit-percent=off"]].concat());
    command.stdin(Stdio::piped());
    command
}

/// Ends the input and checks that each line was stored once.
fn assert_all_stored(kinesis: &HostileKinesis, running: Running, input: Endless) {
    let written = input.finish();
    let ran = running.wait();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(number(&ran.summary(), "records_delivered"), written, "{}", ran.stdout);
    assert_eq!(kinesis.stored().len() as u64, written, "each is stored once");
}

fn keys(id: &str) -> String {
    format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = s\n")
}

#[test]
fn a_key_file_that_is_rotated_under_load_loses_nothing_even_if_it_is_seen_half_written() {
    for refusal in [Rejection::unrecognized_client(), Rejection::expired_token()] {
        for half_written in
            ["", "[default]\naws_access_key_id = NEW\n", "[default]\naws_access_key_id = \x01"]
        {
            let files = Files::new();
            let path = files.file("credentials", keys("OLD"));
            let kinesis = hostile();
            let mut running = Running::start(push(&kinesis).env("AWS_SHARED_CREDENTIALS_FILE", &path));
            let input = Endless::into(running.take_stdin());
            wait_until(&kinesis, |seen| seen.stored().len() >= 100);
            std::fs::write(&path, half_written).unwrap();
            kinesis.refuse_access_key_id("OLD", refusal.clone());
            let line = running.wait_for_stderr("the stream cannot be written to since ");
            assert!(line.contains(&refusal.code), "{line}");
            std::fs::write(&path, keys("NEW")).unwrap();
            let before = kinesis.stored().len();
            wait_until(&kinesis, |seen| seen.stored().len() >= before + 100);
            assert_all_stored(&kinesis, running, input);
            assert_eq!(kinesis.inspect(|seen| seen.access_key_ids().to_vec()), ["OLD", "NEW"]);
        }
    }
}

/// The metadata service of an instance, until it is closed. Its credentials expire within seconds.
struct Instance {
    url: String,
    is_closed: Arc<AtomicBool>,
}

impl Instance {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let is_closed = Arc::new(AtomicBool::new(false));
        let closed = Arc::clone(&is_closed);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let mut lines = BufReader::new(&stream).lines();
                let first = lines.next().and_then(Result::ok).unwrap_or_default();
                let _headers = lines
                    .by_ref()
                    .take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
                    .count();
                if closed.load(Ordering::Relaxed) {
                    continue;
                }
                let expiry = SystemTime::now() + Duration::from_secs(2);
                let body = match first.split(' ').nth(1) {
                    Some("/latest/api/token") => "token".to_owned(),
                    Some("/latest/meta-data/iam/security-credentials/") => "the-role".to_owned(),
                    _ => credentials(expiry),
                };
                let headers = format!(
                    "Content-Length: {}\r\nConnection: close\r\nx-aws-ec2-metadata-token-ttl-seconds: 600\r\n",
                    body.len()
                );
                let _gone = write!(&stream, "HTTP/1.1 200 OK\r\n{headers}\r\n{body}");
            }
        });
        Self { url, is_closed }
    }
}

fn credentials(expiry: SystemTime) -> String {
    let expiry = DateTime::from(expiry).fmt(DateTimeFormat::DateTime).unwrap();
    format!(
        r#"{{"Code":"Success","Type":"AWS-HMAC","LastUpdated":"2020-01-01T00:00:00Z","AccessKeyId":"AKIDINSTANCE",
        "SecretAccessKey":"s","Token":"t","Expiration":"{expiry}"}}"#
    )
}

#[test]
fn the_credentials_of_an_instance_outlast_an_absence_of_its_metadata_service() {
    let kinesis = hostile();
    let instance = Instance::start();
    let mut command = push(&kinesis);
    command.env_remove("AWS_EC2_METADATA_DISABLED").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &instance.url);
    let mut running = Running::start(&mut command);
    let input = Endless::into(running.take_stdin());
    wait_until(&kinesis, |seen| seen.stored().len() >= 100);
    instance.is_closed.store(true, Ordering::Relaxed);
    running.wait_for_stderr("the last known ones stay in use");
    let before = kinesis.stored().len();
    wait_until(&kinesis, |seen| seen.stored().len() >= before + 1_000);
    assert_all_stored(&kinesis, running, input);
    assert_eq!(kinesis.inspect(|seen| seen.access_key_ids().to_vec()), ["AKIDINSTANCE"]);
}
