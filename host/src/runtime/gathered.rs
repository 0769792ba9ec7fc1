//! What was taken of a response before any of it is sent.

use std::collections::VecDeque;

use bytes::Bytes;
use http_body::Frame;

use crate::body::BodyError;
use crate::runtime::remaining::length_of;

/// How much of a response is taken from its guest before any of it is sent, where it comes without waiting: a small one
/// is then whole, which tells its length, takes one packet, and can still become an error.
const BYTES_MAX: u64 = 64 * 1024;

/// The same in frames, since each costs memory of its own.
pub const FRAMES_MAX: usize = 64;

/// What was taken from a guest before any of it is sent.
#[derive(Default)]
pub struct Gathered {
    /// The first: mostly the only one, which then needs no memory of its own.
    first: Option<Frame<Bytes>>,
    more: VecDeque<Frame<Bytes>>,
    /// Of the data in them.
    bytes: u64,
    /// What follows them.
    error: Option<BodyError>,
}

impl Gathered {
    /// The frames, in order.
    pub fn frames(&self) -> impl Iterator<Item = &Frame<Bytes>> {
        self.first.iter().chain(&self.more)
    }

    /// Of the data in them.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether more may be taken.
    pub fn has_room(&self) -> bool {
        self.bytes < BYTES_MAX && self.frames().count() < FRAMES_MAX
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.frames().next().is_none() && self.error.is_none()
    }

    /// Whether there are neither trailers nor an error.
    pub fn is_data(&self) -> bool {
        self.error.is_none() && self.frames().all(Frame::is_data)
    }

    /// Takes a frame.
    pub fn push(&mut self, frame: Frame<Bytes>) {
        self.bytes += length_of(&frame);
        if self.frames().next().is_some() {
            return self.more.push_back(frame);
        }
        self.first = Some(frame);
    }

    /// Nothing follows but this error.
    pub fn break_off(&mut self, error: BodyError) {
        self.error = Some(error);
    }

    /// All of it, where it is one piece of data or none.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        if !self.is_data() || !self.more.is_empty() {
            return None;
        }
        match self.pop() {
            Some(frame) => frame.ok()?.into_data().ok(),
            None => Some(Bytes::new()),
        }
    }

    /// Gives the next frame away, or what follows them.
    pub fn pop(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        let Some(frame) = self.first.take().or_else(|| self.more.pop_front()) else {
            return self.error.take().map(Err);
        };
        self.bytes -= length_of(&frame);
        Some(Ok(frame))
    }
}
