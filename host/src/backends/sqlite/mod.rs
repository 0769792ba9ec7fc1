//! What all embedded back ends share: opening files, durable commits, connections, deadlines, errors.

mod blocking;
mod clock;
mod failure;
mod file;
mod group_sync;
mod pool;

pub(super) use blocking::{Stopping, blocking};
pub(super) use clock::{Caller, Clock, Running, lock, now_ms};
pub(super) use failure::{Constraint, Failure, classify};
pub(super) use file::{Kind, OpenError, SqliteFile};
pub(super) use group_sync::{GroupSync, SyncFailed};
pub(super) use pool::{Lease, Pool, PoolError};
