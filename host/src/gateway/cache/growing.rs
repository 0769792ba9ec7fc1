//! The body of a response while it comes: read by its own task at the pace of the service, and by any number of
//! clients at theirs.
//!
//! A slow client holds up nobody else, and one that leaves takes the body from nobody; when all have left, the
//! service is let go. What outgrows the cache goes on to the first client alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::{oneshot, watch};

use crate::body::{self, Body, BodyError};

/// How long the service may send nothing; its own limit is mostly shorter.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// A body that comes.
pub struct Growing {
    progress: watch::Sender<Progress>,
    /// Whether it will fit: the service has told its length.
    pub fits: bool,
    taken: Taken,
}

/// What has come so far.
#[derive(Default)]
struct Progress {
    chunks: Vec<Bytes>,
    end: Option<End>,
}

#[derive(Clone)]
enum End {
    Whole(Option<HeaderMap>),
    /// It is too long to be kept; the first reader has the rest.
    Outgrown,
    /// Everybody left before it had come.
    Abandoned,
    Broken(BodyError),
}

/// The memory that all bodies may take while they come.
#[derive(Debug)]
pub struct Budget {
    bytes_max: u64,
    taken: AtomicU64,
}

/// A part of the budget; dropping it gives it back.
struct Taken {
    budget: Arc<Budget>,
    bytes: AtomicU64,
}

/// One client's place in the body.
struct Reader {
    progress: watch::Receiver<Progress>,
    next: usize,
    rest: Option<oneshot::Receiver<Body>>,
    stage: Stage,
    /// Holds the memory until the last reader has read it.
    _growing: Arc<Growing>,
}

enum Stage {
    Shared,
    Rest(Body),
    Done,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max, taken: AtomicU64::new(0) }
    }

    fn take(&self, bytes: u64) -> bool {
        let before = self.taken.fetch_add(bytes, Ordering::AcqRel);
        let fits = before.saturating_add(bytes) <= self.bytes_max;
        if !fits {
            self.taken.fetch_sub(bytes, Ordering::AcqRel);
        }
        fits
    }
}

impl Taken {
    fn more(&self, bytes: u64) -> bool {
        let fits = self.budget.take(bytes);
        if fits {
            self.bytes.fetch_add(bytes, Ordering::AcqRel);
        }
        fits
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(*self.bytes.get_mut(), Ordering::AcqRel);
    }
}

impl Growing {
    /// A body of which nothing has come; none when a told length does not fit into the budget.
    pub fn new(length: Option<u64>, budget: &Arc<Budget>) -> Option<Arc<Self>> {
        let taken = Taken { budget: budget.clone(), bytes: AtomicU64::new(0) };
        if length.is_some_and(|length| !taken.more(length)) {
            return None;
        }
        let progress = watch::Sender::new(Progress::default());
        Some(Arc::new(Self { progress, fits: length.is_some(), taken }))
    }

    /// The body for the first client, which gets the rest of one that is too long.
    pub fn lead(self: &Arc<Self>) -> (Body, oneshot::Sender<Body>) {
        let (sender, rest) = oneshot::channel();
        (self.reader(Some(rest)), sender)
    }

    /// The body for another client; none when it will not come whole. Waits until that is sure.
    pub async fn follow(self: &Arc<Self>) -> Option<Body> {
        let mut progress = self.progress.subscribe();
        let is_sure = |progress: &Progress| self.fits || progress.end.is_some();
        let comes = match progress.wait_for(is_sure).await {
            Ok(progress) => matches!(progress.end, None | Some(End::Whole(_))),
            Err(_) => false,
        };
        comes.then(|| self.reader(None))
    }

