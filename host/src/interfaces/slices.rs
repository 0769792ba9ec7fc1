//! The computing time of several calls on one instance: who runs when the clock of the engine ticks pays for the slice.

use std::collections::HashMap;
use std::time::Duration;

use wasmtime::component::GuestTaskId;

use crate::interfaces::cpu::{SLICE, thread_time};

/// A guest that runs meets a tick within this; one that meets it later has slept meanwhile.
const NEAR: Duration = Duration::from_micros(50);

/// What the tasks of one instance have computed.
#[derive(Debug, Default)]
pub struct Slices {
    /// By task; none while the instance is being made. What a task does after its call goes on counting until the engine
    /// gives its number to the next.
    computed: HashMap<Option<GuestTaskId>, Duration>,
    /// The time of the thread when the guest went on after its last slice; none where it may have slept since.
    resumed: Option<Duration>,
}

impl Slices {
    /// A task begins.
    pub fn begin(&mut self, task: GuestTaskId) {
        self.computed.remove(&Some(task));
    }

    /// A tick that was `age` ago is met while this task runs: answers what it pays, or none when it slept at the time.
    pub fn meet(&mut self, task: Option<GuestTaskId>, age: Duration) -> Option<Duration> {
        let slice = match self.resumed {
            Some(resumed) => thread_time().saturating_sub(resumed),
            None if age < NEAR => SLICE,
            None => return None,
        };
        *self.computed.entry(task).or_default() += slice;
        Some(slice)
    }

    /// What a task has computed so far.
    pub fn computed(&self, task: Option<GuestTaskId>) -> Duration {
        self.computed.get(&task).copied().unwrap_or_default()
    }

    /// The guest goes on, in the thread that asks.
    pub fn resume(&mut self) {
        self.resumed = Some(thread_time());
    }

    /// The instance gives its thread back.
    pub fn pause(&mut self) {
        self.resumed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_at_a_tick_pays_for_it_and_who_has_slept_does_not() {
        let mut slices = Slices::default();
        assert_eq!(slices.meet(None, NEAR), None);
        assert_eq!(slices.meet(None, Duration::ZERO), Some(SLICE));
        assert_eq!(slices.computed(None), SLICE);
    }

    #[test]
    fn who_goes_on_pays_for_what_it_computes() {
        let mut slices = Slices::default();
        slices.resume();
        let until = thread_time() + SLICE / 2;
        while thread_time() < until {}
        let paid = slices.meet(None, NEAR * 2).unwrap();
        assert!((SLICE / 2..SLICE * 2).contains(&paid), "{paid:?}");
        slices.pause();
        assert_eq!(slices.meet(None, NEAR * 2), None, "it may have slept");
    }
}
