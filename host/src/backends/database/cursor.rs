//! A query read piece by piece.

use std::sync::Arc;

use flume::{Receiver, Sender};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::connection::GuestConnection;
use super::statement::with_rows;
use super::{DatabaseError, Value};
use crate::backends::sqlite::{Caller, Lease, Running};

/// The most rows answered at once.
pub const CURSOR_ROWS_MAX: usize = 1_000;

/// Fewer rows are answered when they reach this size, so that large rows do not pile up in memory.
const CURSOR_BYTES: usize = 4 * 1024 * 1024;

/// An open query. It holds a reader, on a thread of its own, until it is dropped or past its deadline.
pub struct Cursor {
    columns: Vec<String>,
    requests: Sender<Request>,
    deadline: Instant,
    /// Dropped with the cursor, and then stops a step under way.
    _caller: Caller,
}

type Rows = Vec<Vec<Value>>;

struct Request {
    count: usize,
    answer: oneshot::Sender<Result<Rows, DatabaseError>>,
}

/// The side of the thread: where it says that it is ready, and where it hears what to do.
struct Desk {
    opened: oneshot::Sender<Result<Vec<String>, DatabaseError>>,
    requests: Receiver<Request>,
    deadline: Instant,
    running: Arc<Running>,
}

impl Cursor {
    /// Starts the query on a reader.
    pub(super) async fn open(
        reader: Lease<GuestConnection>,
        sql: String,
        parameters: Vec<Value>,
        deadline: Instant,
    ) -> Result<Self, DatabaseError> {
        let caller = Caller::new(deadline);
        let (opened, is_open) = oneshot::channel();
        let (requests, received) = flume::bounded(1);
        let desk = Desk { opened, requests: received, deadline, running: caller.running() };
        drop(spawn_blocking(move || serve(reader, &sql, &parameters, desk)));
        let columns = is_open.await.unwrap_or_else(|_| Err(ended()))?;
        Ok(Self { columns, requests, deadline, _caller: caller })
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The next rows, at most `count` and at most [`CURSOR_ROWS_MAX`], fewer when they are large; none at
    /// the end.
    pub async fn next(&mut self, count: u32) -> Result<Rows, DatabaseError> {
        if Instant::now() >= self.deadline {
            return Err(ended());
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX).clamp(1, CURSOR_ROWS_MAX);
        let (answer, answered) = oneshot::channel();
        self.requests.send_async(Request { count, answer }).await.map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

fn serve(mut reader: Lease<GuestConnection>, sql: &str, parameters: &[Value], desk: Desk) {
    let Desk { opened, requests, deadline, running } = desk;
    let guest = match reader.connection() {
        Ok(guest) => guest,
        Err(error) => return drop(opened.send(Err(error.into()))),
    };
    // Taken by the first of the two that answers: an open query, or an error before.
    let mut opened = Some(opened);
    let served = guest.during(running, |guest| {
        with_rows(guest, sql, parameters, |columns, next| {
            if let Some(opened) = opened.take() {
                let _ = opened.send(Ok(columns));
            }
            while let Ok(request) = requests.recv_deadline(deadline.into_std()) {
                let _ = request.answer.send(read(request.count, next));
            }
            Ok(())
        })
    });
    if let (Some(opened), Err(error)) = (opened, served) {
        let _ = opened.send(Err(error));
    }
}

fn read(
    count: usize,
    next: &mut dyn FnMut() -> Result<Option<Vec<Value>>, DatabaseError>,
) -> Result<Rows, DatabaseError> {
    let mut rows = Vec::new();
    let mut bytes = 0;
    while rows.len() < count && bytes < CURSOR_BYTES {
        let Some(row) = next()? else {
            break;
        };
        bytes += row.iter().map(Value::bytes).sum::<usize>();
        rows.push(row);
    }
    Ok(rows)
}

fn ended() -> DatabaseError {
    DatabaseError::Limit("time: the cursor reached its deadline and was closed".into())
}
