//! Files that change while they are read.

use std::fs::OpenOptions;
use std::io::Write;

use kinesis_batcher_local::hostile::{Fault, HostileKinesis, Operation};

use crate::run::{Files, Ran, Running, hostile, lines, number, push_to, wait_until};

/// A push of 200,000 lines that stands still in the first of them, meets `change`, and goes on.
fn push_while(change: impl FnOnce(&str)) -> (Ran, HostileKinesis, String) {
    let files = Files::new();
    let input = files.file("input", lines("line", 200_000));
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::HangBeforeStoring);
    let arguments = ["--shard-limit-percent=off", "--buffer-records=1000", &input];
    let running = Running::start(&mut push_to(&kinesis.endpoint_url(), "hostile", &arguments));
    wait_until(&kinesis, |seen| seen.held() >= 1);
    change(&input);
    kinesis.calm();
    (running.wait(), kinesis, input)
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_an_error_that_names_file_and_position() {
    // To nothing, and to a place that is yet to be read.
    for bytes in [0, 2_000_003] {
        let (ran, kinesis, input) =
            push_while(|input| OpenOptions::new().write(true).open(input).unwrap().set_len(bytes).unwrap());
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        let error = ran.stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert!(error.starts_with(&format!("error: cannot read '{input}' past line ")), "{error}");
        assert!(error.contains(&format!("it was cut from 2288890 to {bytes} bytes while it was")), "{error}");
        let summary = ran.summary();
        assert_eq!(summary["records_read"], summary["records_delivered"], "what was read is delivered");
        assert!(number(&summary, "records_read") < 200_000, "{summary}");
        let whole = |data: &[u8]| {
            let number = data.strip_prefix(b"line-").and_then(|number| std::str::from_utf8(number).ok());
            number.is_some_and(|number| number.parse().is_ok_and(|number: u32| number < 200_000))
        };
        assert!(kinesis.stored().iter().all(|record| whole(&record.data)), "no half line is sent");
    }
}

#[test]
fn a_file_that_grows_while_it_is_read_is_read_to_its_new_end() {
    let (ran, kinesis, _) = push_while(|input| {
        OpenOptions::new().append(true).open(input).unwrap().write_all(b"more\n").unwrap();
    });
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(number(&ran.summary(), "records_delivered"), 200_001);
    assert!(kinesis.stored().iter().any(|record| record.data == b"more"));
}
