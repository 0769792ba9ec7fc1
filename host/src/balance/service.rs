//! One service made of components: its active version, and calls into it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backends::database::OnceKey;
use crate::backends::messaging::{Delivery, Outcome};
use crate::balance::breaker::Pass;
use crate::balance::call::{Answer, Call, CallError};
use crate::balance::circuit::Circuit;
use crate::balance::lease::Lease;
use crate::balance::pool::{NoInstance, Pool};
use crate::balance::retry::Budget;
use crate::balance::verdict::{Excuses, Verdict};
use crate::body::{Request, keeping};
use crate::config::{Retry, ServiceConfig};
use crate::interfaces::call::Call as GuestCall;
use crate::interfaces::service::ServiceContext;
use crate::names::{ServiceName, VersionNumber};
use crate::runtime::activity::{Activity, EndsWith};
use crate::runtime::digest::Digest;
use crate::runtime::driven::{self, Driven};
use crate::runtime::failure::GuestFailure;
use crate::telemetry::trace::TraceContext;

/// How long a message waits before it looks again for room for one more instance in the host.
const ROOM_PAUSE: Duration = Duration::from_millis(50);

/// A version that answers calls.
pub struct Version {
    /// Its number.
    pub number: VersionNumber,
    /// Its component.
    pub digest: Digest,
    /// Its instances.
    pub pool: Arc<Pool>,
    circuit: Circuit,
}

impl Version {
    /// A version whose circuit is closed.
    pub fn new(number: VersionNumber, digest: Digest, pool: Arc<Pool>) -> Self {
        let circuit = Circuit::new(pool.blueprint().context().config.circuit);
        Self { number, digest, pool, circuit }
    }

    /// What its instances share.
    pub fn context(&self) -> &Arc<ServiceContext> {
        self.pool.blueprint().context()
    }

    fn note(&self, pass: Pass, verdict: Verdict) {
        if self.circuit.note(pass, verdict) {
            let service = &self.context().config.name;
            tracing::warn!(%service, "the service keeps failing and is left alone for a while");
        }
    }
}

/// What a call needs to be answered.
pub struct Ready {
    version: Arc<Version>,
    pass: Pass,
    lease: Lease,
}

/// A service of this host.
pub struct Service {
    name: ServiceName,
    active: ArcSwapOption<Version>,
    switched: Notify,
    unfit: AtomicBool,
    budget: Budget,
}

impl Service {
    /// A service without a version yet.
    pub fn new(config: &ServiceConfig) -> Self {
        Self {
            name: config.name.clone(),
            active: ArcSwapOption::empty(),
            switched: Notify::new(),
            unfit: AtomicBool::new(false),
            budget: Budget::default(),
        }
    }

    /// The version that answers now.
    pub fn active(&self) -> Option<Arc<Version>> {
        self.active.load_full()
    }

    /// Lets this version answer from now on; answers the one before. Calls that run end where they began.
    pub fn switch(&self, version: Arc<Version>) -> Option<Arc<Version>> {
        let before = self.active.swap(Some(version));
        self.set_unfit(false);
        self.switched.notify_waiters();
        before
    }

    /// How calls are tried again where the caller does not say.
    pub fn retry(&self) -> Option<Arc<Retry>> {
        self.active.load().as_ref()?.context().config.retry.clone()
    }

    /// What is left for trying calls again.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Whether its circuit is open.
    pub fn is_failing(&self) -> bool {
        self.active.load().as_ref().is_some_and(|version| version.circuit.is_open())
    }

    /// Whether it failed its last health check.
    pub fn is_unfit(&self) -> bool {
        self.unfit.load(Ordering::Relaxed)
    }

    /// Notes how its last health check went.
    pub fn set_unfit(&self, unfit: bool) {
        self.unfit.store(unfit, Ordering::Relaxed);
    }

    /// What a call needs that has to wait for nothing: an instance is idle, and none has failed of late.
    pub fn at_once(&self, depth: u8) -> Option<Ready> {
        let version = self.active()?;
        let pass = version.circuit.admit_freely()?;
        let lease = version.pool.try_lend(depth)?;
        version.context().queue_wait.observe(Duration::ZERO);
        Some(Ready { version, pass, lease })
    }

