//! An instance from within its task: how it is made, which requests it takes, when it has to end.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};

use crate::interfaces::guest::GuestState;
use crate::runtime::crowd::member::{Member, Taken, Ticket};
use crate::runtime::crowd::{Bounds, NoRoomNow};
use crate::runtime::engine::GuestEngine;
use crate::runtime::failure::GuestFailure;

/// How long an instance without a request is kept.
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// How much longer than its last request may take an instance lives that does not listen: it is looked at from outside
/// when what is within does not come to it.
const GRACE: Duration = Duration::from_millis(500);

/// Makes instances.
pub struct Maker {
    /// What all have in common.
    pub bounds: Arc<Bounds>,
    /// Whether each is for one request.
    pub is_solo: bool,
}

/// An instance from within its task.
pub struct Worker {
    bounds: Arc<Bounds>,
    member: Arc<Member>,
    is_solo: bool,
    clock: GuestEngine,
    _place: OwnedSemaphorePermit,
}

/// When an instance has to end.
pub struct Lifetime {
    bounds: Arc<Bounds>,
    member: Arc<Member>,
    timer: Pin<Box<Sleep>>,
}

impl HandlerState for Maker {
    type StoreData = GuestState;
    type WorkerExpiration = Lifetime;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<GuestState, Lifetime, Worker>> {
        let bounds = &self.bounds;
        // Never waited for here: who asks would be bound to this instance while another falls free.
        let place = bounds.room.clone().try_acquire_owned().map_err(|_| NoRoomNow)?;
        let blueprint = bounds.blueprint.upgrade();
        let blueprint = blueprint.ok_or_else(|| wasmtime::Error::msg("the version is gone"))?;
        let (store, proxy) = blueprint.instantiate_concurrent().await?;
        let member = Arc::new(Member::new(store.data().this.clone()));
        bounds.members().insert(member.this.name.clone(), member.clone());
        let timer = Box::pin(sleep_until(Instant::now()));
        let expiration = Lifetime { bounds: bounds.clone(), member: member.clone(), timer };
        let clock = blueprint.engine.clone();
        let state = Worker { bounds: bounds.clone(), member, is_solo: self.is_solo, clock, _place: place };
        Ok(Instance { store, proxy, view: GuestState::http, expiration, state })
    }
}

impl WorkerState for Worker {
    type StoreData = GuestState;
    type RequestData = Ticket;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        let settings = &self.bounds.settings;
        // Asked before the instance goes on with anything, and whenever something has changed: it may have room for
        // whoever waits.
        self.member.this.slices().step(self.clock.ticks().count());
        self.bounds.changed.notify_one();
        let is_worn = settings.reuse.is_some_and(|most| total >= most as usize)
            || (self.is_solo && total > 0)
            || self.member.is_spent.load(Ordering::Relaxed);
        match is_worn {
            // Never would be asked no more.
            true => {
                self.member.is_worn.store(true, Ordering::Relaxed);
                ShouldAccept::No
            }
            // What is left of the request before, such as a body that is still read, could not be told from the next.
            false if self.bounds.concurrency == 1 && self.member.this.calls() > 0 => ShouldAccept::No,
            false if concurrent >= self.bounds.concurrency => ShouldAccept::No,
            false => ShouldAccept::Yes,
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, GuestState>,
        ticket: Ticket,
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        let Ticket { call, taker } = ticket;
        // The slice of an instance that had nothing to do is over: without a new one each request would wait for a
        // turn.
        store.set_epoch_deadline(1);
        self.member.calls.fetch_add(1, Ordering::Relaxed);
        self.member.run(Some(self.clock.run()));
        let taken = Taken::new(self.member.clone(), call.clone());
        *taker.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
        let state = store.data_mut();
        let deadline = call.deadline.min(Instant::now() + state.service().config.limits.time);
        state.this.begin_task(task, call);
        let is_spent = state.count_holdings().is_err() || state.memory.is_high();
        self.member.is_spent.store(is_spent, Ordering::Relaxed);
        let timer = Mutex::new(Box::pin(sleep_until(deadline)));
        Box::pin(Expiry { timer, member: self.member.clone() })
    }

    fn drop(&self, mut store: Store<GuestState>, result: Result<(), wasmtime::Error>) {
        let hit = store.data_mut().memory.take_hit();
        if let Err(error) = result {
            self.member.settle(GuestFailure::of(&error, hit));
            self.member.report_alone();
        }
        self.member.run(None);
        self.member.this.end();
        self.bounds.members().remove(&self.member.this.name);
        self.bounds.changed.notify_one();
    }
}

/// A timer that may be shared, as the handler asks; nobody does.
struct Expiry {
    timer: Mutex<Pin<Box<Sleep>>>,
    member: Arc<Member>,
}

impl Future for Expiry {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let over = self.timer.lock().unwrap_or_else(PoisonError::into_inner).as_mut().poll(context);
        over.map(|()| self.member.is_late.store(true, Ordering::Relaxed))
    }
}

impl Lifetime {
    /// Whether the instance will take no request any more.
    fn is_worn(&self) -> bool {
        self.member.is_worn.load(Ordering::Relaxed) || self.bounds.retired.load(Ordering::Acquire)
    }

    /// Whether the instance takes no request any more, and no response of it is read.
    fn is_over(&self) -> bool {
        let is_leaving =
            self.member.is_late.load(Ordering::Relaxed) || self.bounds.retired.load(Ordering::Acquire);
        is_leaving && self.member.this.calls() == 0
    }
}

impl WorkerExpiration for Lifetime {
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        status: WorkerStatus,
        start: std::time::Instant,
    ) -> Poll<()> {
        // Asked when the instance gives its thread back.
        self.member.this.slices().pause();
        if matches!(status, WorkerStatus::Idle) {
            self.member.run(None);
        }
        if self.bounds.stop.is_cancelled() {
            if !matches!(status, WorkerStatus::Idle) {
                self.member.settle(GuestFailure::Timeout("drain"));
            }
            return Poll::Ready(());
        }
        let limits = &self.member.this.service.config.limits;
        let start = Instant::from_std(start);
        let until = match status {
            // Nobody listens any more to what the guest still does.
            WorkerStatus::PostReturn if self.is_over() => {
                self.member.dismiss();
                return Poll::Ready(());
            }
            WorkerStatus::Idle if self.is_worn() => return Poll::Ready(()),
            WorkerStatus::Idle => start + IDLE_TIME_MAX,
            WorkerStatus::Requests => start + limits.time + GRACE,
            WorkerStatus::PostReturn => start.max(self.member.moved()) + limits.idle,
        };
        let now = Instant::now();
        if now >= until {
            match status {
                WorkerStatus::Idle => {}
                // They were told when their time was over.
                WorkerStatus::Requests => self.member.dismiss(),
                WorkerStatus::PostReturn => self.member.settle(GuestFailure::Timeout("idle")),
            }
            return Poll::Ready(());
        }
        // A retired instance is asked again soon, so that it goes when it has nothing to do. A timer that is early
        // enough stays as it is: an instance is asked several times for each request.
        let look = until.min(now + GRACE);
        if self.timer.is_elapsed() || self.timer.deadline() > look || self.timer.deadline() <= now {
            self.timer.as_mut().reset(look);
        }
        match self.timer.as_mut().poll(context) {
            Poll::Ready(()) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