    /// Reads the body to its end; answers its bytes when they came whole, are no more than `bytes_max`, and are
    /// to be kept. `finish` runs when they are there and before any reader sees the end.
    pub async fn collect(
        &self,
        mut origin: Body,
        rest: oneshot::Sender<Body>,
        length: Option<u64>,
        bytes_max: u64,
        finish: impl FnOnce(Bytes),
    ) {
        let mut bytes = 0u64;
        let mut trailers = None;
        let end = loop {
            let frame = tokio::select! {
                biased;
                frame = tokio::time::timeout(IDLE_MAX, origin.frame()) => frame,
                () = self.progress.closed() => {
                    if self.abandon() {
                        return;
                    }
                    continue;
                }
            };
            let frame = match frame {
                Err(_) => break End::Broken(BodyError::Idle),
                Ok(Some(Err(error))) => break End::Broken(error),
                Ok(Some(Ok(frame))) => frame,
                Ok(None) if length.is_some_and(|length| length != bytes) => {
                    break End::Broken(BodyError::Broken(
                        "it is shorter or longer than it was told to be".into(),
                    ));
                }
                Ok(None) => break End::Whole(trailers),
            };
            match frame.into_data() {
                Ok(data) => {
                    let count = u64::try_from(data.len()).unwrap_or(u64::MAX);
                    bytes = bytes.saturating_add(count);
                    let has_room = self.fits || self.taken.more(count);
                    self.progress.send_modify(|progress| progress.chunks.push(data));
                    if bytes > bytes_max || !has_room {
                        // A reader that has left needs no rest.
                        let _ = rest.send(origin);
                        break End::Outgrown;
                    }
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        };
        if let End::Whole(_) = &end {
            finish(self.joined(bytes));
        }
        self.progress.send_modify(|progress| progress.end = Some(end));
    }

    /// Marks the body as left by all, unless somebody has just come.
    fn abandon(&self) -> bool {
        let mut is_left = false;
        self.progress.send_modify(|progress| {
            is_left = self.progress.receiver_count() == 0;
            if is_left {
                progress.end = Some(End::Abandoned);
            }
        });
        is_left
    }

    /// All bytes in one piece, so that the kept ones do not hold on to larger buffers of the network.
    fn joined(&self, bytes: u64) -> Bytes {
        let progress = self.progress.borrow();
        let mut joined = BytesMut::with_capacity(usize::try_from(bytes).unwrap_or_default());
        progress.chunks.iter().for_each(|chunk| joined.extend_from_slice(chunk));
        joined.freeze()
    }

    fn reader(self: &Arc<Self>, rest: Option<oneshot::Receiver<Body>>) -> Body {
        let reader = Reader {
            progress: self.progress.subscribe(),
            next: 0,
            rest,
            stage: Stage::Shared,
            _growing: self.clone(),
        };
        StreamBody::new(stream::unfold(reader, Reader::next)).boxed_unsync()
    }
}

type Step = Option<(Result<Frame<Bytes>, BodyError>, Reader)>;

impl Reader {
    async fn next(mut self) -> Step {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Done => return None,
                Stage::Rest(mut body) => {
                    let frame = body.frame().await?;
                    self.stage = if frame.is_ok() { Stage::Rest(body) } else { Stage::Done };
                    return Some((frame, self));
                }
                Stage::Shared => {}
            }
            match self.shared().await {
                Ok(chunk) => {
                    self.next += 1;
                    self.stage = Stage::Shared;
                    return Some((Ok(Frame::data(chunk)), self));
                }
                Err(End::Whole(trailers)) => {
                    return trailers.map(|trailers| (Ok(Frame::trailers(trailers)), self));
                }
                Err(End::Outgrown) => match self.rest.take() {
                    Some(rest) => self.stage = Stage::Rest(rest.await.unwrap_or_else(|_| body::empty())),
                    None => return Some((Err(broken()), self)),
                },
                Err(End::Abandoned) => return Some((Err(broken()), self)),
                Err(End::Broken(error)) => return Some((Err(error), self)),
            }
        }
    }

    /// The next chunk that all share, or how they ended.
    async fn shared(&mut self) -> Result<Bytes, End> {
        let next = self.next;
        let has_more = |progress: &Progress| progress.chunks.len() > next || progress.end.is_some();
        let Ok(progress) = self.progress.wait_for(has_more).await else {
            return Err(End::Abandoned);
        };
        match progress.chunks.get(next) {
            Some(chunk) => Ok(chunk.clone()),
            None => Err(progress.end.clone().unwrap_or(End::Abandoned)),
        }
    }
}

fn broken() -> BodyError {
    BodyError::Broken("the response did not come whole".into())
}

#[cfg(test)]
#[path = "growing_tests.rs"]
mod tests;
