//! How many calls a service runs at once, and how long others wait: less of both while the processors are overloaded.
//!
//! A call that computes for long takes its turns among the others (see `interfaces::turns`). When calls take several
//! times as long as they compute, more of them at once only make all later: then fewer are let in (additive increase,
//! multiplicative decrease), down to one for each processor. Calls that wait for others are never held back so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::balance::queue::{Place, Queue};
use crate::interfaces::turns::Share;

/// How often the number of places is thought over.
const WINDOW: Duration = Duration::from_millis(50);

/// How many times as long as it computes a call may take before fewer are let in: latency stays near its best, and
/// the processors still have something to do when a call pauses.
const STRETCH_MAX: f64 = 3.0;

/// After so long without an empty queue the service is overloaded: shorter is a burst, which is served.
const BURST: Duration = Duration::from_millis(100);

/// How long one waits while the service is overloaded, in times of a call: whoever is served then is served late, but
/// in the order of what a call takes anyway.
const PATIENCE_CALLS: u32 = 8;

/// The least that one waits.
const PATIENCE_MIN: Duration = Duration::from_millis(50);

/// How much one call changes the time that calls are said to take.
const WEIGHT: f64 = 1.0 / 16.0;

/// Lets calls in.
pub struct Admission {
    queue: Queue,
    places_max: usize,
    places_min: usize,
    wait_max: Duration,
    share: Arc<Share>,
    pace: Mutex<Pace>,
    /// Whether somebody has waited since the queue was last seen empty.
    has_queued: AtomicBool,
}

/// A call that was let in; dropping it makes room for the next.
pub struct Admitted {
    admission: Arc<Admission>,
    place: Option<Place>,
    since: Instant,
}

struct Pace {
    /// Places that are taken out now.
    withheld: usize,
    /// Places that are to be taken out as they fall free.
    owed: usize,
    thought_over: Instant,
    /// Since when the queue was never seen empty.
    queued_since: Option<Instant>,
    call_s: f64,
}

impl Admission {
    /// Lets so many in at once, while so many may wait, each for `wait_max` at most.
    pub fn new(places: usize, waiting_max: usize, wait_max: Duration, share: Arc<Share>) -> Arc<Self> {
        let processors = std::thread::available_parallelism().map_or(1, |processors| processors.get());
        let pace =
            Pace { withheld: 0, owed: 0, thought_over: Instant::now(), queued_since: None, call_s: 0.0 };
        Arc::new(Self {
            queue: Queue::new(places, waiting_max),
            places_max: places,
            places_min: processors.min(places),
            wait_max,
            share,
            pace: Mutex::new(pace),
            has_queued: AtomicBool::new(false),
        })
    }

    /// Lets a call in, or has it wait at most until `deadline`; none when too many wait, or its time is over.
    pub async fn enter(self: &Arc<Self>, deadline: Instant) -> Option<Admitted> {
        if let Some(place) = self.queue.try_enter() {
            if self.has_queued.swap(false, Ordering::Relaxed) {
                self.pace().queued_since = None;
            }
            return Some(self.admitted(place));
        }
        let now = Instant::now();
        let patience = self.patience(now);
        let place = self.queue.enter(deadline.min(now + patience)).await?;
        Some(self.admitted(place))
    }

