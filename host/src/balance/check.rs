//! Active health checks: one task for each address, as long as its service is there.

use std::sync::Arc;

use http::header::USER_AGENT;
use http::{HeaderValue, Uri};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::balance::upstream::Group;
use crate::body::{Request, empty};
use crate::config::HealthCheck;

/// By what a service knows a check in its log.
const AGENT: HeaderValue = HeaderValue::from_static("hostel-health-check");

/// What the checks of one address have found.
#[derive(Debug)]
struct Finding {
    sick: bool,
    /// Answers in a row that speak against it.
    against: u32,
}

impl Finding {
    /// Notes one answer; tells whether the finding has turned.
    fn note(&mut self, good: bool, check: &HealthCheck) -> bool {
        if good != self.sick {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let enough = if self.sick { check.healthy } else { check.unhealthy };
        let turns = self.against >= enough;
        if turns {
            *self = Self { sick: !self.sick, against: 0 };
        }
        turns
    }
}

/// Asks one address again and again; an address counts as well until it was bad often enough.
pub async fn watch(group: Arc<Group>, index: usize, check: HealthCheck) {
    let Some(address) = group.addresses.get(index) else { return };
    let mut finding = Finding { sick: false, against: 0 };
    let mut ticks = interval(check.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = timeout(check.timeout, ask(&group, &address.uri, &check)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {:?}", check.timeout)));
        let has_turned = finding.note(answer.is_ok(), &check);
        if has_turned {
            address.set_sick(finding.sick, Instant::now());
        }
        match answer {
            Ok(()) => {
                if has_turned {
                    tracing::info!(service = %group.name, address = %address.shown, "the address is healthy again");
                }
                // Who is well and answers checks is asked again at once.
                if !finding.sick {
                    group.close_circuit();
                }
            }
            Err(reason) if has_turned => {
                tracing::warn!(service = %group.name, address = %address.shown, %reason, "the address fails its health check");
            }
            Err(_) => {}
        }
    }
}

/// One check; an error says what was wrong with the answer.
async fn ask(group: &Group, address: &Uri, check: &HealthCheck) -> Result<(), String> {
    let mut parts = address.clone().into_parts();
    parts.path_and_query = Some(check.path.clone());
    let mut request = Request::new(empty());
    *request.uri_mut() = Uri::from_parts(parts).map_err(|error| error.to_string())?;
    request.headers_mut().insert(USER_AGENT, AGENT);
    let answer = group.client.send(request, 0).await.map_err(|error| super::upstream::root_cause(&error))?;
    match check.statuses.contains(&answer.status()) {
        true => Ok(()),
        false => Err(format!("status {}", answer.status().as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_finding_turns_after_enough_answers_in_a_row() {
        let check = HealthCheck {
            path: "/".parse().unwrap(),
            every: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy: 2,
            unhealthy: 3,
            statuses: Vec::new(),
        };
        let mut finding = Finding { sick: false, against: 0 };
        let mut turns = |answers: &[bool]| -> Vec<bool> {
            answers.iter().map(|good| finding.note(*good, &check)).collect()
        };
        assert_eq!(turns(&[true, false, false, true, false, false]), [false; 6]);
        assert_eq!(turns(&[false, false, true, false, true]), [true, false, false, false, false]);
        assert_eq!(turns(&[true, true, false, false]), [true, false, false, false]);
    }
}
