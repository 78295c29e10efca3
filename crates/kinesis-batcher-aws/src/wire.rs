//! How requests become bytes, and replies outcomes.

/// How a request is written and its reply is read.
///
/// Credentials, signature, endpoint, time-outs, TLS and the meaning of errors are the SDK's with each, and all give the
/// same outcomes for the same replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wire {
    /// Records are written straight into the request's body, and outcomes are read off the reply in one pass.
    ///
    /// For small records it takes about half of the SDK's CPU time. `FailedRecordCount` and `EncryptionType` of
    /// a reply are not looked at, so a reply that has nonsense there can be read, which the SDK refuses to.
    #[default]
    Lean,
    /// As [`Lean`](Self::Lean), and past the SDK's orchestrator as long as all goes well: a request is addressed, signed
    /// and sent as the last one was that the orchestrator sent.
    ///
    /// Credentials come out of the SDK's cache, and connections are those of its HTTP client. After any error, the next
    /// request goes through the orchestrator again, and so does each one if the config has time-outs for operations or
    /// attempts. Requests have no `amz-sdk-invocation-id`, and the SDK's own spans and metrics do not see them.
    Direct,
    /// As [`Direct`](Self::Direct), and in CBOR (`application/x-amz-cbor-1.1`) instead of JSON, as AWS's SDKs for Java do it.
    ///
    /// Data goes as it is instead of in base64, so there is a quarter less to hash and to send. The first request, and the
    /// first after each error, is in JSON. Those in CBOR are on trial until one has succeeded, and one at a time once one
    /// has failed. A request that may have been refused for its encoding is sent again in JSON within the same call, and
    /// if that succeeds, all that follow are in JSON. The same goes when three trials, each after a success in JSON, came
    /// to nothing.
    ///
    /// It was tested against emulators, and not against AWS. Beware of kinesalite: it takes CBOR and gives back something
    /// else than it was given.
    Cbor,
    /// [`Cbor`](Self::Cbor) to hosts of AWS, [`Direct`](Self::Direct) to all others: an emulator may take CBOR and store
    /// nonsense, and its replies do not tell.
    CborToAws,
    /// Each record goes through the SDK's own types, and each outcome comes out of them.
    Sdk,
}
