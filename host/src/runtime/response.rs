//! A response body that ends well only when the guest call did, so that a late trap cuts it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::task::coop::has_budget_remaining;
use wasmtime_wasi_http::WasiBody;

use crate::body::BodyError;
use crate::runtime::activity::{Activity, EndsWith};
use crate::runtime::driven::Driven;
use crate::runtime::failure::GuestFailure;
use crate::runtime::gathered::Gathered;
use crate::runtime::remaining::{Remaining, hold_back, length_of};

/// The body of a guest's response. Its last frame waits until nothing can go wrong with it any more: HTTP/1.1 would
/// otherwise send the last chunk, or the last byte of Content-Length, of a response whose service failed. Trailers may
/// follow it.
pub struct GuardedBody {
    gathered: Gathered,
    inner: WasiBody,
    /// What of an announced length the guest has not given yet.
    remaining: Remaining,
    /// The frame that waits.
    held: Option<Frame<Bytes>>,
    /// Whether the end of the call is waited for.
    waits: bool,
    ended: bool,
    call: Driven,
    activity: Arc<Activity>,
}

impl GuardedBody {
    /// Guards `inner`, of `length` bytes where that is known, which `call` gives.
    pub fn new(inner: WasiBody, length: Option<u64>, call: Driven, activity: Arc<Activity>) -> Self {
        let (gathered, remaining) = (Gathered::default(), Remaining(length));
        Self { gathered, inner, remaining, held: None, waits: false, ended: false, call, activity }
    }

    /// Takes what comes without waiting, within limits; then the call goes on by itself.
    ///
    /// # Errors
    ///
    /// The failure that has ended the call already.
    pub fn gather(&mut self, context: &mut Context<'_>) -> Result<(), GuestFailure> {
        while self.gathered.has_room() {
            match self.poll_rest(context) {
                Poll::Ready(Some(Ok(frame))) => self.gathered.push(frame),
                Poll::Ready(Some(Err(error))) => {
                    self.gathered.break_off(error);
                    break;
                }
                Poll::Ready(None) => {
                    // Mostly the call has nothing more to do either.
                    let is_over = |_| self.call.poll_end(context).is_ready() || self.activity.gives_way();
                    _ = (0..self.activity.steps()).any(is_over);
                    break;
                }
                Poll::Pending => break,
            }
        }
        self.call.set_apart();
        self.call.failure().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    /// All of it, where it was gathered in one piece and its call has ended: nothing has to be guarded then.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        if self.has_all() && self.call.has_ended() { self.gathered.take_whole() } else { None }
    }

    /// What comes behind the gathered frames.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if self.waits {
                let outcome = ready!(self.call.poll_end(context));
                self.waits = false;
                if let Err(failure) = outcome {
                    return Poll::Ready(Some(Err(self.cut(&failure))));
                }
            }
            let is_complete = self.ended || self.activity.ends_with == EndsWith::Call;
            if let Some(frame) = self.held.take_if(|_| is_complete) {
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(self.poll_guest(context)) {
                None => {
                    if let Some(failure) = self.activity.failure() {
                        let failure = failure.clone();
                        return Poll::Ready(Some(Err(self.cut(&failure))));
                    }
                }
                Some(Err(error)) => {
                    self.activity.breaks_off(&error);
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(mut frame)) => {
                    let completes = self.completes(&mut frame);
                    self.waits |= completes && self.activity.ends_with == EndsWith::Call;
                    if let Some(frame) = hold_back(&mut self.held, frame, completes) {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
            }
        }
    }

    /// The response ends here, and must not look whole.
    fn cut(&mut self, failure: &GuestFailure) -> BodyError {
        (self.held, self.ended) = (None, true);
        BodyError::Guest(failure.to_string())
    }

    /// Whether a frame completes the announced length, or the body where none is announced.
    fn completes(&mut self, frame: &mut Frame<Bytes>) -> bool {
        self.remaining.is_completed_by(frame) || (self.remaining.0.is_none() && frame.is_trailers())
    }

    /// Whether the guest has nothing more to say, and has said all that it announced.
    fn has_all(&self) -> bool {
        self.ended && !self.waits && self.held.is_none() && self.remaining.0.is_none_or(|bytes| bytes == 0)
    }

    fn poll_inner(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        self.activity.touch();
        self.ended = frame.is_none();
        match self.activity.ends_with {
            EndsWith::Call => self.waits |= self.ended,
            EndsWith::Body if self.ended => self.activity.end_body(),
            EndsWith::Body => {}
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyError::Guest(error.to_string()))))
    }

    /// The next frame of the guest, or an error when nothing can come any more.
    fn poll_guest(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut call = Poll::Pending;
        for _ in 0..self.activity.steps() {
            if let Poll::Ready(frame) = self.poll_inner(context) {
                return Poll::Ready(frame);
            }
            call = self.call.poll_end(context);
            if self.activity.gives_way() {
                break;
            }
        }
        match (self.poll_inner(context), call) {
            // A task that has used up its turn finds nothing, whatever is there.
            (Poll::Pending, Poll::Ready(_)) if has_budget_remaining() => {
                let reason = "the call ended before its body did".to_owned();
                self.ended = true;
                Poll::Ready(Some(Err(BodyError::Guest(reason))))
            }
            (frame, _) => frame,
        }
    }
}

