//! A reply that is an error, of the service or of a machine before it.

use std::borrow::Cow;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_types::request_id::RequestId;
use kinesis_batcher_driver::{ErrorClass, RequestError, ServiceError};

use super::json::Scanner;
use super::scan::Scan;
use crate::error_chain::one_line;

/// The status, the code and the message of an error.
///
/// All wires read errors here, and more leniently than the SDK: a code in the `x-amzn-errortype` header counts whatever
/// the body is, and an unreadable message costs no code.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(super) status: u16,
    /// Without namespace and URL; `None` in an empty reply and in the page of a proxy.
    pub(super) code: Option<String>,
    pub(super) error: RequestError,
}

impl Refusal {
    /// Reads a reply whose status is not a success, and whose body, if any, is in memory and in JSON.
    pub(crate) fn of(reply: &HttpResponse) -> Self {
        let status = reply.status().as_u16();
        let body = Body::read(reply.body().bytes().unwrap_or_default());
        let header = reply.headers().get("x-amzn-errortype").map(Cow::Borrowed);
        let code = header.or(body.code).or(body.kind).filter(|code| !code.is_empty());
        let message = one_line(&body.message.unwrap_or_default());
        let error = match &code {
            _ if (300..400).contains(&status) => redirect(status, reply.headers().get("location")),
            Some(code) => ServiceError::new(code, &message),
            None => ServiceError::new(&format!("HttpStatus{status}"), "the reply has no error code"),
        };
        let error = match reply.headers().request_id() {
            Some(id) => error.with_request_id(id),
            None => error,
        };
        let code = code.map(|_| error.code().as_str().to_owned());
        Self { status, code, error: RequestError::refused(status, error) }
    }

    /// Whether it says that the signature's time is not the service's.
    pub(crate) fn is_about_time(&self) -> bool {
        match self.code() {
            "RequestExpired" | "RequestTimeTooSkewed" => true,
            "InvalidSignatureException" | "SignatureDoesNotMatch" => {
                let message = self.error.error().message();
                message.contains("Signature expired") || message.contains("Signature not yet current")
            }
            _ => false,
        }
    }

    /// Whether a clock that is off could be its reason.
    pub(crate) fn may_be_about_time(&self) -> bool {
        let codes =
            ["InvalidSignatureException", "SignatureDoesNotMatch", "ExpiredTokenException", "ExpiredToken"];
        self.is_about_time() || codes.contains(&self.code())
    }

    /// Whether other credentials may be accepted; if so, how long after the last time they are loaded again.
    pub(super) fn reload_gap(&self) -> Option<Duration> {
        match self.code() {
            _ if self.is_about_time() => None,
            _ if self.error.class() == ErrorClass::Credentials => Some(REFUSED_GAP),
            "AccessDeniedException" | "AccessDenied" | "NotAuthorized" => Some(DENIED_GAP),
            _ => None,
        }
    }

    fn code(&self) -> &str {
        self.code.as_deref().unwrap_or_default()
    }
}

/// Requests are not redirected: a signature is for one host.
fn redirect(status: u16, location: Option<&str>) -> ServiceError {
    let location = location.map(|location| location.split(['?', '#']).next().unwrap_or_default());
    let message = match location.and_then(|location| location.split_once("://")) {
        Some((scheme, rest)) => {
            let host = rest.split('/').next().unwrap_or_default();
            // Never a user's password.
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("status {status} redirects to {host}; set the endpoint URL to {scheme}://{host}")
        }
        None => format!("status {status} without another host; check the endpoint URL"),
    };
    ServiceError::new("Redirect", &one_line(&message))
}

/// What the body of an error says, as far as it can be read.
#[derive(Default)]
struct Body<'a> {
    code: Option<Cow<'a, str>>,
    /// `__type`
    kind: Option<Cow<'a, str>>,
    message: Option<Cow<'a, str>>,
}

impl<'a> Body<'a> {
    fn read(body: &'a [u8]) -> Self {
        let mut read = Self::default();
        // A body that is no JSON, or only begins like it, says what could be read of it.
        let _ = Scanner::new(body).object(|scanner, field| {
            let value = match field {
                "code" => &mut read.code,
                "__type" => &mut read.kind,
                "message" | "Message" | "errorMessage" => &mut read.message,
                _ => return scanner.skip(),
            };
            match scanner.string() {
                Ok(text) => {
                    *value = Some(text);
                    Ok(())
                }
                Err(_) => scanner.skip(),
            }
        });
        read
    }
}

