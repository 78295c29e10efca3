//! GetShardIterator at a time.

use ferrokinesis::sequence::resolve_shard_id;
use ferrokinesis::store::Store;
use ferrokinesis::util::current_time_ms;
use serde_json::Value;

/// Makes a request for AT_TIMESTAMP one that ferrokinesis answers as the service does.
///
/// ferrokinesis stamps records with whole seconds, so the time is taken down to one: some records too many rather than
/// one too few. Where nothing is newer, it would begin at the trim horizon; the service begins behind the last record.
pub(super) async fn correct(store: &Store, input: &mut Value) {
    if input["ShardIteratorType"] != "AT_TIMESTAMP" {
        return;
    }
    let (Some(time), Some(name)) = (input["Timestamp"].as_f64(), input["StreamName"].as_str()) else {
        return;
    };
    // ferrokinesis refuses what lies ahead.
    if time * 1e3 > current_time_ms() as f64 {
        return;
    }
    let Some((_, shard)) = input["ShardId"].as_str().and_then(|id| resolve_shard_id(id).ok()) else { return };
    let time = time.floor();
    let (start, end) = (format!("{shard:08x}/"), format!("{:08x}", shard + 1));
    if store.find_first_record_at_timestamp(name, &start, &end, time).await.is_some() {
        input["Timestamp"] = time.into();
    } else if let Some(members) = input.as_object_mut() {
        members.insert("ShardIteratorType".to_owned(), "LATEST".into());
        members.remove("Timestamp");
    }
}
