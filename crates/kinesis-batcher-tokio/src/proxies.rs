//! The proxies that the environment names, as far as errors are about them.

use std::error::Error;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kinesis_batcher_aws::check_https_proxy;

/// `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.
#[derive(Debug)]
pub(crate) struct Proxies {
    matcher: Matcher,
    /// The problem of a variable that names no proxy, and a matcher of the servers that the proxy would be for. The
    /// connector would leave the variable out, and go past the proxy that was meant.
    broken: Option<(String, Matcher)>,
}

impl Proxies {
    pub(crate) fn from_environment() -> Self {
        let broken = check_https_proxy().err().map(|problem| {
            let excluded = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy"));
            (problem, Matcher::builder().https("http://proxy").no(excluded.unwrap_or_default()).build())
        });
        Self { matcher: Matcher::from_env(), broken }
    }

    /// Whether there is a way to this URL.
    ///
    /// # Errors
    /// One line that names the variable that names no proxy.
    pub(crate) fn check(&self, url: &str) -> Result<(), String> {
        match &self.broken {
            Some((problem, matcher)) if intercepts(matcher, url) => Err(problem.clone()),
            _ => Ok(()),
        }
    }

    /// The deepest cause of a failure to connect, with the proxy that the connection was to go through; `None` without
    /// a proxy.
    pub(crate) fn explain(&self, url: &str, error: &(dyn Error + 'static)) -> Option<String> {
        let uri: Uri = url.parse().ok()?;
        let proxy = self.matcher.intercept(&uri)?;
        let deepest = std::iter::successors(Some(error), |&error| error.source()).last().unwrap_or(error);
        Some(format!("through the proxy {}: {deepest}", proxy.uri().authority()?))
    }
}

fn intercepts(matcher: &Matcher, url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| matcher.intercept(&uri).is_some())
}
