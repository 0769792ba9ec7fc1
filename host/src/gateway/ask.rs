//! Asks a service through the cache: what is kept answers, what is not is fetched and kept.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;

use super::account::Account;
use super::cache::{Asked, Cache, Key, Lookup, Origin, Plan};
use super::context::Context;
use super::forward;
use super::limits::BodyFate;
use super::pipeline::Pipeline;
use super::reply::Refusal;
use super::routing::Route;
use crate::body::{Request, Response};
use crate::names::ServiceName;

/// How long a fetch may take whose client has been answered already.
const BEHIND_TIME_MAX: Duration = Duration::from_secs(60);

impl Pipeline {
    /// Has a request answered by the cache or the service. `path` is its path in normal form.
    pub(super) async fn ask(
        &self,
        service: &ServiceName,
        route: &Arc<Route>,
        path: &str,
        mut request: Box<Request>,
        account: &mut Account,
        fate: &Option<Arc<BodyFate>>,
    ) -> Result<Response, Refusal> {
        let Some(cache) = &self.cache else {
            return self.forward(service, route, request, account, fate).await;
        };
        if request.method().is_safe() && route.cache.is_none() {
            return self.forward(service, route, request, account, fate).await;
        }
        let context = &account.context;
        let (told_host, told_port) = (context.asked_host.as_ref(), context.asked_port);
        let origin = Origin::new(context.scheme, request.headers(), told_host, told_port);
        let Some(used) = route.cache.as_ref().filter(|_| request.method().is_safe()) else {
            // Whatever route it came by: others may keep what it changes.
            let target = origin.map(|origin| Key::new(origin, path, request.uri().query()));
            let response = self.forward(service, route, request, account, fate).await?;
            if let Some(target) = target {
                cache.invalidate(&target, &response);
            }
            return Ok(response);
        };
        let is_identified = context.identity.is_some();
        let asked = Asked { route: used, service, origin: origin.as_ref(), path, is_identified };
        match Box::pin(cache.look_up(asked, &mut request)).await? {
            Lookup::Answer(response) => Ok(response),
            Lookup::Stale(response, behind) => {
                let (request, plan) = *behind;
                self.fetch_behind(cache, service, route, request, plan, &account.context);
                Ok(response)
            }
            Lookup::Fetch(plan) => {
                let answer = self.forward(service, route, request, account, fate).await;
                cache.keep(plan, answer)
            }
        }
    }

    /// Fetches what has answered stale, in a task of its own.
    fn fetch_behind(
        &self,
        cache: &Arc<Cache>,
        service: &ServiceName,
        route: &Arc<Route>,
        request: Box<Request>,
        plan: Plan,
        answered: &Context,
    ) {
        let context = answered.again(&request);
        let (balancer, cache) = (self.balancer.clone(), cache.clone());
        let (service, route) = (service.clone(), route.clone());
        let fetch = async move {
            let answer = forward::send(&balancer, &service, &route, request, &context).await;
            let Ok(response) = cache.keep(plan, answer.map(|answer| answer.response)) else {
                return;
            };
            // A body that nobody reads would not be fetched to its end.
            let mut body = response.into_body();
            while let Some(Ok(_)) = body.frame().await {}
        };
        tokio::spawn(tokio::time::timeout(BEHIND_TIME_MAX, fetch));
    }
}
