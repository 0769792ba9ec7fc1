//! How many calls a service runs at once, and how long others wait: less of both while the processors are overloaded.
//!
//! A call that computes for long takes its turns among the others (see `interfaces::turns`). When calls take several
//! times as long as they compute, more of them at once only make all later: then fewer are let in (additive increase,
//! multiplicative decrease), down to one for each processor. Calls that wait for others are never held back so.

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

/// Whoever would have to wait longer, by what calls take now, is told at once: a program has not lost patience by then,
/// and a queue that is longer only makes everybody late.
const QUEUE_MAX: Duration = Duration::from_secs(1);

/// A window that took longer has seen too few calls to tell how fast they end.
const WINDOW_MAX: Duration = Duration::from_millis(250);

/// How much one window changes the rate at which calls are said to end.
const WEIGHT: f64 = 0.3;

/// Windows in a row after which the rate is believed: the machine may have done something else during one.
const WINDOWS_MIN: u32 = 4;

/// Lets calls in.
pub struct Admission {
    queue: Queue,
    places_max: usize,
    places_min: usize,
    wait_max: Duration,
    share: Arc<Share>,
    pace: Mutex<Pace>,
}

struct Pace {
    /// Places that are taken out now.
    withheld: usize,
    /// Places that are to be taken out as they fall free.
    owed: usize,
    thought_over: Instant,
    /// Calls that have ended since.
    ended: u32,
    /// How fast they end while others wait; none while nobody has.
    rate: Option<Rate>,
}

/// How fast calls end.
#[derive(Clone, Copy)]
struct Rate {
    per_second: f64,
    /// Over how many windows in a row that was measured.
    windows: u32,
}

impl Admission {
    /// Lets so many in at once, while so many may wait, each for `wait_max` at most.
    pub fn new(places: usize, waiting_max: usize, wait_max: Duration, share: Arc<Share>) -> Self {
        let pace = Pace { withheld: 0, owed: 0, thought_over: Instant::now(), ended: 0, rate: None };
        Self {
            queue: Queue::new(places, waiting_max),
            places_max: places,
            places_min: share.processors().min(places),
            wait_max,
            share,
            pace: Mutex::new(pace),
        }
    }

    /// Lets a call in if it need not wait.
    pub fn try_enter(&self) -> Option<Place> {
        self.queue.try_enter()
    }

    /// Lets a call in, or has it wait at most until `deadline`; none when too many wait, or its time is over.
    pub async fn enter(&self, deadline: Instant) -> Option<Place> {
        if let Some(place) = self.queue.try_enter() {
            return Some(place);
        }
        if self.expected_wait() > QUEUE_MAX.min(self.wait_max) {
            return None;
        }
        Box::pin(self.queue.enter(deadline.min(Instant::now() + self.wait_max))).await
    }

    /// Lets a call in, however long it takes, without counting as one who waits.
    pub async fn enter_patiently(&self) -> Option<Place> {
        self.queue.enter_patiently().await
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// How many may run at once now.
    pub fn places(&self) -> usize {
        self.pace().places(self)
    }

    /// How long a call will have to wait that comes now.
    fn expected_wait(&self) -> Duration {
        let before = (self.queue.waiting() + 1) as f64;
        let rate = self.pace().rate.filter(|rate| rate.windows >= WINDOWS_MIN);
        rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(before / rate.per_second))
    }

    /// A call that was let in has ended by `now`, and leaves its place.
    pub fn leave(&self, place: Place, now: Instant) {
        let mut pace = self.pace();
        pace.ended += 1;
        if now - pace.thought_over >= WINDOW {
            pace.measure(now, self.queue.waiting() > 0);
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
    /// How many may run at once now.
    fn places(&self, admission: &Admission) -> usize {
        admission.places_max - self.withheld - self.owed
    }

    /// Measures the rate of the window that ends now.
    fn measure(&mut self, now: Instant, is_queued: bool) {
        let window = now - self.thought_over;
        let per_second = f64::from(self.ended) / window.as_secs_f64();
        let is_told = is_queued && window <= WINDOW_MAX;
        self.rate = is_told.then(|| match self.rate {
            Some(before) => before.followed_by(per_second),
            None => Rate { per_second, windows: 1 },
        });
        (self.thought_over, self.ended) = (now, 0);
    }

    /// Changes the number of places; answers how many are to be put back.
    fn think_over(&mut self, admission: &Admission, stretch: Option<f64>) -> usize {
        let places = self.places(admission);
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

impl Rate {
    /// The rate after a further window in which calls ended so fast.
    fn followed_by(self, per_second: f64) -> Self {
        Self {
            per_second: self.per_second + (per_second - self.per_second) * WEIGHT,
            windows: self.windows.saturating_add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::cpu::SLICE;
    use crate::interfaces::turns::Turns;

    fn admission(places: usize, share: &Arc<Share>) -> Arc<Admission> {
        Arc::new(Admission::new(places, 1_000, Duration::from_secs(5), share.clone()))
    }

    /// Lets a call in and out in each of so many windows, in which all have waited for turns this long.
    fn run(admission: &Admission, share: &Share, wait: Duration, windows: u32) {
        for window in 1..=windows {
            (0..50).for_each(|_| share.note_wait(wait));
            let place = admission.queue.try_enter().unwrap();
            admission.leave(place, Instant::now() + WINDOW * window);
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
        admission.leave(inside.pop().unwrap(), Instant::now() + WINDOW * 1_000);
        assert!(next.await.unwrap().is_some());
        assert!(admission.places() > least, "{}", admission.places());
    }

    #[tokio::test]
    async fn a_burst_waits_and_who_would_wait_too_long_is_told_at_once() {
        let windows = WINDOWS_MIN as usize;
        let admission = admission(windows + 1, &Share::new(Turns::new(2)));
        let mut inside: Vec<Place> = std::iter::from_fn(|| admission.queue.try_enter()).collect();
        let far = Instant::now() + Duration::from_secs(60);
        let wait = |many: usize| {
            let others = (0..many).map(|_| {
                let admission = admission.clone();
                tokio::spawn(async move { admission.enter(far).await })
            });
            others.collect::<Vec<_>>()
        };
        // How fast calls end is not known yet.
        let burst = wait(50);
        while admission.waiting() < 50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(admission.expected_wait(), Duration::ZERO);
        // One call in a window, then 20 a second: those who wait already take longer than one should wait.
        let start = Instant::now();
        for window in 1..=WINDOWS_MIN {
            assert_eq!(admission.expected_wait(), Duration::ZERO, "a slow moment tells nothing");
            admission.leave(inside.pop().unwrap(), start + WINDOW * window);
        }
        assert!(admission.expected_wait() > QUEUE_MAX, "{:?}", admission.expected_wait());
        let asked = Instant::now();
        assert!(admission.enter(far).await.is_none());
        assert!(asked.elapsed() < QUEUE_MAX / 2, "{:?}", asked.elapsed());
        drop(inside);
        for waiting in burst {
            assert!(waiting.await.unwrap().is_some(), "who has waited already is served");
        }
    }
}
