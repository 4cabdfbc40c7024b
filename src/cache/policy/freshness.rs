//! Freshness lifetime and age (RFC 9111 §4.2).

use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};

use super::directives::{DELTA_MAX, delta_seconds};
use super::headers::{members, single};
use super::status::is_heuristically_cacheable;
use super::{CachePolicy, ResponseDirectives, ResponseHead, StoredHead, date, targeted};

/// On what terms a response may be stored and reused. The deployer's own rules may change them
/// before the engine decides: see [`CachePolicy::storable`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The directives of the targeted field, or of `Cache-Control`.
    pub(crate) directives: ResponseDirectives,
    /// The freshness lifetime in seconds, if the response gives one or a heuristic applies.
    pub(crate) lifetime: Option<u32>,
    /// Whether `lifetime` is heuristic.
    pub(crate) heuristic: bool,
}

/// What is kept of the terms, and what the age is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Validity {
    /// `corrected_initial_age` (§4.2.3) in milliseconds.
    pub(super) initial_age: u64,
    /// Unix milliseconds.
    pub(super) response_time: u64,
    /// Seconds; without one it is stale from the start.
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

impl StoredHead {
    /// `current_age` (§4.2.3) in whole seconds: the `Age` field.
    pub(crate) fn age(&self, now: u64) -> u64 {
        (self.validity.age(now) / 1000).min(u64::from(DELTA_MAX))
    }

    /// The freshness lifetime minus the age in seconds, negative when stale: the `ttl` of RFC 9211.
    pub(crate) fn ttl(&self, now: u64) -> i64 {
        let age = i64::try_from(self.age(now)).unwrap_or(i64::MAX);
        i64::from(self.validity.lifetime.unwrap_or(0)) - age
    }

    /// When the response was received, in Unix milliseconds.
    pub(crate) fn received(&self) -> u64 {
        self.validity.response_time
    }

    /// How new the response is: when the origin made it (`Date`, in Unix seconds) and, among the
    /// responses of one second, when it came (in Unix milliseconds). Of two responses to the same
    /// request the one with the greater pair is the newer one.
    ///
    /// Without a usable `Date` the time of receipt stands in for it, and a `Date` later than that
    /// counts as that: else an origin whose clock is ahead could never replace what it has sent.
    ///
    /// Two clocks meet here. Responses of several origin servers are ordered by the clocks of
    /// these, and those without a `Date`, or of the same second, by the clocks of the processes
    /// that received them. Where the clocks differ, an older response can count as the newer one
    /// for as long as they differ by.
    pub(crate) fn recency(&self) -> (u64, u64) {
        let received = self.validity.response_time;
        let date = u64::try_from(date_value(&self.headers, received)).unwrap_or(0);
        (date.min(received / 1000), received)
    }
}

impl CachePolicy {
    /// What the response says about its own storage and reuse.
    pub(super) fn terms(&self, response: &ResponseHead<'_>) -> Terms {
        let headers = response.headers;
        let targeted = targeted::directives(headers, &self.targeted);
        let expires = match &targeted {
            Some(_) => None,
            None => expiration(headers, response.response_time),
        };
        let mut directives = targeted.unwrap_or_else(|| ResponseDirectives::of(headers));
        if self.stale_beside_s_maxage {
            directives.let_stale_beside_s_maxage();
        }
        let explicit = directives.s_maxage.or(directives.max_age).or(expires);
        let lifetime = explicit.or_else(|| self.heuristic_lifetime(&directives, response));
        Terms {
            heuristic: explicit.is_none() && lifetime.is_some(),
            directives,
            lifetime,
        }
    }

    /// A share of the time since the last modification (§4.2.2).
    fn heuristic_lifetime(
        &self,
        directives: &ResponseDirectives,
        response: &ResponseHead<'_>,
    ) -> Option<u32> {
        if !directives.public && !is_heuristically_cacheable(response.status) {
            return None;
        }
        let modified = response.headers.get(header::LAST_MODIFIED)?;
        let modified = date::parse(modified, response.response_time)?;
        let unmodified = date_value(response.headers, response.response_time) - modified;
        let share = u64::try_from(unmodified).ok()? * u64::from(self.heuristic_percent) / 100;
        let lifetime = share.min(self.heuristic_max.as_secs());
        (lifetime > 0).then(|| capped(lifetime))
    }
}

/// `Expires` minus `Date`; an invalid or ambiguous `Expires` is in the past (§5.3).
fn expiration(headers: &HeaderMap, received: u64) -> Option<u32> {
    let expires = single(headers, &header::EXPIRES)?;
    let lifetime = expires
        .and_then(|expires| date::parse(expires, received))
        .map_or(0, |expires| expires - date_value(headers, received));
    Some(u64::try_from(lifetime).map_or(0, capped))
}

/// `date_value`: the time of receipt stands in for a missing or invalid `Date` (RFC 9110 §6.6.1).
fn date_value(headers: &HeaderMap, received: u64) -> i64 {
    headers
        .get(header::DATE)
        .and_then(|value| date::parse(value, received))
        .unwrap_or_else(|| i64::try_from(received / 1000).unwrap_or(i64::MAX))
}

/// `corrected_initial_age` in milliseconds (§4.2.3).
fn initial_age(response: &ResponseHead<'_>) -> u64 {
    let received = response.response_time;
    let date = date_value(response.headers, received);
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

fn capped(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(u32::MAX).min(DELTA_MAX)
}

#[cfg(test)]
mod tests;
