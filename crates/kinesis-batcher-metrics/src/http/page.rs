//! The status page: one file, and a policy that lets it do what it does and no more.

use std::sync::LazyLock;

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

pub(super) async fn page() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    (headers, PAGE)
}

/// Only the style and the script that are in the page itself, named by their hashes, and only this server's figures.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |element| BASE64_STANDARD.encode(Sha256::digest(inside(element)));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash("script"),
        hash("style"),
    )
});

/// What is between the tags of the only element of this name.
fn inside(element: &str) -> &'static str {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let (_, rest) = PAGE.split_once(&open).expect("the page has it, as a test shows");
    rest.split_once(&close).expect("the page has it, as a test shows").0
}

const PAGE: &str = include_str!("page.html");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_one_small_file_that_asks_nobody_else() {
        assert!(PAGE.len() < 100 << 10, "the page has {} bytes", PAGE.len());
        let outside = ["http://", "https://", "//cdn", "src=", "@import", "url("];
        for mark in outside {
            assert!(!PAGE.contains(mark), "the page must not fetch anything, but has {mark:?}");
        }
        assert!(!PAGE.contains(" style=") && !PAGE.contains(" onclick="), "the policy would refuse it");
    }

    #[test]
    fn the_policy_names_the_one_script_and_the_one_style() {
        for element in ["script", "style"] {
            assert_eq!(PAGE.matches(&format!("<{element}")).count(), 1, "one {element}");
            assert!(!inside(element).trim().is_empty());
        }
        assert_eq!(POLICY.matches("'sha256-").count(), 2);
        assert!(!POLICY.contains("unsafe"));
    }
}
