//! A call that was let into a pool, and the instance that it has on loan.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::balance::pool::{NoInstance, Pool};
use crate::balance::queue::Place;
use crate::runtime::failure::GuestFailure;
use crate::runtime::instance::Instance;

/// A call that was let in; dropping it makes room for the next.
pub struct Admitted {
    pool: Arc<Pool>,
    /// None once it has left, and for a call that was let in beside the others.
    place: Option<Place>,
}

/// A call that was let in, with all that it holds besides an instance of its own.
pub struct Entrant {
    admitted: Admitted,
    /// Its place among those that handle one request alone.
    _alone: Option<Place>,
    /// The share of instances that messages may use.
    _turn: Option<OwnedSemaphorePermit>,
}

/// An instance on loan for one call. Dropped without `give_back`, it is thrown away.
pub struct Lease {
    /// Dropped before its place is free for the next.
    instance: Box<Instance>,
    entry: Entry,
}

/// An entry among the busy instances.
struct Entry {
    entrant: Entrant,
    /// None once it was removed.
    index: Option<usize>,
}

impl Admitted {
    /// A call that holds this place.
    pub fn new(pool: Arc<Pool>, place: Option<Place>) -> Self {
        Self { pool, place }
    }

    /// The call has ended by `now`.
    fn leave(&mut self, now: Instant) {
        if let Some(place) = self.place.take() {
            self.pool.leave(place, now);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.leave(Instant::now());
        }
    }
}

impl Entrant {
    /// A call that was let in.
    pub fn new(admitted: Admitted) -> Self {
        Self { admitted, _alone: None, _turn: None }
    }

    /// One that has the instance to itself where others of the version handle several calls.
    pub fn alone(pool: Arc<Pool>, place: Place) -> Self {
        Self { admitted: Admitted::new(pool, None), _alone: Some(place), _turn: None }
    }

    /// A message that was let in.
    pub fn message(admitted: Admitted, turn: OwnedSemaphorePermit) -> Self {
        Self { admitted, _alone: None, _turn: Some(turn) }
    }

    /// Takes an idle instance, or a new one.
    ///
    /// # Errors
    ///
    /// When none can be made.
    pub async fn take(self) -> Result<Lease, NoInstance> {
        let pool = &self.admitted.pool;
        if let Some((instance, index)) = pool.take_idle() {
            return Ok(self.lend(instance, index));
        }
        let made = Box::pin(pool.blueprint().instantiate()).await;
        let instance = made.map_err(|failure| match failure {
            GuestFailure::NoRoom(_) => NoInstance::Busy,
            other => NoInstance::Failed(other),
        })?;
        let index = pool.note_busy(&instance);
        Ok(self.lend(instance, index))
    }

    /// Takes this instance, with its entry among the busy ones.
    pub fn lend(self, instance: Box<Instance>, index: usize) -> Lease {
        Lease { instance, entry: Entry { entrant: self, index: Some(index) } }
    }
}

impl Lease {
    /// The instance.
    pub fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        self.instance.name()
    }

    /// Gives the instance back after a call that ended well.
    pub fn give_back(self) {
        let Self { instance, mut entry } = self;
        let now = instance.idle_since();
        let admitted = &mut entry.entrant.admitted;
        if let Some(index) = entry.index.take() {
            admitted.pool.take_back(instance, index);
        }
        admitted.leave(now);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(index) = self.index.take() {
            self.entrant.admitted.pool.forget_busy(index);
        }
    }
}
