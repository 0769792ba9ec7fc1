//! The instances of one version: grow, keep warm, shrink, replace.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slab::Slab;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::balance::admission::Admission;
use crate::balance::lease::{Admitted, Entrant, Lease};
use crate::balance::queue::{Place, Queue};
use crate::coarse_time::CoarseTime;
use crate::config::Instances;
use crate::runtime::blueprint::Blueprint;
use crate::runtime::crowd::Crowd;
use crate::runtime::failure::GuestFailure;
use crate::runtime::instance::Instance;

/// Calls that may wait for an instance, for each instance that there may be: they are served within a few times
/// the time of one call.
const QUEUE_PER_INSTANCE: usize = 32;

/// How long an instance above the minimum stays without work.
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// All instances of one version.
pub struct Pool {
    blueprint: Arc<Blueprint>,
    /// The instances that handle several requests at a time, where the component is made for that.
    crowd: Option<Crowd>,
    /// Beside them, how many instances may handle one request alone, in the task of who asks.
    alone: Queue,
    settings: Instances,
    admission: Admission,
    /// Closed when the pool retires, so that waiting messages go to the next version.
    deliveries: Arc<Semaphore>,
    state: Mutex<State>,
    stop: CancellationToken,
}

#[derive(Default)]
struct State {
    /// The warmest last: it is handed out next, so that its memory is still in the processor's caches.
    #[expect(clippy::vec_box, reason = "each goes in and out with every call, and is large")]
    idle: Vec<Box<Instance>>,
    busy: Slab<Busy>,
    retired: bool,
}

struct Busy {
    name: Arc<str>,
    since: CoarseTime,
    calls: u32,
}

/// An instance as operators see it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct InstanceView {
    /// Its name.
    pub name: String,
    /// Whether it handles something now.
    pub busy: bool,
    /// How many calls it has handled, with the running one.
    pub calls: u32,
    /// Bytes of guest memory; unknown while it is busy.
    pub memory: Option<u64>,
    /// Seconds since it changed between busy and idle; since it was made, where it handles several calls at a time.
    pub seconds: u64,
}

/// How many instances there are, and how many calls wait for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSize {
    /// Instances that exist.
    pub all: usize,
    /// Instances that handle something.
    pub busy: usize,
    /// Calls that wait.
    pub waiting: usize,
}

/// Why there is no instance for a call.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoInstance {
    /// All are busy, and the queue is full or its time is over.
    #[error("every instance is busy")]
    Busy,
    /// The version no longer takes calls.
    #[error("the version no longer answers")]
    Retired,
    /// One could not be made.
    #[error("no instance could be made: {0}")]
    Failed(GuestFailure),
}

impl Pool {
    /// A pool without instances.
    pub fn new(blueprint: Blueprint, settings: Instances) -> Arc<Self> {
        let blueprint = Arc::new(blueprint);
        let context = blueprint.context();
        let (wait, share) = (context.config.limits.wait, context.usage.share.clone());
        let stop = CancellationToken::new();
        let is_concurrent = blueprint.is_concurrent();
        // As many as can compute at once, where the others get as many at least.
        let alone = if is_concurrent { share.processors().min(settings.max / 2) } else { 0 };
        let of_crowd = settings.max - alone;
        let crowd = is_concurrent.then(|| Crowd::new(&blueprint, settings.clone(), of_crowd, stop.clone()));
        let at_once = if is_concurrent { blueprint.concurrency(settings.concurrency) } else { 1 };
        let places = of_crowd * at_once;
        let admission = Admission::new(places, settings.max * QUEUE_PER_INSTANCE, wait, share);
        // Half of the instances, so that a backlog of messages never starves requests.
        let deliveries = Arc::new(Semaphore::new((settings.max / 2).max(1)));
        let (alone, state) = (Queue::new(alone, 0), Mutex::default());
        Arc::new(Self { blueprint, crowd, alone, settings, admission, deliveries, state, stop })
    }

    /// What the instances are made from.
    pub fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// The instances that handle several requests at a time.
    pub fn crowd(&self) -> Option<&Crowd> {
        self.crowd.as_ref()
    }

    /// Lets a request in that one of the crowd will handle, waiting in a bounded queue, at most until `deadline`.
    ///
    /// # Errors
    ///
    /// When all are busy for too long.
    pub async fn admit(self: &Arc<Self>, deadline: Instant) -> Result<Admitted, NoInstance> {
        let place = self.admission.enter(deadline).await.ok_or(NoInstance::Busy)?;
        Ok(Admitted::new(self.clone(), Some(place)))
    }

    /// Cancelled when calls that still run must end.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Adds an instance that was made elsewhere, such as the one that a deploy tried out.
    pub fn add(&self, instance: Box<Instance>) {
        // One that could only handle a request beside others is of no use here.
        let is_useful = self.crowd.is_none()
            || self.alone.places_max() > 0
            || self.blueprint.exports().messages.is_some();
        let mut state = self.state();
        if is_useful && !state.retired && instance.is_reusable(self.settings.reuse) {
            state.idle.push(instance);
        }
    }

    /// Makes instances until the minimum is there, with the one that is being tried out.
    ///
    /// # Errors
    ///
    /// When one cannot be made.
    pub async fn warm(&self) -> Result<(), GuestFailure> {
        while self.size().all + 1 < self.kept() {
            let instance = self.blueprint.instantiate().await?;
            self.add(instance);
        }
        Ok(())
    }

    /// Lets in a call that drives an instance of its own, if it need not wait; `depth` is how many services called each
    /// other. A guest does not drive one of WASI 0.3: a store runs its tasks within those of no other.
    pub fn try_enter(self: &Arc<Self>, depth: u8) -> Option<Entrant> {
        if self.crowd.is_none() {
            let place = self.admission.try_enter()?;
            return Some(Entrant::new(Admitted::new(self.clone(), Some(place))));
        }
        if depth > 0 {
            return None;
        }
        Some(Entrant::alone(self.clone(), self.alone.try_enter()?))
    }

