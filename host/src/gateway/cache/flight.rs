//! Requests on their way to a service, so that others for the same response wait instead of asking too.
//!
//! One leads and asks; the others follow. A leader whose client leaves hands over to one of them; when its
//! response is not for others, they all go on by themselves, at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::watch;

use super::growing::Growing;
use super::kept::{Asking, Head, Kept, Scope};
use super::store::Key;

/// How long a request waits for another one's response head: as long as a component has for it by default.
const FOLLOW_TIME_MAX: Duration = Duration::from_secs(10);

/// All flights by key.
#[derive(Default)]
pub struct Flights(Mutex<HashMap<Key, Vec<Arc<Flight>>>>);

/// One request on its way.
pub struct Flight {
    epoch: u64,
    scope: Scope,
    request: HeaderMap,
    is_known: bool,
    stage: watch::Sender<Stage>,
}

/// How far a flight is.
#[derive(Clone)]
pub enum Stage {
    /// The service has not answered.
    Asking,
    /// The response comes.
    Coming(Arc<Head>, Arc<Growing>),
    /// The service said that the kept one is still right.
    Landed(Kept),
    /// The response is not for others, or there is none.
    Alone,
    /// The client of the leader has left.
    Abandoned,
}

/// The part that a request takes.
pub enum Part {
    /// It asks the service, and others wait for it.
    Lead(Lead),
    /// It waits for another one.
    Follow(Arc<Flight>),
    /// It asks the service, and nobody waits for it.
    Alone,
}

/// The right to lead; dropping it ends the flight.
pub struct Lead {
    flights: Arc<Flights>,
    key: Key,
    flight: Arc<Flight>,
}

/// Who wants to join.
pub struct Joining<'j> {
    /// What is asked for.
    pub key: &'j Key,
    /// The count of changes of its URL: who asks after one must not get what another asked for before it.
    pub epoch: u64,
    /// By whom.
    pub asking: Asking<'j>,
    /// What is known of how the service chooses by fields.
    pub known: &'j [Kept],
    /// Whether others may wait for this request.
    pub may_lead: bool,
    /// Whether this request may wait for others.
    pub may_follow: bool,
}

impl Flights {
    /// Finds the part of a request.
    pub fn join(self: &Arc<Self>, joining: &Joining<'_>) -> Part {
        let mut flights = self.lock();
        let same = flights.get(joining.key).into_iter().flatten().find(|it| it.suits(joining)).cloned();
        match same {
            Some(flight) if joining.may_follow => Part::Follow(flight),
            None if joining.may_lead => {
                let Asking { scope, request, is_known } = joining.asking;
                let stage = watch::Sender::new(Stage::Asking);
                let (scope, request) = (scope.clone(), request.clone());
                let flight = Arc::new(Flight { epoch: joining.epoch, scope, request, is_known, stage });
                flights.entry(joining.key.clone()).or_default().push(flight.clone());
                Part::Lead(Lead { flights: self.clone(), key: joining.key.clone(), flight })
            }
            _ => Part::Alone,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Arc<Flight>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Waits until there is something to follow.
    pub async fn follow(&self) -> Stage {
        let mut stage = self.stage.subscribe();
        let known = stage.wait_for(|stage| !matches!(stage, Stage::Asking));
        match tokio::time::timeout(FOLLOW_TIME_MAX, known).await {
            Ok(Ok(stage)) => stage.clone(),
            Ok(Err(_)) => Stage::Abandoned,
            Err(_) => Stage::Alone,
        }
    }

    /// Whether its response may be the one that is asked for, as far as that is known.
    fn suits(&self, joining: &Joining<'_>) -> bool {
        if self.epoch != joining.epoch {
            return false;
        }
        match &*self.stage.borrow() {
            Stage::Asking => {
                let Asking { scope, request, is_known } = joining.asking;
                let mut known = joining.known.iter().map(|kept| &kept.head);
                self.scope == *scope
                    && self.is_known == is_known
                    && known.all(|head| head.agree(&self.request, request))
            }
            Stage::Coming(head, _) => head.matches(joining.asking),
            Stage::Landed(kept) => kept.head.matches(joining.asking),
            Stage::Alone | Stage::Abandoned => false,
        }
    }
}

impl Lead {
    /// Tells the others how far it is.
    pub fn tell(&self, stage: Stage) {
        self.flight.stage.send_replace(stage);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        if let Some(same) = flights.get_mut(&self.key) {
            same.retain(|flight| !Arc::ptr_eq(flight, &self.flight));
            if same.is_empty() {
                flights.remove(&self.key);
            }
        }
        drop(flights);
        self.flight.stage.send_if_modified(|stage| {
            let is_asking = matches!(stage, Stage::Asking);
            if is_asking {
                *stage = Stage::Abandoned;
            }
            is_asking
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::cache::origin::Origin;

    fn join_at(epoch: u64, flights: &Arc<Flights>, target: &str, is_known: bool) -> Part {
        let scope = Scope { route: 1, service: "shop".parse().unwrap() };
        let asking = Asking { scope: &scope, request: &HeaderMap::new(), is_known };
        let host = HeaderMap::from_iter([(http::header::HOST, "shop.example".parse().unwrap())]);
        let key = Key::new(Origin::new("http", &host, None, None).unwrap(), target, None);
        flights.join(&Joining { key: &key, epoch, asking, known: &[], may_lead: true, may_follow: true })
    }

    fn join(flights: &Arc<Flights>, target: &str, is_known: bool) -> Part {
        join_at(0, flights, target, is_known)
    }

    #[tokio::test]
    async fn nobody_follows_who_asked_before_a_change() {
        let flights = Arc::<Flights>::default();
        let Part::Lead(old) = join_at(1, &flights, "/x", false) else { panic!("the first leads") };
        let Part::Lead(new) = join_at(2, &flights, "/x", false) else { panic!("it asks anew") };
        let Part::Follow(flight) = join_at(2, &flights, "/x", false) else { panic!("the third follows") };
        old.tell(Stage::Alone);
        drop(new);
        assert!(matches!(flight.follow().await, Stage::Abandoned), "it follows the second");
    }

    #[tokio::test]
    async fn one_leads_and_hands_over_when_it_leaves() {
        let flights = Arc::<Flights>::default();
        let Part::Lead(lead) = join(&flights, "/x", false) else { panic!("the first leads") };
        let Part::Follow(flight) = join(&flights, "/x", false) else { panic!("the second follows") };
        assert!(matches!(join(&flights, "/y", false), Part::Lead(_)), "another URL");
        assert!(matches!(join(&flights, "/x", true), Part::Lead(_)), "another kind of caller");
        drop(lead);
        assert!(matches!(flight.follow().await, Stage::Abandoned));
        assert!(matches!(join(&flights, "/x", false), Part::Lead(_)), "somebody else leads");
        assert!(flights.lock().is_empty(), "nothing is left behind");
    }

    #[tokio::test]
    async fn followers_are_told_that_a_response_is_not_for_them() {
        let flights = Arc::<Flights>::default();
        let Part::Lead(lead) = join(&flights, "/x", false) else { panic!("the first leads") };
        let Part::Follow(flight) = join(&flights, "/x", false) else { panic!("the second follows") };
        lead.tell(Stage::Alone);
        drop(lead);
        assert!(matches!(flight.follow().await, Stage::Alone));
    }
}
