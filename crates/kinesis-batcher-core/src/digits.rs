//! Decimal digits, eight at once: each record's receipt has some sixty of them.

/// The value of eight ASCII digits; `None` if one of them is none.
pub(crate) fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let values = u64::from_le_bytes(digits) ^ (ONES * 0x30);
    // A byte above nine gets its highest bit set by the sum, or has it set already.
    if (values.wrapping_add(ONES * 0x76) | values) & (ONES * 0x80) != 0 {
        return None;
    }
    // Neighbours are added up in pairs, the pairs in fours, and the fours.
    let pairs = (values * 10 + (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_have_the_value_that_the_standard_library_gives_them() {
        for text in ["00000000", "99999999", "12345678", "10000000", "00000001", "90909090"] {
            let digits = text.as_bytes().try_into().unwrap();
            assert_eq!(eight_digits(digits), text.parse().ok(), "{text}");
        }
    }

    #[test]
    fn any_byte_that_is_no_digit_is_refused_wherever_it_stands() {
        for at in 0..8 {
            for byte in 0..=u8::MAX {
                let mut digits = *b"99999999";
                digits[at] = byte;
                assert_eq!(eight_digits(digits).is_some(), byte.is_ascii_digit(), "{byte:#x} at {at}");
            }
        }
    }
}