    /// Lets a call in, however long it takes, without counting as one who waits.
    pub async fn enter_patiently(self: &Arc<Self>) -> Option<Admitted> {
        let place = self.queue.enter_patiently().await?;
        Some(self.admitted(place))
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// How many may run at once now.
    pub fn places(&self) -> usize {
        let pace = self.pace();
        self.places_max - pace.withheld - pace.owed
    }

    fn admitted(self: &Arc<Self>, place: Place) -> Admitted {
        Admitted { admission: self.clone(), place: Some(place), since: Instant::now() }
    }

    /// How long a call that has to wait now may do so.
    fn patience(&self, now: Instant) -> Duration {
        self.has_queued.store(true, Ordering::Relaxed);
        let mut pace = self.pace();
        let since = *pace.queued_since.get_or_insert(now);
        if now - since < BURST {
            return self.wait_max;
        }
        let calls = Duration::from_secs_f64(pace.call_s) * PATIENCE_CALLS;
        calls.max(PATIENCE_MIN).min(self.wait_max)
    }

    /// A call has ended.
    fn leave(&self, place: Place, took: Duration, now: Instant) {
        let mut pace = self.pace();
        pace.call_s += (took.as_secs_f64() - pace.call_s) * WEIGHT;
        if now - pace.thought_over >= WINDOW {
            pace.thought_over = now;
            let restored = pace.think_over(self, self.share.take_stretch());
            self.queue.restore(restored);
        }
        if pace.owed > 0 {
            pace.owed -= 1;
            pace.withheld += 1;
            Queue::withhold(place);
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace {
    /// Changes the number of places; answers how many are to be put back.
    fn think_over(&mut self, admission: &Admission, stretch: Option<f64>) -> usize {
        let places = admission.places_max - self.withheld - self.owed;
        if stretch.is_some_and(|stretch| stretch > STRETCH_MAX) {
            let fewer = (places / 5).max(1).min(places.saturating_sub(admission.places_min));
            self.owed += fewer;
            return 0;
        }
        if admission.queue.waiting() == 0 {
            return 0;
        }
        let more = 1 + places / 8;
        let forgiven = more.min(self.owed);
        self.owed -= forgiven;
        let restored = (more - forgiven).min(self.withheld);
        self.withheld -= restored;
        restored
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let now = Instant::now();
            self.admission.leave(place, now - self.since, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::cpu::SLICE;
    use crate::interfaces::turns::Turns;

    fn admission(places: usize, share: &Arc<Share>) -> Arc<Admission> {
        Admission::new(places, 1_000, Duration::from_secs(5), share.clone())
    }

    /// Lets a call in and out in each of so many windows, in which all have waited for turns this long.
    fn run(admission: &Admission, share: &Share, wait: Duration, windows: u32) {
        for window in 1..=windows {
            (0..50).for_each(|_| share.note_wait(wait));
            let place = admission.queue.try_enter().unwrap();
            admission.leave(place, SLICE, Instant::now() + WINDOW * window);
        }
    }

    #[tokio::test]
    async fn fewer_run_at_once_while_they_only_delay_each_other_and_more_again_later() {
        let share = Share::new(Turns::new(2));
        let admission = admission(64, &share);
        run(&admission, &share, SLICE, 20);
        assert_eq!(admission.places(), 64, "calls that hardly wait");
        run(&admission, &share, SLICE * 20, 200);
        let least = admission.places_min;
        assert_eq!(admission.places(), least);
        let mut inside: Vec<Place> = std::iter::from_fn(|| admission.queue.try_enter()).collect();
        assert_eq!(inside.len(), least);
        // Somebody waits, and nobody is in the way of others any more.
        let waits = admission.clone();
        let next = tokio::spawn(async move { waits.enter(Instant::now() + Duration::from_secs(60)).await });
        while admission.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        share.take_stretch();
        admission.leave(inside.pop().unwrap(), SLICE, Instant::now() + WINDOW * 1_000);
        assert!(next.await.unwrap().is_some());
        assert!(admission.places() > least, "{}", admission.places());
    }

    #[test]
    fn a_burst_may_wait_and_a_standing_queue_is_told_soon() {
        let admission = admission(1, &Share::new(Turns::new(2)));
        let now = Instant::now();
        assert_eq!(admission.patience(now), admission.wait_max);
        assert_eq!(admission.patience(now + BURST / 2), admission.wait_max);
        assert_eq!(admission.patience(now + BURST), PATIENCE_MIN);
        // Where calls take long, one waits a few times as long.
        let place = admission.queue.try_enter().unwrap();
        admission.leave(place, Duration::from_secs(1), now + BURST);
        let longer = admission.patience(now + BURST);
        assert!(longer > PATIENCE_MIN * 5 && longer < admission.wait_max, "{longer:?}");
    }
}
