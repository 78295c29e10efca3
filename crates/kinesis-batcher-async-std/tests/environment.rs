//! What is taken from the environment: proxies, root certificates, region and credentials.
//!
//! The environment of a process belongs to all of its threads, so this runs itself again with one made for each case.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod common;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use common::Proxy;
use kinesis_batcher_async_std::{
    AwsOptions, AwsTransport, ConnectError, Credentials, Producer, Record, SharedCredentialsProvider,
    StreamId, connectivity,
};
use kinesis_batcher_local::hostile::{HostileKinesis, HostileOptions};
use kinesis_batcher_local::tls::{TestAuthority, TlsFront};

fn main() {
    match std::env::var(CHILD).ok().as_deref() {
        None => parent(),
        Some("without a region") => nowhere(None),
        Some("without credentials" | "with a process") => nowhere(Some("eu-west-1")),
        Some(roots_later) if roots_later.starts_with("roots later ") => find_roots_later(&roots_later[12..]),
        Some(url) => send(url),
    }
}

fn parent() {
    a_machine_without_anything_is_told_what_it_lacks();
    a_profile_whose_credentials_come_from_a_process_says_what_is_missing();
    the_proxy_of_the_environment_is_gone_through();
    a_proxy_may_speak_tls_itself();
    no_proxy_is_gone_through_where_none_is_wanted();
    a_proxy_that_refuses_is_named_with_its_status();
    without_root_certificates_the_message_says_so();
    root_certificates_that_come_later_are_found();
    the_ca_bundle_of_the_environment_or_the_profile_is_trusted();
    a_proxy_that_is_dead_is_named();
    a_proxy_that_is_no_url_is_refused_by_name();
}

fn a_machine_without_anything_is_told_what_it_lacks() {
    // It takes connections, by the operating system's queue, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let metadata = format!("http://{}", silent.local_addr().unwrap());
    for case in ["without a region", "without credentials"] {
        let output = child(case).env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata).output().unwrap();
        assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
        println!("test {case} ... ok");
    }
}

