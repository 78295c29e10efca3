//! A reader of the OpenMetrics text format that takes nothing amiss for granted.
//!
//! Written from the specification (<https://prometheus.io/docs/specs/om/open_metrics_spec/>), not from the encoder.

use std::collections::{BTreeMap, BTreeSet};

/// All that was exposed.
#[derive(Debug, Default)]
pub struct Exposition {
    pub families: BTreeMap<String, Family>,
}

/// One metric family.
#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    pub help: String,
    pub unit: Option<String>,
    pub samples: Vec<Sample>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// Reads an exposition; panics with the line that breaks a rule.
pub fn parse(text: &str) -> Exposition {
    let body = text.strip_suffix("# EOF\n").expect("an exposition ends with EOF and nothing behind it");
    assert!(!body.contains("# EOF"), "EOF stands at the end alone");
    assert!(!body.contains('\r'), "lines end with a line feed alone");
    let mut exposition = Exposition::default();
    let mut series = BTreeSet::new();
    let mut current = String::new();
    for line in body.lines() {
        if let Some(metadata) = line.strip_prefix("# ") {
            let (keyword, rest) = metadata.split_once(' ').expect("metadata has a keyword");
            let (name, value) = rest.split_once(' ').expect("metadata has a name and a value");
            if name != current {
                assert!(!exposition.families.contains_key(name), "family {name} is described twice");
                current = name.to_owned();
                exposition.families.insert(current.clone(), Family::default());
            }
            let family = exposition.families.get_mut(name).expect("it was just made");
            assert!(family.samples.is_empty(), "metadata of {name} stands behind its samples");
            match keyword {
                "HELP" => family.help = value.to_owned(),
                "TYPE" => family.kind = value.to_owned(),
                "UNIT" => {
                    assert!(
                        name.ends_with(&format!("_{value}")),
                        "{name} does not end with its unit {value}"
                    );
                    family.unit = Some(value.to_owned());
                }
                other => panic!("unknown keyword {other}"),
            }
            continue;
        }
        let sample = sample(line);
        let family = exposition.families.get_mut(&current).expect("a sample follows metadata");
        let suffix =
            sample.name.strip_prefix(&current).unwrap_or_else(|| panic!("{line} is not of {current}"));
        let allowed: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("unknown type {other} of {current}"),
        };
        assert!(allowed.contains(&suffix), "{line}: a {} has no {suffix:?}", family.kind);
        if family.kind == "counter" {
            assert!(sample.value >= 0.0 && sample.value.is_finite(), "{line}: a counter is a number");
        }
        assert!(series.insert((sample.name.clone(), sample.labels.clone())), "{line}: a series stands twice");
        family.samples.push(sample);
    }
    for (name, family) in &exposition.families {
        assert!(!family.help.is_empty() && !family.kind.is_empty(), "{name} is described");
        if family.kind == "histogram" {
            check_histogram(name, family);
        }
    }
    exposition
}

impl Exposition {
    /// The value of a series, by its name and by labels, all of which must be given.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or_else(|| panic!("there is no {name} {labels:?}"))
    }

    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples()
            .find(|sample| sample.name == name && sample.labels == wanted)
            .map(|sample| sample.value)
    }

    /// The sum over all series of this name.
    pub fn sum(&self, name: &str) -> f64 {
        self.samples().filter(|sample| sample.name == name).map(|sample| sample.value).sum()
    }

    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.values().flat_map(|family| &family.samples)
    }
}

fn check_histogram(name: &str, family: &Family) {
    let mut groups: BTreeMap<BTreeMap<String, String>, Vec<&Sample>> = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        labels.remove("le");
        groups.entry(labels).or_default().push(sample);
    }
    for (labels, samples) in groups {
        let of = |suffix: &str| {
            samples
                .iter()
                .find(|sample| sample.name == format!("{name}{suffix}"))
                .expect("a part is missing")
                .value
        };
        let (mut bound, mut count) = (f64::NEG_INFINITY, 0.0);
        for bucket in samples.iter().filter(|sample| sample.name.ends_with("_bucket")) {
            let le: f64 = match bucket.labels["le"].as_str() {
                "+Inf" => f64::INFINITY,
                text => text.parse().expect("a bound is a number"),
            };
            assert!(le > bound, "{name} {labels:?}: bounds ascend");
            assert!(bucket.value >= count, "{name} {labels:?}: buckets are cumulative");
            (bound, count) = (le, bucket.value);
        }
        assert!(bound.is_infinite(), "{name} {labels:?}: the last bucket has no bound");
        assert!((count - of("_count")).abs() < 0.5, "{name} {labels:?}: the last bucket has all");
        assert!(of("_sum").is_finite());
    }
}

fn sample(line: &str) -> Sample {
    let name_end = line.find(['{', ' ']).expect("a sample has a value");
    let (name, rest) = line.split_at(name_end);
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    assert!(
        !name.is_empty() && name.bytes().all(is_name) && !name.as_bytes()[0].is_ascii_digit(),
        "{line}: its name"
    );
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(line, rest),
        None => (BTreeMap::new(), rest),
    };
    let value = value.strip_prefix(' ').expect("a space stands before the value");
    Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().unwrap_or_else(|_| panic!("{line}: its value")),
    }
}

/// Labels up to the closing brace, and what stands behind it.
fn labels<'a>(line: &str, mut rest: &'a str) -> (BTreeMap<String, String>, &'a str) {
    let mut labels = BTreeMap::new();
    if let Some(rest) = rest.strip_prefix('}') {
        return (labels, rest);
    }
    loop {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}: a label has a value"));
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            let (index, character) = characters.next().unwrap_or_else(|| panic!("{line}: quotes are closed"));
            match character {
                '"' => break index,
                '\\' => value.push(match characters.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, escaped @ ('"' | '\\'))) => escaped,
                    other => panic!("{line}: {other:?} is no escape"),
                }),
                other => value.push(other),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{line}: label {name} stands twice");
        rest = &after[end + 1..];
        match rest.as_bytes().first() {
            Some(b',') => rest = &rest[1..],
            Some(b'}') => return (labels, &rest[1..]),
            _ => panic!("{line}: labels end with a brace"),
        }
    }
}
