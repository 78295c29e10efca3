//! Stdin, stdout, and files larger than memory.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use kinesis_batcher_local::fast::{FastKinesis, FastOptions};

use crate::run::{Files, Running, hostile, lines, number, push_to};

#[test]
fn stdin_is_read_where_no_file_or_a_dash_is_named() {
    for arguments in [&[][..], &["-"]] {
        let kinesis = hostile();
        let mut command = push_to(&kinesis.endpoint_url(), "hostile", arguments);
        let mut running = Running::start(command.stdin(Stdio::piped()));
        running.take_stdin().write_all(b"one\ntwo\r\nthree").unwrap();
        let ran = running.wait();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(number(&ran.summary(), "records_delivered"), 3);
        let mut data: Vec<Vec<u8>> = kinesis.stored().into_iter().map(|record| record.data).collect();
        data.sort();
        assert_eq!(data, [&b"one"[..], b"three", b"two"]);
    }
}

#[test]
fn files_and_stdin_are_read_in_the_order_they_are_named_in() {
    let files = Files::new();
    let (first, last) = (files.file("first", "1\n2\n"), files.file("last", "4\n"));
    let kinesis = hostile();
    let mut command =
        push_to(&kinesis.endpoint_url(), "hostile", &["--partition-key=const:k", &first, "-", &last]);
    let mut running = Running::start(command.stdin(Stdio::piped()));
    running.take_stdin().write_all(b"3\n").unwrap();
    assert_eq!(running.wait().code, Some(0));
    let data: Vec<Vec<u8>> = kinesis.stored().into_iter().map(|record| record.data).collect();
    assert_eq!(data, [b"1", b"2", b"3", b"4"], "one request of one shard keeps their order");
}

/// What `kinesis-pusher push … | head` comes to.
#[test]
fn a_reader_of_the_summary_that_goes_away_is_no_panic_and_changes_nothing() {
    let files = Files::new();
    let input = files.file("input", lines("line", 100));
    let kinesis = hostile();
    let mut child = push_to(&kinesis.endpoint_url(), "hostile", &[&input])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(kinesis.stored().len(), 100);
}

#[cfg(target_os = "linux")]
#[test]
fn a_summary_that_cannot_be_written_is_no_success() {
    let files = Files::new();
    let input = files.file("input", "x\n");
    let kinesis = hostile();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = push_to(&kinesis.endpoint_url(), "hostile", &[&input]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write the summary"));
}

/// Its peak of resident memory, in bytes, for as long as it runs.
#[cfg(target_os = "linux")]
fn peak_bytes(running: &mut Running) -> u64 {
    let mut peak = 0;
    while !running.has_ended() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(kib.unwrap_or(0) << 10);
        std::thread::sleep(Duration::from_millis(5));
    }
    peak
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_larger_than_the_buffer_goes_through_in_bounded_memory() {
    let files = Files::new();
    let input = files.path("input");
    let block = format!("{}\n", "x".repeat(1_023)).repeat(1 << 10);
    let mut file = std::fs::File::create(&input).unwrap();
    (0..FILE_MIB).for_each(|_| file.write_all(block.as_bytes()).unwrap());
    let kinesis = FastKinesis::start(FastOptions { store: false, ..FastOptions::default() }).unwrap();
    // One request at a time: whatever reads faster than that and does not wait piles up.
    let arguments = ["--buffer-bytes=2MiB", "--in-flight=1", "--shard-limit-percent=off", &input];
    let mut running = Running::start(&mut push_to(&kinesis.endpoint_url(), "fast", &arguments));
    let peak = peak_bytes(&mut running);
    let ran = running.wait();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(number(&ran.summary(), "records_delivered"), FILE_MIB << 10);
    assert!(peak > 0, "the peak was read");
    assert!(peak >> 20 < FILE_MIB / 2, "{FILE_MIB} MiB took {} MiB of memory at most", peak >> 20);
}

/// Large beside the 60 MiB or so that the command takes with small buffers.
#[cfg(target_os = "linux")]
const FILE_MIB: u64 = 256;
