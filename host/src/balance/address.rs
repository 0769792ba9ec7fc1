//! One address of an external service, and how it is: read by every request, without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::Uri;
use tokio::time::Instant;

use crate::balance::client::STREAMS_MAX;
use crate::balance::pick::Standing;
use crate::config;

/// What an address that has just come back gets of its share: enough to find out whether it works.
const SLOW_START_SHARE_MIN: f64 = 0.1;

/// One address.
pub struct Address {
    /// Scheme, host and port.
    pub uri: Uri,
    /// As it stands in gateway.toml.
    pub shown: String,
    weight: f64,
    opened: Instant,
    /// Whether it failed its health checks.
    sick: AtomicBool,
    /// Milliseconds after `opened` until which it is passed over; 0 for never.
    out_until: AtomicU64,
    /// Milliseconds after `opened` since which it is well again; 0 for always.
    well_since: AtomicU64,
    /// The requests in flight on each of its lanes.
    lanes: Arc<[AtomicUsize]>,
}

/// Counts one request while it lives.
#[derive(Debug)]
pub struct InFlight {
    lanes: Arc<[AtomicUsize]>,
    lane: usize,
}

impl Address {
    /// An address that is well, with so many lanes, at least one.
    pub fn new(config: &config::Address, lanes: usize) -> Self {
        Self {
            // An address has no path.
            shown: config.uri.to_string().trim_end_matches('/').to_owned(),
            uri: config.uri.clone(),
            weight: f64::from(config.weight),
            opened: Instant::now(),
            sick: AtomicBool::new(false),
            out_until: AtomicU64::new(0),
            well_since: AtomicU64::new(0),
            lanes: (0..lanes.max(1)).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// Whether it is neither sick nor passed over.
    pub fn is_in(&self, now: Instant) -> bool {
        !self.sick.load(Ordering::Relaxed) && self.out_until.load(Ordering::Relaxed) <= self.elapsed(now)
    }

    /// How it stands for a choice; while it has not been back for as long as `slow_start` it gets less than its share.
    pub fn standing(&self, now: Instant, slow_start: Option<Duration>) -> Standing {
        let share = slow_start.map_or(1.0, |whole| self.share(now, whole));
        let in_flight = self.lanes.iter().map(|lane| lane.load(Ordering::Relaxed)).sum();
        Standing { weight: self.weight * share, in_flight }
    }

    /// Notes how its health checks found it.
    pub fn set_sick(&self, sick: bool, now: Instant) {
        if self.sick.swap(sick, Ordering::Relaxed) && !sick {
            self.well_since.store(self.elapsed(now), Ordering::Relaxed);
        }
    }

    /// Passes it over until then.
    pub fn eject(&self, until: Instant) {
        self.out_until.store(self.elapsed(until), Ordering::Relaxed);
    }

    /// A request to it begins, on the first lane that has room: so the later ones fall idle when there is little to do.
    /// When none has, the address decides how long it waits.
    pub fn begin(&self) -> InFlight {
        let enter = |lane: &AtomicUsize| {
            let enter = |count| (count < STREAMS_MAX).then_some(count + 1);
            lane.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).is_ok()
        };
        let lane = self.lanes.iter().position(enter).unwrap_or_else(|| {
            let loads = self.lanes.iter().map(|lane| lane.load(Ordering::Relaxed)).enumerate();
            let least = loads.min_by_key(|(_, load)| *load).map_or(0, |(lane, _)| lane);
            self.lanes[least].fetch_add(1, Ordering::Relaxed);
            least
        });
        InFlight { lanes: self.lanes.clone(), lane }
    }

    fn share(&self, now: Instant, whole: Duration) -> f64 {
        let back = self.well_since.load(Ordering::Relaxed).max(self.out_until.load(Ordering::Relaxed));
        if back == 0 {
            return 1.0;
        }
        let age = Duration::from_millis(self.elapsed(now).saturating_sub(back));
        (age.as_secs_f64() / whole.as_secs_f64()).clamp(SLOW_START_SHARE_MIN, 1.0)
    }

    fn elapsed(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.opened).as_millis()).unwrap_or(u64::MAX)
    }
}

impl InFlight {
    /// The lane on which it runs.
    pub fn lane(&self) -> usize {
        self.lane
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.lanes[self.lane].fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(lanes: usize) -> Address {
        Address::new(&config::Address { uri: "http://127.0.0.1:1".parse().unwrap(), weight: 4 }, lanes)
    }

    #[test]
    fn one_that_comes_back_gets_its_share_little_by_little() {
        let (address, slow_start) = (address(1), Some(Duration::from_secs(10)));
        let now = address.opened;
        let weight = |seconds: u64| address.standing(now + Duration::from_secs(seconds), slow_start).weight;
        assert_eq!(weight(0), 4.0, "at the start all are new");
        address.eject(now + Duration::from_secs(20));
        assert!(!address.is_in(now + Duration::from_secs(19)));
        assert!(address.is_in(now + Duration::from_secs(20)));
        assert_eq!([weight(20), weight(25), weight(30), weight(90)], [0.4, 2.0, 4.0, 4.0]);
        address.set_sick(true, now + Duration::from_secs(100));
        assert!(!address.is_in(now + Duration::from_secs(200)));
        address.set_sick(false, now + Duration::from_secs(200));
        assert!(address.is_in(now + Duration::from_secs(200)));
        assert_eq!([weight(205), weight(210)], [2.0, 4.0]);
    }

    #[test]
    fn requests_in_flight_are_counted() {
        let address = address(1);
        let one = address.begin();
        let other = address.begin();
        assert_eq!(address.standing(Instant::now(), None).in_flight, 2);
        drop((one, other));
        assert_eq!(address.standing(Instant::now(), None).in_flight, 0);
    }

    #[test]
    fn no_lane_has_more_than_a_connection_takes_while_another_has_room() {
        let address = address(2);
        let mut all: Vec<InFlight> = (0..2 * STREAMS_MAX).map(|_| address.begin()).collect();
        let on = |all: &[InFlight], lane| all.iter().filter(|one| one.lane() == lane).count();
        assert_eq!([on(&all, 0), on(&all, 1)], [STREAMS_MAX; 2]);
        let beyond = [address.begin(), address.begin()];
        assert_eq!([on(&beyond, 0), on(&beyond, 1)], [1, 1]);
        all.drain(..STREAMS_MAX);
        assert_eq!(address.begin().lane(), 0);
        assert_eq!(address.standing(Instant::now(), None).in_flight, STREAMS_MAX + 2);
    }
}
