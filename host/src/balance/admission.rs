//! How many calls a service runs at once, and how long others wait: less of both while the processors are overloaded.
//!
//! A call that computes for long takes its turns among the others (see `interfaces::turns`). When calls take several
//! times as long as they compute, more of them at once only make all later: then fewer are let in (additive increase,
//! multiplicative decrease), down to one for each processor. Calls that wait for others are never held back so: no more
//! places are taken out at a time than calls wait for their turns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::balance::queue::{Place, Queue};
use crate::balance::rate::Rate;
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
        // Where calls are slow nobody else does it for long.
        pace.think_over(self, now);
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
        pace.think_over(self, now);
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

    /// Changes the number of places, once a window.
    fn think_over(&mut self, admission: &Admission, now: Instant) {
        let windows = now.saturating_duration_since(self.thought_over).div_duration_f64(WINDOW) as usize;
        if windows == 0 {
            return;
        }
        self.thought_over = now;
        let places = self.places(admission);
        if admission.share.take_stretch().is_some_and(|stretch| stretch > STRETCH_MAX) {
            let fewer = (places / 5).max(1).min(admission.share.waiting());
            self.owed += fewer.min(places.saturating_sub(admission.places_min));
            return;
        }
        if admission.queue.waiting() == 0 {
            return;
        }
        // Slow calls seldom end, and nothing else is looked at when they do: all windows since then were good ones.
        let taken_out = self.owed + self.withheld;
        let mut more = 0;
        for _ in 0..windows {
            more += 1 + (places + more) / 8;
            if more >= taken_out {
                break;
            }
        }
        let forgiven = more.min(self.owed);
        self.owed -= forgiven;
        let restored = (more - forgiven).min(self.withheld);
        self.withheld -= restored;
        admission.queue.restore(restored);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use tokio::task::JoinHandle;

    use super::*;
    use crate::interfaces::cpu::SLICE;
    use crate::interfaces::turns::{Turn, Turns};

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

    /// So many calls that wait for their turns, while others have theirs.
    fn computing(share: &Arc<Share>, many: usize) -> Vec<Pin<Box<Turn>>> {
        let mut turns: Vec<_> =
            (0..many + share.processors()).map(|_| Box::pin(Turn::of_a_slice(share.clone()))).collect();
        for turn in &mut turns {
            assert!(turn.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(share.waiting(), many);
        turns
    }

    #[tokio::test]
    async fn calls_that_wait_for_others_keep_their_places_when_a_few_compute() {
        let share = Share::new(Turns::new(2));
        let admission = admission(10_000, &share);
        let _computing = computing(&share, 3);
        run(&admission, &share, SLICE * 20, 20);
        assert_eq!(admission.places(), 10_000 - 20 * 3);
    }

    #[tokio::test]
    async fn fewer_run_at_once_while_they_only_delay_each_other_and_more_again_later() {
        let share = Share::new(Turns::new(2));
        let admission = admission(64, &share);
        run(&admission, &share, SLICE, 20);
        assert_eq!(admission.places(), 64, "calls that hardly wait");
        let computing = computing(&share, 62);
        run(&admission, &share, SLICE * 20, 200);
        drop(computing);
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
    async fn slow_calls_have_their_places_again_as_soon_as_one_has_to_wait() {
        let share = Share::new(Turns::new(2));
        let admission = admission(10_000, &share);
        let computing = computing(&share, 10_000);
        run(&admission, &share, SLICE * 20, 100);
        drop(computing);
        assert_eq!(admission.places(), admission.places_min);
        let _inside: Vec<Place> = std::iter::from_fn(|| admission.queue.try_enter()).collect();
        let _waiting = waiting(&admission, 2).await;
        share.take_stretch();
        // None of them has ended in these four seconds.
        admission.waiting_max(Instant::now() + WINDOW * 180);
        assert_eq!(admission.places(), 10_000);
    }

    #[tokio::test]
    async fn a_queue_that_comes_and_goes_keeps_nobody_from_thinking_over() {
        let share = Share::new(Turns::new(2));
        let admission = admission(64, &share);
        let _computing = computing(&share, 62);
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
        // One in twenty seconds.
        let now = start + Duration::from_secs(800);
        admission.pace().rate = Some(Rate::beginning(start).followed_by(40, now));
        assert_eq!(admission.waiting_max(now), 1);
    }
}
