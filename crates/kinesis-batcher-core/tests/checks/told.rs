//! Reads choices from arbitrary bytes: a fuzzer's way of saying what to do.

/// The bytes that are left. Past their end all is zero, so that every input says something and each choice's plainest
/// case comes first.
pub struct Told<'a>(&'a [u8]);

impl<'a> Told<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at_checked(len).unwrap_or((self.0, &[]));
        self.0 = rest;
        taken
    }

    /// Of so many bytes, up to 16, the lowest first.
    pub fn number(&mut self, bytes: usize) -> u128 {
        self.take(bytes).iter().rev().fold(0, |number, &byte| number << 8 | u128::from(byte))
    }

    pub fn byte(&mut self) -> u8 {
        self.number(1) as u8
    }

    /// From 0 to below `bound`, which is from 1 to 2^16.
    pub fn below(&mut self, bound: usize) -> usize {
        let bytes = if bound <= 256 { 1 } else { 2 };
        self.number(bytes) as usize % bound
    }

    pub fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    /// `None`, or one of `choices`.
    pub fn maybe<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let choice = self.below(choices.len() + 1);
        choice.checked_sub(1).map(|index| choices[index])
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Text of up to 255 bytes before what is no UTF-8 is replaced.
    pub fn text(&mut self) -> String {
        let len = usize::from(self.byte());
        String::from_utf8_lossy(self.take(len)).into_owned()
    }

    /// A place in the key space: an end, a place near one of eight regular cuts, or any.
    pub fn hash_key(&mut self) -> u128 {
        let how = self.byte();
        let eighth = u128::from(how / 4 % 8) << 125;
        match how % 4 {
            0 => eighth,
            1 => eighth.wrapping_sub(1),
            2 => eighth.wrapping_add(self.number(1)).wrapping_sub(128),
            _ => self.number(16),
        }
    }
}