/// Between two reloads of credentials that the service refuses.
pub(crate) const REFUSED_GAP: Duration = Duration::from_secs(1);
/// The same where they are accepted but permit too little, which other credentials seldom change.
const DENIED_GAP: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn refusal(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Refusal {
        let mut reply = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        for (name, value) in headers {
            reply.headers_mut().insert(*name, *value);
        }
        Refusal::of(&reply)
    }

    #[test]
    fn the_code_is_found_in_the_header_or_in_the_body() {
        let header = ("x-amzn-errortype", "AccessDeniedException:http://internal.amazon.com/coral/");
        let cases = [
            (&[header][..], "", "AccessDeniedException"),
            (&[header], "<html>no</html>", "AccessDeniedException"),
            (&[header], r#"{"__type":"Other"}"#, "AccessDeniedException"),
            (
                &[],
                r#"{"__type":"com.amazonaws.kinesis.v20131202#KMSDisabledException"}"#,
                "KMSDisabledException",
            ),
            (&[], r#"{"code":"ThrottlingException","__type":"InternalFailure"}"#, "ThrottlingException"),
            (&[], r#"{"message":5,"__type":"ValidationException"}"#, "ValidationException"),
            (&[], r#"{"__type":"ValidationException","message":"cut o"#, "ValidationException"),
        ];
        for (headers, body, code) in cases {
            let refusal = refusal(400, headers, body);
            assert_eq!(refusal.code.as_deref(), Some(code), "{body}");
            assert_eq!(refusal.error.error().code().as_str(), code, "{body}");
        }
    }

    #[test]
    fn a_page_without_a_code_is_known_by_its_status() {
        for body in ["", "<html><body>503 Service Unavailable</body></html>", "{", r#"{"__type":7}"#] {
            let refusal = refusal(503, &[], body);
            assert_eq!(refusal.code, None);
            assert_eq!(refusal.error.error().code().as_str(), "HttpStatus503");
            assert!(refusal.error.is_outcome_unknown(), "it says nothing about what was stored");
        }
    }

    #[test]
    fn a_redirect_names_the_other_host_and_nothing_else_of_the_location() {
        let location = ("location", "https://user:word@kinesis.eu-west-2.amazonaws.com/path?token=secret");
        let error = refusal(307, &[location], "").error.error().to_string();
        let host = "kinesis.eu-west-2.amazonaws.com";
        assert_eq!(
            error,
            format!("Redirect: status 307 redirects to {host}; set the endpoint URL to https://{host}")
        );
        let error = refusal(302, &[("location", "/login")], "").error.error().to_string();
        assert_eq!(error, "Redirect: status 302 without another host; check the endpoint URL");
    }

    #[test]
    fn each_refusal_has_its_request_id() {
        for name in ["x-amzn-RequestId", "x-amz-request-id"] {
            let refusal = refusal(400, &[(name, "4711")], r#"{"__type":"ValidationException"}"#);
            assert_eq!(refusal.error.error().request_id(), Some("4711"));
        }
        assert_eq!(refusal(400, &[], "").error.error().request_id(), None);
    }

    #[test]
    fn credentials_are_loaded_again_unless_the_clock_is_at_fault() {
        let gap = |code: &str, message: &str| {
            let body = format!(r#"{{"__type":"{code}","message":"{message}"}}"#);
            let reply = HttpResponse::new(400.try_into().unwrap(), SdkBody::from(body));
            Refusal::of(&reply).reload_gap()
        };
        for code in
            ["UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException", "ExpiredToken"]
        {
            assert_eq!(gap(code, ""), Some(REFUSED_GAP), "{code}");
        }
        assert_eq!(gap("InvalidSignatureException", "does not match"), Some(REFUSED_GAP));
        assert_eq!(gap("InvalidSignatureException", "Signature expired: a is now earlier than b"), None);
        assert_eq!(
            gap("InvalidSignatureException", "Signature not yet current: a is still later than b"),
            None
        );
        assert_eq!(gap("AccessDeniedException", ""), Some(DENIED_GAP));
        assert_eq!(gap("ResourceNotFoundException", ""), None);
        assert_eq!(gap("ProvisionedThroughputExceededException", ""), None);
    }
}
