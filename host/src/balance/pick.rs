//! Which address of an external service gets a request, pure.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use crate::config::Balance;

/// How an address stands when one is chosen.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Its share against those of the others, above 0.
    pub weight: f64,
    /// Requests that it is answering.
    pub in_flight: usize,
}

/// Chooses addresses.
#[derive(Debug)]
pub enum Picker {
    /// One after the other; each address earns its weight at every turn, and the richest one pays for all (smooth
    /// weighted round robin, as in nginx), so that a heavy one is not asked several times in a row.
    RoundRobin(Mutex<Vec<f64>>),
    /// Of two by chance the less loaded one, which needs no exact figures and does not send everybody to the same
    /// address at once.
    LeastRequests,
    /// Any.
    Random,
    /// The address with the highest score for the key (weighted rendezvous): one that leaves or comes moves only
    /// its own share of keys.
    Hash(Vec<u64>),
}

impl Picker {
    /// A picker for these addresses.
    pub fn new<'a>(balance: &Balance, addresses: impl Iterator<Item = &'a str>) -> Self {
        match balance {
            Balance::RoundRobin => Self::RoundRobin(Mutex::new(addresses.map(|_| 0.0).collect())),
            Balance::LeastRequests => Self::LeastRequests,
            Balance::Random => Self::Random,
            Balance::HashHeader(_) | Balance::HashCookie(_) | Balance::HashAddress => {
                Self::Hash(addresses.map(hash).collect())
            }
        }
    }

    /// Chooses among the first `count` addresses those that have a standing; none when none has. `key` is what is
    /// hashed; without it chance decides.
    pub fn pick(
        &self,
        count: usize,
        standing: impl Fn(usize) -> Option<Standing>,
        key: Option<u64>,
        mut chance: impl FnMut() -> f64,
    ) -> Option<usize> {
        match (self, key) {
            (Self::RoundRobin(earned), _) => {
                let mut earned = earned.lock().unwrap_or_else(PoisonError::into_inner);
                next_in_turn(&mut earned, standing)
            }
            (Self::LeastRequests, _) => {
                let one = by_chance(count, &standing, chance())?;
                let others = |index: usize| standing(index).filter(|_| index != one);
                let Some(other) = by_chance(count, &others, chance()) else { return Some(one) };
                let load = |index| standing(index).map_or(f64::MAX, Standing::load);
                Some(if load(other) < load(one) { other } else { one })
            }
            (Self::Hash(seeds), Some(key)) => {
                let score = |index: usize| {
                    let standing = standing(index)?;
                    Some((index, score(key, *seeds.get(index)?, standing.weight)))
                };
                (0..count).filter_map(score).max_by(|one, other| one.1.total_cmp(&other.1)).map(|best| best.0)
            }
            (Self::Random, _) | (Self::Hash(_), None) => by_chance(count, &standing, chance()),
        }
    }
}

impl Standing {
    /// What one more request would make of its load.
    fn load(self) -> f64 {
        (self.in_flight + 1) as f64 / self.weight
    }
}

/// The number that stands for a key or an address.
pub fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn next_in_turn(earned: &mut [f64], standing: impl Fn(usize) -> Option<Standing>) -> Option<usize> {
    let mut sum = 0.0;
    let mut best: Option<usize> = None;
    for index in 0..earned.len() {
        // One that is out earns nothing meanwhile.
        let Some(standing) = standing(index) else { continue };
        sum += standing.weight;
        earned[index] += standing.weight;
        if best.is_none_or(|best| earned[index] > earned[best]) {
            best = Some(index);
        }
    }
    earned[best?] -= sum;
    best
}

/// The address on which a number from 0 to 1 falls when each takes as much room as its weight.
fn by_chance(count: usize, standing: &impl Fn(usize) -> Option<Standing>, chance: f64) -> Option<usize> {
    let weight = |index: usize| standing(index).map(|standing| (index, standing.weight));
    let sum: f64 = (0..count).filter_map(weight).map(|(_, weight)| weight).sum();
    let mut left = chance * sum;
    let mut last = None;
    for (index, weight) in (0..count).filter_map(weight) {
        last = Some(index);
        if left < weight {
            break;
        }
        left -= weight;
    }
    last
}

/// The score of an address for a key: the heavier it is, the higher on average.
fn score(key: u64, seed: u64, weight: f64) -> f64 {
    let unit = ((hash((key, seed)) >> 11) as f64 + 1.0) / ((1u64 << 53) as f64 + 1.0);
    -weight / unit.ln()
}

#[cfg(test)]
#[path = "pick_tests.rs"]
mod tests;
