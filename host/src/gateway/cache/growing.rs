//! The body of a response while it comes: read by its own task at the pace of the service, and by any number of
//! clients at theirs.
//!
//! A slow client holds up nobody else, and one that leaves takes the body from nobody; when all have left, the
//! service is let go. What outgrows the cache goes on to the first client alone. Bodies count as long as anybody holds
//! them: while they come, while they are kept, and while a client still reads what has been thrown away.

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
use crate::gateway::pages;

/// How long the service may send nothing; its own limit is mostly shorter.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Shorter pieces are joined, so that what a piece costs beside its bytes never outweighs them, however a service
/// writes.
const PIECE_BYTES_MIN: usize = 4 << 10;

/// A body that comes.
pub struct Growing {
    progress: watch::Sender<Progress>,
    /// Whether it will fit: the service has told its length.
    pub fits: bool,
}

/// What has come so far.
struct Progress {
    /// Each with the place where it begins.
    pieces: Vec<(usize, Bytes)>,
    /// What follows them, too short for a piece as yet.
    tail: BytesMut,
    length: usize,
    end: Option<End>,
    taken: Arc<Taken>,
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

/// The memory that all bodies may take together.
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

/// A whole body with its part of the budget.
struct Counted {
    bytes: Bytes,
    _taken: Arc<Taken>,
}

/// One client's place in the body.
struct Reader {
    progress: watch::Receiver<Progress>,
    position: usize,
    rest: Option<oneshot::Receiver<Body>>,
    stage: Stage,
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

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Progress {
    fn push(&mut self, data: Bytes) {
        let count = data.len();
        if count >= PIECE_BYTES_MIN {
            self.end_tail();
            self.pieces.push((self.length, data));
            self.length += count;
            return;
        }
        self.tail.extend_from_slice(&data);
        self.length += count;
        if self.tail.len() >= PIECE_BYTES_MIN {
            self.end_tail();
        }
    }

    fn end_tail(&mut self) {
        if !self.tail.is_empty() {
            let piece = self.tail.split().freeze();
            self.pieces.push((self.length - piece.len(), piece));
        }
    }

    /// Some bytes from this place on; none when they have not come.
    fn after(&self, position: usize) -> Option<Bytes> {
        let tail_start = self.length - self.tail.len();
        if position >= tail_start {
            let new = self.tail.get(position - tail_start..).filter(|new| !new.is_empty());
            return new.map(Bytes::copy_from_slice);
        }
        let next = self.pieces.partition_point(|(start, _)| *start <= position);
        let (start, piece) = self.pieces.get(next.checked_sub(1)?)?;
        Some(piece.slice(position - start..))
    }
}

impl Growing {
    /// A body of which nothing has come; none when a told length does not fit into the budget.
    pub fn new(length: Option<u64>, budget: &Arc<Budget>) -> Option<Arc<Self>> {
        let taken = Taken { budget: budget.clone(), bytes: AtomicU64::new(0) };
        if length.is_some_and(|length| !taken.more(length)) {
            return None;
        }
        let (pieces, tail) = (Vec::new(), BytesMut::new());
        let progress = Progress { pieces, tail, length: 0, end: None, taken: Arc::new(taken) };
        Some(Arc::new(Self { progress: watch::Sender::new(progress), fits: length.is_some() }))
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

    /// Reads the body to its end. `finish` gets its bytes when they came whole and are to be kept, and runs before any
    /// reader sees the end. Answers whether they are more than `bytes_max`.
    pub async fn collect(
        &self,
        mut origin: Body,
        rest: oneshot::Sender<Body>,
        told: Option<u64>,
        bytes_max: u64,
        finish: impl FnOnce(Bytes),
    ) -> bool {
        let taken = self.progress.borrow().taken.clone();
        let mut bytes = 0u64;
        let mut trailers = None;
        let end = loop {
            let frame = tokio::select! {
                biased;
                frame = tokio::time::timeout(IDLE_MAX, origin.frame()) => frame,
                () = self.progress.closed() => {
                    if self.abandon() {
                        return false;
                    }
                    continue;
                }
            };
            let frame = match frame {
                Err(_) => break End::Broken(BodyError::Idle),
                Ok(Some(Err(error))) => break End::Broken(error),
                Ok(Some(Ok(frame))) => frame,
                Ok(None) if told.is_some_and(|told| told != bytes) => break End::Broken(mistold()),
                Ok(None) => break End::Whole(trailers),
            };
            match frame.into_data() {
                Ok(data) => {
                    let count = u64::try_from(data.len()).unwrap_or(u64::MAX);
                    bytes = bytes.saturating_add(count);
                    if told.is_some_and(|told| bytes > told) {
                        break End::Broken(mistold());
                    }
                    let has_room = self.fits || taken.more(count);
                    self.progress.send_modify(|progress| progress.push(data));
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
            finish(self.join());
        }
        self.progress.send_modify(|progress| progress.end = Some(end));
        bytes > bytes_max
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

    /// Brings all bytes into one piece, which readers and store share: none of them holds on to larger buffers of the
    /// network, and none counts twice.
    fn join(&self) -> Bytes {
        let joined = {
            let progress = self.progress.borrow();
            let mut bytes = Vec::with_capacity(progress.length);
            progress.pieces.iter().for_each(|(_, piece)| bytes.extend_from_slice(piece));
            bytes.extend_from_slice(&progress.tail);
            Bytes::from_owner(Counted { bytes: pages::keep(bytes.into()), _taken: progress.taken.clone() })
        };
        self.progress.send_if_modified(|progress| {
            progress.pieces = vec![(0, joined.clone())];
            progress.tail = BytesMut::new();
            // For readers nothing is new.
            false
        });
        joined
    }

    fn reader(self: &Arc<Self>, rest: Option<oneshot::Receiver<Body>>) -> Body {
        let reader = Reader { progress: self.progress.subscribe(), position: 0, rest, stage: Stage::Shared };
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
                Ok(piece) => {
                    self.position += piece.len();
                    self.stage = Stage::Shared;
                    return Some((Ok(Frame::data(piece)), self));
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

    /// What comes next of what all share, or how it ended.
    async fn shared(&mut self) -> Result<Bytes, End> {
        let position = self.position;
        let has_more = |progress: &Progress| progress.length > position || progress.end.is_some();
        let Ok(progress) = self.progress.wait_for(has_more).await else {
            return Err(End::Abandoned);
        };
        let next = progress.after(position);
        next.ok_or_else(|| progress.end.clone().unwrap_or(End::Abandoned))
    }
}

fn mistold() -> BodyError {
    BodyError::Broken("it is shorter or longer than it was told to be".into())
}

fn broken() -> BodyError {
    BodyError::Broken("the response did not come whole".into())
}

#[cfg(test)]
#[path = "growing_tests.rs"]
mod tests;
