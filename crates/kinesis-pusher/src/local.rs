//! `local`: the embedded Kinesis by itself.

use crate::cli::LocalArgs;
use crate::embedded::Embedded;
use crate::exit::{Exit, StartError};
use crate::output;
use crate::signals::{Signals, Stop};

/// Runs the subcommand until a signal stops it.
///
/// # Errors
/// Why it could not be started.
pub(crate) async fn run(args: LocalArgs) -> Result<Exit, StartError> {
    let mut signals = Signals::listen()?;
    let kinesis = Embedded::start(args.port, &args.streams, args.shards).await?;
    if let Err(error) = output::print(&how_to_use(kinesis.port(), &args.streams)) {
        output::error(&format!("cannot write to stdout: {error}"));
    }
    signals.reached(Stop::Drain).await;
    tokio::select! {
        () = kinesis.shutdown() => {}
        () = signals.reached(Stop::AtOnce) => {}
    }
    Ok(Exit::Done)
}

/// How to point a client at a server on this port.
fn how_to_use(port: u16, streams: &[String]) -> String {
    let stream = streams.first().map_or("orders", String::as_str);
    let mut text = format!(
        "Kinesis is listening on http://127.0.0.1:{port}; stop it with Ctrl-C.\n\n\
         Point any AWS client of this shell at it (AWS_DEFAULT_REGION is for boto3):\n\
         \x20 export AWS_ENDPOINT_URL_KINESIS=http://127.0.0.1:{port} AWS_REGION=us-east-1 \
         AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local\n\n"
    );
    if streams.is_empty() {
        text.push_str(&format!(
            "It has no stream yet; make one:\n  aws kinesis create-stream --stream-name {stream} --shard-count 4\n\n"
        ));
    }
    text.push_str(&format!(
        "Push to it:\n  kinesis-pusher push --stream {stream} --request-bytes 5MiB FILE\n"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_to_point_at_it_and_how_to_make_a_stream_where_there_is_none() {
        let text = how_to_use(4567, &[]);
        assert!(text.contains("AWS_ENDPOINT_URL_KINESIS=http://127.0.0.1:4567"), "{text}");
        assert!(text.contains("create-stream"), "{text}");
        assert!(text.contains(" AWS_DEFAULT_REGION="), "boto3 reads no AWS_REGION: {text}");
        let text = how_to_use(80, &["logs".to_owned()]);
        assert!(text.contains("push --stream logs") && !text.contains("create-stream"), "{text}");
    }
}
