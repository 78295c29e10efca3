//! MD5 of several messages at once.
//!
//! MD5 is one long chain: every step waits for the one before, and a processor that could do many things at
//! a time does one. Steps of different messages wait for nothing of each other, so they share vector
//! instructions: the loops over lanes below are written for the compiler to turn into these. They are compiled
//! for what every processor of the target has, and once more for each kind of [`Wide`] vectors.

use core::array::from_fn;

use alloc::vec;
use alloc::vec::Vec;

use crate::format::checksum;
use crate::wide::Wide;

/// The MD5 of each message, in their order.
pub(crate) fn md5s(messages: &[&[u8]]) -> Vec<[u8; 16]> {
    md5s_with(Wide::detect(), messages)
}

/// The MD5 of each of a few short messages, in their order: of one block with its padding, as partition keys mostly are.
/// Where one is longer, they go one after the other.
pub(crate) fn short_md5s<const N: usize>(messages: [&[u8]; N]) -> [[u8; 16]; N] {
    short_md5s_with(Wide::detect(), messages)
}

fn md5s_with(wide: Option<Wide>, messages: &[&[u8]]) -> Vec<[u8; 16]> {
    if messages.len() < 2 || !HAS_VECTORS {
        return messages.iter().map(|message| checksum(message)).collect();
    }
    let mut digests = vec![[0; 16]; messages.len()];
    let ends: Vec<End> = messages.iter().map(|message| End::of(message)).collect();
    // The longest are started first, so that the last to end end at about the same time.
    let mut waiting: Vec<usize> = (0..messages.len()).collect();
    waiting.sort_unstable_by_key(|&index| messages[index].len());
    let lanes_max = lanes_max(wide);
    let mut lanes: Vec<Lane<'_>> = Vec::with_capacity(lanes_max);
    loop {
        while lanes.len() < lanes_max
            && let Some(index) = waiting.pop()
        {
            lanes.push(Lane::new(index, messages[index], &ends[index]));
        }
        if lanes.is_empty() {
            return digests;
        }
        advance(wide, &mut lanes);
        lanes.retain_mut(|lane| {
            let goes_on = lane.has_blocks();
            if !goes_on {
                digests[lane.index] = digest(lane.state);
            }
            goes_on
        });
    }
}

fn short_md5s_with<const N: usize>(wide: Option<Wide>, messages: [&[u8]; N]) -> [[u8; 16]; N] {
    let mut digests = [[0; 16]; N];
    let lanes_max = lanes_max(wide);
    for (messages, digests) in messages.chunks(lanes_max).zip(digests.chunks_mut(lanes_max)) {
        let is_short = messages.iter().all(|message| message.len() <= SHORT_LEN_MAX);
        if is_short && HAS_VECTORS && messages.len() > 1 {
            one_block_each(wide, messages, digests);
        } else {
            digests.iter_mut().zip(messages).for_each(|(digest, message)| *digest = checksum(message));
        }
    }
    digests
}

/// Lanes that are worked on together: two vectors, so that one can be worked on while the other waits. Three or four of
/// 128 bits are no faster, because 16 registers are full; three of 256 take a tenth less time, if ever that many are filled.
fn lanes_max(wide: Option<Wide>) -> usize {
    2 * if wide.is_some() { WIDE_VECTOR } else { VECTOR }
}

/// A message on its way through.
struct Lane<'a> {
    index: usize,
    /// What is next: all whole blocks, and then the end.
    blocks: &'a [Block],
    end: &'a [Block],
    state: [u32; 4],
}

impl<'a> Lane<'a> {
    fn new(index: usize, message: &'a [u8], end: &'a End) -> Self {
        let mut lane = Self { index, blocks: message.as_chunks().0, end: end.blocks(), state: START };
        lane.has_blocks();
        lane
    }

    /// Whether there is any more; goes over to the end where it must.
    fn has_blocks(&mut self) -> bool {
        if self.blocks.is_empty() {
            self.blocks = core::mem::take(&mut self.end);
        }
        !self.blocks.is_empty()
    }
}

/// What is left of a message behind its last whole block, padded.
struct End {
    blocks: [Block; 2],
    is_long: bool,
}

impl End {
    fn of(message: &[u8]) -> Self {
        let (_, rest) = message.as_chunks::<BLOCK_LEN>();
        let mut end = Self { blocks: [[0; BLOCK_LEN]; 2], is_long: rest.len() > SHORT_LEN_MAX };
        let (first, second) = end.blocks.split_at_mut(1);
        first[0][..rest.len()].copy_from_slice(rest);
        first[0][rest.len()] = 0x80;
        let last = if end.is_long { &mut second[0] } else { &mut first[0] };
        *last.last_chunk_mut().expect("a block is longer than that") = bits(message).to_le_bytes();
        end
    }

