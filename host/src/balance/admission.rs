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

/// So many may wait as are served in this time: a program has not lost patience by then, and a queue that is longer
/// only makes everybody late.
const QUEUE_TIME: Duration = Duration::from_secs(1);

/// So many may wait for each place however slow calls are: who comes in a burst is served two calls later.
const QUEUE_ROUNDS: usize = 2;

/// How far back it is measured how fast calls end: every place serves a few calls in that time, and the machine may
/// have done something else for a moment of it.
const MEASURED_TIME: Duration = Duration::from_secs(1);

/// What was measured is believed after this time, once as many calls have ended as there are places: calls that began
/// together end together, and nothing is seen of them before.
const MEASURED_TIME_MIN: Duration = Duration::from_millis(200);

/// So many calls must have ended at least: the first one of an instance takes longer than those that follow.
const MEASURED_CALLS_MIN: usize = 32;

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
    /// How fast calls end while others wait; none while nobody has.
    rate: Option<Rate>,
}

/// How fast calls end.
#[derive(Clone, Copy)]
struct Rate {
    began: Instant,
    /// Until when it is measured.
    until: Instant,
    /// Calls that have ended since it began, and the seconds in which they did; less of both the longer ago.
    calls: f64,
    seconds: f64,
    /// All of those calls.
    calls_seen: usize,
}