impl http_body::Body for GuardedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(frame) = self.gathered.pop() else { return self.poll_rest(context) };
        if !self.call.has_ended() {
            self.activity.touch();
        }
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.gathered.is_empty() && self.has_all()
    }

    fn size_hint(&self) -> SizeHint {
        let taken = self.gathered.bytes() + self.held.as_ref().map_or(0, length_of);
        match self.remaining.0 {
            Some(remaining) => SizeHint::with_exact(taken + remaining),
            // A length would leave no place for trailers in HTTP/1.1.
            None if self.has_all() && self.gathered.is_data() => SizeHint::with_exact(taken),
            None => SizeHint::default(),
        }
    }
}

impl Drop for GuardedBody {
    fn drop(&mut self) {
        if self.activity.ends_with == EndsWith::Body {
            self.activity.end_body();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use futures::stream;
    use http::HeaderMap;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;
    use crate::runtime::driven::Outcome;
    use crate::runtime::failure::GuestFailure;
    use crate::runtime::gathered::FRAMES_MAX;

    /// Reads a body of one data frame and trailers to its end, when its call ended like this.
    async fn read(length: Option<u64>, outcome: Outcome) -> Result<(String, bool), BodyError> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let inner = body_of(vec![data("body"), Frame::trailers(trailers)]);
        let body = GuardedBody::new(inner, length, Driven::new(Box::pin(async { outcome })), Arc::default());
        let body = body.collect().await?;
        let has_trailers = body.trailers().is_some();
        Ok((String::from_utf8(body.to_bytes().to_vec()).unwrap(), has_trailers))
    }

    #[tokio::test]
    async fn trailers_follow_the_body_whether_or_not_its_length_is_known() {
        for length in [None, Some(4)] {
            assert_eq!(read(length, Ok(())).await.unwrap(), ("body".into(), true), "{length:?}");
            assert!(read(length, Err(GuestFailure::NoResponse)).await.is_err(), "{length:?}");
        }
    }

    /// A body of these frames, of which what comes without waiting is gathered while its call ends like this.
    fn gathered(frames: Vec<Frame<Bytes>>, outcome: Outcome) -> (Result<(), GuestFailure>, GuardedBody) {
        gathered_of(None, frames, Driven::new(Box::pin(async { outcome })))
    }

    fn gathered_of(
        length: Option<u64>,
        frames: Vec<Frame<Bytes>>,
        call: Driven,
    ) -> (Result<(), GuestFailure>, GuardedBody) {
        let mut body = GuardedBody::new(body_of(frames), length, call, Arc::default());
        (body.gather(&mut Context::from_waker(Waker::noop())), body)
    }

    fn body_of(frames: Vec<Frame<Bytes>>) -> WasiBody {
        StreamBody::new(stream::iter(frames.into_iter().map(Ok))).boxed_unsync()
    }

    fn data(text: &'static str) -> Frame<Bytes> {
        Frame::data(text.into())
    }

    #[tokio::test]
    async fn a_small_body_is_whole_before_any_of_it_is_sent() {
        let (result, body) = gathered(vec![data("one"), data("two")], Ok(()));
        result.unwrap();
        assert_eq!(body.size_hint().exact(), Some(6));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "onetwo");
        let (_, body) = gathered(Vec::new(), Ok(()));
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
        let (_, body) = gathered(vec![data("one"), Frame::trailers(HeaderMap::new())], Ok(()));
        assert_eq!(body.size_hint().exact(), None, "trailers need chunks");
    }

