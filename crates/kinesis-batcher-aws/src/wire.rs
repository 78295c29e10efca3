//! How requests become bytes, and replies outcomes.

/// How a request is written and its reply is read.
///
/// Credentials, signature, endpoint, time-outs, TLS and the meaning of errors are the SDK's with either, and both give
/// the same outcomes for the same replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wire {
    /// Records are written straight into the request's body, and outcomes are read off the reply in one pass.
    ///
    /// It takes less than half as long as the SDK's way for small records. `FailedRecordCount` and `EncryptionType` of
    /// a reply are not looked at, so a reply that has nonsense there can be read, which the SDK refuses to.
    #[default]
    Lean,
    /// Each record goes through the SDK's own types, and each outcome comes out of them.
    Sdk,
}
