//! The threads on which the host runs.

use std::io;
use std::thread::yield_now;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::gateway::note_rest;

/// How long a thread without work looks on before it sleeps, while others may use its processor: to be woken takes the
/// system longer. A tenth more requests a second with 64 connections, and half as much again with one, where each is
/// answered in three fifths of the time; 50 us gain less, and cost more computing (measured).
const AWAKE_TIME: Duration = Duration::from_micros(20);

/// Makes them.
///
/// # Errors
///
/// When the system gives none.
pub fn start() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().on_thread_park(stay_awake).on_thread_unpark(note_rest).build()
}

/// What comes meanwhile is seen when the thread is about to sleep, and keeps it from that.
fn stay_awake() {
    let began = Instant::now();
    while began.elapsed() < AWAKE_TIME {
        yield_now();
    }
}
