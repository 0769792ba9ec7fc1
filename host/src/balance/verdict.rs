//! What one try says about whom it asked: decided once for each, then told to the circuit and to the ejection of
//! addresses.

use http::StatusCode;
use tokio::time::Instant;

use crate::balance::upload::Awaited;
use crate::body::Request;
use crate::runtime::failure::GuestFailure;

/// What one try says about whom it asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It answered.
    Answered,
    /// It answered that it cannot now, which says something about the address, not about the service.
    Declined,
    /// It failed by its own fault.
    Failed,
    /// Nothing: it was stopped, or the caller or the client left it too little time.
    Nothing,
}

/// What excuses one that has not answered in time.
#[derive(Debug)]
pub struct Excuses {
    /// Whether its caller stops waiting before its own time is over.
    is_hurried: bool,
    client: Awaited,
}

impl Verdict {
    /// Of the status of an external service.
    pub fn of_status(status: StatusCode) -> Self {
        if is_passing(status) { Self::Declined } else { Self::Answered }
    }

    /// Of the failure of a component.
    pub fn of_guest(failure: &GuestFailure, excuses: &Excuses) -> Self {
        match failure {
            GuestFailure::Timeout("drain" | "idle") => Self::Nothing,
            GuestFailure::Timeout("time") => excuses.verdict(),
            _ => Self::Failed,
        }
    }
}

impl Excuses {
    /// Those of a try whose own time ends at `own_deadline`, while its caller waits until `deadline`.
    pub fn watch(request: &mut Request, own_deadline: Instant, deadline: Instant) -> Self {
        Self { is_hurried: deadline < own_deadline, client: Awaited::watch(request.body_mut()) }
    }

    /// Of a try that ran out of time.
    pub fn verdict(&self) -> Verdict {
        if self.is_hurried || self.client.is_awaited() { Verdict::Nothing } else { Verdict::Failed }
    }
}

/// Whether a status says that the service could not be asked, rather than what it answered.
pub fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::FutureExt;
    use futures::stream::{self, StreamExt};
    use http_body::Frame;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;
    use crate::body::{Body, empty};

    /// Of a try with this body, part of which was read, whose caller waits for so many seconds less than it has.
    fn verdict(body: Body, seconds: u64) -> Verdict {
        let mut request = Request::new(body);
        let own = Instant::now() + Duration::from_secs(10);
        let excuses = Excuses::watch(&mut request, own, own - Duration::from_secs(seconds));
        let mut body = request.into_body();
        while body.frame().now_or_never().flatten().is_some() {}
        excuses.verdict()
    }

    #[test]
    fn who_had_its_time_and_the_whole_request_is_at_fault() {
        let parts = || stream::iter([Ok(Frame::data("one".into())), Ok(Frame::data("two".into()))]);
        let whole = || StreamBody::new(parts()).boxed_unsync();
        let half = || StreamBody::new(parts().chain(stream::pending())).boxed_unsync();
        for (name, body, seconds, expected) in [
            ("none", empty(), 0, Verdict::Failed),
            ("none", empty(), 1, Verdict::Nothing),
            ("whole", whole(), 0, Verdict::Failed),
            ("whole", whole(), 1, Verdict::Nothing),
            ("half", half(), 0, Verdict::Nothing),
        ] {
            assert_eq!(verdict(body, seconds), expected, "{name}, {seconds} s");
        }
    }

    #[test]
    fn a_body_that_nobody_reads_excuses_nobody() {
        let mut request = Request::new(StreamBody::new(stream::pending()).boxed_unsync());
        let own = Instant::now();
        assert_eq!(Excuses::watch(&mut request, own, own).verdict(), Verdict::Failed);
    }

    #[test]
    fn a_component_is_blamed_for_all_but_what_others_did() {
        let mut request = Request::new(empty());
        let now = Instant::now();
        let excuses = Excuses::watch(&mut request, now + Duration::from_secs(1), now);
        for (failure, expected) in [
            (GuestFailure::Timeout("time"), Verdict::Nothing),
            (GuestFailure::Timeout("idle"), Verdict::Nothing),
            (GuestFailure::Timeout("drain"), Verdict::Nothing),
            (GuestFailure::Timeout("cpu"), Verdict::Failed),
            (GuestFailure::NoResponse, Verdict::Failed),
        ] {
            assert_eq!(Verdict::of_guest(&failure, &excuses), expected, "{failure:?}");
        }
    }
}
