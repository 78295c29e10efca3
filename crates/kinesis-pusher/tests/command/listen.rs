//! `--listen`: what a run tells while it lasts.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{ChildStdin, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kinesis_batcher_local::hostile::{Fault, HostileKinesis, Operation};

use crate::run::{Files, Running, finish, hostile, lines, number, push_to, run, wait_until};

/// A push of what comes through a pipe, which listens.
struct Watched {
    running: Running,
    stdin: ChildStdin,
    address: SocketAddr,
}

impl Watched {
    fn start(kinesis: &HostileKinesis, arguments: &[&str]) -> Self {
        let arguments = [&["--listen=0"], arguments].concat();
        let mut command = push_to(&kinesis.endpoint_url(), "hostile", &arguments);
        let mut running = Running::start(command.stdin(Stdio::piped()));
        let stdin = running.take_stdin();
        let told = running.wait_for_stderr("status page on http://");
        let address = told.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        Self { running, stdin, address }
    }

    /// The status and the body of an answer.
    fn get(&self, path: &str, user: Option<&str>) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let user = user.map(|user| format!("Authorization: Basic {}\r\n", STANDARD.encode(user)));
        let user = user.unwrap_or_default();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n{user}Connection: close\r\n\r\n", self.address)
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn metrics(&self) -> Sums {
        let (status, text) = self.get("/metrics", None);
        assert_eq!(status, 200, "{text}");
        Sums::of(&text)
    }

