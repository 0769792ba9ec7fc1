//! Asks services from time to time whether they can work.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::balance::service::Service;
use crate::interfaces::call::Call;
use crate::names::RequestId;
use crate::telemetry::journal::{Level, Speaker, Stream};
use crate::telemetry::trace::TraceContext;

/// How long a service may take to answer, waiting for an instance included.
const PROBE_TIME_MAX: Duration = Duration::from_secs(2);

/// Asks one service; a service that has no health check, no version or no free instance is left as it is.
pub async fn probe(service: &Arc<Service>) {
    let Some(version) = service.active() else { return };
    let blueprint = version.pool.blueprint();
    // A service that nobody calls is not woken only to be asked.
    if blueprint.exports().health.is_none() || version.pool.size().all == 0 {
        return;
    }
    let deadline = Instant::now() + PROBE_TIME_MAX;
    let Ok(mut lease) = version.pool.acquire(deadline).await else { return };
    let call = Call::new(RequestId::new().into(), TraceContext::new(), deadline);
    let verdict = match lease.instance().health(Arc::new(call)).await {
        Ok(verdict) => {
            lease.give_back();
            verdict
        }
        Err(failure) => Err(failure.story()),
    };
    let context = blueprint.context();
    if let (Err(reason), false) = (&verdict, service.is_unfit()) {
        let speaker = Speaker::version(&context.config.name, version.number);
        context.host.journal.write(
            Level::Error,
            Stream::Host,
            speaker,
            &format!("its health check fails: {reason}"),
        );
    }
    service.set_unfit(verdict.is_err());
}
