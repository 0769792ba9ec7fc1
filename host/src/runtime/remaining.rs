//! How much of a body is still to come.

use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// What of an announced length is still to come.
pub struct Remaining {
    announced: Option<u64>,
    /// Bytes; none where no length is known.
    pub bytes: Option<u64>,
    has_excess: bool,
}

impl Remaining {
    /// All of this length.
    pub fn new(announced: Option<u64>) -> Self {
        Self { announced, bytes: announced, has_excess: false }
    }

    /// Counts a frame, and cuts off what goes beyond the length; answers whether it completes that.
    pub fn is_completed_by(&mut self, frame: &mut Frame<Bytes>) -> bool {
        let Some(remaining) = &mut self.bytes else { return false };
        let given = length_of(frame);
        if let Some(data) = frame.data_mut() {
            data.truncate(usize::try_from(*remaining).unwrap_or(usize::MAX));
        }
        self.has_excess |= given > *remaining;
        *remaining -= length_of(frame);
        *remaining == 0
    }

    /// The announced length, once after something beyond it was cut off.
    pub fn take_excess(&mut self) -> Option<u64> {
        self.announced.take_if(|_| self.has_excess)
    }

    /// What is to come, as a body tells it.
    pub fn hint(&self) -> SizeHint {
        self.bytes.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Which frame goes out when `frame` has come: one that completes its body waits in `held` for the end of that.
pub fn hold_back(
    held: &mut Option<Frame<Bytes>>,
    frame: Frame<Bytes>,
    completes: bool,
) -> Option<Frame<Bytes>> {
    match held.take() {
        None if completes => {
            *held = Some(frame);
            None
        }
        None => Some(frame),
        // Nothing is left of data that come behind all that was announced.
        Some(before) if frame.is_data() => {
            *held = Some(before);
            None
        }
        // Trailers come behind what was held: the guest has ended its body.
        Some(before) => {
            *held = Some(frame);
            Some(before)
        }
    }
}

/// Bytes of data in a frame.
pub fn length_of(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}
