//! Waiting until a deadline, at no cost where nothing has to be waited for.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep_until};

/// Waits for a future, at most until `deadline`; none when it is not ready by then. Most calls end when they are first
/// asked: no timer is made for them, which would take longer than the rest of this. A large future is pinned by who
/// calls: it would be copied twice on its way here.
pub async fn by<T>(deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut timer = pin!(None);
    poll_fn(|context| {
        // Once each time: who gives way to others is not to be asked again at once.
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        if timer.is_none() {
            timer.set(Some(sleep_until(deadline)));
        }
        // Also when the future has used up what its task may do in one go: it could do so for ever.
        let is_over = timer
            .as_mut()
            .as_pin_mut()
            .is_some_and(|timer| pin!(unconstrained(timer)).poll(context).is_ready());
        if is_over { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_is_ready_is_taken_however_late_and_what_is_not_is_left_in_time() {
        let now = Instant::now();
        assert_eq!(by(now, ready(1)).await, Some(1));
        assert_eq!(by(now, pending::<()>()).await, None);
        let in_time = tokio::task::yield_now();
        assert_eq!(by(now + Duration::from_secs(60), in_time).await, Some(()));
    }

    #[tokio::test]
    async fn who_gives_way_is_asked_once_in_each_turn() {
        let asked = Cell::new(0);
        let giving_way = poll_fn(|_| {
            asked.set(asked.get() + 1);
            Poll::<()>::Pending
        });
        let mut waiting = pin!(by(Instant::now() + Duration::from_secs(60), giving_way));
        let turn = poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context))).await;
        assert!(turn.is_pending());
        assert_eq!(asked.get(), 1);
    }
}