    fn blocks(&self) -> &[Block] {
        &self.blocks[..if self.is_long { 2 } else { 1 }]
    }
}

/// The length of a message as MD5 wants it: modulo 2⁶⁴.
fn bits(message: &[u8]) -> u64 {
    (message.len() as u64).wrapping_mul(8)
}

fn digest(state: [u32; 4]) -> [u8; 16] {
    let mut digest = [0; 16];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_le_bytes();
    }
    digest
}

/// Takes all lanes to where the first of them ends. There may be fewer than `lanes_max`, but not none.
fn advance(wide: Option<Wide>, lanes: &mut [Lane<'_>]) {
    match (wide, lanes.len()) {
        (Some(wide), count) => wide.vectorize(
            #[inline(always)]
            || {
                if count <= VECTOR {
                    advance_by::<VECTOR, 1>(lanes);
                } else if count <= WIDE_VECTOR {
                    advance_by::<WIDE_VECTOR, 1>(lanes);
                } else {
                    advance_by::<WIDE_VECTOR, 2>(lanes);
                }
            },
        ),
        (None, 1) => advance_by::<1, 1>(lanes),
        (None, 2..=VECTOR) => advance_by::<VECTOR, 1>(lanes),
        (None, _) => advance_by::<VECTOR, 2>(lanes),
    }
}

#[inline(always)]
fn advance_by<const L: usize, const G: usize>(lanes: &mut [Lane<'_>]) {
    let count = lanes.iter().map(|lane| lane.blocks.len()).min().unwrap_or(0);
    // Where there is no message, the first is computed once more, to no effect.
    let at = |g: usize, l: usize| lanes.get(g * L + l).unwrap_or(&lanes[0]);
    let mut state: Words<L, G, 4> = from_fn(|word| from_fn(|g| from_fn(|l| at(g, l).state[word])));
    compress_all(&mut state, from_fn(|g| from_fn(|l| &at(g, l).blocks[..count])));
    for lane in &mut *lanes {
        lane.blocks = &lane.blocks[count..];
    }
    // Word by word, so that the state goes through memory once and not for each lane.
    for (word, values) in state.iter().enumerate() {
        for (lane, value) in lanes.iter_mut().zip(values.as_flattened()) {
            lane.state[word] = *value;
        }
    }
}

/// Messages of at most `SHORT_LEN_MAX` bytes, at most `lanes_max` of them.
fn one_block_each(wide: Option<Wide>, messages: &[&[u8]], digests: &mut [[u8; 16]]) {
    match wide {
        Some(wide) => wide.vectorize(
            #[inline(always)]
            || {
                if messages.len() <= WIDE_VECTOR {
                    one_block_each_by::<WIDE_VECTOR, 1>(messages, digests);
                } else {
                    one_block_each_by::<WIDE_VECTOR, 2>(messages, digests);
                }
            },
        ),
        None => one_block_each_by::<VECTOR, 2>(messages, digests),
    }
}

/// Where there is no message, a block of zeros is computed, to no effect.
#[inline(always)]
fn one_block_each_by<const L: usize, const G: usize>(messages: &[&[u8]], digests: &mut [[u8; 16]]) {
    let mut blocks: [[Block; L]; G] = [[[0; BLOCK_LEN]; L]; G];
    for (block, message) in blocks.as_flattened_mut().iter_mut().zip(messages) {
        block[..message.len()].copy_from_slice(message);
        block[message.len()] = 0x80;
        *block.last_chunk_mut().expect("a block is longer than that") = bits(message).to_le_bytes();
    }
    let mut state: Words<L, G, 4> = START.map(|word| [[word; L]; G]);
    compress_all(&mut state, from_fn(|g| from_fn(|l| core::slice::from_ref(&blocks[g][l]))));
    for (word, values) in state.iter().enumerate() {
        for (digest, value) in digests.iter_mut().zip(values.as_flattened()) {
            digest.as_chunks_mut().0[word] = value.to_le_bytes();
        }
    }
}

/// All of `blocks`, which are equally many in each lane.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "one index goes through the blocks of all lanes")]
fn compress_all<const L: usize, const G: usize>(state: &mut Words<L, G, 4>, blocks: [[&[Block]; L]; G]) {
    let count = blocks[0][0].len();
    // A copy of the references, of which the compiler knows that they are `count` long.
    let blocks: [[&[Block]; L]; G] = blocks.map(|lanes| lanes.map(|blocks| &blocks[..count]));
    let mut input: Words<L, G, 16> = [[[0; L]; G]; 16];
    for n in 0..count {
        for g in 0..G {
            for l in 0..L {
                for (word, bytes) in blocks[g][l][n].as_chunks().0.iter().enumerate() {
                    input[word][g][l] = u32::from_le_bytes(*bytes);
                }
            }
        }
        compress(state, &input);
    }
}

/// One block of each lane: RFC 1321, 3.4. All steps stand in the one loop over the lanes of a vector, which is
/// the form that becomes vector instructions; the loops over vectors vanish.
#[inline(always)]
fn compress<const L: usize, const G: usize>(state: &mut Words<L, G, 4>, input: &Words<L, G, 16>) {
    for l in 0..L {
        let [mut a, mut b, mut c, mut d]: [[u32; G]; 4] = from_fn(|word| from_fn(|g| state[word][g][l]));
        macro_rules! step {
            ($f:ident, $a:ident $b:ident $c:ident $d:ident, $rotation:literal, $word:literal, $sine:literal) => {
                for g in 0..G {
                    $a[g] = $a[g]
                        .wrapping_add(input[$word][g][l])
                        .wrapping_add($sine)
                        .wrapping_add($f($b[g], $c[g], $d[g]))
                        .rotate_left($rotation)
                        .wrapping_add($b[g]);
                }
            };
        }
        macro_rules! round {
            ($f:ident, [$r0:literal $r1:literal $r2:literal $r3:literal],
            $(($w0:literal $s0:literal) ($w1:literal $s1:literal) ($w2:literal $s2:literal) ($w3:literal $s3:literal))*) => {$(
                step!($f, a b c d, $r0, $w0, $s0);
                step!($f, d a b c, $r1, $w1, $s1);
                step!($f, c d a b, $r2, $w2, $s2);
                step!($f, b c d a, $r3, $w3, $s3);
            )*};
        }
        // The word of the block and the sine, for each step.
        round!(choose_by_b, [7 12 17 22],
            (0 0xd76a_a478) (1 0xe8c7_b756) (2 0x2420_70db) (3 0xc1bd_ceee)
            (4 0xf57c_0faf) (5 0x4787_c62a) (6 0xa830_4613) (7 0xfd46_9501)
            (8 0x6980_98d8) (9 0x8b44_f7af) (10 0xffff_5bb1) (11 0x895c_d7be)
            (12 0x6b90_1122) (13 0xfd98_7193) (14 0xa679_438e) (15 0x49b4_0821)
        );
        round!(choose_by_d, [5 9 14 20],
            (1 0xf61e_2562) (6 0xc040_b340) (11 0x265e_5a51) (0 0xe9b6_c7aa)
            (5 0xd62f_105d) (10 0x0244_1453) (15 0xd8a1_e681) (4 0xe7d3_fbc8)
            (9 0x21e1_cde6) (14 0xc337_07d6) (3 0xf4d5_0d87) (8 0x455a_14ed)
            (13 0xa9e3_e905) (2 0xfcef_a3f8) (7 0x676f_02d9) (12 0x8d2a_4c8a)
        );
        round!(parity, [4 11 16 23],
            (5 0xfffa_3942) (8 0x8771_f681) (11 0x6d9d_6122) (14 0xfde5_380c)
            (1 0xa4be_ea44) (4 0x4bde_cfa9) (7 0xf6bb_4b60) (10 0xbebf_bc70)
            (13 0x289b_7ec6) (0 0xeaa1_27fa) (3 0xd4ef_3085) (6 0x0488_1d05)
            (9 0xd9d4_d039) (12 0xe6db_99e5) (15 0x1fa2_7cf8) (2 0xc4ac_5665)
        );
        round!(odd, [6 10 15 21],
            (0 0xf429_2244) (7 0x432a_ff97) (14 0xab94_23a7) (5 0xfc93_a039)
            (12 0x655b_59c3) (3 0x8f0c_cc92) (10 0xffef_f47d) (1 0x8584_5dd1)
            (8 0x6fa8_7e4f) (15 0xfe2c_e6e0) (6 0xa301_4314) (13 0x4e08_11a1)
            (4 0xf753_7e82) (11 0xbd3a_f235) (2 0x2ad7_d2bb) (9 0xeb86_d391)
        );
        for (word, add) in [a, b, c, d].into_iter().enumerate() {
            for g in 0..G {
                state[word][g][l] = state[word][g][l].wrapping_add(add[g]);
            }
        }
    }
}

#[inline(always)]
fn choose_by_b(b: u32, c: u32, d: u32) -> u32 {
    ((c ^ d) & b) ^ d
}

#[inline(always)]
fn choose_by_d(b: u32, c: u32, d: u32) -> u32 {
    ((b ^ c) & d) ^ c
}

#[inline(always)]
fn parity(b: u32, c: u32, d: u32) -> u32 {
    b ^ c ^ d
}

#[inline(always)]
fn odd(b: u32, c: u32, d: u32) -> u32 {
    c ^ (b | !d)
}

type Block = [u8; BLOCK_LEN];

/// `N` words of each lane, beside those of the other lanes: `L` lanes are a vector, `G` vectors go in turn.
type Words<const L: usize, const G: usize, const N: usize> = [[[u32; L]; G]; N];

const BLOCK_LEN: usize = 64;

/// What a block holds besides a byte that ends the message and eight that tell its length.
const SHORT_LEN_MAX: usize = BLOCK_LEN - 9;

/// What every message starts from: RFC 1321, 3.3.
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The lanes of one vector: 128 bits are what every x86-64 and AArch64 processor has.
const VECTOR: usize = 4;

/// The lanes of one vector of [`Wide`].
const WIDE_VECTOR: usize = 8;

/// Elsewhere the lanes would go one after the other, and more slowly than one message at a time.
const HAS_VECTORS: bool = cfg!(any(target_feature = "sse2", target_feature = "neon"));

#[cfg(test)]
mod tests {
    use core::iter::once;

    use proptest::collection::vec as vec_of;
    use proptest::prelude::*;

    use super::*;

    /// Whatever this processor can do, and what all can.
    fn each_kind_of_vectors() -> impl Iterator<Item = Option<Wide>> {
        once(None).chain(Wide::each().map(Some))
    }

    fn message(len: usize, seed: usize) -> Vec<u8> {
        (0..len).map(|n| (((n + 1) * (seed * 2 + 1) * 0x9e37) >> 7) as u8).collect()
    }

    fn check(messages: &[Vec<u8>]) {
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let expected: Vec<_> = messages.iter().map(|message| checksum(message)).collect();
        for wide in each_kind_of_vectors() {
            let digests = md5s_with(wide, &messages);
            assert_eq!(digests.len(), messages.len(), "there is a digest for each message");
            for (n, (digest, expected)) in digests.iter().zip(&expected).enumerate() {
                let len = messages[n].len();
                assert_eq!(digest, expected, "message {n}, of {len} bytes, has another MD5 with {wide:?}");
            }
        }
        assert_eq!(md5s(&messages), expected, "with what was chosen for this processor");
    }

    #[test]
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    fn the_widest_vectors_of_the_processor_are_used() {
        let has_avx2 =
            std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("bmi2");
        assert_eq!(Wide::each().count() > 0, has_avx2, "whoever has AVX2 has a kind of wide vectors");
        let (best, detected) = (Wide::each().last(), Wide::detect());
        assert_eq!(alloc::format!("{detected:?}"), alloc::format!("{best:?}"), "the best one is chosen");
    }

    #[test]
    fn every_length_is_padded_as_md5_wants_it() {
        for lanes in 1..=40 {
            for len in 0..=300 {
                check(&(0..lanes).map(|lane| message(len, lane)).collect::<Vec<_>>());
            }
        }
        check(&(0..=300).map(|len| message(len, len)).collect::<Vec<_>>());
    }

    #[test]
    fn a_message_much_longer_than_the_others_ends_alone() {
        for lanes in 2..=2 * WIDE_VECTOR + 1 {
            check(&(0..lanes).map(|lane| message([100_003, 70, 700][lane.min(2)], lane)).collect::<Vec<_>>());
        }
    }

    fn check_short<const N: usize>(lens: impl Fn(usize) -> usize) {
        let messages: [Vec<u8>; N] = from_fn(|n| message(lens(n), n));
        let messages = messages.each_ref().map(Vec::as_slice);
        for wide in each_kind_of_vectors() {
            for (n, (message, digest)) in messages.iter().zip(short_md5s_with(wide, messages)).enumerate() {
                let len = message.len();
                assert_eq!(digest, checksum(message), "message {n} of {N}, of {len} bytes, with {wide:?}");
            }
        }
        assert_eq!(short_md5s(messages), messages.map(checksum), "with what was chosen for this processor");
    }

    #[test]
    fn a_few_messages_have_the_md5_they_have_alone_whatever_their_length() {
        for len in 0..=300 {
            check_short::<1>(|_| len);
            check_short::<2>(|n| len + n);
            check_short::<7>(|n| (len + 11 * n) % 56);
            check_short::<8>(|n| len.saturating_sub(n));
            check_short::<9>(|n| (len + 5 * n) % 56);
            check_short::<16>(|n| (len + 13 * n) % 56);
            check_short::<19>(|n| (len + 7 * n) % 60);
            check_short::<40>(|n| (len + 3 * n) % 56);
        }
        check_short::<0>(|_| 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_messages_have_the_md5_they_have_alone(
            messages in vec_of(prop_oneof![vec_of(any::<u8>(), 0..70), vec_of(any::<u8>(), 0..3_000)], 0..40),
        ) {
            check(&messages);
        }
    }
}
