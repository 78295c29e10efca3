//! Facts by number, for numbers that are given out in order and end in about that order.

use std::collections::VecDeque;

/// A map from numbers to values that costs an index, not a hash: a queue of slots from the oldest number that is
/// still there to the newest.
///
/// Its memory is bounded by the distance between those two, which a batcher's bounded buffer bounds in turn.
#[derive(Clone, Debug)]
pub(crate) struct Window<T> {
    slots: VecDeque<Option<T>>,
    /// The number of the first slot.
    base: u64,
    len: usize,
}

impl<T> Window<T> {
    /// A window without numbers.
    pub(crate) fn new() -> Self {
        Self { slots: VecDeque::new(), base: 0, len: 0 }
    }

    /// Puts a value under its number; gives back what was there. A number below one that was inserted and removed
    /// before makes the window as long as the distance.
    pub(crate) fn insert(&mut self, number: u64, value: T) -> Option<T> {
        if self.slots.is_empty() {
            self.base = number;
        }
        while number < self.base {
            self.slots.push_front(None);
            self.base -= 1;
        }
        let index = (number - self.base) as usize;
        while self.slots.len() <= index {
            self.slots.push_back(None);
        }
        let before = self.slots[index].replace(value);
        self.len += usize::from(before.is_none());
        before
    }

    /// The value under a number.
    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        self.slots.get(self.index_of(number)?)?.as_ref()
    }

    /// The value under a number, to change.
    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let index = self.index_of(number)?;
        self.slots.get_mut(index)?.as_mut()
    }

    /// Takes the value out.
    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let index = self.index_of(number)?;
        let value = self.slots.get_mut(index)?.take()?;
        self.len -= 1;
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.base += 1;
        }
        Some(value)
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Numbers and values, the lowest number first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        (self.base..).zip(&self.slots).filter_map(|(number, slot)| Some((number, slot.as_ref()?)))
    }

    fn index_of(&self, number: u64) -> Option<usize> {
        number.checked_sub(self.base).map(|index| index as usize)
    }
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_model::Rng;
    use std::collections::BTreeMap;

    #[test]
    fn a_window_holds_what_an_ordered_map_holds() {
        let mut rng = Rng::new(11);
        let (mut window, mut map) = (Window::new(), BTreeMap::new());
        for step in 0..5_000u64 {
            let number = (step / 3).saturating_sub(rng.below(40));
            if rng.happens(550_000) {
                assert_eq!(window.insert(number, step), map.insert(number, step));
            } else {
                assert_eq!(window.remove(number), map.remove(&number));
            }
            assert_eq!(window.get(number), map.get(&number));
            assert_eq!(window.len(), map.len());
        }
        let held: Vec<(u64, u64)> = window.iter().map(|(number, &value)| (number, value)).collect();
        assert_eq!(held, map.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn memory_follows_what_is_held_and_not_what_was() {
        let mut window = Window::new();
        for number in 0..100_000u64 {
            window.insert(number, ());
            if number >= 10 {
                window.remove(number - 10);
            }
        }
        assert!(window.slots.len() <= 11, "ended numbers leave the window");
    }
}
