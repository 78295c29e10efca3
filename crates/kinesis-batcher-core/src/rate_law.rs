//! What share of its limits one shard may be sent, by what it throttled.

use core::time::Duration;

use crate::pacer::Share;
use crate::time::Timestamp;

/// The share of its limits that a shard may be sent once it has throttled something.
///
/// The service does not publish how it counts a second (S-08), so the law has to hold for token buckets of any size, for
/// windows of any kind, and where refused attempts count. `tests/rates.rs` prints how it does under each of them.
///
/// 1. **Judge a second at a time.** Replies are counted over at least [`WINDOW`] of sends, because the service counts in
///    seconds: a refused request says nothing of the rate. Replies to records sent before a cut do not count again.
///    Only a crowd ([`CROWDED`]) is judged earlier.
/// 2. **Cut to what was stored.** If more than [`TOLERATED`] of a window was throttled, the rate loses that part. Where
///    less was sent than the share allows, the cut starts from the rate that was sent.
/// 3. **Probe a shard that refuses whole requests.** Its window is full, or it is away. Two such requests in a row, and
///    single records go, at the pace of the lane's back-off, until one is stored. That time counts as throttled, so a cut
///    finds the rate that fits into a window. After an [`OUTAGE`], the shard resumes at half of its rate instead: an
///    outage says nothing of the rate either.
/// 4. **Grow faster the longer it is quiet**, measured in usual times between cuts: a shard that is full for good is
///    asked for more rarely, and one that has room again is soon used. The additive part grows with the square root of
///    the share, so that small shares, of which there are many on one shard, do not overwhelm it together.
/// 5. **Grow only what is used**: while the share holds records back.
/// 6. **Tolerate what cuts do not lessen.** If [`FUTILE_CUTS`] cuts in a row leave the throttled share nearly as it was,
///    others cause it: a producer that never slows down, or refusals at random. The last cut is taken back, and only
///    what exceeds that part is cut, until a [`RETEST`].
#[derive(Clone, Debug)]
pub(crate) struct RateLaw {
    /// The share of the limits, in units of 2^-32: it grows in small steps.
    share: u64,
    /// The share held records back since it last grew.
    is_limiting: bool,
    grown_at: Timestamp,
    /// The time from which the speed of growth is measured: the last cut, or later if some records were throttled since.
    quiet_since: Timestamp,
    cut_at: Timestamp,
    /// Usual time between cuts, in nanoseconds; 1 to 6 s.
    gap: u64,
    window: Window,
    /// When the shard refused all of the last request, if it did.
    refused_at: Option<Timestamp>,
    /// Set while the shard is only probed.
    refusing: Option<Refusing>,
    /// The last cut, until its effect is known.
    last_cut: Option<Cut>,
    futile_cuts: u32,
    /// The part of all attempts, in units of 2^-16, that is throttled because of others.
    foreign: u64,
    /// When that was found.
    foreign_since: Timestamp,
    /// No share falls below this.
    share_min: u64,
}

/// How a shard answered the records of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Feedback {
    /// Kinesis records that it stored.
    pub(crate) stored: u64,
    /// Kinesis records that it throttled.
    pub(crate) throttled: u64,
}

/// What replies to the sends of a second or more said.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// Replies count if their records were sent at this time or later.
    since: Timestamp,
    feedback: Feedback,
    /// Shard time of both, in nanoseconds.
    took: u64,
    /// For how long the shard was only probed, in nanoseconds.
    refusing: u64,
}

#[derive(Clone, Copy, Debug)]
struct Refusing {
    /// When the first refused request returned.
    since: Timestamp,
    /// Records sent at this time or later are probes.
    probed_at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Cut {
    /// The part of all attempts that was throttled before, in units of 2^-16.
    throttled: u64,
    /// The part of the rate that was kept, in units of 2^-16.
    kept: u64,
    /// The shard may be crowded, and then all producers cut at about the same time, some later than others.
    in_crowd: bool,
    /// The share before.
    share: u64,
}

/// The service counts in seconds.
pub(crate) const WINDOW: Duration = Duration::from_secs(1);
/// A window goes on for up to this long while it has fewer than [`ATTEMPTS_MIN`] attempts or one throttled record, of
/// which no rate can be told.
const WINDOW_MAX: Duration = Duration::from_secs(4);
const ATTEMPTS_MIN: u64 = 30;
/// About 1.6 % of a window, in units of 2^-16: the jitter of the network puts that much from one second into the next.
const TOLERATED: u64 = PARTS / 64;
/// As much more than others cause.
const TOLERATED_BESIDE_OTHERS: u64 = PARTS / 20;
/// If so much of a quarter of a window is throttled, eight producers or more share the shard.
const CROWDED: u64 = PARTS / 8 * 7;
/// No cut goes below this part of the rate: a window may have begun just before the shard went away.
const KEPT_MIN: u64 = PARTS / 4;
/// A shard that is sent less than this was not throttled for its rate.
const SENT_MIN: u64 = WHOLE / 16;
/// A counted second is over by then, and a shard that is still refusing everything is away.
const OUTAGE: Duration = Duration::from_millis(1_500);
/// Growth of a whole share a second, in units of 2^-32, just after a cut: 0.005 % of the limits.
const GROWTH: u64 = WHOLE / 20_000;
const FUTILE_CUTS: u32 = 3;
/// One more cut tells whether others still cause what is throttled.
const RETEST: Duration = Duration::from_secs(10);
/// A shard that throttled nothing for so long is like one that never did.
const MEMORY: Duration = Duration::from_secs(60);
/// The smallest share, also where the configured one is smaller: 4 records and 4 KiB a second at the service's limits.
const SHARE_MIN: u64 = WHOLE / 256;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const WHOLE: u64 = 1 << 32;
const PARTS: u64 = 1 << 16;

impl RateLaw {
    /// For a shard that throttles for the first time. Of the records that were sent since `since`, it stored so many, which
    /// take it so long.
    pub(crate) fn new(now: Timestamp, since: Timestamp, stored: u64, took: u64, share_min: Share) -> Self {
        Self {
            share: WHOLE,
            is_limiting: false,
            grown_at: now,
            quiet_since: now,
            cut_at: now,
            gap: NANOS_PER_SECOND,
            window: Window { since, feedback: Feedback { stored, throttled: 0 }, took, refusing: 0 },
            refused_at: None,
            refusing: None,
            last_cut: None,
            futile_cuts: 0,
            foreign: 0,
            foreign_since: now,
            share_min: SHARE_MIN.max(share_min.parts() << 16),
        }
    }

