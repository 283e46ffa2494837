//! The quotas of a minute, of each key: who asks beyond them is refused, and everybody is told
//! what is left.
//!
//! They stand before the model: what is refused here is no question to it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use jiff::Timestamp;
use serde_json::json;

use crate::llm::dialect::{Complaint, Dialect};
use crate::llm::script::limits::Limits;
use crate::llm::script::origin::key_in;
use crate::llm::scripted::ScriptedLlm;

const MINUTE: Duration = Duration::from_secs(60);
/// How many keys are remembered; of more, those are let go whose minute is over.
const KEYS: usize = 1024;

/// The quotas and what is left of them.
#[derive(Debug)]
pub(crate) struct Quotas {
    opened: Instant,
    is_limited: AtomicBool,
    windows: Mutex<Windows>,
}

/// The minutes of all keys.
#[derive(Debug, Default)]
struct Windows {
    limits: Limits,
    each: HashMap<String, Window>,
}

#[derive(Debug, Default)]
struct Window {
    limits: Limits,
    began: Option<Duration>,
    requests: u64,
    tokens: u64,
}

/// A quota that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    what: Kind,
    /// Until the next minute.
    wait: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Requests,
    Tokens,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            opened: Instant::now(),
            is_limited: AtomicBool::new(false),
            windows: Mutex::default(),
        }
    }
}

impl Quotas {
    /// These are in force from now on.
    pub(crate) fn set(&self, limits: Limits) {
        *self.windows() = Windows {
            limits,
            each: HashMap::new(),
        };
        let is_limited = limits != Limits::default();
        self.is_limited.store(is_limited, Ordering::Release);
    }

    /// Whose quotas count for a request with these headers, if any do. Who needs no key shares
    /// them with all others who have none.
    pub(crate) fn whose(&self, headers: &HeaderMap) -> Option<String> {
        self.is_limited()
            .then(|| key_in(headers).unwrap_or_default().to_owned())
    }

    /// Tokens that an answer has cost.
    pub(crate) fn spend(&self, whose: Option<&str>, tokens: u64) {
        if let Some(key) = whose {
            let mut windows = self.windows();
            let window = windows.of(key);
            window.tokens = window.tokens.saturating_add(tokens);
        }
    }

    /// Counts a request, if there is room for it.
    pub(crate) fn enter(&self, whose: Option<&str>, now: Option<Timestamp>) -> Result<(), Spent> {
        let Some(key) = whose else {
            return Ok(());
        };
        let (time, mut windows) = (self.time(now), self.windows());
        windows.let_go(time);
        windows.of(key).enter(time)
    }

    /// Tells whoever is limited what is left.
    pub(crate) fn tell(
        &self,
        whose: Option<&str>,
        now: Option<Timestamp>,
        headers: &mut HeaderMap,
    ) {
        if let Some(key) = whose {
            self.windows().of(key).tell(self.time(now), headers);
        }
    }

    fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Acquire)
    }

    /// What time it is, on the scenario's clock if there is one.
    fn time(&self, now: Option<Timestamp>) -> Duration {
        let told = now.map(|now| Duration::try_from(now.as_duration()));
        match told {
            Some(Ok(told)) => told,
            // Before 1970 nobody has a quota.
            Some(Err(_)) => Duration::ZERO,
            None => self.opened.elapsed(),
        }
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Windows {
    fn of(&mut self, key: &str) -> &mut Window {
        let limits = self.limits;
        self.each.entry(key.to_owned()).or_insert_with(|| Window {
            limits,
            ..Window::default()
        })
    }

    fn let_go(&mut self, time: Duration) {
        if self.each.len() >= KEYS {
            self.each.retain(|_key, window| !window.is_over(time));
        }
    }
}

impl Window {
    /// Counts a request, if there is room for it.
    fn enter(&mut self, time: Duration) -> Result<(), Spent> {
        if self.is_over(time) {
            (self.began, self.requests, self.tokens) = (Some(time), 0, 0);
        }
        let requests = self.limits.requests_per_minute;
        let tokens = self.limits.tokens_per_minute;
        let wait = self.left(time);
        if requests.is_some_and(|most| self.requests >= u64::from(most.get())) {
            let what = Kind::Requests;
            return Err(Spent { what, wait });
        }
        if tokens.is_some_and(|most| self.tokens >= most.get()) {
            let what = Kind::Tokens;
            return Err(Spent { what, wait });
        }
        self.requests += 1;
        Ok(())
    }

    fn is_over(&self, time: Duration) -> bool {
        let age = self.began.and_then(|began| time.checked_sub(began));
        age.is_none_or(|age| age >= MINUTE)
    }

    /// How much is left of the minute.
    fn left(&self, time: Duration) -> Duration {
        let age = time.saturating_sub(self.began.unwrap_or(time));
        MINUTE.saturating_sub(age)
    }

    /// What is left, as headers tell it.
    fn tell(&self, time: Duration, headers: &mut HeaderMap) {
        let reset = seconds(self.left(time));
        let requests = self.limits.requests_per_minute;
        let tokens = self.limits.tokens_per_minute;
        let kinds = [
            (
                REQUESTS,
                requests.map(|most| most.get().into()),
                self.requests,
            ),
            (TOKENS, tokens.map(|most| most.get()), self.tokens),
        ];
        for ([limit, remaining, resets], most, used) in kinds {
            let Some(most) = most else { continue };
            let left = most.saturating_sub(used);
            let mut told = vec![(limit, most.into()), (remaining, left.into())];
            if let Ok(reset) = HeaderValue::try_from(format!("{reset}s")) {
                told.push((resets, reset));
            }
            // What a script says of them is said.
            for (name, value) in told {
                headers.entry(name).or_insert(value);
            }
        }
    }
}

const REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// A client that waits so long does not come too early.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}

/// Tells a client that its minute is over.
pub(crate) fn refuse(llm: &ScriptedLlm, dialect: Dialect, spent: Spent) -> Response {
    let wait = seconds(spent.wait);
    let complaint = Complaint {
        kind: dialect.is_moonshots().then_some("rate_limit_reached_error"),
        message: None,
    };
    let (status, mut headers, mut body) =
        dialect.status_error(StatusCode::TOO_MANY_REQUESTS, complaint);
    if dialect == Dialect::OpenRouter {
        // As it repeats what the provider has said.
        let metadata = &mut body["error"]["metadata"];
        metadata["retry_after_seconds"] = wait.into();
        metadata["headers"] = json!({ "Retry-After": wait.to_string() });
    }
    headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
    llm.note(
        "llm.limited",
        json!({ "path": dialect.path(), "quota": spent.what.name(), "retry_after": wait }),
    );
    (status, headers, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};

    use super::*;

    fn window(requests: u32, tokens: u64) -> Window {
        Window {
            limits: Limits {
                requests_per_minute: NonZeroU32::new(requests),
                tokens_per_minute: NonZeroU64::new(tokens),
            },
            ..Window::default()
        }
    }

    /// Requests at these seconds, each of ten tokens: `.` where one is answered, else how
    /// long to wait.
    #[track_caller]
    fn check(mut window: Window, seconds_of_requests: &[u64], answered: &str) {
        let ask = |second: &u64| match window.enter(Duration::from_secs(*second)) {
            Ok(()) => {
                window.tokens += 10;
                ".".to_owned()
            }
            Err(spent) => format!("{}{}", spent.what.name(), seconds(spent.wait)),
        };
        let heard: Vec<_> = seconds_of_requests.iter().map(ask).collect();
        assert_eq!(heard.join(" "), answered);
    }

    #[test]
    fn a_minute_has_room_for_so_many_requests_and_the_next_for_as_many() {
        check(
            window(2, 0),
            &[5, 6, 7, 64, 65, 66, 70],
            ". . requests58 requests1 . . requests55",
        );
    }

    #[test]
    fn each_key_has_quotas_of_its_own() {
        let quotas = Quotas::default();
        quotas.set(Limits {
            requests_per_minute: NonZeroU32::new(1),
            tokens_per_minute: NonZeroU64::new(10),
        });
        let now = Some(Timestamp::UNIX_EPOCH);
        let asks = |key| quotas.enter(Some(key), now).is_ok();
        assert_eq!(["a", "a", "b", "b"].map(asks), [true, false, true, false]);

        quotas.spend(Some("a"), 7);
        let left = |key| {
            let mut headers = HeaderMap::new();
            quotas.tell(Some(key), now, &mut headers);
            headers["x-ratelimit-remaining-tokens"].clone()
        };
        assert_eq!(["a", "b"].map(left), ["3", "10"]);
    }

    #[test]
    fn keys_whose_minute_is_over_are_let_go() {
        let quotas = Quotas::default();
        quotas.set(Limits {
            requests_per_minute: NonZeroU32::new(1),
            tokens_per_minute: None,
        });
        let at = |minute: i64| Timestamp::from_second(60 * minute).unwrap();
        for key in 0..KEYS {
            quotas.enter(Some(&key.to_string()), Some(at(0))).unwrap();
        }
        quotas.enter(Some("new"), Some(at(1))).unwrap();
        assert_eq!(quotas.windows().each.len(), 1);
    }

    #[test]
    fn tokens_are_counted_when_they_are_spent() {
        check(window(0, 15), &[0, 1, 2, 60], ". . tokens58 .");
    }

    #[test]
    fn everybody_is_told_what_is_left() {
        let mut headers = HeaderMap::new();
        let mut window = window(3, 25);
        window.enter(Duration::from_millis(500)).unwrap();
        window.tokens = 30;
        window.tell(Duration::from_secs(1), &mut headers);
        let told: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        x-ratelimit-limit-requests: 3
        x-ratelimit-remaining-requests: 2
        x-ratelimit-reset-requests: 60s
        x-ratelimit-limit-tokens: 25
        x-ratelimit-remaining-tokens: 0
        x-ratelimit-reset-tokens: 60s
        ");
    }
}
