//! How much of a body is still to come.

use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// Bytes of an announced length that are still to come; none where no length is known.
pub struct Remaining(pub Option<u64>);

impl Remaining {
    /// Counts a frame, and cuts off what goes beyond the length; answers whether it completes that.
    pub fn is_completed_by(&mut self, frame: &mut Frame<Bytes>) -> bool {
        let Some(remaining) = &mut self.0 else { return false };
        if let Some(data) = frame.data_mut() {
            data.truncate(usize::try_from(*remaining).unwrap_or(usize::MAX));
        }
        *remaining -= length_of(frame);
        *remaining == 0
    }

    /// The same as a body tells it.
    pub fn hint(&self) -> SizeHint {
        self.0.map_or_else(SizeHint::default, SizeHint::with_exact)
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