fn a_profile_whose_credentials_come_from_a_process_says_what_is_missing() {
    let file = empty_home().join("config");
    std::fs::write(&file, "[default]\ncredential_process = /bin/true\n").unwrap();
    let output = child("with a process").env("AWS_CONFIG_FILE", file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // Built together with crates that let the SDK run processes on tokio, it tries to, and finds no tokio.
    if !said.contains("there is no reactor running") {
        assert!(output.status.success(), "{said}");
        assert!(said.contains("credential_process"), "{said}");
    }
    println!("test a_profile_whose_credentials_come_from_a_process_says_what_is_missing ... ok");
}

fn the_proxy_of_the_environment_is_gone_through() {
    let world = World::start();
    let proxy = Proxy::start(200);
    let said = world.send(&[("HTTPS_PROXY", &format!("http://aladdin:sesame@{}", proxy.address))]);
    assert_eq!(said, Ok(()));
    world.assert_stored(&proxy.heads(), true);
    let head = proxy.heads().remove(0);
    assert!(head.contains("Proxy-Authorization: Basic YWxhZGRpbjpzZXNhbWU=\r\n"), "{head}");
    println!("test the_proxy_of_the_environment_is_gone_through ... ok");
}

fn a_proxy_may_speak_tls_itself() {
    let world = World::start();
    let proxy = Proxy::start(200);
    let secure = TlsFront::start(proxy.address, &world.authority, "localhost").unwrap();
    assert_eq!(world.send(&[("ALL_PROXY", &secure.endpoint_url())]), Ok(()));
    world.assert_stored(&proxy.heads(), true);
    println!("test a_proxy_may_speak_tls_itself ... ok");
}

fn no_proxy_is_gone_through_where_none_is_wanted() {
    let world = World::start();
    let proxy = Proxy::start(200);
    let url = format!("http://{}", proxy.address);
    assert_eq!(world.send(&[("HTTPS_PROXY", &url), ("NO_PROXY", "localhost")]), Ok(()));
    world.assert_stored(&proxy.heads(), false);
    println!("test no_proxy_is_gone_through_where_none_is_wanted ... ok");
}

fn a_proxy_that_refuses_is_named_with_its_status() {
    let world = World::start();
    let proxy = Proxy::start(407);
    let said = world.send(&[("HTTPS_PROXY", &format!("http://{}", proxy.address))]).unwrap_err();
    assert!(said.contains(&proxy.address.to_string()) && said.contains("407"), "{said}");
    let said = world.send(&[("HTTPS_PROXY", "socks5://127.0.0.1:1")]).unwrap_err();
    assert!(said.contains("socks5"), "{said}");
    println!("test a_proxy_that_refuses_is_named_with_its_status ... ok");
}

fn without_root_certificates_the_message_says_so() {
    let world = World::start();
    let nothing = empty_home().join("nothing.pem");
    std::fs::write(&nothing, "").unwrap();
    let said = world.send(&[("SSL_CERT_FILE", nothing.to_str().unwrap())]).unwrap_err();
    assert!(
        said.contains("no root certificates on this machine") && said.contains("SSL_CERT_FILE"),
        "{said}"
    );
    println!("test without_root_certificates_the_message_says_so ... ok");
}

/// One client, which looks for certificates with each handshake until there are some.
fn root_certificates_that_come_later_are_found() {
    let world = World::start();
    let roots = empty_home().join("later.pem");
    std::fs::write(&roots, "").unwrap();
    let coming = empty_home().join("coming.pem");
    std::fs::write(&coming, world.authority.pem()).unwrap();
    let mut child = child(&format!("roots later {}", world.front.endpoint_url()));
    let output = child.env("SSL_CERT_FILE", &roots).env("COMING", &coming).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("test root_certificates_that_come_later_are_found ... ok");
}

fn find_roots_later(url: &str) {
    let credentials = Credentials::new("access", "secret", None, None, "test");
    let options = AwsOptions {
        region: Some("us-east-1".into()),
        endpoint_url: Some(url.into()),
        credentials: Some(SharedCredentialsProvider::new(credentials)),
        ..AwsOptions::default()
    };
    let stream: StreamId = "hostile".parse().unwrap();
    smol::block_on(async {
        let config = options.load(&stream, connectivity()).await.unwrap();
        let transport = AwsTransport::new(&config, stream).unwrap();
        let error = transport.describe_stream().await.unwrap_err().to_string();
        assert!(error.contains("no root certificates"), "{error}");
        std::fs::copy(std::env::var_os("COMING").unwrap(), std::env::var_os("SSL_CERT_FILE").unwrap())
            .unwrap();
        transport.describe_stream().await.unwrap();
    });
}

fn the_ca_bundle_of_the_environment_or_the_profile_is_trusted() {
    let world = World::start();
    let bundle = empty_home().join("bundle.pem");
    std::fs::write(&bundle, world.authority.pem()).unwrap();
    let nothing = empty_home().join("nothing.pem");
    std::fs::write(&nothing, "").unwrap();
    let nothing = nothing.to_str().unwrap();
    let bundle = bundle.to_str().unwrap();
    assert_eq!(world.send(&[("SSL_CERT_FILE", nothing), ("AWS_CA_BUNDLE", bundle)]), Ok(()));
    let config = empty_home().join("config-with-bundle");
    std::fs::write(&config, format!("[default]\nca_bundle = {bundle}\n")).unwrap();
    let config = config.to_str().unwrap();
    assert_eq!(world.send(&[("SSL_CERT_FILE", nothing), ("AWS_CONFIG_FILE", config)]), Ok(()));
    let said = world.send(&[("AWS_CA_BUNDLE", "/nonexistent/bundle.pem")]).unwrap_err();
    assert!(said.contains("/nonexistent/bundle.pem") && said.contains("AWS_CA_BUNDLE"), "{said}");
    println!("test the_ca_bundle_of_the_environment_or_the_profile_is_trusted ... ok");
}

fn a_proxy_that_is_dead_is_named() {
    let world = World::start();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let said = world.send(&[("HTTPS_PROXY", &format!("http://user:sesame@{dead}"))]).unwrap_err();
    assert!(said.contains(&format!("proxy {dead}")) && !said.contains("sesame"), "{said}");
    println!("test a_proxy_that_is_dead_is_named ... ok");
}

fn a_proxy_that_is_no_url_is_refused_by_name() {
    let world = World::start();
    let said = world.send(&[("HTTPS_PROXY", "http://[")]).unwrap_err();
    assert!(said.contains("HTTPS_PROXY is no URL of a proxy"), "{said}");
    assert_eq!(world.send(&[("HTTPS_PROXY", "http://["), ("NO_PROXY", "localhost")]), Ok(()));
    println!("test a_proxy_that_is_no_url_is_refused_by_name ... ok");
}

/// A Kinesis behind TLS.
struct World {
    kinesis: HostileKinesis,
    authority: TestAuthority,
    front: TlsFront,
}

impl World {
    fn start() -> Self {
        let kinesis = HostileKinesis::start(HostileOptions::default()).unwrap();
        let authority = TestAuthority::new();
        let front = TlsFront::start(kinesis.address(), &authority, "localhost").unwrap();
        Self { kinesis, authority, front }
    }

    /// Sends a record in a process with this environment, or gives what it said instead.
    fn send(&self, environment: &[(&str, &str)]) -> Result<(), String> {
        let pem = empty_home().join("authority.pem");
        std::fs::write(&pem, self.authority.pem()).unwrap();
        let mut child = child(&self.front.endpoint_url());
        child.env("SSL_CERT_FILE", &pem).envs(environment.iter().copied());
        let output = child.output().unwrap();
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// The record is there, and each connection came through the proxy, or none did.
    fn assert_stored(&self, heads: &[String], through_the_proxy: bool) {
        assert_eq!(self.kinesis.stored().len(), 1);
        assert_eq!(heads.is_empty(), !through_the_proxy, "{heads:?}");
        let connect = format!("CONNECT localhost:{} HTTP/1.1\r\n", self.front.address().port());
        assert!(heads.iter().all(|head| head.starts_with(&connect)), "{heads:?}");
    }
}

/// This program, with an empty environment.
fn child(case: &str) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.env_clear().env(CHILD, case).env("HOME", empty_home());
    child
}

fn send(url: &str) {
    let credentials = Credentials::new("access", "secret", None, None, "test");
    let builder = Producer::builder("hostile").endpoint_url(url).region("us-east-1").credentials(credentials);
    smol::block_on(async {
        let producer = builder.connect().await.unwrap_or_else(|error| panic!("{error}"));
        producer.send(Record::new("key", "through").unwrap()).await.unwrap().await.unwrap();
    });
}

fn nowhere(region: Option<&str>) {
    let started = Instant::now();
    let mut builder = Producer::builder("clicks");
    if let Some(region) = region {
        builder = builder.region(region);
    }
    let error = async_std::task::block_on(builder.connect()).unwrap_err();
    match (region, &error) {
        (None, ConnectError::NoRegion) | (Some(_), ConnectError::NoCredentials { .. }) => {}
        _ => panic!("without region or credentials it says: {error}"),
    }
    let message = error.to_string();
    eprintln!("{message}");
    let advice = if region.is_none() { "AWS_REGION" } else { "AWS_ACCESS_KEY_ID" };
    assert!(message.contains(advice) && !message.contains('\n'), "{message:?} does not say what to do");
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(10), "it took {elapsed:?} to say: {message}");
}

fn empty_home() -> PathBuf {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("async-std-home");
    std::fs::create_dir_all(&home).unwrap();
    home
}

const CHILD: &str = "KINESIS_BATCHER_TEST_CHILD";
