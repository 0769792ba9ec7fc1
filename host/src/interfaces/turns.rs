//! Turns on the processors: calls that run longer than a slice go on in turns, shared fairly between services.
//!
//! A short call runs at once and never comes here. One that has used up a slice waits until its service is the one
//! that had the least of the processors lately (start-time fair queueing, Goyal, Vin and Cheng 1996); so one service
//! with endless loops on every instance leaves another its half, and no more long calls stand in the runtime's queues
//! than there are processors.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::task::yield_now;

use crate::interfaces::cpu::{CpuMeter, SLICE};

/// How much one measured wait changes the average that is told: about the last eight turns count.
const WEIGHT: f64 = 1.0 / 8.0;

/// The turns of one host.
#[derive(Debug)]
pub struct Turns {
    at_once: usize,
    queues: Mutex<Queues>,
}

/// What one service has had of the processors, over all its versions.
#[derive(Debug)]
pub struct Share {
    turns: Arc<Turns>,
    /// Used since the service last queued.
    recent_ns: AtomicU64,
    /// What it had used by then, in the time of the queues; changed under their lock only.
    virtual_ns: AtomicU64,
    /// How much longer than it computed a call took lately because it waited for turns: 1 for not at all.
    stretch: Mutex<Stretch>,
}

#[derive(Debug)]
struct Stretch {
    average: f64,
    /// Whether any turn was measured since it was last told.
    is_fresh: bool,
}

#[derive(Debug, Default)]
struct Queues {
    running: usize,
    /// The virtual time of the service that was served last: who comes back does not catch up on what it missed.
    clock_ns: u64,
    /// The services that have calls which wait.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    share: Arc<Share>,
    tickets: VecDeque<Arc<Ticket>>,
}

#[derive(Debug)]
struct Ticket {
    since: Instant,
    state: Mutex<TicketState>,
}

#[derive(Debug)]
enum TicketState {
    Waiting(Waker),
    Granted,
    Gone,
}

/// Waits for the next turn of a call.
pub struct Turn {
    share: Arc<Share>,
    holder: Holder,
    ticket: Option<Arc<Ticket>>,
    /// Whether it has given way after it was granted.
    has_given_way: bool,
}

/// Who gives a turn back.
enum Holder {
    /// The meter of the call, when the call pauses.
    Meter(Arc<CpuMeter>),
    /// A timer, after a slice: where several calls share an instance nobody sees one of them pause.
    Timer,
}

impl Turns {
    /// Turns on so many processors.
    pub fn new(processors: usize) -> Arc<Self> {
        Arc::new(Self { at_once: processors.max(1), queues: Mutex::default() })
    }

