//! How far an order has come, whatever the order in which it is heard.
//!
//! Two brokers bring the events, each at least once and neither in step with the other. So a history is a
//! set that only grows: each status at most once, at most one final one, sorted by how far it is. The same
//! events give the same history, however they arrive.

use hostel_sdk::time;
use serde::{Deserialize, Serialize};

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Placed.
    Pending,
    /// The stock is held.
    Reserved,
    /// The payment is completed.
    Paid,
    /// Final: on its way.
    Shipped,
    /// Final: refused or declined, for a reason.
    Cancelled,
}

/// A status that an order has reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub status: Status,
    /// When, in milliseconds since 1970; clients see it as RFC 3339.
    #[serde(serialize_with = "time::serialize_rfc3339")]
    pub at: i64,
    /// Why, in words for the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What an order has gone through, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(Vec<Entry>);

impl Status {
    /// Whether nothing can follow.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Shipped | Self::Cancelled)
    }

    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Reserved => "reserved",
            Self::Paid => "paid",
            Self::Shipped => "shipped",
            Self::Cancelled => "cancelled",
        }
    }
}

impl History {
    /// A history of these entries, in any order.
    pub fn new(mut entries: Vec<Entry>) -> Self {
        // By status, not by time: one status follows from the other, and clocks may step back.
        entries.sort_by_key(|entry| entry.status);
        Self(entries)
    }

    /// Adds what is news, and answers whether it was: a status that is there already, and a second end,
    /// change nothing.
    pub fn record(&mut self, entry: Entry) -> bool {
        let is_known = self.0.iter().any(|known| known.status == entry.status);
        if is_known || (entry.status.is_final() && self.status().is_final()) {
            return false;
        }
        let place = self.0.partition_point(|known| known.status < entry.status);
        self.0.insert(place, entry);
        true
    }

    /// The furthest status.
    pub fn status(&self) -> Status {
        self.0.last().map_or(Status::Pending, |entry| entry.status)
    }

    /// Whether there is no entry: then there is no order.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries, oldest first.
    pub fn into_entries(self) -> Vec<Entry> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(status: Status) -> Entry {
        Entry { status, at: status as i64, reason: None }
    }

    /// Every order in which these can arrive.
    fn permutations(items: &[Status]) -> Vec<Vec<Status>> {
        if items.is_empty() {
            return vec![Vec::new()];
        }
        let mut all = Vec::new();
        for index in 0..items.len() {
            let mut rest = items.to_vec();
            let first = rest.remove(index);
            all.extend(permutations(&rest).into_iter().map(|mut tail| {
                tail.insert(0, first);
                tail
            }));
        }
        all
    }

    #[test]
    fn any_order_of_arrival_gives_the_same_history() {
        let check = |events: &[Status], expected: &[Status]| {
            for arrival in permutations(events) {
                let mut history = History::new(vec![entry(Status::Pending)]);
                for status in &arrival {
                    history.record(entry(*status));
                }
                let found: Vec<Status> = history.into_entries().iter().map(|entry| entry.status).collect();
                assert_eq!(found, expected, "{arrival:?}");
            }
        };
        use Status::{Cancelled, Paid, Pending, Reserved, Shipped};
        check(&[Reserved, Paid, Shipped], &[Pending, Reserved, Paid, Shipped]);
        check(&[Reserved, Cancelled], &[Pending, Reserved, Cancelled]);
        check(&[Cancelled], &[Pending, Cancelled]);
        check(&[Reserved, Reserved, Paid, Shipped, Shipped], &[Pending, Reserved, Paid, Shipped]);
    }

    #[test]
    fn an_end_is_the_end() {
        let mut history = History::new(vec![entry(Status::Pending)]);
        assert!(history.record(entry(Status::Shipped)));
        assert!(!history.record(entry(Status::Cancelled)));
        assert!(history.record(entry(Status::Reserved)));
        assert_eq!(history.status(), Status::Shipped);
    }
}
