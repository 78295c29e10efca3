//! Labels of a sample.

use std::fmt;

use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};

/// The stream, where producers are told apart, and what else the family tells apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels<'a> {
    pub(crate) stream: Option<&'a str>,
    pub(crate) own: Option<(&'static str, &'a str)>,
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(stream) = self.stream {
            ("stream", stream).encode(encoder.encode_label())?;
        }
        if let Some(own) = self.own {
            own.encode(encoder.encode_label())?;
        }
        Ok(())
    }
}
