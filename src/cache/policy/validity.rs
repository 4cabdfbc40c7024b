//! How long a stored response is valid, and how its age is counted (RFC 9111 §4.2.3).

use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};

use super::directives::delta_seconds;
use super::headers::members;
use super::{ResponseHead, Terms, date};

/// The terms of a stored response, and the values that its age is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Validity {
    /// `corrected_initial_age` (§4.2.3) in milliseconds.
    pub(super) initial_age: u64,
    /// Unix milliseconds.
    pub(super) response_time: u64,
    /// In seconds. Without one the response is stale from the start.
    pub(super) lifetime: Option<u32>,
    pub(super) stale_while_revalidate: Option<u32>,
    pub(super) stale_if_error: Option<u32>,
    pub(super) no_cache: bool,
    pub(super) forbid_stale: bool,
    pub(super) immutable: bool,
}

impl Validity {
    pub(super) fn new(terms: &Terms, response: &ResponseHead<'_>) -> Self {
        Self {
            initial_age: initial_age(response),
            response_time: response.response_time,
            lifetime: terms.lifetime,
            stale_while_revalidate: terms.directives.stale_while_revalidate,
            stale_if_error: terms.directives.stale_if_error,
            no_cache: terms.directives.no_cache,
            forbid_stale: terms.directives.forbid_stale(),
            immutable: terms.directives.immutable,
        }
    }

    /// `current_age` in milliseconds.
    pub(super) fn age(&self, now: u64) -> u64 {
        let resident = now.saturating_sub(self.response_time);
        self.initial_age.saturating_add(resident)
    }

    /// Ends the lifetime at `now`, if it does not end before.
    pub(super) fn expire(&mut self, now: u64) {
        let age = u32::try_from(self.age(now) / 1000).unwrap_or(u32::MAX);
        self.lifetime = self.lifetime.map(|lifetime| lifetime.min(age));
    }

    pub(super) fn is_fresh(&self, now: u64) -> bool {
        self.age(now) < self.lifetime()
    }

    /// For how many milliseconds it has been stale.
    pub(super) fn staleness(&self, now: u64) -> u64 {
        self.age(now).saturating_sub(self.lifetime())
    }

    /// In milliseconds.
    pub(super) fn lifetime(&self) -> u64 {
        seconds(self.lifetime.unwrap_or(0))
    }
}

/// `corrected_initial_age` in milliseconds (§4.2.3).
pub(super) fn initial_age(response: &ResponseHead<'_>) -> u64 {
    let received = response.response_time;
    let date = date::value_of(response.headers, received);
    // `Date` has whole seconds, so the fraction of the time of receipt is no age.
    let apparent = i64::try_from(received / 1000).unwrap_or(i64::MAX) - date;
    let apparent = u64::try_from(apparent).unwrap_or(0).saturating_mul(1000);
    let delay = received.saturating_sub(response.request_time);
    let corrected = seconds(age_value(response.headers)).saturating_add(delay);
    apparent.max(corrected)
}

/// The first member of `Age`; an invalid one is ignored (§5.1).
fn age_value(headers: &HeaderMap) -> u32 {
    members(headers, &header::AGE)
        .next()
        .filter(|age| age.first().is_some_and(u8::is_ascii_digit))
        .and_then(delta_seconds)
        .unwrap_or(0)
}

pub(super) fn seconds(seconds: u32) -> u64 {
    u64::from(seconds) * 1000
}