    /// For a shard that came out of this one.
    pub(crate) fn of_child(&self, now: Timestamp) -> Self {
        let Self { share, quiet_since, gap, refusing, share_min, .. } = *self;
        Self { share, quiet_since, gap, refusing, share_min, ..Self::new(now, now, 0, 0, Share::new(0)) }
    }

    /// The share while the shard stores records.
    pub(crate) fn share(&self) -> Share {
        Share::new(self.share >> 16)
    }

    /// The share of the limits that the shard may be sent at present.
    pub(crate) fn allowed(&self) -> Share {
        if self.is_probing() { Share::new(SHARE_MIN >> 16) } else { self.share() }
    }

    /// Whether the shard refuses whole requests, so that only single records may go.
    pub(crate) fn is_probing(&self) -> bool {
        self.refusing.is_some()
    }

    /// The share held records back: it may grow.
    pub(crate) fn on_limited(&mut self) {
        self.is_limiting = true;
    }

    /// Whether the shard takes all that it may be sent, so that nothing has to be remembered of it.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.share == WHOLE && self.refusing.is_none() && now.since(self.quiet_since) >= MEMORY
    }

    /// The shard answered records of one request that was sent at `sent_at`; they take it so long. Returns whether it has
    /// just begun to store records again.
    pub(crate) fn on_feedback(
        &mut self,
        now: Timestamp,
        sent_at: Timestamp,
        feedback: Feedback,
        took: u64,
    ) -> bool {
        self.grow(now);
        let resumes = match self.refusing {
            Some(refusing) if sent_at >= refusing.probed_at && feedback.stored > 0 => {
                self.resume(now, sent_at, refusing);
                true
            }
            // Refused probes and records sent before the first refusal was known say nothing about the rate.
            Some(_) => false,
            None => {
                if sent_at >= self.window.since {
                    self.window.took += took;
                    self.count(now, feedback);
                }
                false
            }
        };
        self.end_window(now, sent_at);
        resumes
    }

    fn count(&mut self, now: Timestamp, feedback: Feedback) {
        let Feedback { stored, throttled } = feedback;
        self.window.feedback.stored += stored;
        self.window.feedback.throttled += throttled;
        // A request of which a quarter is stored met the last room of a window.
        let refused = throttled > 0 && throttled >= 3 * stored;
        match self.refused_at {
            Some(since) if refused => self.refusing = Some(Refusing { since, probed_at: now }),
            None if refused => self.refused_at = Some(now),
            _ => self.refused_at = None,
        }
    }

    /// The shard stored a probe that was sent at `sent_at`.
    fn resume(&mut self, now: Timestamp, sent_at: Timestamp, Refusing { since, .. }: Refusing) {
        (self.refusing, self.refused_at) = (None, None);
        if now.since(since) < OUTAGE {
            self.window.refusing += sent_at.nanos_since(since.max(self.window.since));
            return;
        }
        self.window = Window { since: now, ..Window::default() };
        self.share = (self.share / 2).max(self.share_min);
        (self.quiet_since, self.gap) = (now, NANOS_PER_SECOND);
    }