impl Admission {
    /// Lets so many in at once, while so many may wait, each for `wait_max` at most.
    pub fn new(places: usize, waiting_max: usize, wait_max: Duration, share: Arc<Share>) -> Self {
        let pace = Pace { withheld: 0, owed: 0, thought_over: Instant::now(), rate: None };
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

    /// Lets a call in, or has it wait at most until `deadline`; none when too many wait, its time is over, or it cannot be
    /// reached in its time.
    pub async fn enter(&self, deadline: Instant) -> Option<Place> {
        if let Some(place) = self.queue.try_enter() {
            return Some(place);
        }
        let now = Instant::now();
        if self.queue.waiting() >= self.waiting_max(now) {
            return None;
        }
        Box::pin(self.queue.enter(deadline.min(now + self.wait_max))).await
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

    /// How many may wait now. Of those that wait already, the last are told when they cannot be reached any more.
    fn waiting_max(&self, now: Instant) -> usize {
        let mut pace = self.pace();
        let places = pace.places(self);
        let per_second = pace.rate_by(now).per_second(places);
        self.queue.dismiss_unreachable(per_second, now);
        // One may wait even where calls take longer than that: the running one may end soon.
        let within = |time: Duration| (per_second * time.as_secs_f64()).ceil() as usize;
        within(QUEUE_TIME).max(places * QUEUE_ROUNDS).min(within(self.wait_max))
    }

    /// A call that was let in has ended by `now`, and leaves its place.
    pub fn leave(&self, place: Place, now: Instant) {
        let mut pace = self.pace();
        // Seen only while others wait: a pause would count as time that calls took.
        let rate = pace.rate.filter(|_| self.queue.waiting() > 0);
        pace.rate = rate.map(|rate| rate.followed_by(1, now));
        if let Some(rate) = pace.rate {
            self.queue.dismiss_unreachable(rate.per_second(pace.places(self)), now);
        }
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
    /// How many may run at once now.
    fn places(&self, admission: &Admission) -> usize {
        admission.places_max - self.withheld - self.owed
    }

    /// How fast calls end by all that is known now; measured from the first time on that somebody has to wait.
    fn rate_by(&mut self, now: Instant) -> Rate {
        self.rate.get_or_insert_with(|| Rate::beginning(now)).followed_by(0, now)
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
    /// Nothing has been seen yet.
    fn beginning(now: Instant) -> Self {
        Self { began: now, until: now, calls: 0.0, seconds: 0.0, calls_seen: 0 }
    }

    /// Calls a second, no fewer than can be: until enough has been seen of that many places, all that run might end now.
    fn per_second(self, places: usize) -> f64 {
        let (time, enough) = (self.until - self.began, places.max(MEASURED_CALLS_MIN));
        match time >= MEASURED_TIME_MIN && self.calls_seen >= enough {
            true => self.calls / self.seconds,
            false => (self.calls_seen + enough) as f64 / time.as_secs_f64(),
        }
    }

    /// The rate by `now`, when so many further calls have ended.
    fn followed_by(self, calls: usize, now: Instant) -> Self {
        let time = now - self.until;
        let kept = (-time.div_duration_f64(MEASURED_TIME)).exp();
        Self {
            until: now.max(self.until),
            calls: self.calls * kept + calls as f64,
            seconds: self.seconds * kept + time.as_secs_f64(),
            calls_seen: self.calls_seen + calls,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;
    use crate::interfaces::cpu::SLICE;
    use crate::interfaces::turns::Turns;

    /// Longer than any of these tests pretends to take.
    const PATIENCE: Duration = Duration::from_secs(600);

    fn admission(places: usize, share: &Arc<Share>) -> Arc<Admission> {
        Arc::new(Admission::new(places, 1_000, PATIENCE, share.clone()))
    }

    /// One that lets nobody wait longer than this.
    fn impatient(places: usize, wait_max: Duration) -> Arc<Admission> {
        Arc::new(Admission::new(places, 1_000, wait_max, Share::new(Turns::new(2))))
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
        let next = tokio::spawn(async move { waits.enter(Instant::now() + PATIENCE).await });
        while admission.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        share.take_stretch();
        admission.leave(inside.pop().unwrap(), Instant::now() + WINDOW * 1_000);
        assert!(next.await.unwrap().is_some());
        assert!(admission.places() > least, "{}", admission.places());
    }

    #[tokio::test]
    async fn a_queue_that_comes_and_goes_keeps_nobody_from_thinking_over() {
        let share = Share::new(Turns::new(2));
        let admission = admission(64, &share);
        let start = Instant::now();
        for step in 1..=20 {
            let now = start + WINDOW / 5 * step;
            (0..50).for_each(|_| share.note_wait(SLICE * 20));
            let place = admission.queue.try_enter().unwrap();
            // As whoever has to wait asks, and has left before the call ends.
            admission.waiting_max(now);
            admission.leave(place, now);
        }
        assert!(admission.places() < 64);
    }

    /// Calls that wait for a place as long as they may.
    async fn waiting(admission: &Arc<Admission>, many: usize) -> Vec<JoinHandle<Option<Place>>> {
        let deadline = Instant::now() + PATIENCE;
        let calls = (0..many).map(|_| {
            let admission = admission.clone();
            tokio::spawn(async move { admission.enter(deadline).await })
        });
        let calls = calls.collect();
        while admission.waiting() < many {
            tokio::task::yield_now().await;
        }
        calls
    }

    #[tokio::test]
    async fn a_burst_waits_and_who_would_wait_too_long_is_told_at_once() {
        let admission = admission(4, &Share::new(Turns::new(2)));
        let mut inside: Vec<Place> = std::iter::from_fn(|| admission.queue.try_enter()).collect();
        let mut burst = waiting(&admission, 80).await.into_iter();
        // Twenty calls a second end: those who wait already take longer than one should wait.
        let start = admission.pace().rate.unwrap().began;
        for window in 1..=40 {
            let now = start + WINDOW * window;
            assert!(window > 4 || admission.waiting_max(now - WINDOW) > 200, "a slow moment tells little");
            admission.leave(inside.pop().unwrap(), now);
            inside.push(burst.next().unwrap().await.unwrap().unwrap());
        }
        let most = admission.waiting_max(start + WINDOW * 40);
        assert!((19..=21).contains(&most), "{most}");
        let asked = Instant::now();
        assert!(admission.enter(asked + Duration::from_secs(60)).await.is_none());
        assert!(asked.elapsed() < QUEUE_TIME / 2, "{:?}", asked.elapsed());
        drop(inside);
        for waiting in burst {
            assert!(waiting.await.unwrap().is_some(), "who has waited already is served");
        }
    }

    #[tokio::test]
    async fn who_waits_and_cannot_be_reached_any_more_is_told_as_soon_as_that_is_known() {
        let admission = impatient(4, Duration::from_secs(20));
        let mut inside: Vec<Place> = std::iter::from_fn(|| admission.queue.try_enter()).collect();
        let mut burst = waiting(&admission, 200).await;
        let start = admission.pace().rate.unwrap().began;
        for window in 1..=40 {
            let now = start + WINDOW * 5 * window;
            admission.leave(inside.pop().unwrap(), now);
            inside.push(burst.remove(0).await.unwrap().unwrap());
        }
        // Four a second, for the ten seconds that they still wait.
        assert!((39..=41).contains(&admission.waiting()), "{}", admission.waiting());
        for last in burst.drain(admission.waiting()..) {
            assert!(last.await.unwrap().is_none());
        }
        drop(inside);
        for first in burst {
            assert!(first.await.unwrap().is_some());
        }
    }

    #[tokio::test]
    async fn calls_that_end_together_are_measured_as_a_whole() {
        const PLACES: usize = 32;
        const ROUND: Duration = Duration::from_millis(150);
        let admission = admission(PLACES, &Share::new(Turns::new(2)));
        let mut inside: Vec<Place> = std::iter::from_fn(|| admission.queue.try_enter()).collect();
        let mut burst = waiting(&admission, 200).await.into_iter();
        let start = admission.pace().rate.unwrap().began;
        for round in 1..=4 {
            let now = start + ROUND * round;
            for place in std::mem::take(&mut inside) {
                admission.leave(place, now);
                inside.push(burst.next().unwrap().await.unwrap().unwrap());
            }
            let most = admission.waiting_max(now);
            // They are 213 a second; after one round the next might already be over too.
            let sound = if round == 1 { 426..=428 } else { 213..=215 };
            assert!(sound.contains(&most), "{most} after round {round}");
        }
    }

    #[tokio::test]
    async fn a_pause_is_no_time_that_calls_take() {
        let admission = admission(1, &Share::new(Turns::new(2)));
        let mut start = Instant::now();
        for burst in 0..3 {
            let mut inside = admission.queue.try_enter().unwrap();
            assert!(admission.waiting_max(start) > 60, "burst {burst}");
            let waiting = waiting(&admission, 10).await;
            for (index, next) in waiting.into_iter().enumerate() {
                let now = start + Duration::from_millis(15) * (index as u32 + 1);
                admission.leave(inside, now);
                assert!(admission.waiting_max(now) > 60, "call {index} of burst {burst}");
                inside = next.await.unwrap().unwrap();
            }
            admission.leave(inside, start + Duration::from_millis(150));
            start += Duration::from_secs(60);
        }
    }

    #[tokio::test]
    async fn one_may_wait_for_a_call_that_takes_longer_than_anybody_waits() {
        let admission = impatient(1, Duration::from_secs(5));
        let start = Instant::now();
        let twenty_seconds_each =
            Rate { calls: 1.0, seconds: 20.0, calls_seen: 40, ..Rate::beginning(start) };
        admission.pace().rate = Some(twenty_seconds_each.followed_by(0, start + MEASURED_TIME_MIN));
        assert_eq!(admission.waiting_max(start + MEASURED_TIME_MIN), 1);
    }
}
