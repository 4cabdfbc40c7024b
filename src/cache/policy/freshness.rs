//! The freshness lifetime of a response, and how old a stored one is (RFC 9111 §4.2).

use http::{HeaderMap, header};

use super::directives::DELTA_MAX;
use super::headers::single;
use super::status::is_heuristically_cacheable;
use super::{CachePolicy, ResponseDirectives, ResponseHead, StoredHead, Terms, date, targeted};

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
        let date = u64::try_from(date::value_of(&self.headers, received)).unwrap_or(0);
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
        let unmodified = date::value_of(response.headers, response.response_time) - modified;
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
        .map_or(0, |expires| expires - date::value_of(headers, received));
    Some(u64::try_from(lifetime).map_or(0, capped))
}

fn capped(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(u32::MAX).min(DELTA_MAX)
}

#[cfg(test)]
mod tests;
