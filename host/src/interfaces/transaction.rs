//! A guest's transaction: a slot that the guest call, its end and the deadline share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::backends::database::Transaction;

/// Holds a transaction until it is committed, rolled back, past its deadline or its call has ended.
///
/// A statement takes the transaction out and puts it back; whoever ends the slot meanwhile closes it, so that
/// the transaction is dropped, and thereby rolled back, instead of being put back.
pub struct TransactionSlot {
    state: Mutex<State>,
    open: AtomicBool,
}

#[derive(Default)]
struct State {
    transaction: Option<Transaction>,
    watch: Option<tokio::task::JoinHandle<()>>,
}

impl TransactionSlot {
    /// A slot that rolls its transaction back at the deadline, even if the guest never calls again.
    pub fn new(transaction: Transaction, deadline: Instant) -> Arc<Self> {
        let state = State { transaction: Some(transaction), watch: None };
        let slot = Arc::new(Self { state: Mutex::new(state), open: AtomicBool::new(true) });
        let watched = Arc::downgrade(&slot);
        let watch = tokio::spawn(async move {
            tokio::time::sleep_until(deadline).await;
            if let Some(slot) = watched.upgrade() {
                slot.roll_back();
            }
        });
        slot.state().watch = Some(watch);
        slot
    }

    /// Whether the transaction can still be used.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Takes the transaction for one statement; none when it has ended.
    pub fn take(&self) -> Option<Transaction> {
        self.state().transaction.take()
    }

    /// Puts the transaction back after a statement; one whose slot was closed meanwhile is rolled back.
    pub fn put_back(&self, transaction: Transaction) {
        let mut state = self.state();
        if self.is_open() {
            state.transaction = Some(transaction);
        }
    }

    /// Takes the transaction for good, to be committed or rolled back by the caller.
    pub fn finish(&self) -> Option<Transaction> {
        self.open.store(false, Ordering::Release);
        let mut state = self.state();
        if let Some(watch) = state.watch.take() {
            watch.abort();
        }
        state.transaction.take()
    }

    /// Ends the transaction without committing it; answers whether it was still open.
    pub fn roll_back(&self) -> bool {
        let was_open = self.is_open();
        // The transaction rolls back when it is dropped here.
        let _transaction = self.finish();
        was_open
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
