//! The body of a request.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use hex_simd::AsciiCase;
use http_body::{Frame, SizeHint};
use sha2::{Digest, Sha256};

/// Bytes in pieces, some of which belong to records: a large payload is sent from where it is.
#[derive(Default)]
pub(super) struct Body {
    pieces: VecDeque<Bytes>,
}

impl Body {
    /// What was `written`, with payloads put in: each stands before the byte of this number.
    pub(super) fn of_pieces(written: Vec<u8>, payloads: Vec<(usize, Bytes)>) -> Self {
        let mut written = Bytes::from(written);
        let mut pieces = VecDeque::with_capacity(2 * payloads.len() + 1);
        let mut split_at = 0;
        for (place, payload) in payloads {
            pieces.push_back(written.split_to(place - split_at));
            pieces.push_back(payload);
            split_at = place;
        }
        pieces.push_back(written);
        Self { pieces }
    }

    /// In bytes.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// SHA-256 in hexadecimal, as a signature has it.
    pub(super) fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        self.pieces.iter().for_each(|piece| hash.update(piece));
        hex_simd::encode_to_string(hash.finalize(), AsciiCase::Lower)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self { pieces: VecDeque::from([Bytes::from(bytes)]) }
    }
}

impl From<Body> for SdkBody {
    fn from(mut body: Body) -> Self {
        match body.pieces.pop_front() {
            Some(piece) if body.pieces.is_empty() => Self::from(piece),
            Some(piece) => {
                body.pieces.push_front(piece);
                Self::from_body_1_x(body)
            }
            None => Self::empty(),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len() as u64)
    }
}

/// Payloads and keys stay out of logs: only the size shows.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} B in {} pieces)", self.len(), self.pieces.len())
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::byte_stream::ByteStream;
    use futures::executor::block_on;

    use super::*;

    fn collected(body: Body) -> Vec<u8> {
        block_on(ByteStream::new(body.into()).collect()).unwrap().to_vec()
    }

    #[test]
    fn payloads_stand_where_they_were_put() {
        let payload = |text: &'static str| Bytes::from_static(text.as_bytes());
        let body = || {
            let payloads = vec![
                (0, payload("first ")),
                (3, payload(" third ")),
                (3, payload("fourth ")),
                (8, payload("!")),
            ];
            Body::of_pieces(b"twoand l".to_vec(), payloads)
        };
        let whole = b"first two third fourth and l!";
        assert_eq!(body().len(), whole.len());
        assert_eq!(body().sha256(), Body::from(whole.to_vec()).sha256());
        assert_eq!(collected(body()), whole);
    }

    #[test]
    fn a_payload_is_sent_from_where_it_is() {
        let payload = Bytes::from(vec![7; 100]);
        let body = Body::of_pieces(b"head".to_vec(), vec![(4, payload.clone())]);
        assert_eq!(body.pieces[1].as_ptr(), payload.as_ptr());
    }

    #[test]
    fn what_is_in_one_piece_stays_in_memory_for_who_looks_at_it() {
        assert_eq!(SdkBody::from(Body::from(b"body".to_vec())).bytes(), Some(&b"body"[..]));
        assert_eq!(SdkBody::from(Body::of_pieces(b"body".to_vec(), vec![])).bytes(), Some(&b"body"[..]));
        assert_eq!(SdkBody::from(Body::default()).content_length(), Some(0));
    }

    #[test]
    fn debug_shows_no_payload() {
        let body = Body::of_pieces(b"secret-key".to_vec(), vec![(0, Bytes::from_static(b"secret-data"))]);
        assert_eq!(format!("{body:?}"), "Body(21 B in 3 pieces)");
    }

    #[test]
    fn the_hash_is_that_of_the_standard() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Body::from(b"abc".to_vec()).sha256(), expected);
    }
}
