//! Byte-order marks, UTF-16 and compressed input.

use std::io::Write;
use std::process::Stdio;

use kinesis_batcher_local::hostile::Operation;

use crate::run::{Files, Ran, Running, finish, hostile, lines, number, push_to};

/// A push of this through a pipe to a server; what is stored, in order.
fn pipe(content: &[u8], arguments: &[&str]) -> (Ran, Vec<Vec<u8>>) {
    let kinesis = hostile();
    let arguments = [&["--partition-key=const:k"], arguments].concat();
    let mut command = push_to(&kinesis.endpoint_url(), "hostile", &arguments);
    let mut running = Running::start(command.stdin(Stdio::piped()));
    running.take_stdin().write_all(content).unwrap();
    let ran = running.wait();
    (ran, kinesis.stored().into_iter().map(|record| record.data).collect())
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_utf_8_byte_order_mark_enters_neither_data_nor_key() {
    let (ran, stored) = pipe(b"\xef\xbb\xbf{\"id\":1}\n{\"id\":2}\n", &["--format=ndjson"]);
    assert_eq!(ran.code, Some(0), "the first line is JSON: {}", ran.stderr);
    assert_eq!(stored, [b"{\"id\":1}", b"{\"id\":2}"]);

    let files = Files::new();
    let marked = [files.file("a", "\u{feff}one\r\n"), files.file("b", "\u{feff}two\n")];
    let kinesis = hostile();
    let arguments = ["--partition-key=line", &marked[0], &marked[1]];
    let ran = finish(&mut push_to(&kinesis.endpoint_url(), "hostile", &arguments));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(number(&ran.summary(), "bytes_read"), 15, "its bytes are read");
    let mut stored: Vec<_> =
        kinesis.stored().into_iter().map(|record| (record.partition_key, record.data)).collect();
    stored.sort();
    assert_eq!(stored, [("one".to_owned(), b"one".to_vec()), ("two".to_owned(), b"two".to_vec())]);
}

#[test]
fn files_in_utf_16_or_compressed_are_refused_by_name_before_anything_is_sent() {
    let files = Files::new();
    let good = files.file("good", "x\n");
    let kinesis = hostile();
    for (name, content, parts) in [
        ("marked", [b"\xff\xfe".to_vec(), utf_16("a\n")].concat(), ["UTF-16", "iconv -f UTF-16 "]),
        ("unmarked", utf_16("line\n"), ["UTF-16", "iconv -f UTF-16LE "]),
        ("x.gz", b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), ["compressed with gzip", "zcat "]),
        ("x.zst", b"\x28\xb5\x2f\xfd\0".to_vec(), ["compressed with zstd", "zstdcat "]),
        ("x.bz2", b"BZh91AY&SY".to_vec(), ["compressed with bzip2", "bzcat "]),
        ("x.xz", b"\xfd7zXZ\0\0".to_vec(), ["compressed with xz", "xzcat "]),
        ("x.zip", b"PK\x03\x04\x14\0".to_vec(), ["a zip archive", "unzip -p "]),
    ] {
        let path = files.file(name, content);
        let command = || push_to(&kinesis.endpoint_url(), "hostile", &[]);
        finish(command().args([&good, &path])).assert_not_started(&[&path, parts[0], parts[1]]);
        let redirected = Stdio::from(std::fs::File::open(&path).unwrap());
        finish(command().stdin(redirected)).assert_not_started(&["stdin", parts[0], parts[1]]);
    }
    assert_eq!(kinesis.requests(Operation::DescribeStreamSummary), 0, "not even the stream was asked for");
}

#[test]
fn a_pipe_that_brings_compressed_input_is_refused_and_sends_nothing() {
    let (ran, stored) = pipe(b"\x1f\x8b\x08\0\n\n\n", &[]);
    ran.assert_not_started(&["stdin", "compressed with gzip", "zcat | kinesis-pusher push"]);
    assert_eq!(stored.len(), 0);
}

#[test]
fn a_pipe_behind_a_file_that_brings_utf_16_ends_the_reading() {
    let files = Files::new();
    let good = files.file("good", lines("line", 3));
    let (ran, stored) = pipe(&utf_16("line\n"), &[&good, "-"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: cannot read stdin: it is UTF-16"), "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing after this was read"), "{}", ran.stderr);
    assert_eq!((number(&ran.summary(), "records_delivered"), stored.len()), (3, 3));
}

#[test]
fn a_raw_file_is_its_bytes() {
    for content in [&b"\xef\xbb\xbfone\n"[..], b"\xff\xfea\0", b"\x1f\x8b\x08\0"] {
        let files = Files::new();
        let file = files.file("file", content);
        let (ran, stored) = pipe(b"", &["--format=raw", &file]);
        assert_eq!((ran.code, stored), (Some(0), vec![content.to_vec()]), "{}", ran.stderr);
    }
}