    /// Judges the window if it says enough.
    fn end_window(&mut self, now: Timestamp, sent_at: Timestamp) {
        let Feedback { stored, throttled } = self.window.feedback;
        let (age, attempts) = (sent_at.since(self.window.since), stored + throttled);
        let too_few = attempts < ATTEMPTS_MIN || throttled == 1;
        if stored == 0 || age < WINDOW / 4 || too_few && age < WINDOW_MAX {
            return;
        }
        let mut refusing = self.window.refusing;
        if let Some(Refusing { since, .. }) = self.refusing {
            if now.since(since) >= OUTAGE {
                return;
            }
            refusing += now.nanos_since(since.max(self.window.since));
        }
        let lasted = now.nanos_since(self.window.since).max(1);
        let asking = PARTS - refusing.min(lasted) * PARTS / lasted;
        let throttled_part = PARTS - asking * (stored * PARTS / attempts) / PARTS;
        if age < WINDOW && throttled_part < CROWDED {
            return;
        }
        // The rate at which records were sent while the shard was not only probed, and a quarter more.
        let asked_for = lasted - refusing.min(lasted - 1);
        let sent = (u128::from(self.window.took) * u128::from(WHOLE) * 5 / 4 / u128::from(asked_for))
            .min(u128::from(WHOLE));
        let since = if self.refusing.is_some() { now } else { sent_at };
        self.window = Window { since, ..Window::default() };
        if throttled_part > self.foreign_at_most() {
            let quiet = now.nanos_since(self.quiet_since);
            self.quiet_since = Timestamp::from_nanos(now.as_nanos() - quiet / 2);
        }
        self.judge(now, throttled_part, sent as u64);
    }

    /// A window is over of which `throttled` was throttled, in units of 2^-16.
    fn judge(&mut self, now: Timestamp, throttled: u64, sent: u64) {
        if self.finds_others(now, throttled) {
            self.window.since = now;
            return;
        }
        let others = self.foreign_at_most();
        let own = throttled.saturating_sub(others) * PARTS / PARTS.saturating_sub(others).max(1);
        let tolerated = if self.foreign == 0 { 0 } else { TOLERATED_BESIDE_OTHERS };
        if own <= tolerated.max(TOLERATED) {
            return;
        }
        let since_cut = now.nanos_since(self.cut_at).clamp(NANOS_PER_SECOND, 6 * NANOS_PER_SECOND);
        self.gap = (7 * self.gap + 3 * since_cut) / 10;
        let in_crowd = self.share < WHOLE / 8 || throttled > PARTS / 4 * 3;
        let kept = (PARTS - own + tolerated).max(KEPT_MIN);
        self.last_cut = Some(Cut { throttled, kept, in_crowd, share: self.share });
        // Two per cent more, or the next second would be as full.
        self.share = (self.share.min(sent.max(SENT_MIN)) / PARTS * kept / 50 * 49)
            .clamp(self.share_min, self.share.max(self.share_min));
        (self.cut_at, self.quiet_since, self.window.since) = (now, now, now);
    }

    /// Looks at what the last cut did to the throttled part. Returns whether others have just been noticed.
    fn finds_others(&mut self, now: Timestamp, throttled: u64) -> bool {
        if let Some(Cut { throttled: before, kept, in_crowd, share }) = self.last_cut.take() {
            // What would still be throttled if all producers on the shard had cut as much.
            let if_all_cut = PARTS.saturating_sub((PARTS - before) * PARTS / kept);
            let futile = !in_crowd && throttled > PARTS / 20 && 2 * throttled > before + if_all_cut;
            self.futile_cuts = if futile { self.futile_cuts + 1 } else { 0 };
            if self.futile_cuts == FUTILE_CUTS {
                (self.foreign, self.foreign_since) = (throttled, now);
                self.share = self.share.max(share);
                return true;
            }
        }
        if self.foreign > 0 && now.since(self.foreign_since) >= RETEST {
            (self.foreign, self.futile_cuts) = (0, FUTILE_CUTS - 1);
        }
        if self.foreign > throttled {
            self.foreign -= (self.foreign - throttled) / 8;
            if self.foreign < PARTS / 20 {
                (self.foreign, self.futile_cuts) = (0, 0);
            }
        }
        false
    }

    /// What others cause, with some allowance for its varying.
    fn foreign_at_most(&self) -> u64 {
        self.foreign * 5 / 4
    }

    /// Raises the share by what it may grow until `now`.
    pub(crate) fn grow(&mut self, now: Timestamp) {
        let step = now.nanos_since(self.grown_at).min(NANOS_PER_SECOND);
        self.grown_at = self.grown_at.max(now);
        if self.share == WHOLE || !core::mem::take(&mut self.is_limiting) {
            return;
        }
        // In 256ths of the usual time between cuts, up to 32 of them.
        let quiet = (now.nanos_since(self.quiet_since) / (self.gap >> 8)).min(32 << 8);
        let root = (self.share << 32).isqrt();
        let additive = ((root >> 16) * GROWTH / PARTS * ((1 << 26) + quiet.pow(3))) >> 26;
        let compound = (self.share >> 8) * (quiet.saturating_sub(2 << 8) / 5).min(384);
        let growth = u128::from(additive + compound) * u128::from(step) / u128::from(NANOS_PER_SECOND);
        self.share = self.share.saturating_add(u64::try_from(growth).unwrap_or(u64::MAX)).min(WHOLE);
    }
}