    /// Lends an idle instance to such a call, if neither has to wait for the other.
    pub fn try_lend(self: &Arc<Self>, depth: u8) -> Option<Lease> {
        let mut state = self.state();
        if state.idle.is_empty() {
            return None;
        }
        let entrant = self.try_enter(depth)?;
        let (instance, index) = state.take_idle()?;
        drop(state);
        Some(entrant.lend(instance, index))
    }

    /// Lends an instance, waiting in a bounded queue while all are busy, at most until `deadline`.
    ///
    /// # Errors
    ///
    /// When all are busy for too long, or one cannot be made.
    pub async fn acquire(self: &Arc<Self>, deadline: Instant) -> Result<Lease, NoInstance> {
        Entrant::new(self.admit(deadline).await?).take().await
    }

    /// Lends an instance for a message, however long it takes: their number is bounded by who asks.
    ///
    /// # Errors
    ///
    /// When the pool retires meanwhile, or one cannot be made.
    pub async fn acquire_for_delivery(self: &Arc<Self>) -> Result<Lease, NoInstance> {
        let turn = self.deliveries.clone().acquire_owned().await.map_err(|_| NoInstance::Retired)?;
        let place = self.admission.enter_patiently().await.ok_or(NoInstance::Retired)?;
        Entrant::message(Admitted::new(self.clone(), Some(place)), turn).take().await
    }

    /// Drops instances that have had nothing to do for long, down to the minimum.
    pub fn shrink(&self, now: Instant) {
        let mut state = self.state();
        let mut spare = (state.idle.len() + state.busy.len()).saturating_sub(self.kept());
        let mut gone = Vec::new();
        // The coldest stand first.
        while spare > 0 && state.idle.first().is_some_and(|idle| now - idle.idle_since() > IDLE_TIME_MAX) {
            gone.push(state.idle.remove(0));
            spare -= 1;
        }
        drop(state);
        drop(gone);
    }

    /// Takes no instance back from now on, and drops the idle ones.
    pub fn retire(&self) {
        let mut state = self.state();
        state.retired = true;
        self.deliveries.close();
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        drop(idle);
        self.crowd.as_ref().inspect(|crowd| crowd.retire());
    }

    /// How large it is.
    pub fn size(&self) -> PoolSize {
        let state = self.state();
        let (of_crowd, busy_of_crowd) = self.crowd.as_ref().map(Crowd::size).unwrap_or_default();
        let busy = state.busy.len() + busy_of_crowd;
        let all = state.idle.len() + state.busy.len() + of_crowd;
        PoolSize { all, busy, waiting: self.admission.waiting() }
    }

    /// Every instance, as operators see it.
    pub fn instances(&self) -> Vec<InstanceView> {
        let state = self.state();
        let busy = state.busy.iter().map(|(_, busy)| InstanceView {
            name: busy.name.to_string(),
            busy: true,
            calls: busy.calls,
            memory: None,
            seconds: busy.since.elapsed().as_secs(),
        });
        let idle = state.idle.iter().map(|instance| InstanceView {
            name: instance.name().to_string(),
            busy: false,
            calls: instance.calls(),
            memory: Some(instance.memory()),
            seconds: instance.idle_since().elapsed().as_secs(),
        });
        let members = self.crowd.iter().flat_map(Crowd::members).map(|member| InstanceView {
            name: member.name.to_string(),
            busy: member.is_busy,
            calls: u32::try_from(member.calls).unwrap_or(u32::MAX),
            memory: None,
            seconds: member.made.elapsed().as_secs(),
        });
        let mut all: Vec<_> = busy.chain(idle).chain(members).collect();
        all.sort_by(|left, right| left.name.cmp(&right.name));
        all
    }

    /// Lends an idle instance, with its entry among the busy ones.
    pub(super) fn take_idle(&self) -> Option<(Box<Instance>, usize)> {
        self.state().take_idle()
    }

    /// Notes an instance that goes to work; answers its entry.
    pub(super) fn note_busy(&self, instance: &Instance) -> usize {
        self.state().note_busy(instance)
    }

    /// Takes an instance back that has done its work.
    pub(super) fn take_back(&self, instance: Box<Instance>, index: usize) {
        let is_kept = instance.is_reusable(self.settings.reuse);
        // Under one lock: whoever takes the instance next must not be uncounted by this call.
        let mut state = self.state();
        state.busy.remove(index);
        let spare = match is_kept && !state.retired {
            true => {
                state.idle.push(instance);
                None
            }
            false => Some(instance),
        };
        drop(state);
        drop(spare);
    }

    /// Removes an entry whose instance is gone.
    pub(super) fn forget_busy(&self, index: usize) {
        self.state().busy.remove(index);
    }

    /// A call has ended by `now`.
    pub(super) fn leave(&self, place: Place, now: Instant) {
        self.admission.leave(place, now);
    }

    /// Instances that are kept however little they have to do. Those of a crowd come by themselves.
    fn kept(&self) -> usize {
        match self.crowd {
            Some(_) => self.settings.min.min(self.alone.places_max()),
            None => self.settings.min,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_idle(&mut self) -> Option<(Box<Instance>, usize)> {
        let instance = self.idle.pop()?;
        let index = self.note_busy(&instance);
        Some((instance, index))
    }

    fn note_busy(&mut self, instance: &Instance) -> usize {
        let (name, calls) = (instance.name().clone(), instance.calls() + 1);
        self.busy.insert(Busy { name, since: CoarseTime::now(), calls })
    }
}
