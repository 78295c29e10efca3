#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// An attempt, and whether it was admitted.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    at: u64,
    units: u64,
    admitted: bool,
}

/// What the law says of an attempt after this history, by its definition and from the whole history. No attempt exceeds
/// the limit.
fn admits(accounting: Accounting, limit: u64, history: &[Attempt], at: u64, units: u64) -> bool {
    let counted = |attempt: &&Attempt| attempt.admitted || accounting.counts_refused;
    let sum = |in_window: &dyn Fn(&Attempt) -> bool| -> u64 {
        let counted = history.iter().filter(counted).filter(|attempt| in_window(attempt));
        counted.map(|attempt| attempt.units).sum()
    };
    match accounting.law {
        Law::Clock => sum(&|attempt| attempt.at / SECOND == at / SECOND) + units <= limit,
        Law::Sliding => sum(&|attempt| attempt.at + SECOND > at) + units <= limit,
        Law::First => {
            let begins = history.iter().filter(counted).fold(None, |start, attempt| match start {
                Some(start) if attempt.at < start + SECOND => Some(start),
                _ => Some(attempt.at),
            });
            begins.is_none_or(|start| {
                at >= start + SECOND || sum(&|attempt| attempt.at >= start) + units <= limit
            })
        }
        Law::Token { burst } => {
            // The bucket is never above its capacity before an attempt, nor above zero after a refused one that counts.
            let full = i128::from(limit) * burst.as_nanos() as i128;
            let full = full.max(BILLION);
            let refill = |since: u64| i128::from(at - since) * i128::from(limit);
            let mut taken = 0;
            let mut level = full;
            for attempt in history.iter().rev() {
                if attempt.admitted {
                    taken += i128::from(attempt.units) * BILLION;
                } else if accounting.counts_refused {
                    level = level.min(refill(attempt.at) - taken);
                }
                level = level.min(full + refill(attempt.at) - taken);
            }
            level >= (i128::from(units) * BILLION).min(full)
        }
    }
}

const BILLION: i128 = 1_000_000_000;

fn law() -> impl Strategy<Value = Law> {
    prop_oneof![
        (1u64..3_000).prop_map(|millis| Law::Token { burst: Duration::from_millis(millis) }),
        Just(Law::Clock),
        Just(Law::First),
        Just(Law::Sliding),
    ]
}

fn accounting() -> impl Strategy<Value = Accounting> {
    (law(), any::<bool>())
        .prop_map(|(law, counts_refused)| Accounting { counts_refused, ..Accounting::of(law) })
}

/// Nanoseconds between two attempts: none, few, and up to beyond a second, ends of windows included.
fn gap() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => Just(0),
        4 => 0u64..200_000_000,
        2 => 0u64..1_300_000_000,
        1 => prop_oneof![Just(SECOND - 1), Just(SECOND), Just(SECOND + 1), Just(SECOND / 10)],
    ]
}

/// Plays attempts against a meter for one unit of the limits and holds each answer against the definition.
fn play(accounting: Accounting, limit: u32, by_bytes: bool, attempts: &[(u64, u64)]) -> Vec<Attempt> {
    let (records, bytes) = if by_bytes { (u32::MAX, limit) } else { (limit, u32::MAX) };
    let limits = ShardLimits { records_per_second: records, bytes_per_second: bytes, accounting };
    let mut now = 77 * SECOND / 10;
    let mut meter = ShardMeter::new(limits, Time::from_nanos(now));
    let mut history = Vec::new();
    for &(gap, units) in attempts {
        now += gap;
        let units = if by_bytes { units % u64::from(limit) + 1 } else { 1 };
        let expected = admits(accounting, u64::from(limit), &history, now, units);
        let admitted = meter.admit(Time::from_nanos(now), if by_bytes { units as usize } else { 1 });
        assert_eq!(admitted, expected, "{accounting}, {limit}/s: {units} at {now} after {history:?}");
        history.push(Attempt { at: now, units, admitted });
    }
    history
}

