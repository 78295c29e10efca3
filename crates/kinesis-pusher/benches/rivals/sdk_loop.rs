//! The plain loop over the SDK: no limits, no retries, no receipts.

use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::common::plain_sdk::{REQUEST_RECORDS, REQUESTS_IN_FLIGHT, client, entry, push, send};
use super::input::lines;
use super::paced::Paced;

/// All lines of the file, as fast as it goes.
pub(crate) async fn all(file: &str) {
    push(Path::new(file)).await;
}

/// So many lines a second, each as soon as there is a request to be had.
pub(crate) async fn paced(file: &str, rate: &str) {
    let client = client().await;
    let entries: Vec<_> = lines(file).map(entry).collect();
    let paced = Arc::new(Paced::new(entries.len(), rate));
    let mut entries = entries.into_iter();
    let mut requests = JoinSet::new();
    let mut sent = 0;
    while let Some(due) = paced.due(sent).await {
        if requests.len() == REQUESTS_IN_FLIGHT {
            requests.join_next().await.expect("there are requests").expect("no request panics");
        }
        let due = due.start..due.end.min(due.start + REQUEST_RECORDS as u64);
        sent = due.end;
        let batch = entries.by_ref().take((due.end - due.start) as usize).collect();
        let (client, paced) = (client.clone(), Arc::clone(&paced));
        requests.spawn(async move {
            send(client, batch).await;
            due.for_each(|number| paced.acknowledged(number));
        });
    }
    while let Some(request) = requests.join_next().await {
        request.expect("no request panics");
    }
    paced.report();
}
