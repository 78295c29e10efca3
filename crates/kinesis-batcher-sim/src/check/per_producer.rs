//! Something kept for each producer.

/// A value for each producer, made when it is first asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct PerProducer<T>(Vec<T>);

impl<T: Default> PerProducer<T> {
    /// The one of this producer. Producers are numbered from 0, so that the number is the place.
    pub(super) fn of(&mut self, producer: u32) -> &mut T {
        let place = producer as usize;
        if self.0.len() <= place {
            self.0.resize_with(place + 1, T::default);
        }
        &mut self.0[place]
    }
}
