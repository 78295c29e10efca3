//! The service's own number for a stored record.

use alloc::sync::Arc;
use core::fmt;

use crate::digits::eight_digits;

/// The sequence number the service gave a record: decimal text, 56 digits as a rule, increasing within a shard (S-20).
///
/// Held as a 192-bit number, so that the one in each receipt costs no allocation; text that is not such a number is
/// kept as it is. Numbers order by value, as the service orders them, and before any other text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(Repr);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Repr {
    /// Base 10^19 limbs, the most significant first, so that the derived order is the numeric one.
    Number([u64; LIMBS]),
    Other(Arc<str>),
}

impl SequenceNumber {
    /// The sequence number with this text. No text is refused: numbers come from the service.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(limbs_of(text.as_bytes()).map_or_else(|| Repr::Other(Arc::from(text)), Repr::Number))
    }

    /// The sequence number with these digits, which are as many as the service's have as a rule, for who reads them out of a
    /// reply: in half the time. `None` if one of them is none, or the first a zero.
    #[must_use]
    pub fn from_digits(digits: &[u8; 56]) -> Option<Self> {
        let (eights, _) = digits.as_chunks();
        let eights = eights.try_into().ok().filter(|_| digits[0] != b'0')?;
        limbs_of_eights(eights).map(|limbs| Self(Repr::Number(limbs)))
    }
}

impl From<&str> for SequenceNumber {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Number([0, 0, low]) => write!(f, "{low}"),
            Repr::Number([0, middle, low]) => write!(f, "{middle}{low:019}"),
            Repr::Number([high, middle, low]) => write!(f, "{high}{middle:019}{low:019}"),
            Repr::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The limbs of the usual 56 digits, which are given as seven times eight.
fn limbs_of_eights(eights: &[[u8; 8]; 7]) -> Option<[u64; LIMBS]> {
    let mut numbers = [0; 7];
    let mut are_digits = true;
    for (number, eight) in numbers.iter_mut().zip(eights) {
        let value = eight_digits(*eight);
        are_digits &= value.is_some();
        *number = value.unwrap_or(0);
    }
    let [a, b, c, d, e, f, g] = numbers;
    // 18, 19 and 19 digits: the third and the fifth eight lie across the limbs' borders.
    are_digits.then_some([
        (a * 100_000_000 + b) * 100 + c / 1_000_000,
        (c % 1_000_000 * 100_000_000 + d) * 100_000 + e / 1_000,
        (e % 1_000 * 100_000_000 + f) * 100_000_000 + g,
    ])
}

/// The limbs of canonical decimal text of at most 57 digits.
fn limbs_of(text: &[u8]) -> Option<[u64; LIMBS]> {
    let canonical =
        text == b"0" || (!text.is_empty() && text.len() <= LIMBS * LIMB_DIGITS && text[0] != b'0');
    if !canonical {
        return None;
    }
    let mut limbs = [0; LIMBS];
    for (limb, digits) in limbs.iter_mut().rev().zip(text.rchunks(LIMB_DIGITS)) {
        let (rest, eights) = digits.as_rchunks::<8>();
        let high = rest.iter().try_fold(0, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
        })?;
        *limb = eights
            .iter()
            .try_fold(high, |number, eight| Some(number * 100_000_000 + eight_digits(*eight)?))?;
    }
    Some(limbs)
}

const LIMBS: usize = 3;
/// Decimal digits that always fit in 64 bits.
const LIMB_DIGITS: usize = 19;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    // S-20
    #[test]
    fn numbers_order_by_value_and_not_by_text() {
        assert!(SequenceNumber::new("9") < SequenceNumber::new("10"));
        let usual = "49545115243490985018280067714973144582180062593244200961";
        assert!(SequenceNumber::new(usual) > SequenceNumber::new("49545115243490985018280067714973"));
    }

    #[test]
    fn the_usual_number_of_digits_makes_the_same_number_as_their_text() {
        let usual = *b"49545115243490985018280067714973144582180062593244200961";
        for digits in [usual, [b'9'; 56], *b"10000000000000000000000000000000000000000000000000000000"] {
            let text = str::from_utf8(&digits).expect("they are digits");
            assert_eq!(SequenceNumber::from_digits(&digits), Some(SequenceNumber::new(text)));
        }
        for (at, other) in (0..56).flat_map(|at| [(at, b'/'), (at, b':'), (at, 0xff)]).chain([(0, b'0')]) {
            let mut digits = usual;
            digits[at] = other;
            assert_eq!(SequenceNumber::from_digits(&digits), None, "{other:#x} at {at}");
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back_as_it_was(text in "[0-9]{0,60}|0[0-9]{1,56}|.{0,20}|[1-9][0-9]{55}|[1-9][0-:/]{0,56}") {
            let number = SequenceNumber::new(&text);
            prop_assert_eq!(number.to_string(), &*text);
            let is_number = text == "0"
                || (1..=57).contains(&text.len())
                    && !text.starts_with('0')
                    && text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(matches!(number.0, Repr::Number(_)), is_number, "{} takes an allocation or not", text);
        }
    }
}
