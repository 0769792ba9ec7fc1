//! A bounded number of places, and a bounded queue before them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// A place; dropping it gives it back.
pub type Place = OwnedSemaphorePermit;

/// Places, and who waits for one.
pub struct Queue {
    places: Arc<Semaphore>,
    places_max: usize,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Queue {
    /// So many places, and so many that may wait for one.
    pub fn new(places_max: usize, waiting_max: usize) -> Self {
        let places = Arc::new(Semaphore::new(places_max.min(Semaphore::MAX_PERMITS)));
        Self { places, places_max, waiting: AtomicUsize::new(0), waiting_max }
    }

    /// Takes a place if one is free.
    pub fn try_enter(&self) -> Option<Place> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// Takes a place, waiting at most until `deadline`; none when the queue is full or its time is over.
    pub async fn enter(&self, deadline: Instant) -> Option<Place> {
        if let Some(place) = self.try_enter() {
            return Some(place);
        }
        let waiting = Waiting::new(&self.waiting);
        if waiting.position >= self.waiting_max {
            return None;
        }
        tokio::time::timeout_at(deadline, self.places.clone().acquire_owned()).await.ok()?.ok()
    }

    /// Takes a place however long it takes, without counting as one who waits.
    pub async fn enter_patiently(&self) -> Option<Place> {
        self.places.clone().acquire_owned().await.ok()
    }

    /// Takes a place out for good, until as many are restored.
    pub fn withhold(place: Place) {
        place.forget();
    }

    /// Puts places back.
    pub fn restore(&self, places: usize) {
        self.places.add_permits(places);
    }

    /// How many places there are, free or not.
    pub fn places_max(&self) -> usize {
        self.places_max
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Counts one waiting call while it lives.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    position: usize,
}

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        Self { count, position: count.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn who_finds_no_place_waits_and_who_finds_the_queue_full_does_not() {
        let queue = Queue::new(1, 1);
        let deadline = Instant::now() + Duration::from_secs(60);
        let place = queue.enter(deadline).await.unwrap();
        let next = queue.enter(deadline);
        let one_too_many = async {
            while queue.waiting() == 0 {
                tokio::task::yield_now().await;
            }
            assert!(queue.enter(deadline).await.is_none());
            drop(place);
        };
        let (next, ()) = tokio::join!(next, one_too_many);
        let soon = Instant::now() + Duration::from_millis(5);
        assert!(queue.enter(soon).await.is_none(), "the only place is taken");
        drop(next);
        assert!(queue.enter(deadline).await.is_some());
    }
}
