//! `push --local`: the whole way, and back.

use std::path::Path;

use crate::run::{Files, finish, letters, lines, number, pusher, run};

fn push<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["push", "--local", "--summary", "json"], arguments].concat()
}

#[test]
fn a_file_is_pushed_read_back_and_verified() {
    let files = Files::new();
    let content = lines("line", 500) + "the last one has no line end";
    let ran = run(&push(&[&files.file("input", &content)]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let summary = ran.summary();
    assert_eq!(summary["verified"], true);
    assert_eq!((number(&summary, "records_read"), number(&summary, "records_delivered")), (501, 501));
    assert_eq!(number(&summary, "bytes_read"), content.len() as u64);
    assert_eq!(number(&summary, "kinesis_records"), 501);
    assert!(number(&summary, "requests") >= 1);
    assert!(
        summary["elapsed_seconds"].as_f64() > Some(0.0) && summary["records_per_second"].as_f64() > Some(0.0)
    );
}

#[test]
fn a_newcomer_is_told_in_a_few_lines_what_happened() {
    let flights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data/flights.csv");
    let ran = run(&[Path::new("push"), Path::new("--local"), &flights]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let told: Vec<&str> = ran.stderr.lines().collect();
    assert!(
        told[0].contains("started a Kinesis in this process") && told[0].contains("4 shards"),
        "{told:?}"
    );
    let last = told.last().unwrap();
    assert!(last.starts_with("read back 8,832 records from 4 shards"), "{told:?}");
    assert!(last.ends_with("exactly what was read in"), "{told:?}");
    assert!(told.len() <= 3, "a few lines: {told:?}");
    assert_eq!(ran.stdout.lines().count(), 1, "the summary has stdout to itself: {}", ran.stdout);
    assert!(ran.stdout.starts_with("delivered 8,832 of 8,832 records"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("; read back and verified\n"), "{}", ran.stdout);
}

#[test]
fn aggregates_are_read_back_as_what_they_hold_and_save_the_shards_most_of_their_records() {
    let flights = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data/flights.csv");
    let ran = run(&push(&["--aggregate", flights]));
    let summary = ran.summary();
    assert_eq!((ran.code, &summary["verified"]), (Some(0), &true.into()), "{}", ran.stderr);
    assert_eq!((number(&summary, "records_read"), number(&summary, "throttled")), (8_832, 0), "{summary}");
    assert!(ran.stderr.contains("read back 8,832 records from 4 shards"), "{}", ran.stderr);
    assert!(number(&summary, "kinesis_records") >= 1, "{summary}");
    assert!(
        number(&summary, "kinesis_records") * 20 < 8_832,
        "some 50 KiB of lines travel together: {summary}"
    );
}

#[test]
fn equal_records_under_one_key_are_all_there() {
    let files = Files::new();
    let input = files.file("input", "the same\n".repeat(300));
    let ran = run(&push(&["--partition-key", "const:k", &input]));
    let summary = ran.summary();
    assert_eq!((ran.code, &summary["verified"]), (Some(0), &true.into()), "{}", ran.stderr);
    assert_eq!(number(&summary, "records_delivered"), 300);
}

#[test]
fn records_over_the_limits_of_a_shard_are_throttled_and_recovered() {
    let files = Files::new();
    let input = files.file("input", lines("line", 2_500));
    // Ten times what the shard takes: what goes beyond its limit is thrown back by the server.
    let ran = run(&["push", "--local=1", "--summary=json", "--shard-limit-percent=1000", &input]);
    let summary = ran.summary();
    assert_eq!((ran.code, &summary["verified"]), (Some(0), &true.into()), "{}", ran.stderr);
    assert_eq!(number(&summary, "records_delivered"), 2_500);
    assert!(number(&summary, "throttled") > 0, "the limits of the shard are enforced: {summary}");
    assert_eq!(summary["records_recovered"], summary["records_retried"], "and cost no record: {summary}");
    assert!(number(&summary, "records_retried") > 0, "{summary}");
    assert!(ran.stderr.contains("were sent again, and all of them delivered"), "{}", ran.stderr);
}

#[test]
fn nothing_of_the_users_aws_configuration_is_in_the_way() {
    let files = Files::new();
    let config = files.file("config", "[profile broken\nregion = ");
    let input = files.file("input", "a\nb\n");
    let ran = finish(
        pusher(&push(&[&input]))
            .env("AWS_PROFILE", "no-such-profile")
            .env("AWS_CONFIG_FILE", &config)
            .env("AWS_SHARED_CREDENTIALS_FILE", &config)
            .env("AWS_REGION", "")
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
            .env("AWS_ENDPOINT_URL_KINESIS", "http://127.0.0.1:1")
            .env("AWS_USE_FIPS_ENDPOINT", "true")
            .env("AWS_USE_DUALSTACK_ENDPOINT", "true")
            .env("AWS_MAX_ATTEMPTS", "none")
            .env("AWS_CA_BUNDLE", "/nonexistent")
            .env("HTTP_PROXY", "http://127.0.0.1:1")
            .env("HTTPS_PROXY", "http://127.0.0.1:1"),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.summary()["verified"], true);
}

#[test]
fn a_bad_record_is_skipped_into_the_dead_letters_and_the_rest_is_accounted_for() {
    let files = Files::new();
    let input = files.file("input", "{\"id\":1}\n{\"id\":2\n{}\n{\"id\":3}\n");
    let dead = files.path("dead");
    let key = ["--format", "ndjson", "--partition-key", "json:/id"];
    let ran = run(&push(&[&key[..], &["--on-bad-record", "skip", "--dead-letters", &dead, &input]].concat()));
    let summary = ran.summary();
    assert_eq!(ran.code, Some(1), "something was not delivered");
    assert_eq!((number(&summary, "records_delivered"), number(&summary, "records_failed")), (2, 2));
    assert_eq!(summary["verified"], false, "what came back is not all that was read in");
    assert!(ran.stderr.contains("read back 2 records"), "{}", ran.stderr);
    assert!(ran.stderr.contains("what was delivered, and so not all that was read in"), "{}", ran.stderr);
    let letters = letters(&dead);
    let lines: Vec<_> = letters.iter().map(|letter| letter["line"].as_u64()).collect();
    assert_eq!(lines, [Some(2), Some(3)]);
    assert!(letters[0]["reason"].as_str().unwrap().starts_with("not JSON"), "{letters:?}");
    assert!(letters[1]["reason"].as_str().unwrap().contains("no key"), "{letters:?}");
    assert!(letters.iter().all(|letter| letter["file"] == input.as_str() && letter["attempts"] == 0));
}

#[test]
fn a_record_this_stream_is_too_small_for_stops_the_reading_and_says_where() {
    let files = Files::new();
    let large = "x".repeat(3 << 19);
    let input = files.file("input", format!("a\nb\n{large}\nc\n"));
    let dead = files.path("dead");
    let ran = run(&push(&["--dead-letters", &dead, &input]));
    let summary = ran.summary();
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        (number(&summary, "records_read"), number(&summary, "records_delivered")),
        (3, 2),
        "the record behind the bad one is not read"
    );
    assert!(ran.stderr.contains(&format!("{input}:3: ")), "the place is named: {}", ran.stderr);
    assert!(ran.stderr.contains("1572900 bytes") && ran.stderr.contains("1048576"), "{}", ran.stderr);
    assert_eq!(letters(&dead).len(), 1);
}

#[test]
fn an_empty_input_and_an_empty_line_are_delivered_as_what_they_are() {
    let files = Files::new();
    let summary = run(&push(&[&files.file("empty", "")])).summary();
    assert_eq!((number(&summary, "records_read"), &summary["verified"]), (0, &true.into()));
    let summary = run(&push(&[&files.file("blank", "\n\r\n")])).summary();
    assert_eq!((number(&summary, "records_delivered"), &summary["verified"]), (2, &true.into()));
}

#[test]
fn the_smallest_settings_still_deliver_everything() {
    let files = Files::new();
    let input = files.file("input", lines("line", 40));
    let smallest = [
        "--in-flight=1",
        "--buffer-records=1",
        "--buffer-bytes=1KiB",
        "--request-bytes=1KiB",
        "--linger=0",
        "--attempts=1000",
        "--time-to-live=none",
        "--drain-timeout=0",
    ];
    let ran = run(&push(&[&smallest[..], &[&input]].concat()));
    let summary = ran.summary();
    assert_eq!((ran.code, &summary["verified"]), (Some(0), &true.into()), "{}", ran.stderr);
    assert_eq!(number(&summary, "records_delivered"), 40);
}

#[test]
fn a_thousand_shards_are_no_problem() {
    let files = Files::new();
    let input = files.file("input", lines("line", 1_000));
    let ran = run(&["push", "--local=1000", "--stream=wide", "--summary=json", &input]);
    let summary = ran.summary();
    assert_eq!((ran.code, &summary["verified"]), (Some(0), &true.into()), "{}", ran.stderr);
    assert!(ran.stderr.contains("stream 'wide' with 1,000 shards"), "{}", ran.stderr);
}
