//! The instances of one version: grow, keep warm, shrink, replace.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slab::Slab;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::balance::admission::Admission;
use crate::balance::queue::{Place, Queue};
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
    idle: Vec<Instance>,
    busy: Slab<Busy>,
    retired: bool,
}

struct Busy {
    name: Arc<str>,
    since: Instant,
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

/// A call that was let in; dropping it makes room for the next.
pub struct Admitted {
    pool: Arc<Pool>,
    place: Option<Place>,
}

/// An instance on loan for one call. Dropped without `give_back`, it is thrown away.
pub struct Lease {
    /// Dropped before its place is free for the next.
    instance: Option<Instance>,
    admitted: Admitted,
    /// Its entry among the busy ones.
    entry: Option<usize>,
    /// Its place among those that handle one request alone.
    _alone: Option<Place>,
    /// The share of instances that messages may use.
    _turn: Option<OwnedSemaphorePermit>,
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
        Ok(Admitted { pool: self.clone(), place: Some(place) })
    }

    /// Cancelled when calls that still run must end.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Adds an instance that was made elsewhere, such as the one that a deploy tried out.
    pub fn add(&self, instance: Instance) {
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
    pub fn try_enter(self: &Arc<Self>, depth: u8) -> Option<Lease> {
        if self.crowd.is_none() {
            let place = self.admission.try_enter()?;
            return Some(Lease::new(Admitted { pool: self.clone(), place: Some(place) }));
        }
        if depth > 0 {
            return None;
        }
        let alone = self.alone.try_enter()?;
        let mut lease = Lease::new(Admitted { pool: self.clone(), place: None });
        lease._alone = Some(alone);
        Some(lease)
    }

    /// Lends an instance, waiting in a bounded queue while all are busy, at most until `deadline`.
    ///
    /// # Errors
    ///
    /// When all are busy for too long, or one cannot be made.
    pub async fn acquire(self: &Arc<Self>, deadline: Instant) -> Result<Lease, NoInstance> {
        Lease::new(self.admit(deadline).await?).filled().await
    }

    /// Lends an instance for a message, however long it takes: their number is bounded by who asks.
    ///
    /// # Errors
    ///
    /// When the pool retires meanwhile, or one cannot be made.
    pub async fn acquire_for_delivery(self: &Arc<Self>) -> Result<Lease, NoInstance> {
        let turn = self.deliveries.clone().acquire_owned().await.map_err(|_| NoInstance::Retired)?;
        let place = self.admission.enter_patiently().await.ok_or(NoInstance::Retired)?;
        let mut lease = Lease::new(Admitted { pool: self.clone(), place: Some(place) });
        lease._turn = Some(turn);
        lease.filled().await
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
    /// Notes an instance that goes to work; answers its entry.
    fn enter(&mut self, instance: &Instance) -> usize {
        let (name, calls) = (instance.name().clone(), instance.calls() + 1);
        self.busy.insert(Busy { name, since: Instant::now(), calls })
    }
}

impl Admitted {
    /// The call has ended by `now`.
    fn leave(&mut self, now: Instant) {
        if let Some(place) = self.place.take() {
            self.pool.admission.leave(place, now);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.leave(Instant::now());
        }
    }
}

impl Lease {
    /// For a call that was let in, without an instance yet.
    fn new(admitted: Admitted) -> Self {
        Self { instance: None, admitted, entry: None, _alone: None, _turn: None }
    }

    /// Takes an idle instance; answers whether there was one.
    pub fn take_warm(&mut self) -> bool {
        let mut state = self.admitted.pool.state();
        self.instance = state.idle.pop();
        self.entry = self.instance.as_ref().map(|instance| state.enter(instance));
        self.instance.is_some()
    }

    /// The same with an instance: an idle one, or a new one.
    ///
    /// # Errors
    ///
    /// When none can be made.
    pub async fn filled(mut self) -> Result<Self, NoInstance> {
        if self.take_warm() {
            return Ok(self);
        }
        let made = Box::pin(self.admitted.pool.blueprint.instantiate()).await;
        let instance = made.map_err(|failure| match failure {
            GuestFailure::NoRoom(_) => NoInstance::Busy,
            other => NoInstance::Failed(other),
        })?;
        self.entry = Some(self.admitted.pool.state().enter(&instance));
        self.instance = Some(instance);
        Ok(self)
    }

    /// The instance, unless it was given back.
    pub fn instance(&mut self) -> Option<&mut Instance> {
        self.instance.as_mut()
    }

    /// Its name.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.instance.as_ref().map(Instance::name)
    }

    /// Gives the instance back after a call that ended well.
    pub fn give_back(mut self) {
        let (Some(instance), Some(entry)) = (self.instance.take(), self.entry.take()) else { return };
        let now = instance.idle_since();
        let pool = &self.admitted.pool;
        let is_kept = instance.is_reusable(pool.settings.reuse);
        // Under one lock: whoever takes the instance next must not be uncounted by this lease.
        let mut state = pool.state();
        state.busy.remove(entry);
        let spare = match is_kept && !state.retired {
            true => {
                state.idle.push(instance);
                None
            }
            false => Some(instance),
        };
        drop(state);
        drop(spare);
        self.admitted.leave(now);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.admitted.pool.state().busy.remove(entry);
        }
    }
}