    /// A turn has ended.
    fn end(&self) {
        let mut queues = self.queues();
        queues.running = queues.running.saturating_sub(1);
        queues.serve(self.at_once);
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Of a service that has used nothing.
    pub fn new(turns: Arc<Turns>) -> Arc<Self> {
        let stretch = Mutex::new(Stretch { average: 1.0, is_fresh: false });
        Arc::new(Self { turns, recent_ns: AtomicU64::new(0), virtual_ns: AtomicU64::new(0), stretch })
    }

    /// Counts computing time.
    pub fn use_up(&self, ns: u64) {
        self.recent_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// How many calls of all services can compute at a time.
    pub fn processors(&self) -> usize {
        self.turns.at_once
    }

    /// Ends a turn that its call has held.
    pub fn end_turn(&self) {
        self.turns.end();
    }

    /// By how much calls take longer than they compute because they wait for turns, over about the last eight turns;
    /// none when no call has waited since the last question.
    pub fn take_stretch(&self) -> Option<f64> {
        let mut stretch = self.stretch();
        std::mem::take(&mut stretch.is_fresh).then_some(stretch.average)
    }

    /// How many of its calls wait for a turn.
    pub fn waiting(&self) -> usize {
        let queues = self.turns.queues();
        let own = queues.waiting.iter().find(|waiting| std::ptr::eq(&*waiting.share, self));
        own.map_or(0, |waiting| waiting.tickets.len())
    }

    /// Notes how long a call waited for a turn.
    pub fn note_wait(&self, wait: Duration) {
        let now = (wait + SLICE).as_secs_f64() / SLICE.as_secs_f64();
        let mut stretch = self.stretch();
        stretch.average += (now - stretch.average) * WEIGHT;
        stretch.is_fresh = true;
    }

    fn stretch(&self) -> MutexGuard<'_, Stretch> {
        self.stretch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn enter(&mut self, share: &Arc<Share>, ticket: Arc<Ticket>) {
        let used_ns = share.recent_ns.swap(0, Ordering::Relaxed);
        let virtual_ns = share.virtual_ns.load(Ordering::Relaxed).saturating_add(used_ns).max(self.clock_ns);
        share.virtual_ns.store(virtual_ns, Ordering::Relaxed);
        match self.waiting.iter_mut().find(|waiting| Arc::ptr_eq(&waiting.share, share)) {
            Some(waiting) => waiting.tickets.push_back(ticket),
            None => self.waiting.push(Waiting { share: share.clone(), tickets: VecDeque::from([ticket]) }),
        }
    }

    /// Gives turns as long as there is room, each to the service that had the least.
    fn serve(&mut self, at_once: usize) {
        while self.running < at_once {
            let used = |waiting: &&mut Waiting| waiting.share.virtual_ns.load(Ordering::Relaxed);
            let Some(next) = self.waiting.iter_mut().min_by_key(used) else { break };
            let virtual_ns = next.share.virtual_ns.load(Ordering::Relaxed);
            let ticket = next.tickets.pop_front();
            self.waiting.retain(|waiting| !waiting.tickets.is_empty());
            if ticket.is_some_and(|ticket| ticket.grant()) {
                self.clock_ns = self.clock_ns.max(virtual_ns);
                self.running += 1;
            }
        }
    }
}

impl Ticket {
    /// Whether somebody still waited for it.
    fn grant(&self) -> bool {
        let mut state = self.state();
        match std::mem::replace(&mut *state, TicketState::Granted) {
            TicketState::Waiting(waker) => {
                waker.wake();
                true
            }
            TicketState::Granted => true,
            TicketState::Gone => {
                *state = TicketState::Gone;
                false
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, TicketState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// The next turn of the call that this meter counts.
    pub fn new(meter: Arc<CpuMeter>) -> Self {
        meter.used_up_slice();
        Self::held_by(meter.share().clone(), Holder::Meter(meter))
    }

    /// The next turn of one of several calls on an instance.
    pub fn of_a_slice(share: Arc<Share>) -> Self {
        Self::held_by(share, Holder::Timer)
    }

    fn held_by(share: Arc<Share>, holder: Holder) -> Self {
        Self { share, holder, ticket: None, has_given_way: false }
    }

    fn queue(&self) -> Arc<Ticket> {
        // Who asks looks at it before it waits.
        let state = Mutex::new(TicketState::Waiting(Waker::noop().clone()));
        let ticket = Arc::new(Ticket { since: Instant::now(), state });
        let turns = &self.share.turns;
        let mut queues = turns.queues();
        queues.enter(&self.share, ticket.clone());
        queues.serve(turns.at_once);
        ticket
    }

    /// Goes on once the runtime has looked at what has come in: with one long call after another it would do so only
    /// every so many of them.
    fn give_way(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.has_given_way = true;
        pin!(yield_now()).poll(context)
    }
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let ticket = self.ticket.take().unwrap_or_else(|| self.queue());
        self.ticket = Some(ticket.clone());
        let mut state = ticket.state();
        if let TicketState::Waiting(waker) = &mut *state {
            waker.clone_from(context.waker());
            return Poll::Pending;
        }
        drop(state);
        // Also one that is granted at once gives way, but only once: who is asked again goes on.
        if !self.has_given_way {
            self.share.note_wait(ticket.since.elapsed());
            return self.give_way(context);
        }
        self.ticket = None;
        match &self.holder {
            Holder::Meter(meter) => meter.hold_turn(),
            Holder::Timer => _ = tokio::spawn(end_after_a_slice(self.share.clone())),
        }
        Poll::Ready(())
    }
}

async fn end_after_a_slice(share: Arc<Share>) {
    tokio::time::sleep(SLICE).await;
    share.end_turn();
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let before = std::mem::replace(&mut *ticket.state(), TicketState::Gone);
        if matches!(before, TicketState::Granted) {
            self.share.end_turn();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::interfaces::cpu::Ticks;

    /// A call that computes for ever: how often it had its turn.
    struct Looping {
        meter: Arc<CpuMeter>,
        turn: Pin<Box<Turn>>,
        is_running: bool,
        turns: usize,
    }

    impl Looping {
        fn of(share: &Arc<Share>) -> Self {
            let meter = Arc::new(CpuMeter::new(Duration::from_secs(60), share.clone(), Ticks::default()));
            let turn = Box::pin(Turn::new(meter.clone()));
            let mut call = Self { meter, turn, is_running: false, turns: 0 };
            call.ask();
            call
        }

        /// Goes on if it is its turn and it has given way.
        fn ask(&mut self) {
            self.is_running = self.turn.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        }

        /// Goes on if it is its turn.
        fn look(&mut self) {
            self.ask();
            if !self.is_running {
                self.ask();
            }
        }

        /// Has used up its slice, and waits for the next turn.
        fn pause(&mut self) {
            self.turns += 1;
            self.meter.share().use_up(SLICE.as_nanos() as u64);
            self.meter.end_turn();
            self.turn = Box::pin(Turn::new(self.meter.clone()));
            self.ask();
        }
    }

    /// One slice of time on all processors.
    fn pass(calls: &mut [Looping]) {
        calls.iter_mut().filter(|call| !call.is_running).for_each(Looping::look);
        let running: Vec<usize> = (0..calls.len()).filter(|at| calls[*at].is_running).collect();
        assert!(running.len() <= 2, "{running:?}");
        running.into_iter().for_each(|at| calls[at].pause());
    }

    #[test]
    fn services_have_equal_shares_whatever_the_number_of_their_calls() {
        let turns = Turns::new(2);
        let (greedy, modest) = (Share::new(turns.clone()), Share::new(turns));
        let shares = std::iter::repeat_n(&greedy, 32).chain([&modest, &modest]);
        let mut calls: Vec<Looping> = shares.map(Looping::of).collect();
        (0..500).for_each(|_| pass(&mut calls));
        let count = |calls: &[Looping]| calls.iter().map(|call| call.turns).sum::<usize>() as f64;
        let (many, few) = (count(&calls[..32]), count(&calls[32..]));
        assert!(many + few >= 900.0, "the processors were idle: {many} and {few}");
        assert!(
            (0.45..=0.55).contains(&(few / (few + many))),
            "two calls had {few} turns beside {many} of 32"
        );
    }

    #[test]
    fn who_was_away_does_not_catch_up() {
        let turns = Turns::new(2);
        let (steady, late) = (Share::new(turns.clone()), Share::new(turns));
        let mut calls: Vec<Looping> = (0..4).map(|_| Looping::of(&steady)).collect();
        (0..500).for_each(|_| pass(&mut calls));
        calls.extend((0..4).map(|_| Looping::of(&late)));
        calls.iter_mut().for_each(|call| call.turns = 0);
        (0..100).for_each(|_| pass(&mut calls));
        let of_late: usize = calls[4..].iter().map(|call| call.turns).sum();
        assert!((80..=120).contains(&of_late), "{of_late} of 200");
    }

    #[test]
    fn who_leaves_gives_its_turn_back() {
        let share = Share::new(Turns::new(1));
        let first = Looping::of(&share);
        let mut second = Looping::of(&share);
        second.look();
        assert!(!second.is_running);
        drop(first);
        second.look();
        assert!(second.is_running, "the turn of one that left is given to the next");
    }

    #[test]
    fn waiting_shows_as_stretch() {
        let share = Share::new(Turns::new(2));
        assert_eq!(share.take_stretch(), None);
        for _ in 0..50 {
            share.note_wait(SLICE * 9);
        }
        let stretch = share.take_stretch().unwrap();
        assert!((9.0..=10.0).contains(&stretch), "{stretch}");
        assert_eq!(share.take_stretch(), None);
    }
}
