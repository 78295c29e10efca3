//! Basic authentication of requests (RFC 7617).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::sync::Semaphore;

use super::credentials::Credentials;

/// Credentials, and how many hashes may be computed at once.
#[derive(Clone, Debug)]
pub(super) struct Gatekeeper {
    credentials: Arc<Credentials>,
    hashing: Arc<Semaphore>,
}

impl Gatekeeper {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials: Arc::new(credentials), hashing: Arc::new(Semaphore::new(HASHES_AT_ONCE)) }
    }

    async fn judge(&self, headers: &HeaderMap) -> Verdict {
        let Some((name, password)) = presented(headers) else { return Verdict::Denied };
        if let Some(known) = self.credentials.verify_known(&name, &password) {
            return Verdict::from(known);
        }
        let Ok(permit) = tokio::time::timeout(HASH_WAIT_MAX, Arc::clone(&self.hashing).acquire_owned()).await
        else {
            return Verdict::Busy;
        };
        let credentials = Arc::clone(&self.credentials);
        let verified = tokio::task::spawn_blocking(move || {
            // Held until the hash is done, even if the client goes away meanwhile.
            let _permit = permit;
            credentials.verify(&name, &password)
        });
        Verdict::from(verified.await.unwrap_or(false))
    }
}

enum Verdict {
    Granted,
    Denied,
    Busy,
}

impl From<bool> for Verdict {
    fn from(right: bool) -> Self {
        if right { Self::Granted } else { Self::Denied }
    }
}

/// Lets a request pass, or answers in its place.
pub(super) async fn require(State(gatekeeper): State<Gatekeeper>, request: Request, next: Next) -> Response {
    match gatekeeper.judge(request.headers()).await {
        Verdict::Granted => next.run(request).await,
        Verdict::Denied => (
            StatusCode::UNAUTHORIZED,
            [(WWW_AUTHENTICATE, "Basic realm=\"kinesis-batcher\", charset=\"UTF-8\"")],
            "a user and a password are needed\n",
        )
            .into_response(),
        Verdict::Busy => {
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], "too many attempts at once\n")
                .into_response()
        }
    }
}

/// The user and the password that a request gives.
fn presented(headers: &HeaderMap) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut name = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let colon = name.iter().position(|&byte| byte == b':')?;
    let password = name.split_off(colon + 1);
    name.truncate(colon);
    Some((name, password))
}

/// A hash keeps a core busy for tens of milliseconds; strangers shall not have all cores.
const HASHES_AT_ONCE: usize = 1;
/// Longer than it takes a browser to open the page behind a scrape, shorter than a scrape's time-out.
const HASH_WAIT_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn given(value: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        presented(&headers)
    }

    #[test]
    fn only_a_well_formed_header_names_a_user() {
        let right = BASE64_STANDARD.encode("ada:se:cret");
        let ada = Some((b"ada".to_vec(), b"se:cret".to_vec()));
        assert_eq!(given(&format!("Basic {right}")), ada);
        assert_eq!(given(&format!("bASIC {right}")), ada, "schemes have no case");
        for wrong in ["", "Basic", "Basic ", "Basic !", "Bearer YTpi", "Basic YWRh", right.as_str()] {
            assert_eq!(given(wrong), None, "{wrong:?} names nobody");
        }
        let mut twice = HeaderMap::new();
        twice.append(AUTHORIZATION, HeaderValue::from_static("Basic YTpi"));
        twice.append(AUTHORIZATION, HeaderValue::from_static("Basic YTpi"));
        assert_eq!(presented(&twice), None, "two headers could name two users");
    }
}
