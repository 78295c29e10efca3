//! A producer at the moment of a scrape.

use std::time::Duration;

use kinesis_batcher_driver::{Config, ErrorClass, ServiceError, Snapshot, Timestamp};

use crate::shards::ShardRow;

/// What families take their values from.
pub(crate) struct View<'a> {
    pub(crate) stream: Option<&'a str>,
    pub(crate) config: &'a Config,
    pub(crate) snapshot: Snapshot,
    pub(crate) shards: Vec<ShardRow>,
}

/// The first line of an error's message, where it says something about the account or the way to the service. Other
/// messages can quote partition keys, and the lines below the first can quote headers of the request.
pub(crate) fn message(error: &ServiceError) -> Option<String> {
    let is_local = ["NotSent", "OutcomeUnknown", "NoCredentials"].contains(&error.code().as_str());
    let is_shown = is_local || matches!(error.code().class(), ErrorClass::Account | ErrorClass::Credentials);
    let message = error.message().lines().next().filter(|_| is_shown)?;
    Some(message.chars().take(MESSAGE_CHARACTERS_MAX).collect())
}

const MESSAGE_CHARACTERS_MAX: usize = 300;

/// How long the oldest record that waits has waited; zero when none does. Records in flight are not looked at.
pub(crate) fn oldest_age(snapshot: &Snapshot) -> Duration {
    let oldest = snapshot.shards.iter().filter_map(|shard| shard.oldest_accepted_at).min();
    oldest.map_or(Duration::ZERO, |at| snapshot.now.since(at))
}

/// Since when nothing was stored though something was held all the time; zero when nothing is held.
pub(crate) fn stalled_for(snapshot: &Snapshot) -> Duration {
    let stats = &snapshot.stats;
    stats.held_since.map_or(Duration::ZERO, |since| {
        snapshot.now.since(stats.last_stored_at.map_or(since, |stored_at| stored_at.max(since)))
    })
}

/// Since the last success; since the start of the producer before the first.
pub(crate) fn last_success_age(snapshot: &Snapshot) -> Duration {
    snapshot.now.since(snapshot.stats.last_stored_at.unwrap_or(Timestamp::ZERO))
}
