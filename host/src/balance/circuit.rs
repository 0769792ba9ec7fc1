//! The circuit of one version as its calls share it: while none of them fails they only look at a flag.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::balance::breaker::{Breaker, Pass};
use crate::balance::verdict::Verdict;
use crate::config;

/// The circuit of one version.
#[derive(Debug)]
pub struct Circuit {
    breaker: Mutex<Breaker>,
    /// Whether the breaker remembers any failure.
    is_troubled: AtomicBool,
}

impl Circuit {
    /// A closed one.
    pub fn new(settings: config::Circuit) -> Self {
        Self { breaker: Mutex::new(Breaker::new(settings)), is_troubled: AtomicBool::new(false) }
    }

    /// Whether a call may be made now.
    ///
    /// # Errors
    ///
    /// The time until the next probe.
    pub fn admit(&self) -> Result<Pass, Duration> {
        match self.admit_freely() {
            Some(pass) => Ok(pass),
            None => self.breaker().admit(Instant::now()),
        }
    }

    /// Whether a call may be made now because none has failed of late; none where more than a flag has to be looked at.
    pub fn admit_freely(&self) -> Option<Pass> {
        let is_troubled = self.is_troubled.load(Ordering::Acquire);
        (!is_troubled).then(Pass::default)
    }

    /// Notes what a call says about the service; answers whether the circuit opened by it.
    pub fn note(&self, pass: Pass, verdict: Verdict) -> bool {
        let is_news = matches!(verdict, Verdict::Failed) || self.is_troubled.load(Ordering::Acquire);
        if !is_news {
            return false;
        }
        let mut breaker = self.breaker();
        let has_opened = breaker.note(pass, verdict, Instant::now());
        self.is_troubled.store(breaker.remembers_failures(), Ordering::Release);
        has_opened
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.breaker().is_open()
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_is_seen() {
        let circuit = Circuit::new(config::Circuit::default());
        let call = |verdict| circuit.note(circuit.admit().unwrap(), verdict);
        for _ in 0..10 {
            (0..4).for_each(|_| assert!(!call(Verdict::Failed)));
            assert!(!call(Verdict::Answered));
        }
        (0..4).for_each(|_| assert!(!call(Verdict::Failed)));
        assert!(call(Verdict::Failed) && circuit.is_open());
        assert!(circuit.admit().is_err());
    }
}