proptest! {
    #[test]
    fn a_meter_admits_what_the_definition_of_its_law_admits_and_nothing_else(
        accounting in accounting(),
        limit in 1u32..25,
        by_bytes in any::<bool>(),
        attempts in prop::collection::vec((gap(), any::<u64>()), 1..150),
    ) {
        play(accounting, limit, by_bytes, &attempts);
    }

    #[test]
    fn no_window_of_its_kind_holds_more_than_the_limit(
        law in law(),
        limit in 1u32..25,
        attempts in prop::collection::vec((gap(), any::<u64>()), 1..150),
    ) {
        let admitted: Vec<Attempt> = play(Accounting::of(law), limit, true, &attempts)
            .into_iter()
            .filter(|attempt| attempt.admitted)
            .collect();
        let within = |from: u64, to: u64| -> u64 {
            admitted.iter().filter(|a| a.at >= from && a.at < to).map(|a| a.units).sum()
        };
        for attempt in &admitted {
            let (window, most) = match law {
                Law::Clock => (within(attempt.at / SECOND * SECOND, (attempt.at / SECOND + 1) * SECOND), limit.into()),
                Law::Sliding => (within(attempt.at, attempt.at + SECOND), limit.into()),
                // Where windows begin is a matter of their history, but two of them touch any second.
                Law::First => (within(attempt.at, attempt.at + SECOND), 2 * u64::from(limit)),
                Law::Token { burst } => {
                    let burst = (u64::from(limit) * burst.as_nanos() as u64 / SECOND).max(1);
                    // One record larger than the bucket may come on top.
                    (within(attempt.at, attempt.at + SECOND), u64::from(limit) + burst + u64::from(limit))
                }
            };
            prop_assert!(window <= most, "{window} within the window of {}, {most} allowed", attempt.at);
        }
    }

    #[test]
    fn records_above_the_limit_are_admitted_and_paid_for_in_the_seconds_that_follow(
        accounting in accounting(),
        limit in 1u32..25,
        attempts in prop::collection::vec((gap(), 0usize..200), 1..150),
    ) {
        let limits = ShardLimits { records_per_second: u32::MAX, bytes_per_second: limit, accounting };
        let mut meter = ShardMeter::new(limits, Time::ZERO);
        let (mut now, mut total, mut last) = (0, 0, 0);
        for (gap, bytes) in attempts {
            now += gap;
            if meter.admit(Time::from_nanos(now), bytes) {
                total += bytes as u64;
                last = bytes as u64;
            }
            let burst = match accounting.law {
                Law::Token { burst } => u64::from(limit) * burst.as_nanos() as u64 / SECOND,
                Law::First => 2 * u64::from(limit),
                _ => u64::from(limit),
            };
            let due = u64::from(limit) * (now / SECOND + 1) + burst.max(1) + last;
            prop_assert!(total <= due, "{accounting}: {total} B by {now} ns, {due} allowed");
        }
        // Every law admits such a record again: none waits longer than it takes to pay for it, and for a full bucket.
        now += (total / u64::from(limit) + 6) * SECOND;
        prop_assert!(meter.admit(Time::from_nanos(now), 3 * limit as usize + 2), "{accounting}");
        prop_assert!(!meter.admit(Time::from_nanos(now), limit as usize), "{accounting}: not at once again");
    }
}

fn meter(accounting: Accounting) -> ShardMeter {
    ShardMeter::new(ShardLimits::of_the_service(accounting), Time::ZERO)
}

fn admitted(meter: &mut ShardMeter, millis: u64, records: usize, bytes: usize) -> usize {
    (0..records).filter(|_| meter.admit(Time::from_millis(millis), bytes)).count()
}

// S-08: one of the possibilities each
#[test]
fn each_law_counts_the_second_in_its_own_way() {
    // Attempts of 1,200 records at these times.
    let times = [900, 1_000, 1_500, 1_899, 1_900, 2_000, 2_950];
    let expected = [
        (Accounting::TOKEN_1_S, [1_000, 100, 500, 399, 1, 100, 950]),
        (Accounting::TOKEN_200_MS, [200, 100, 200, 200, 1, 100, 200]),
        (Accounting::TOKEN_50_MS, [50, 50, 50, 50, 1, 50, 50]),
        (Accounting::CLOCK, [1_000, 1_000, 0, 0, 0, 1_000, 0]),
        (Accounting::FIRST, [1_000, 0, 0, 0, 1_000, 0, 1_000]),
        (Accounting::SLIDING, [1_000, 0, 0, 0, 1_000, 0, 1_000]),
    ];
    for (accounting, expected) in expected {
        let mut meter = meter(accounting);
        assert_eq!(times.map(|millis| admitted(&mut meter, millis, 1_200, 1)), expected, "{accounting}");
    }
}

#[test]
fn a_sender_that_ignores_refusals_starves_where_they_count() {
    for accounting in Accounting::ALL {
        let run = |accounting: Accounting| {
            let mut meter = meter(accounting);
            let attempts = (0..10 * SECOND).step_by(600_000);
            attempts.filter(|&nanos| meter.admit(Time::from_nanos(nanos), 1)).count()
        };
        let (spared, counted) = (run(accounting), run(accounting.counting_refused()));
        assert!((9_900..=11_000).contains(&spared), "{accounting}: {spared} in 10 s");
        match accounting.law {
            // A full window is as full with refused attempts.
            Law::Clock | Law::First => assert_eq!(counted, spared, "{accounting}"),
            Law::Sliding => assert_eq!(counted, 1_000, "{accounting}"),
            // Of 0.6 records that come in between two attempts, each refusal spends all.
            Law::Token { burst } => {
                assert!(counted <= 3 * burst.as_millis() as usize, "{accounting}: {counted}");
            }
        }
    }
}

