//! What a store asks of its clients: to be left alone for a while (`Retry-After`, RFC 9110
//! section 10.2.3). Other requests in that time are refused here, before they leave.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;

/// What is shorter is waited for on the spot, and asked again.
const MOMENT: Duration = Duration::from_secs(2);
/// Whoever asks for more is asked again all the same.
const LONGEST: Duration = Duration::from_secs(3600);

/// Until when the store wants to be left alone; shared by all that speaks to it.
#[derive(Clone, Debug)]
pub(super) struct Manners {
    clock: Clock,
    not_before: Arc<Mutex<Option<Timestamp>>>,
}

/// It has asked for that.
#[derive(Debug, thiserror::Error)]
#[error("the store asks to be left alone until {0}")]
struct LeftAlone(Timestamp);

/// How long an answer asks us to stay away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    /// Too short to be told of.
    Moment(Duration),
    Until(Timestamp),
}

impl Manners {
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            not_before: Arc::default(),
        }
    }

    /// Until when the store is to be left alone; none if it may be asked now.
    pub(super) fn not_before(&self) -> Option<Timestamp> {
        self.that_holds(*self.lock())
    }

    fn keep_away(&self, until: Timestamp) {
        let mut not_before = self.lock();
        *not_before = self.that_holds(*not_before).max(Some(until));
    }

    /// What is over holds no more; nor does what is further ahead than anybody is left alone: the
    /// clock that it was said by has been set back since.
    fn that_holds(&self, not_before: Option<Timestamp>) -> Option<Timestamp> {
        let (now, latest) = (self.clock.now(), self.clock.after(LONGEST));
        not_before.filter(|at| now < *at && *at <= latest)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Timestamp>> {
        // A single value: whole whatever happened to who held it.
        self.not_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpConnector for Manners {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        let manners = self.clone();
        Ok(HttpClient::new(Polite { client, manners }))
    }
}

#[derive(Debug)]
struct Polite {
    client: HttpClient,
    manners: Manners,
}

#[async_trait]
impl HttpService for Polite {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some(until) = self.manners.not_before() {
            // Of a kind that is not tried again at once.
            return Err(HttpError::new(HttpErrorKind::Unknown, LeftAlone(until)));
        }
        let response = self.client.execute(request).await?;
        let status = response.status().as_u16();
        let header = response.headers().get("retry-after");
        let text = header.and_then(|header| match header.to_str() {
            Ok(text) => Some(text),
            Err(_nothing_to_follow) => None,
        });
        match asked(status, text, self.manners.clock.now()) {
            Asked::Nothing => {}
            Asked::Moment(moment) => sleep_until(Instant::now() + moment).await,
            Asked::Until(until) => self.manners.keep_away(until),
        }
        Ok(response)
    }
}

/// What an answer of this status asks by its `Retry-After`: seconds, or a date.
fn asked(status: u16, retry_after: Option<&str>, now: Timestamp) -> Asked {
    let (429 | 503, Some(text)) = (status, retry_after.map(str::trim)) else {
        return Asked::Nothing;
    };
    let span = match (text.parse::<u64>(), rfc2822::parse(text)) {
        (Ok(seconds), _) => Duration::from_secs(seconds),
        (Err(_), Ok(date)) => match Duration::try_from(date.timestamp().duration_since(now)) {
            Ok(span) => span,
            Err(_past) => return Asked::Nothing,
        },
        // Nothing that anybody could follow.
        (Err(_), Err(_)) => return Asked::Nothing,
    };
    match now.checked_add(span.min(LONGEST)) {
        Ok(_) if span <= MOMENT => Asked::Moment(span),
        Ok(until) => Asked::Until(until),
        Err(_end_of_time) => Asked::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Move;

    #[track_caller]
    fn check(status: u16, retry_after: Option<&str>, expected: Asked) {
        let now = "2026-01-05T09:00:00Z".parse().unwrap();
        assert_eq!(asked(status, retry_after, now), expected, "{retry_after:?}");
    }

    fn until(at: &str) -> Asked {
        Asked::Until(at.parse().unwrap())
    }

    #[test]
    fn seconds_and_dates_are_followed_where_a_store_may_ask_for_them() {
        check(429, Some("120"), until("2026-01-05T09:02:00Z"));
        let date = Some("Mon, 05 Jan 2026 09:10:00 GMT");
        check(503, date, until("2026-01-05T09:10:00Z"));
        check(429, Some(" 1 "), Asked::Moment(Duration::from_secs(1)));
        check(500, Some("120"), Asked::Nothing);
        check(200, Some("120"), Asked::Nothing);
    }

    #[test]
    fn what_cannot_be_followed_is_let_be() {
        check(429, None, Asked::Nothing);
        check(429, Some("soon"), Asked::Nothing);
        check(429, Some("-5"), Asked::Nothing);
        check(429, Some("Mon, 05 Jan 2026 08:00:00 GMT"), Asked::Nothing);
        let most = u64::MAX.to_string();
        check(429, Some(&most), until("2026-01-05T10:00:00Z"));
    }

    #[test]
    fn whoever_asked_is_left_alone_until_then_and_no_longer() {
        let now: Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
        let manners = Manners::new(&Clock::test(now));
        assert_eq!(manners.not_before(), None);
        let later = now + Duration::from_secs(60);
        manners.keep_away(later);
        // A second answer that asks for less takes nothing back.
        manners.keep_away(now + Duration::from_secs(5));
        assert_eq!(manners.not_before(), Some(later));
        manners.keep_away(now);
        let over = Manners::new(&Clock::test(now));
        over.keep_away(now);
        assert_eq!(over.not_before(), None);
    }

    fn to(at: Timestamp) -> Move {
        Move {
            to: at,
            patience: Duration::from_secs(20),
            leave_runs: false,
        }
    }

    #[tokio::test]
    async fn nobody_is_left_alone_past_the_instant_nor_for_longer_by_a_clock_set_back() {
        let now: Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
        let clock = Clock::test(now);
        let manners = Manners::new(&clock);
        let later = now + Duration::from_secs(60);
        manners.keep_away(later);
        clock.advance(to(later)).await;
        assert_eq!(manners.not_before(), None);

        manners.keep_away(later + LONGEST);
        assert_eq!(manners.not_before(), Some(later + LONGEST));
        let back = now - Duration::from_secs(3600);
        clock.set_back(to(back)).await;
        assert_eq!(manners.not_before(), None);
        // What is asked for now is not outdone by what holds no more.
        let soon = back + Duration::from_secs(30);
        manners.keep_away(soon);
        assert_eq!(manners.not_before(), Some(soon));
    }
}