    #[tokio::test]
    async fn a_body_of_one_piece_whose_call_has_ended_needs_no_guard() {
        let take = |frames, outcome| gathered(frames, outcome).1.take_whole();
        assert_eq!(take(vec![data("one")], Ok(())).unwrap(), "one");
        assert_eq!(take(Vec::new(), Ok(())).unwrap(), "");
        assert_eq!(take(vec![data("one"), data("two")], Ok(())), None);
        assert_eq!(take(vec![data("one"), Frame::trailers(HeaderMap::new())], Ok(())), None);
        let running = Driven::new(Box::pin(std::future::pending()));
        assert_eq!(gathered_of(None, vec![data("one")], running).1.take_whole(), None);
        let short = Driven::new(Box::pin(async { Ok(()) }));
        assert_eq!(gathered_of(Some(4), vec![data("one")], short).1.take_whole(), None);
    }

    #[tokio::test]
    async fn the_length_is_what_is_still_to_be_sent_whatever_is_held() {
        let (_, body) =
            gathered_of(Some(3), vec![data("one")], Driven::new(Box::pin(std::future::pending())));
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(3), false));
        let (_, mut body) =
            gathered_of(Some(6), vec![data("one"), data("two")], Driven::new(Box::pin(async { Ok(()) })));
        assert_eq!(body.size_hint().exact(), Some(6));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        assert_eq!(body.size_hint().exact(), Some(3));
    }

    #[tokio::test]
    async fn more_than_was_announced_is_cut_off_and_less_is_no_end() {
        let (_, body) =
            gathered_of(Some(4), vec![data("one"), data("two")], Driven::new(Box::pin(async { Ok(()) })));
        assert_eq!(body.size_hint().exact(), Some(4));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "onet");
        let (_, body) = gathered_of(Some(4), Vec::new(), Driven::new(Box::pin(async { Ok(()) })));
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(4), false));
    }

    #[tokio::test]
    async fn a_failure_behind_a_small_body_comes_before_any_of_it() {
        let (result, _) = gathered(vec![data("one")], Err(GuestFailure::NoResponse));
        assert!(matches!(result, Err(GuestFailure::NoResponse)));
    }

    #[tokio::test]
    async fn a_body_without_end_is_not_waited_for() {
        let frames = (0..2 * FRAMES_MAX).map(|_| data("x")).collect();
        let (result, body) = gathered(frames, Ok(()));
        result.unwrap();
        assert_eq!((body.gathered.frames().count(), body.size_hint().exact()), (FRAMES_MAX, None));
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 2 * FRAMES_MAX);
    }

    /// The same as by WASI 0.3, where the end of the body counts.
    fn of_p3(length: Option<u64>, frames: Vec<Frame<Bytes>>, call: Driven) -> (Arc<Activity>, GuardedBody) {
        let activity = Arc::new(Activity::new(EndsWith::Body));
        let body = GuardedBody::new(body_of(frames), length, call, activity.clone());
        (activity, body)
    }

    #[tokio::test]
    async fn by_p3_a_response_is_whole_while_its_guest_goes_on() {
        for length in [None, Some(4)] {
            let (activity, body) =
                of_p3(length, vec![data("body")], Driven::new(Box::pin(std::future::pending())));
            assert_eq!(body.collect().await.unwrap().to_bytes(), "body");
            activity.body_end().await;
        }
    }

    #[tokio::test]
    async fn by_p3_a_body_that_ends_because_its_guest_has_failed_is_cut() {
        for length in [None, Some(4)] {
            let (activity, body) =
                of_p3(length, vec![data("body")], Driven::new(Box::pin(std::future::pending())));
            activity.fail(GuestFailure::NoResponse);
            assert!(body.collect().await.is_err(), "{length:?}");
        }
    }

    #[tokio::test]
    async fn by_p3_trailers_follow_the_last_of_an_announced_length() {
        let frames = vec![data("body"), data(""), Frame::trailers(HeaderMap::new())];
        let (_, body) = of_p3(Some(4), frames, Driven::new(Box::pin(std::future::pending())));
        let body = body.collect().await.unwrap();
        assert!(body.trailers().is_some());
        assert_eq!(body.to_bytes(), "body");
    }
}
