//! Something kept for each producer.

use super::{Breach, Checker, Invariant, Observation, Scene};

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

impl<T: Checker + Default + 'static> PerProducer<T> {
    /// A checker for each producer, which is shown what concerns it.
    pub(super) fn checker() -> Box<dyn Checker> {
        Box::new(Self(Vec::new()))
    }
}

impl<T: Checker + Default> Checker for PerProducer<T> {
    fn invariant(&self) -> Invariant {
        T::default().invariant()
    }

    #[inline]
    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        observation.producer().map_or(Ok(()), |producer| self.of(producer).observe(scene, observation))
    }
}
