//! Tries calls again: which ones, how often, after which pause, and within which budget.
//!
//! A call that never reached its service is made again whatever it asks for. One that may have had an effect is made
//! again only at an external service, when its method is idempotent (RFC 9110, 9.2.2) and its body was not read. A
//! component that failed under a call is not called again: it may have written before, and the next instance runs
//! the same code.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::balance::Target;
use crate::balance::call::{Answer, Call, CallError, Tries};
use crate::balance::lend::Lender;
use crate::balance::verdict::is_passing;
use crate::body::{Request, copy_head, empty};
use crate::config::Retry;

/// What one repeated call costs, in hundredths: a call earns as many as the policy has percent.
const PRICE: u64 = 100;

/// Repeated calls that may be saved up, so that the first failures after a quiet time find help.
const SAVED_MAX: u64 = 10 * PRICE;

/// What is left for trying calls again: a service that fails gets a bounded share more of them.
#[derive(Debug)]
pub struct Budget(AtomicU64);

impl Budget {
    /// Adds what one call earns.
    pub fn earn(&self, percent: u32) {
        let add = |saved: u64| Some((saved + u64::from(percent)).min(SAVED_MAX));
        // The closure never refuses.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Pays for one repeated call, unless too little is left.
    pub fn pay(&self) -> bool {
        let pay = |saved: u64| saved.checked_sub(PRICE);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU64::new(SAVED_MAX))
    }
}

/// Sends a call, which has earned its share, and again as far as the policy goes.
pub async fn send(target: &Target, call: Call, retry: &Retry) -> Result<Answer, CallError> {
    let budget = target.budget();
    let deadline = call.deadline;
    let (mut spare, mut call) = Spare::of(call);
    let mut tries = Tries::default();
    let mut count = 1;
    loop {
        tries.time = retry.per_try.filter(|_| count < retry.tries && spare.may_be_cut(target));
        let result = target.send(call, &mut tries).await;
        let pause = pause(retry, count, rand::random());
        let may_follow = count < retry.tries && spare.may_follow(target, &result);
        if !may_follow || Instant::now() + pause >= deadline || !budget.pay() {
            return result;
        }
        let Some(next) = spare.call() else { return result };
        // A response that is not used gives its connection back before the pause.
        drop(result);
        tokio::time::sleep(pause).await;
        call = next;
        count += 1;
    }
}

/// What a further try needs.
struct Spare {
    call: Call,
    lender: Lender,
}

impl Spare {
    /// The call to be made now, and what is kept of it.
    fn of(mut call: Call) -> (Self, Call) {
        let (lender, body) = Lender::lend(std::mem::replace(call.request.body_mut(), empty()));
        *call.request.body_mut() = body;
        let kept = with(&call, copy_head(&call.request));
        (Self { call: kept, lender }, call)
    }

    /// The call once more; none when its body is used up.
    fn call(&mut self) -> Option<Call> {
        let body = self.lender.lend_again()?;
        Some(with(&self.call, copy_head(&self.call.request).map(|_| body)))
    }

    /// Whether the call may have had an effect and can be made again all the same.
    fn is_repeatable(&self, target: &Target) -> bool {
        matches!(target, Target::External(_)) && self.call.request.method().is_idempotent()
    }

    /// Whether a try may be cut short: it can be repeated however far it came.
    fn may_be_cut(&self, target: &Target) -> bool {
        self.is_repeatable(target) && self.lender.is_inexhaustible()
    }

    /// Whether this outcome is one that another try may better.
    fn may_follow(&self, target: &Target, result: &Result<Answer, CallError>) -> bool {
        match result {
            Err(CallError::Busy { .. } | CallError::Unreachable(_)) => true,
            Err(CallError::Broken(_) | CallError::Timeout { .. }) => self.is_repeatable(target),
            Ok(answer) => is_passing(answer.response.status()) && self.is_repeatable(target),
            Err(_) => false,
        }
    }
}

/// The same call with this request.
fn with(call: &Call, request: Request) -> Call {
    let Call { request: _, request_id, trace, route, deadline, depth, client, keeps_host, retry } = call;
    Call {
        request: Box::new(request),
        request_id: request_id.clone(),
        trace: *trace,
        route: route.clone(),
        deadline: *deadline,
        depth: *depth,
        client: *client,
        keeps_host: *keeps_host,
        retry: retry.clone(),
    }
}

/// The pause after so many tries: doubled each time, and shortened by up to half by chance, so that calls that failed
/// together do not come back together.
fn pause(retry: &Retry, tries: u32, chance: f64) -> Duration {
    let doubled = retry.back_off_min.saturating_mul(1 << (tries - 1).min(16));
    doubled.min(retry.back_off_max).mul_f64(1.0 - chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_calls_are_a_share_of_all() {
        let budget = Budget::default();
        let saved = (0..100).filter(|_| budget.pay()).count();
        assert_eq!(saved, 10, "what is saved up at the start");
        let mut repeated = 0;
        for _ in 0..1_000 {
            budget.earn(20);
            repeated += u32::from(budget.pay());
        }
        assert_eq!(repeated, 200);
        (0..10_000).for_each(|_| budget.earn(100));
        assert_eq!((0..100).filter(|_| budget.pay()).count(), 10, "no more is saved up");
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_differ_by_chance() {
        let retry = Retry {
            tries: 5,
            budget_percent: 20,
            per_try: None,
            back_off_min: Duration::from_millis(25),
            back_off_max: Duration::from_millis(150),
        };
        let longest: Vec<u128> = (1..=5).map(|tries| pause(&retry, tries, 0.0).as_millis()).collect();
        assert_eq!(longest, [25, 50, 100, 150, 150]);
        assert_eq!(pause(&retry, 3, 1.0), Duration::from_millis(50));
    }
}
