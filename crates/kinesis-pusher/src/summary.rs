//! The last line on stdout.

use std::fmt;

use serde::Serialize;

/// What came of a run. The field names are those of the JSON, which scripts rely on.
///
/// `records_read` = `records_delivered` + `records_failed` + `records_undelivered`; those that expired are among the
/// failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Records taken from the input, those that could not be sent included.
    pub(crate) records_read: u64,
    /// Records the stream has.
    pub(crate) records_delivered: u64,
    /// Records it does not have and will not get.
    pub(crate) records_failed: u64,
    /// Of the failed, those that outlived `--time-to-live`.
    pub(crate) records_expired: u64,
    /// Records handed back at a forced stop.
    pub(crate) records_undelivered: u64,
    /// Records that were sent more than once.
    pub(crate) records_retried: u64,
    /// Of the retried, those that were delivered.
    pub(crate) records_recovered: u64,
    /// Of the delivered, those an earlier attempt may have stored as well.
    pub(crate) records_possibly_duplicated: u64,
    /// Bytes taken from the input, line ends included.
    pub(crate) bytes_read: u64,
    /// PutRecords requests sent.
    pub(crate) requests: u64,
    /// Records as the service counts them.
    pub(crate) kinesis_records: u64,
    /// Entries that came back throttled.
    pub(crate) throttled: u64,
    /// Times that the stream could not be written to at all.
    pub(crate) holds: u64,
    /// `--aggregate` was given and is off, because the stream distributes records itself.
    pub(crate) aggregation_suspended: bool,
    /// From the first read to the last answer, in seconds.
    #[serde(serialize_with = "three_decimals")]
    pub(crate) elapsed_seconds: f64,
    /// Records delivered a second.
    #[serde(serialize_with = "three_decimals")]
    pub(crate) records_per_second: f64,
    /// With `--local`: whether what was read back equals what was read in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) verified: Option<bool>,
}

impl Summary {
    /// One line of JSON.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a struct of numbers with fixed names is always JSON")
    }

    /// Whether the sums are right: every record read has exactly one end.
    pub(crate) fn adds_up(&self) -> bool {
        self.records_read == self.records_delivered + self.records_failed + self.records_undelivered
            && self.records_expired <= self.records_failed
            && self.records_recovered <= self.records_retried
    }
}

/// One line for people: what did not happen is left out.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records_read, records_delivered, elapsed_seconds, records_per_second, .. } = self;
        let delivered = grouped(*records_delivered);
        let read = grouped(*records_read);
        let bytes = indicatif::BinaryBytes(self.bytes_read);
        write!(f, "delivered {delivered} of {read} records ({bytes}) in {elapsed_seconds:.1} s")?;
        write!(
            f,
            ", {} records/s, {} requests",
            grouped(records_per_second.round() as u64),
            grouped(self.requests)
        )?;
        for (count, what) in [
            (self.throttled, "times throttled"),
            (self.records_retried, "records sent again"),
            (self.records_possibly_duplicated, "possibly duplicated"),
            (self.records_failed, "failed"),
            (self.records_expired, "of them expired"),
            (self.records_undelivered, "undelivered"),
        ] {
            if count > 0 {
                write!(f, ", {} {what}", grouped(count))?;
            }
        }
        match self.verified {
            Some(true) => f.write_str("; read back and verified"),
            // What stands before it on stderr says why.
            Some(false) => f.write_str("; not verified"),
            None => Ok(()),
        }
    }
}

/// A number with commas between its thousands.
pub(crate) fn grouped(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

fn three_decimals<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 1_000.0).round() / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary {
            records_read: 8_832,
            records_delivered: 8_830,
            records_failed: 2,
            records_expired: 1,
            records_retried: 12,
            records_recovered: 11,
            bytes_read: 806_720,
            requests: 19,
            kinesis_records: 8_830,
            throttled: 40,
            elapsed_seconds: 2.000_49,
            records_per_second: 4_413.918_8,
            ..Summary::default()
        }
    }

    #[test]
    fn json_has_the_names_scripts_rely_on() {
        assert_eq!(
            summary().to_json(),
            "{\"records_read\":8832,\"records_delivered\":8830,\"records_failed\":2,\"records_expired\":1,\
             \"records_undelivered\":0,\"records_retried\":12,\"records_recovered\":11,\
             \"records_possibly_duplicated\":0,\"bytes_read\":806720,\"requests\":19,\"kinesis_records\":8830,\
             \"throttled\":40,\"holds\":0,\"aggregation_suspended\":false,\"elapsed_seconds\":2.0,\"records_per_second\":4413.919}"
        );
        let verified = Summary { verified: Some(true), ..summary() };
        assert!(verified.to_json().ends_with(",\"verified\":true}"));
    }

    #[test]
    fn text_is_one_line_that_leaves_out_what_did_not_happen() {
        assert_eq!(
            summary().to_string(),
            "delivered 8,830 of 8,832 records (787.81 KiB) in 2.0 s, 4,414 records/s, 19 requests, 40 times \
             throttled, 12 records sent again, 2 failed, 1 of them expired"
        );
        let clean =
            Summary { records_read: 3, records_delivered: 3, verified: Some(true), ..Summary::default() };
        assert_eq!(
            clean.to_string(),
            "delivered 3 of 3 records (0 B) in 0.0 s, 0 records/s, 0 requests; read back and verified"
        );
    }

    #[test]
    fn a_record_that_has_no_end_is_noticed() {
        assert!(summary().adds_up());
        assert!(!Summary { records_read: 8_833, ..summary() }.adds_up());
    }
}
