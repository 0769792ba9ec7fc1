//! How far a call has come: its response head until somebody takes that, when its response moved last, how it ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::SetOnce;
use tokio::time::Instant;
use wasmtime_wasi_http::WasiBody;

use crate::body::BodyError;
use crate::coarse_time::CoarseTime;
use crate::interfaces::cpu::CpuMeter;
use crate::interfaces::guest::InstanceContext;
use crate::runtime::failure::GuestFailure;

/// How often a guest of WASI 0.3 is asked before it is taken to wait for something: its tasks hand over to each other,
/// and between some of them it gives way.
const STEPS_MAX: usize = 8;

/// What a guest has set as the head of its response, or why there is none; the body is bare.
pub type Head = Result<http::Response<WasiBody>, GuestFailure>;

/// What the end of a response has to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndsWith {
    /// The end of the call: by WASI 0.2 a guest may fail until then.
    Call,
    /// The end of the body: by WASI 0.3 a guest may go on for long after that.
    Body,
}

/// How far a call has come; told by the call, asked by whoever reads its response or may end it for idleness.
pub struct Activity {
    /// What the end of the response has to wait for.
    pub ends_with: EndsWith,
    /// When it last moved.
    moved: CoarseTime,
    begun: AtomicBool,
    head: Mutex<Slot>,
    /// Set when nobody reads the body any more, or all of it was read.
    body_ended: SetOnce<()>,
    failure: OnceLock<GuestFailure>,
    /// Who handles the call, and what counts its computing.
    instance: OnceLock<(Arc<InstanceContext>, Arc<CpuMeter>)>,
}

/// Where the head of a response waits.
#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Full(Head),
    /// It was taken, or nobody waits for it any more.
    Closed,
}

/// Waits for the head of a response; dropping it lets a guest that sets the head later know that nobody reads the body.
pub struct HeadWait<'a>(&'a Activity);

impl Activity {
    /// Nothing has begun.
    pub fn new(ends_with: EndsWith) -> Self {
        Self {
            ends_with,
            moved: CoarseTime::now(),
            begun: AtomicBool::new(false),
            head: Mutex::default(),
            body_ended: SetOnce::new(),
            failure: OnceLock::new(),
            instance: OnceLock::new(),
        }
    }

    /// Notes that the response head is there.
    pub fn begin(&self, head: Head) {
        self.touch();
        let mut slot = self.slot();
        match *slot {
            Slot::Empty => *slot = Slot::Full(head),
            Slot::Full(_) | Slot::Closed => self.end_body(),
        }
        drop(slot);
        self.begun.store(true, Ordering::Release);
    }

    /// Waits for the response head.
    pub fn wait_for_head(&self) -> HeadWait<'_> {
        HeadWait(self)
    }

    /// Whether the response head is out.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Notes that it moves now.
    pub fn touch(&self) {
        self.moved.touch();
    }

    /// When it last moved.
    pub fn last(&self) -> Instant {
        self.moved.instant()
    }

    /// Notes that the body was read to its end, or that nobody reads it any more.
    pub fn end_body(&self) {
        // Mostly the second time.
        let _ = self.body_ended.set(());
    }

    /// Waits for that.
    pub async fn body_end(&self) {
        self.body_ended.wait().await;
    }

    /// Notes why the call failed; to be told before its instance is dropped, which ends the body.
    pub fn fail(&self, failure: GuestFailure) {
        self.failure.get_or_init(|| failure);
    }

    /// Why the call failed, if it has.
    pub fn failure(&self) -> Option<&GuestFailure> {
        self.failure.get()
    }

    /// This instance handles the call, which is counted here.
    pub fn watch(&self, this: Arc<InstanceContext>, meter: Arc<CpuMeter>) {
        self.instance.get_or_init(|| (this, meter));
    }

    /// Logs that the response breaks off, where the call has not failed.
    pub fn breaks_off(&self, error: &BodyError) {
        if let Some((this, _)) = self.instance.get().filter(|_| self.failure().is_none()) {
            this.service.broken_off(this.speaker(), error);
        }
    }

    /// How often the guest is asked in one go before it is taken to wait for something.
    pub fn steps(&self) -> usize {
        match self.ends_with {
            EndsWith::Call => 1,
            EndsWith::Body => STEPS_MAX,
        }
    }

    /// Whether it is not to be asked again in one go: who has computed for long gives way to others.
    pub fn gives_way(&self) -> bool {
        self.instance.get().is_some_and(|(_, meter)| meter.is_long())
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self::new(EndsWith::Call)
    }
}

impl HeadWait<'_> {
    /// The response head, if it is there and was not taken.
    pub fn take(&self) -> Option<Head> {
        if !self.0.has_begun() {
            return None;
        }
        match std::mem::replace(&mut *self.0.slot(), Slot::Closed) {
            Slot::Full(head) => Some(head),
            Slot::Empty | Slot::Closed => None,
        }
    }
}

impl Drop for HeadWait<'_> {
    fn drop(&mut self) {
        let left = std::mem::replace(&mut *self.0.slot(), Slot::Closed);
        if matches!(left, Slot::Full(_)) {
            self.0.end_body();
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Empty};

    use super::*;

    #[tokio::test]
    async fn a_guest_learns_that_nobody_waits_for_its_head() {
        for is_there in [false, true] {
            let activity = Activity::new(EndsWith::Body);
            let waiting = activity.wait_for_head();
            let body = || Empty::new().map_err(|never| match never {}).boxed_unsync();
            let begin = || activity.begin(Ok(http::Response::new(body())));
            is_there.then(begin);
            drop(waiting);
            (!is_there).then(begin);
            activity.body_end().await;
            assert!(activity.wait_for_head().take().is_none(), "{is_there}");
        }
    }
}