    /// Scrapes until the figures are what the test waits for; all others on the way must add up, too.
    fn scrape_until(&self, wanted: impl Fn(&Sums) -> bool) -> Sums {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sums = self.metrics();
            assert!(sums.add_up(), "accepted = success + failed + held at every scrape: {sums:?}");
            if wanted(&sums) {
                return sums;
            }
            assert!(Instant::now() < deadline, "it never came: {sums:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[derive(Debug)]
struct Sums {
    accepted: u64,
    success: u64,
    failed: u64,
    held: u64,
}

impl Sums {
    fn of(text: &str) -> Self {
        assert!(text.ends_with("# EOF\n"), "it is whole: {text}");
        assert!(text.contains("stream=\"hostile\""), "it names the stream: {text}");
        let sum = |start: &str, parts: &[&str]| {
            let lines: Vec<&str> = text
                .lines()
                .filter(|line| line.starts_with(start) && parts.iter().all(|part| line.contains(part)))
                .collect();
            assert!(!lines.is_empty(), "{start} {parts:?} is there: {text}");
            lines.iter().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
        };
        Self {
            accepted: sum("kinesis_batcher_records_accepted_total", &[]),
            success: sum("kinesis_batcher_records_total", &["result=\"success\""]),
            failed: sum("kinesis_batcher_records_total", &["result=\"failed\""]),
            held: sum("kinesis_batcher_buffer_records{", &[]),
        }
    }

    fn add_up(&self) -> bool {
        self.accepted == self.success + self.failed + self.held
    }
}

#[test]
fn a_run_can_be_watched_while_the_service_hangs_and_its_sums_are_right_at_every_scrape() {
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::HangBeforeStoring);
    let mut watched = Watched::start(&kinesis, &["--in-flight=2"]);
    watched.stdin.write_all(lines("line", 700).as_bytes()).unwrap();
    wait_until(&kinesis, |seen| seen.held() >= 1);
    let held = watched.scrape_until(|sums| sums.accepted == 700);
    assert_eq!((held.success, held.held), (0, 700), "they are held: {held:?}");
    for path in ["/", "/healthz", "/readyz", "/api/stats"] {
        let (status, body) = watched.get(path, None);
        assert_eq!((status, body.is_empty()), (200, false), "{path}: {body}");
    }
    kinesis.calm();
    watched.scrape_until(|sums| sums.success == 700 && sums.held == 0);
    kinesis.poison("poison");
    watched.stdin.write_all(b"poison\nmore\n").unwrap();
    let sums = watched.scrape_until(|sums| sums.held == 0 && sums.accepted == 702);
    assert_eq!((sums.success, sums.failed), (701, 1), "{sums:?}");
    let Watched { running, stdin, address } = watched;
    drop(stdin);
    let ran = running.wait();
    assert_eq!(ran.code, Some(1), "one was not delivered: {}", ran.stderr);
    let summary = ran.summary();
    assert_eq!((number(&summary, "records_delivered"), number(&summary, "records_failed")), (701, 1));
    assert!(TcpStream::connect(address).is_err(), "it stops with the command");
}

#[test]
fn a_browser_that_keeps_its_connection_does_not_keep_the_command() {
    let kinesis = hostile();
    let watched = Watched::start(&kinesis, &[]);
    let mut idle = TcpStream::connect(watched.address).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let mut half = TcpStream::connect(watched.address).unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost:").unwrap();
    let Watched { running, mut stdin, .. } = watched;
    stdin.write_all(b"a\n").unwrap();
    drop(stdin);
    let ran = running.wait();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(number(&ran.summary(), "records_delivered"), 1);
}

#[test]
fn with_credentials_everything_but_healthz_asks_for_them() {
    let files = Files::new();
    // A known answer of bcrypt, and a password as it is.
    let users = "hashed:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\nplain:se:cret\n";
    let users = files.file("users", users);
    let kinesis = hostile();
    let watched = Watched::start(&kinesis, &["--listen-auth", &users]);
    for path in ["/", "/metrics", "/api/stats", "/readyz"] {
        assert_eq!(watched.get(path, None).0, 401, "{path} asks for a password");
        assert_eq!(watched.get(path, Some("plain:wrong")).0, 401, "{path} takes no other password");
        assert_eq!(watched.get(path, Some("hashed:U*")).0, 401, "{path} takes no other password");
        assert_eq!(watched.get(path, Some("plain:se:cret")).0, 200, "{path} opens");
        assert_eq!(watched.get(path, Some("hashed:U*U")).0, 200, "{path} opens");
    }
    assert_eq!(watched.get("/healthz", None).0, 200, "who asks there has no password");
    let Watched { running, stdin, .. } = watched;
    drop(stdin);
    let ran = running.wait();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stderr.contains("cret") && !ran.stderr.contains("U*"), "{}", ran.stderr);
}

#[test]
fn an_address_that_is_taken_is_named_before_anything_is_sent() {
    let files = Files::new();
    let input = files.file("input", "x\n");
    let kinesis = hostile();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for listen in [address.to_string(), address.port().to_string()] {
        let arguments = ["--listen", &listen, &input];
        let ran = finish(&mut push_to(&kinesis.endpoint_url(), "hostile", &arguments));
        ran.assert_not_started(&[&address.to_string(), "taken", "another port"]);
    }
    assert_eq!(kinesis.stored().len(), 0);
}

#[test]
fn an_address_of_another_machine_is_not_listened_on() {
    // Reserved for documentation (RFC 5737), so no interface has it.
    let ran = run(&["push", "--stream=s", "--listen=192.0.2.1:9464"]);
    ran.assert_not_started(&["192.0.2.1:9464", "no interface"]);
}

#[test]
fn credentials_that_cannot_be_used_are_no_credentials_for_all() {
    let files = Files::new();
    let missing = files.path("missing");
    let damaged = files.file("damaged", "ada:secret\ngrace hopper\n");
    let cases =
        [(&missing, "check the path"), (&damaged, "line 2: it has no colon; a line is user:password")];
    for (path, told) in cases {
        let ran = run(&["push", "--stream=s", "--listen=0", "--listen-auth", path]);
        ran.assert_not_started(&[path, "--listen-auth", told]);
        assert!(!ran.stderr.contains("hopper"), "{}", ran.stderr);
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
