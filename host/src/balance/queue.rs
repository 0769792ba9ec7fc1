//! A bounded number of places, and a bounded queue before them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// A place; dropping it gives it back.
pub type Place = OwnedSemaphorePermit;

/// Places, and who waits for one.
pub struct Queue {
    places: Arc<Semaphore>,
    places_max: usize,
    line: Mutex<Line>,
    waiting_max: usize,
}

/// Those that wait, by the order in which they came.
#[derive(Default)]
struct Line {
    waiting: BTreeMap<u64, Waiter>,
    next_number: u64,
}

struct Waiter {
    deadline: Instant,
    /// Dropped to have it wait no longer.
    _stays: oneshot::Sender<()>,
}

/// A call's own stand in the line, while it lives.
struct Stand<'a> {
    queue: &'a Queue,
    number: u64,
    dismissed: oneshot::Receiver<()>,
}

impl Queue {
    /// So many places, and so many that may wait for one.
    pub fn new(places_max: usize, waiting_max: usize) -> Self {
        let places = Arc::new(Semaphore::new(places_max.min(Semaphore::MAX_PERMITS)));
        Self { places, places_max, line: Mutex::default(), waiting_max }
    }

    /// Takes a place if one is free.
    pub fn try_enter(&self) -> Option<Place> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// Takes a place, waiting at most until `deadline`; none when the queue is full, or its time is over, or it was
    /// dismissed.
    pub async fn enter(&self, deadline: Instant) -> Option<Place> {
        if let Some(place) = self.try_enter() {
            return Some(place);
        }
        let mut stand = self.line_up(deadline)?;
        tokio::select! {
            biased;
            place = timeout_at(deadline, self.places.clone().acquire_owned()) => place.ok()?.ok(),
            _ = &mut stand.dismissed => None,
        }
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
        self.line().waiting.len()
    }

    /// Dismisses from the end of the line whoever cannot be reached in time, when so many of it are served a second.
    pub fn dismiss_unreachable(&self, per_second: f64, now: Instant) {
        let mut line = self.line();
        while let Some((_, last)) = line.waiting.last_key_value() {
            let time_left = last.deadline.saturating_duration_since(now).as_secs_f64();
            if line.waiting.len() as f64 <= (per_second * time_left).ceil() {
                return;
            }
            line.waiting.pop_last();
        }
    }

    /// A stand at the end of the line, unless that is full.
    fn line_up(&self, deadline: Instant) -> Option<Stand<'_>> {
        let mut line = self.line();
        if line.waiting.len() >= self.waiting_max {
            return None;
        }
        let (stays, dismissed) = oneshot::channel();
        let number = line.next_number;
        line.next_number += 1;
        line.waiting.insert(number, Waiter { deadline, _stays: stays });
        Some(Stand { queue: self, number, dismissed })
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stand<'_> {
    fn drop(&mut self) {
        self.queue.line().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn who_cannot_be_reached_in_time_is_dismissed_from_the_end_of_the_line() {
        let queue = Arc::new(Queue::new(1, 100));
        let place = queue.try_enter().unwrap();
        let start = Instant::now();
        let mut waiting = Vec::new();
        for index in 0..10 {
            let (waits, deadline) = (queue.clone(), start + Duration::from_secs(60));
            waiting.push(tokio::spawn(async move { waits.enter(deadline).await }));
            while queue.waiting() == index {
                tokio::task::yield_now().await;
            }
        }
        queue.dismiss_unreachable(1.0, start + Duration::from_secs(50));
        assert_eq!(queue.waiting(), 10, "ten are served in the ten seconds left");
        queue.dismiss_unreachable(0.1, start + Duration::from_secs(20));
        assert_eq!(queue.waiting(), 4);
        for last in waiting.drain(4..) {
            assert!(last.await.unwrap().is_none());
        }
        queue.dismiss_unreachable(0.001, start + Duration::from_secs(20));
        assert_eq!(queue.waiting(), 1, "whoever runs may end sooner than others did");
        drop(place);
        assert!(waiting.swap_remove(0).await.unwrap().is_some());
    }

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
