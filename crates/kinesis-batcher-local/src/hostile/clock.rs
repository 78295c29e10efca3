//! The server's clock, by which replies are dated and signatures expire.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Rejection;

/// The machine's clock, moved at will.
#[derive(Debug, Default)]
pub(crate) struct ServerClock {
    /// Seconds ahead of the machine's clock.
    pub(crate) ahead: i64,
    /// Signatures more than 5 minutes off are refused.
    pub(crate) is_strict: bool,
}

impl ServerClock {
    /// Seconds since 1970.
    fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_secs()).unwrap_or(i64::MAX / 2).saturating_add(self.ahead)
    }

    /// As a reply's `Date` has it (RFC 9110, 5.6.7).
    pub(crate) fn date(&self) -> String {
        let now = self.now();
        let (year, month, day) = date_of_day(now.div_euclid(DAY));
        // 1970 began with a Thursday.
        let weekday = WEEKDAYS[usize::try_from(now.div_euclid(DAY).rem_euclid(7)).unwrap_or_default()];
        let (month, time) = (MONTHS[month - 1], now.rem_euclid(DAY));
        let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    /// Why a request with this `x-amz-date` is refused, if it is.
    pub(crate) fn refusal(&self, amz_date: Option<&str>) -> Option<Rejection> {
        if !self.is_strict {
            return None;
        }
        let Some(signed) = amz_date.and_then(seconds) else {
            let message =
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.";
            return Some(Rejection::new(400, "IncompleteSignatureException", message));
        };
        let now = self.now();
        let message = if signed < now - TOLERANCE {
            format!(
                "Signature expired: {} is now earlier than {} ({} - 5 min.)",
                basic(signed),
                basic(now - TOLERANCE),
                basic(now)
            )
        } else if signed > now + TOLERANCE {
            format!(
                "Signature not yet current: {} is still later than {} ({} + 5 min.)",
                basic(signed),
                basic(now + TOLERANCE),
                basic(now)
            )
        } else {
            return None;
        };
        Some(Rejection::new(400, "InvalidSignatureException", message))
    }

    /// Moves the clock, in addition to where it was moved before.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_add_unsigned(by.as_secs());
    }

    /// The same to the other side.
    pub(crate) fn set_back(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_sub_unsigned(by.as_secs());
    }
}

/// 20260131T235959Z
fn basic(seconds: i64) -> String {
    let (year, month, day) = date_of_day(seconds.div_euclid(DAY));
    let time = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Seconds since 1970 from 20260131T235959Z.
fn seconds(basic: &str) -> Option<i64> {
    let number = |range| basic.get(range).and_then(|digits: &str| digits.parse::<i64>().ok());
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    Some(day_of_date(year, month, day) * DAY + hour * 3_600 + minute * 60 + second)
}

/// Days since 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn day_of_date(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day (same source).
fn date_of_day(day: i64) -> (i64, usize, i64) {
    let day = day + 719_468;
    let (era, day_of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, usize::try_from(month).unwrap_or(1), day_of_year - (153 * shifted + 2) / 5 + 1)
}

const DAY: i64 = 86_400;
/// How far the time of a signature may be off, in seconds.
const TOLERANCE: i64 = 300;
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // From `date -u -d @1767225599`.
        assert_eq!(basic(1_767_225_599), "20251231T235959Z");
        assert_eq!(seconds("20251231T235959Z"), Some(1_767_225_599));
        assert_eq!(basic(951_782_400), "20000229T000000Z");
        for day in (0..40_000).step_by(7) {
            let (year, month, date) = date_of_day(day);
            assert_eq!(day_of_date(year, month as i64, date), day);
        }
        let date = ServerClock::default().date();
        assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
    }

    #[test]
    fn a_signature_holds_for_five_minutes_either_way() {
        let mut clock = ServerClock { is_strict: true, ..ServerClock::default() };
        let refused =
            |clock: &ServerClock, off| clock.refusal(Some(&basic(ServerClock::default().now() + off)));
        assert_eq!(refused(&clock, 295).or(refused(&clock, -295)), None);
        assert!(refused(&clock, 305).unwrap().message.starts_with("Signature not yet current"));
        assert!(refused(&clock, -305).unwrap().message.starts_with("Signature expired"));
        clock.advance(Duration::from_secs(1_200));
        assert!(refused(&clock, 0).unwrap().message.starts_with("Signature expired"));
        clock.set_back(Duration::from_secs(2_400));
        assert!(refused(&clock, 0).unwrap().message.starts_with("Signature not yet current"));
        assert_eq!(clock.refusal(None).unwrap().code, "IncompleteSignatureException");
    }
}