    /// Answers a request on one of the instances, as soon as one is free.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    pub async fn send(&self, call: Call) -> Result<Answer, CallError> {
        let version = self.active().ok_or_else(|| CallError::NoVersion(self.name.clone()))?;
        let pass = version.circuit.admit();
        let pass = pass.map_err(|retry_after| CallError::CircuitOpen { retry_after })?;
        let lease = match version.pool.try_enter(call.depth) {
            Some(entrant) => self.entered(&version, pass, entrant.take()).await?,
            None if version.pool.crowd().is_some() => return self.send_to_crowd(version, call, pass).await,
            None => self.entered(&version, pass, version.pool.acquire(call.deadline)).await?,
        };
        self.answer(Ready { version, pass, lease }, call).await
    }

    /// Answers a request on an instance that is ready for it.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    pub fn answer(
        &self,
        Ready { version, pass, lease }: Ready,
        call: Call,
    ) -> impl Future<Output = Result<Answer, CallError>> + Send + use<'_> {
        let number = version.number;
        let guest_call = guest_call(&call);
        let ends_with = if version.pool.crowd().is_some() { EndsWith::Body } else { EndsWith::Call };
        let activity = Arc::new(Activity::new(ends_with));
        let driven = Driven::new(drive(version, lease, call.request, guest_call, activity.clone(), pass));
        async move {
            let response = driven.answer(&activity).await?;
            if let Some(active) = self.active.load().as_ref().filter(|active| active.number == number) {
                active.note(pass, Verdict::Answered);
            }
            Ok(Answer { response, version: Some(number), upgraded: None })
        }
    }

    /// Answers a request on an instance that may handle others beside it.
    async fn send_to_crowd(
        &self,
        version: Arc<Version>,
        call: Call,
        pass: Pass,
    ) -> Result<Answer, CallError> {
        let admitted = self.entered(&version, pass, version.pool.admit(call.deadline)).await?;
        let Some(crowd) = version.pool.crowd() else {
            return Err(CallError::NoVersion(self.name.clone()));
        };
        let guest_call = guest_call(&call);
        let (mut request, deadline) = (call.request, call.deadline);
        let own_deadline = guest_call.began + version.context().config.limits.time;
        let excuses = Excuses::watch(&mut request, own_deadline, deadline);
        let (instance, result) = crowd.handle(*request, guest_call.clone()).await;
        match result {
            Ok(response) => {
                version.note(pass, Verdict::Answered);
                let number = Some(version.number);
                let response = response.map(|body| keeping(body, (admitted, version)));
                Ok(Answer { response, version: number, upgraded: None })
            }
            Err(failure) => {
                failure.report(version.context(), instance.as_ref(), Some(&guest_call));
                version.note(pass, Verdict::of_guest(&failure, &excuses));
                Err(failure.into())
            }
        }
    }

    /// Hands a message to one of the instances, as soon as there is a version and a free one.
    ///
    /// # Errors
    ///
    /// The failure of the guest, to be tried again.
    pub async fn deliver(
        &self,
        delivery: &Delivery,
    ) -> (Option<VersionNumber>, Result<Outcome, GuestFailure>) {
        let (version, lease) = self.lease_for_delivery().await;
        let number = Some(version.number);
        let mut lease = match lease {
            Ok(lease) => lease,
            Err(failure) => {
                failure.report(version.context(), None, None);
                return (number, Err(failure));
            }
        };
        let limits = &version.context().config.limits;
        let request: Arc<str> = format!("{}#{}", delivery.id, delivery.attempt).into();
        let mut call = GuestCall::new(request, trace_of(delivery), Instant::now() + limits.time);
        call.delivery = Some(OnceKey {
            scope: "delivery".into(),
            key: format!("{}/{}/{}", delivery.domain, delivery.source, delivery.id),
        });
        let call = Arc::new(call);
        let result = tokio::select! {
            result = lease.instance().handle_message(delivery, call.clone()) => result,
            () = version.pool.stop().cancelled() => Err(GuestFailure::Timeout("drain")),
        };
        match &result {
            Ok(_) => lease.give_back(),
            Err(failure) => failure.report(version.context(), Some(lease.name()), Some(&call)),
        }
        (number, result)
    }

    /// Waits for an instance however long it takes: a message that finds no room has not been tried.
    async fn lease_for_delivery(&self) -> (Arc<Version>, Result<Lease, GuestFailure>) {
        loop {
            let version = self.wait_for_version().await;
            match version.pool.acquire_for_delivery().await {
                Ok(lease) => return (version, Ok(lease)),
                Err(NoInstance::Failed(failure)) => return (version, Err(failure)),
                // Switched meanwhile: the next version handles it.
                Err(NoInstance::Retired) => tokio::task::yield_now().await,
                Err(NoInstance::Busy) => tokio::time::sleep(ROOM_PAUSE).await,
            }
        }
    }

    /// Waits until a call is let in, and tells how long that took.
    async fn entered<T>(
        &self,
        version: &Version,
        pass: Pass,
        entering: impl Future<Output = Result<T, NoInstance>>,
    ) -> Result<T, CallError> {
        let started = Instant::now();
        let entered = entering.await;
        let context = version.context();
        context.queue_wait.observe(started.elapsed());
        entered.map_err(|error| match error {
            NoInstance::Busy => {
                context.limited("instances");
                CallError::busy()
            }
            NoInstance::Retired => CallError::busy(),
            NoInstance::Failed(failure) => {
                failure.report(context, None, None);
                version.note(pass, Verdict::Failed);
                failure.into()
            }
        })
    }

    /// The version that answers; waits for the first one.
    pub async fn wait_for_version(&self) -> Arc<Version> {
        loop {
            let switched = self.switched.notified();
            if let Some(version) = self.active() {
                return version;
            }
            switched.await;
        }
    }
}