#[test]
fn bytes_are_limited_apart_from_records() {
    for accounting in [Accounting::TOKEN_1_S, Accounting::CLOCK, Accounting::FIRST, Accounting::SLIDING] {
        let mut meter = meter(accounting);
        assert_eq!(admitted(&mut meter, 0, 100, 64 << 10), 16, "16 times 64 KiB are 1 MiB: {accounting}");
        assert_eq!(admitted(&mut meter, 1_000, 100, 64 << 10), 16, "{accounting}");
    }
}

// S-09
#[test]
fn the_largest_records_draw_on_a_tank_of_their_own() {
    for accounting in [Accounting::TOKEN_1_S, Accounting::CLOCK, Accounting::FIRST, Accounting::SLIDING] {
        let mut meter = meter(accounting);
        assert!(meter.admit(Time::ZERO, 10 << 20));
        assert!(!meter.admit(Time::ZERO, 1), "the first mebibyte is of the ordinary second: {accounting}");
        assert_eq!(admitted(&mut meter, 1_000, 20, 64 << 10), 16, "small ones go on: {accounting}");
        assert!(!meter.admit(Time::from_millis(2_000), 10 << 20), "the tank has 3 of 9 MiB: {accounting}");
        assert!(meter.admit(Time::from_millis(8_000), 10 << 20), "{accounting}");
    }
}

#[test]
fn time_that_goes_back_gives_nothing() {
    for accounting in Accounting::ALL {
        let mut meter = meter(accounting);
        assert!(admitted(&mut meter, 5_000, 2_000, 1) <= 1_000);
        assert_eq!(admitted(&mut meter, 0, 10, 1) + admitted(&mut meter, 5_000, 10, 1), 0, "{accounting}");
    }
}

#[test]
fn others_take_their_share_and_leave_the_rest() {
    // Two attempts every millisecond.
    let stored = |accounting: Accounting, from: u64, to: u64| {
        let mut meter = meter(accounting);
        let mut stored = [0, 0];
        for millis in 0..to {
            stored[usize::from(millis >= from)] += admitted(&mut meter, millis, 2, 1);
        }
        stored[1] as u64 * 1_000 / (to - from)
    };
    for accounting in Accounting::ALL {
        let half = stored(accounting.beside(Others::constant(50)), 2_000, 22_000);
        assert!((480..=800).contains(&half), "{accounting}: {half}/s beside a half");
        let nothing = stored(accounting.beside(Others::constant(0)), 2_000, 22_000);
        assert_eq!(nothing, stored(accounting, 2_000, 22_000), "{accounting}");
        let others = Others { low_percent: 0, high_percent: 90, period: Duration::from_secs(20) };
        let (alone, beside) = (
            stored(accounting.beside(others), 2_000, 10_000),
            stored(accounting.beside(others), 12_000, 20_000),
        );
        assert!(alone >= 950 && beside <= 750, "{accounting}: {alone}/s, then {beside}/s");
    }
}

#[test]
fn others_take_no_more_than_their_share_of_a_small_limit() {
    let limits = ShardLimits {
        records_per_second: 5,
        bytes_per_second: 1 << 20,
        accounting: Accounting::CLOCK.beside(Others::constant(40)),
    };
    let mut meter = ShardMeter::new(limits, Time::ZERO);
    // Late in each second, when the others have had their two of five.
    let stored: usize = (0..10).map(|second| admitted(&mut meter, second * 1_000 + 999, 10, 1)).sum();
    assert_eq!(stored, 30);
}

#[test]
fn changed_limits_hold_at_once() {
    for accounting in Accounting::ALL {
        let mut meter = meter(accounting);
        meter.set_rates(10, 1 << 20);
        let stored: usize = (0..10_000).map(|millis| admitted(&mut meter, millis, 1, 1)).sum();
        assert!((99..=120).contains(&stored), "{accounting}: {stored} in 10 s");
    }
}

#[test]
fn accountings_have_the_names_of_the_rate_lab() {
    let names = Accounting::ALL.map(|accounting| accounting.to_string());
    assert_eq!(names, ["token 1 s", "token 0.2 s", "token 0.05 s", "clock", "first", "sliding"]);
    let others = Others { low_percent: 10, high_percent: 50, period: Duration::from_secs(3) };
    let accounting = Accounting::CLOCK.counting_refused().beside(others);
    assert_eq!(accounting.to_string(), "clock, refused attempts counted, others use 10 % and 50 % every 3s");
}
