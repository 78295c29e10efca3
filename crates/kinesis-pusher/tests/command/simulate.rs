//! `simulate`: what it prints, draws and concludes.

use serde_json::Value;

use crate::run::{Files, Ran, number, run};

/// A run of a few virtual seconds.
fn simulate(arguments: &[&str]) -> Ran {
    run(&[&["simulate", "--duration=6s"], arguments].concat())
}

fn json(arguments: &[&str]) -> Value {
    let ran = simulate(&[arguments, &["--summary=json"]].concat());
    assert_eq!(ran.stderr, "", "{arguments:?}");
    assert_eq!(ran.stdout.lines().count(), 1, "one line of JSON: {}", ran.stdout);
    serde_json::from_str(&ran.stdout).expect("it is JSON")
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

#[test]
fn the_same_seed_prints_and_draws_the_same_bytes_and_another_does_not() {
    let files = Files::new();
    let once = |seed: &str, name: &str| {
        let path = files.path(name);
        let faults = ["--fault=loss:1%", "--fault=throttle:5%@1s+2s", "--fault=reshard:3s"];
        let fixed = ["--rate=800", "--producers=3", "--seed", seed, "--plot", &path];
        let ran = simulate(&[&fixed[..], &faults].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        (ran.stdout, std::fs::read_to_string(path).unwrap())
    };
    let first = once("7", "first.svg");
    assert!(first == once("7", "again.svg"), "the same seed prints and draws the same");
    let other = once("8", "other.svg");
    assert!(first.0 != other.0 && first.1 != other.1, "another seed chooses otherwise");
}

#[test]
fn a_hot_shard_is_named_in_the_text_and_in_the_plot() {
    let files = Files::new();
    let path = files.path("hot.svg");
    let ran = simulate(&["--keys=hot:40", "--rate=4000", "--no-capacity", "--plot", &path]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let hot = ran.stdout.lines().find(|line| line.contains(" is hot: ")).expect("a line on the hot shard");
    let name = hot.split_whitespace().find(|word| word.starts_with("shardId-")).expect("it is named");
    let svg = std::fs::read_to_string(path).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(
        svg.contains(&format!("{name} is hot")) && svg.contains("class=\"hotbox\""),
        "the plot marks {name}"
    );
    let even = simulate(&["--keys=uniform", "--no-capacity"]).stdout;
    assert!(even.contains(" is the busiest: ") && !even.contains(" is hot"), "{even}");
}

#[test]
fn json_has_totals_that_add_up_and_a_series() {
    let summary = json(&["--rate=1000", "--no-capacity"]);
    let offered = number(&summary, "records_offered");
    assert!((5_800..=6_200).contains(&offered), "6 s of 1,000 records/s are not {offered}");
    let ends = ["records_delivered", "records_failed", "records_turned_away"];
    assert_eq!(offered, ends.iter().map(|end| number(&summary, end)).sum::<u64>(), "{summary}");
    let series = summary["series"].as_array().expect("a series");
    let sum: u64 = series.iter().map(|point| number(point, "records_offered")).sum();
    assert_eq!(sum, offered, "the series holds every record once");
    assert!(summary.get("capacity").is_none(), "nobody asked");
}

#[test]
fn what_is_not_delivered_is_an_exit_code_of_its_own() {
    let full = simulate(&["--shards=1", "--rate=4000", "--buffer-records=2000", "--no-capacity"]);
    assert_eq!(full.code, Some(1), "{}", full.stderr);
    assert!(full.stdout.contains("turned away by a full buffer"), "{}", full.stdout);
    let expired = json(&["--fault=outage:1s+4s", "--time-to-live=500ms", "--no-capacity"]);
    assert!(number(&expired, "records_expired") > 1_000, "{expired}");
}

#[test]
fn the_limits_of_the_busiest_shard_decide_how_many_are_needed() {
    let capacity = &json(&["--keys=uniform", "--rate=3500", "--record-size=100"])["capacity"];
    assert_eq!(capacity["plain"]["shards"], 4, "3,500 records/s fit on four shards: {capacity}");
    assert_eq!(capacity["aggregated"]["shards"], 1, "of 350 kB/s one shard takes all: {capacity}");
    assert_eq!(capacity["plain"]["simulated"], true);
    assert!(capacity["rule"].as_str().is_some_and(|rule| rule.contains("p99") && rule.contains("busiest")));

    let large = &json(&["--keys=uniform", "--rate=1000", "--record-size=4KiB"])["capacity"];
    let shards = number(&large["plain"], "shards");
    assert!((4..=5).contains(&shards), "4 MB/s need four shards by bytes, not {shards}: {large}");
    let share = float(&large["plain"]["busiest_shard_share"]);
    assert!(share * 1_000.0 * 4_102.0 <= 1_048_576.0, "the busiest shard is within its limit: {share}");
}

#[test]
fn a_hot_key_is_said_to_be_beyond_what_shards_can_give() {
    let ran = simulate(&["--keys=hot:50", "--rate=4000", "--shards=8"]);
    let answer = ran.stdout.split("capacity ").nth(1).expect("an answer").replace("\n           ", " ");
    assert!(
        answer.contains("no number of shards is enough: the key k0 alone brings 2,000 records/s"),
        "{answer}"
    );
    assert!(answer.contains("with aggregation 1 shard"), "800 kB/s are within one shard's bytes: {answer}");
}

#[test]
fn a_wrong_fault_is_answered_with_all_there_are() {
    for fault in ["--fault=earthquake:1", "--fault=loss", "--fault=outage:10s", "--fault=slow:fast"] {
        let ran = simulate(&[fault]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{fault}");
        assert_eq!(ran.stderr.lines().count(), 1, "one line: {}", ran.stderr);
        for part in ["--fault", "throttle:PERCENT", "lost-replies:PERCENT", "outage:AT+FOR", "reshard:AT"] {
            assert!(ran.stderr.contains(part), "{fault} is told of {part}: {}", ran.stderr);
        }
    }
    for (wrong, part) in [
        ("--keys=normal", "zipf:S"),
        ("--shards=0", "1 to 20000"),
        ("--record-size=2MiB", "1047552"),
        ("--rate=0", "1 to 10000000"),
    ] {
        let ran = simulate(&[wrong]);
        assert!(ran.code == Some(2) && ran.stderr.contains(part), "{wrong}: {}", ran.stderr);
    }
}

#[test]
fn a_plot_that_cannot_be_written_is_told_before_the_work() {
    simulate(&["--plot=/nonexistent/plot.svg"]).assert_not_started(&["/nonexistent/plot.svg", "--plot"]);
}

#[test]
fn the_help_documents_every_flag_and_every_fault() {
    let help = run(&["simulate", "--help"]).stdout;
    for part in [
        "--shards",
        "--rate",
        "--record-size",
        "--keys",
        "--aggregate",
        "--producers",
        "--duration",
        "--seed",
        "--fault",
        "--plot",
        "--linger",
        "--in-flight",
        "--buffer-bytes",
        "--shard-limit-percent",
        "--order",
        "--adaptive-rates",
        "--attempts",
        "--time-to-live",
        "--summary",
        "--latency",
        "--others",
        "--round-trip",
        "'throttle:PERCENT'",
        "'lost-replies:PERCENT'",
        "'outage:AT+FOR'",
        "'reshard:AT'",
        "'slow:TIME'",
    ] {
        assert!(help.contains(part), "{part} is documented:\n{help}");
    }
    assert!(help.contains("Examples:"));
}
