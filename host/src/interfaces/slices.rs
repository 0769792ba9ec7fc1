//! The computing time of several calls on one instance. Nobody sees one of them pause; known are the moments at which
//! the instance may go on with any of them, and who runs when a tick of the engine's clock is met.

use std::collections::HashMap;
use std::thread::{self, ThreadId};
use std::time::Duration;

use wasmtime::component::GuestTaskId;

use crate::interfaces::cpu::{SLICE, thread_time};

/// A guest that runs meets a tick at the next function or loop that it enters. Only what moves all of a large memory
/// takes longer than this without one; then somebody pays for it at the next.
const UNSEEN_MIN: Duration = Duration::from_millis(4);

/// No guest runs longer than this without meeting a tick: what looks so has slept.
const UNSEEN_MAX: Duration = Duration::from_millis(20);

/// What the tasks of one instance have computed.
#[derive(Debug, Default)]
pub struct Slices {
    /// By task; none while the instance is being made. What a task does after its call goes on counting until the engine
    /// gives its number to the next.
    computed: HashMap<Option<GuestTaskId>, Duration>,
    /// Since when the guest may run without a pause.
    mark: Option<Mark>,
    /// What was computed without a tick, which nobody has paid.
    owed: Duration,
    /// Whether a request has come since the last pause: the instance then goes on once more after it.
    has_request: bool,
    /// Whether it does so, and pauses without a word.
    goes_on: bool,
}

/// A moment at which a guest went on.
#[derive(Debug)]
struct Mark {
    thread: ThreadId,
    time: Duration,
    /// The ticks of the clock so far.
    tick: u64,
    /// Whether it had met a tick before, and so has paid until then.
    is_turn: bool,
}

impl Slices {
    /// A task begins, for a request that has come.
    pub fn begin(&mut self, task: GuestTaskId) {
        self.computed.remove(&Some(task));
        self.has_request = true;
    }

    /// A tick is met while this task runs: answers what it pays, or none where it slept when the clock ticked.
    pub fn meet(&mut self, task: Option<GuestTaskId>, tick: u64) -> Option<Duration> {
        let owed = std::mem::take(&mut self.owed);
        let slice = match &self.mark {
            Some(mark) if mark.tick == tick && owed.is_zero() => return None,
            Some(mark) if mark.tick == tick => Duration::ZERO,
            // Of what came before the first tick nothing is known but the mean.
            Some(mark) if mark.is_turn => mark.elapsed().unwrap_or(SLICE),
            Some(mark) => mark.elapsed().unwrap_or(SLICE).max(SLICE),
            None => SLICE,
        };
        self.mark = None;
        *self.computed.entry(task).or_default() += slice + owed;
        Some(slice + owed)
    }

    /// What a task has computed so far.
    pub fn computed(&self, task: Option<GuestTaskId>) -> Duration {
        self.computed.get(&task).copied().unwrap_or_default()
    }

    /// The instance goes on with any of its tasks, in the thread that asks, after so many ticks.
    pub fn step(&mut self, tick: u64) {
        self.settle();
        self.mark = Some(Mark::now(tick, false));
    }

    /// A task goes on after a tick that it has met.
    pub fn resume(&mut self, tick: u64) {
        self.mark = Some(Mark::now(tick, true));
    }

    /// The instance gives its thread back.
    pub fn pause(&mut self) {
        self.settle();
        self.goes_on = std::mem::take(&mut self.has_request);
    }

    /// Nothing runs since the mark any more.
    fn settle(&mut self) {
        let Some(mark) = self.mark.take() else { return };
        let unseen = mark.elapsed().filter(|unseen| *unseen >= UNSEEN_MIN && !self.goes_on);
        self.owed += unseen.unwrap_or_default();
    }
}

impl Mark {
    fn now(tick: u64, is_turn: bool) -> Self {
        Self { thread: thread::current().id(), time: thread_time(), tick, is_turn }
    }

    /// What the guest has computed since; none in another thread, where it has slept in between.
    fn elapsed(&self) -> Option<Duration> {
        let is_here = self.thread == thread::current().id();
        is_here.then(|| thread_time().saturating_sub(self.time).min(UNSEEN_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computes for so long.
    fn spin(time: Duration) {
        let until = thread_time() + time;
        while thread_time() < until {}
    }

    #[test]
    fn who_runs_at_a_tick_pays_for_it_and_who_has_slept_does_not() {
        let mut slices = Slices::default();
        slices.step(7);
        assert_eq!(slices.meet(None, 7), None, "it went on after the tick");
        assert!(slices.meet(None, 8) >= Some(SLICE));
        slices.resume(8);
        spin(SLICE / 4);
        assert!(slices.meet(None, 9).unwrap() < SLICE, "it has paid until it went on");
    }

    #[test]
    fn who_computes_without_a_tick_pays_at_the_next() {
        let mut slices = Slices::default();
        slices.step(7);
        spin(UNSEEN_MIN);
        slices.pause();
        slices.step(9);
        assert!(slices.meet(None, 9) >= Some(UNSEEN_MIN));
        slices.step(9);
        assert_eq!(slices.meet(None, 9), None, "once");
    }

    #[test]
    fn nobody_pays_for_another_thread_or_for_a_sleep_that_was_not_told() {
        let mut slices = Slices::default();
        thread::scope(|scope| _ = scope.spawn(|| slices.resume(7)));
        assert_eq!(slices.meet(None, 8), Some(SLICE));
        slices.has_request = true;
        slices.pause();
        slices.step(9);
        spin(UNSEEN_MAX);
        slices.step(20);
        assert_eq!(slices.meet(None, 20), None);
    }
}