/// What the host knows about the call of a guest.
fn guest_call(call: &Call) -> Arc<GuestCall> {
    let mut guest_call = GuestCall::new(call.request_id.clone(), call.trace, call.deadline);
    guest_call.depth = call.depth;
    guest_call.route = call.route.clone();
    guest_call.keep_identity(call.request.headers());
    Arc::new(guest_call)
}

/// Runs a guest call to its end, which may be long after its response began, and gives the instance back.
fn drive(
    version: Arc<Version>,
    mut lease: Lease,
    mut request: Box<Request>,
    call: Arc<GuestCall>,
    activity: Arc<Activity>,
    pass: Pass,
) -> BoxFuture<'static, driven::Outcome> {
    let own_deadline = call.began + version.context().config.limits.time;
    let excuses = Excuses::watch(&mut request, own_deadline, call.deadline);
    // Before the future is made, which would hold the request too.
    let accepted = driven::guard(|| lease.instance().accept(*request, &activity));
    Box::pin(async move {
        // Told before the lease and with it the instance is dropped, however that comes.
        let fate = Fate(&activity);
        let result = match accepted {
            Ok(accepted) => {
                let handled = pin!(lease.instance().handle(accepted, &call, &activity));
                tokio::select! {
                    biased;
                    result = handled => result,
                    () = version.pool.stop().cancelled() => Err(GuestFailure::Timeout("drain")),
                }
            }
            Err(failure) => Err(failure),
        };
        match &result {
            Ok(()) => {
                fate.ends_well();
                lease.give_back();
            }
            Err(failure) => {
                activity.fail(failure.clone());
                failure.report(version.context(), Some(lease.name()), Some(&call));
                version.note(pass, Verdict::of_guest(failure, &excuses));
                // Before its version is let go.
                drop(lease);
            }
        }
        result
    })
}

/// A call whose end is not known yet: one that is dropped has failed.
struct Fate<'a>(&'a Activity);

impl Fate<'_> {
    /// It has ended well.
    fn ends_well(self) {
        std::mem::forget(self);
    }
}

impl Drop for Fate<'_> {
    fn drop(&mut self) {
        // The first reason counts.
        self.0.fail(driven::dropped());
    }
}

/// The trace that a message carries, or a new one.
fn trace_of(delivery: &Delivery) -> TraceContext {
    let header = delivery.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("traceparent"));
    header
        .and_then(|(_, value)| TraceContext::parse(value))
        .map(|trace| trace.child())
        .unwrap_or_else(TraceContext::new)
}
