//! `--local`: a stream inside this process, and its verification.

use kinesis_batcher_tokio::ProducerBuilder;

use crate::connect;
use crate::embedded::Embedded;
use crate::exit::StartError;
use crate::output;
use crate::signals::{Signals, Stop};
use crate::summary::{Summary, grouped};
use crate::verify::{Difference, Fingerprints};

/// A stream of an embedded Kinesis.
pub(super) struct LocalStream {
    kinesis: Embedded,
    name: String,
}

impl LocalStream {
    /// Starts a Kinesis with this one stream, and says so.
    ///
    /// # Errors
    /// When there is no port, or no embedded Kinesis in this build.
    pub(super) async fn start(name: Option<&str>, shards: u32) -> Result<Self, StartError> {
        let name = name.unwrap_or(DEFAULT_NAME).to_owned();
        let kinesis = Embedded::start(0, std::slice::from_ref(&name), shards).await?;
        Ok(Self { kinesis, name })
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A builder for a producer to it.
    pub(super) fn producer(&self) -> ProducerBuilder {
        connect::local_producer(&self.name, &self.kinesis.endpoint_url())
    }

    /// What there is now, for a person.
    pub(super) fn introduction(&self, shards: u32) -> String {
        let shards = match shards {
            1 => "1 shard that takes".to_owned(),
            shards => format!("{} shards that take", grouped(shards.into())),
        };
        format!(
            "started a Kinesis in this process ({}): stream '{}' with {shards} 1,000 records/s and 1 MiB/s each",
            self.kinesis.endpoint_url(),
            self.name
        )
    }

    /// Reads everything back, and says in the summary and on stderr whether it is what was read in.
    pub(super) async fn verify(
        &self,
        mut fingerprints: Fingerprints,
        summary: &mut Summary,
        mut signals: Signals,
    ) {
        if summary.throttled > 0 {
            output::note(&throttling(summary));
        }
        summary.verified = Some(false);
        let take = |key: &str, data: &[u8]| fingerprints.read_back(key, data);
        let read_back = tokio::select! {
            biased;
            () = signals.reached(Stop::AtOnce) => return output::note("stopped at once: nothing was read back"),
            read_back = self.kinesis.read_back(&self.name, take) => read_back,
        };
        match read_back {
            Ok(contents) => {
                let read_back = format!("read back {}", spread(&contents.records_by_shard));
                match finding(fingerprints.difference(), summary) {
                    Ok((verified, finding)) => {
                        summary.verified = Some(verified);
                        output::note(&format!("{read_back}: {finding}"));
                    }
                    Err(finding) => output::error(&format!("{read_back}: {finding}")),
                }
            }
            Err(problem) => output::error(&problem),
        }
    }
}

/// What the limits of the shards came to, for who sees them at work for the first time.
fn throttling(summary: &Summary) -> String {
    let Summary { throttled, records_retried, records_recovered, .. } = summary;
    let recovered = if records_recovered == records_retried {
        "and all of them delivered".to_owned()
    } else {
        format!("and {} of them delivered", grouped(*records_recovered))
    };
    format!(
        "shards at their limit throttled {} times; {} records were sent again, {recovered}",
        grouped(*throttled),
        grouped(*records_retried)
    )
}

/// Whether what was read back is what was read in, and the words for it.
///
/// # Errors
/// The words for it when it is not even what the summary says was delivered.
fn finding(difference: Difference, summary: &Summary) -> Result<(bool, String), String> {
    let Difference { missing, repeated, foreign } = difference;
    let lost = summary.records_failed + summary.records_undelivered;
    // Of those that were lost, some were never sent and are not missed, others may have been stored all the same.
    let explained = Difference { missing: missing.saturating_sub(lost), ..difference };
    if !explained.is_none(summary.records_possibly_duplicated) {
        let counts = [
            (explained.missing, "missing though delivered"),
            (repeated, "there more often than was read in"),
            (foreign, "never read in"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(count, what)| format!("{} {what}", grouped(*count))).collect();
        return Err(format!("not what was delivered ({})", counts.join(", ")));
    }
    Ok(match (lost, repeated) {
        (0, 0) => (true, "exactly what was read in".to_owned()),
        (0, _) => (true, format!("what was read in, {} of them doubled as announced", grouped(repeated))),
        (_, _) => (false, "what was delivered, and so not all that was read in".to_owned()),
    })
}

/// `8,832 records from 4 shards (2,150 to 2,261 each)`
fn spread(records_by_shard: &[u64]) -> String {
    let total: u64 = records_by_shard.iter().sum();
    let records = if total == 1 { "1 record".to_owned() } else { format!("{} records", grouped(total)) };
    match records_by_shard {
        [] | [_] => format!("{records} from 1 shard"),
        shards => {
            let least = shards.iter().min().copied().unwrap_or_default();
            let most = shards.iter().max().copied().unwrap_or_default();
            let (count, least, most) = (grouped(shards.len() as u64), grouped(least), grouped(most));
            format!("{records} from {count} shards ({least} to {most} each)")
        }
    }
}

/// What the stream is called where nobody names it.
const DEFAULT_NAME: &str = "local";

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(failed: u64, possibly_duplicated: u64) -> Summary {
        Summary {
            records_failed: failed,
            records_possibly_duplicated: possibly_duplicated,
            ..Summary::default()
        }
    }

    #[test]
    fn only_what_is_whole_is_verified() {
        let same = Difference::default();
        assert_eq!(finding(same, &summary(0, 0)), Ok((true, "exactly what was read in".to_owned())));
        let problem = finding(Difference { missing: 1, ..same }, &summary(0, 0)).unwrap_err();
        assert!(problem.contains("1 missing though delivered"), "{problem}");
        let (verified, text) = finding(Difference { missing: 1, ..same }, &summary(2, 0)).unwrap();
        assert!(!verified && text.starts_with("what was delivered, and so not all"), "{text}");
        let problem = finding(Difference { missing: 3, ..same }, &summary(2, 0)).unwrap_err();
        assert!(problem.contains("1 missing though delivered"), "losses excuse only themselves: {problem}");
    }

    #[test]
    fn a_double_must_have_been_announced() {
        let doubled = Difference { repeated: 2, ..Difference::default() };
        let (verified, text) = finding(doubled, &summary(0, 2)).unwrap();
        assert!(verified && text.contains("2 of them doubled as announced"), "{text}");
        let problem = finding(doubled, &summary(0, 1)).unwrap_err();
        assert!(problem.contains("2 there more often"), "{problem}");
    }

    #[test]
    fn throttling_is_told_with_what_became_of_the_records() {
        let summary =
            Summary { throttled: 1_888, records_retried: 496, records_recovered: 496, ..Summary::default() };
        assert_eq!(
            throttling(&summary),
            "shards at their limit throttled 1,888 times; 496 records were sent again, and all of them delivered"
        );
        let some = throttling(&Summary { records_recovered: 490, ..summary });
        assert!(some.ends_with("and 490 of them delivered"), "{some}");
    }

    #[test]
    fn the_spread_over_the_shards_shows() {
        assert_eq!(spread(&[2_150, 2_261, 2_200]), "6,611 records from 3 shards (2,150 to 2,261 each)");
        assert_eq!(spread(&[1]), "1 record from 1 shard");
    }
}
