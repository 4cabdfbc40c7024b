//! Whether a stored response answers a request (RFC 9111 §4).

use std::time::Duration;

use http::{Method, StatusCode, header};

use super::directives::RequestDirectives;
use super::partial::missing;
use super::range::{ByteRange, Selection};
use super::status::is_error;
use super::validity::{Validity, seconds};
use super::{CachePolicy, RequestHead, StoredHead};

/// Why a request goes forward: the `fwd` values of RFC 9211 §2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forward {
    /// The cache was told not to handle this request.
    Bypass,
    /// The method demands it.
    Method,
    /// Nothing is stored for the URI.
    UriMiss,
    /// Something is stored for the URI, but not for the selecting fields.
    VaryMiss,
    /// No stored response can answer.
    Miss,
    /// A fresh response is stored, but the request does not accept it.
    Request,
    /// The stored response is stale.
    Stale,
    /// The stored part does not hold the requested bytes.
    Partial,
}

impl Forward {
    /// The token of `Cache-Status`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// Whether to look for a stored response at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// A stored response can answer.
    Lookup,
    /// Only the inner service may answer.
    Forward(Forward),
}

/// What to do with a stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// Send it: [`StoredHead::answer`].
    Fresh,
    /// Send it: it is stale, within the client's `max-stale`.
    Stale,
    /// Send it, and refresh it in the background, once for all clients.
    StaleWhileRevalidate,
    /// Forward with [`super::validation_request`]; when that fails ask [`CachePolicy::stale_on`].
    Validate(Forward),
    /// A fresh part is stored and more is requested: forward with [`super::completion_request`], then
    /// [`CachePolicy::combine`].
    Complete,
    /// It does not answer this request: forward as if nothing were stored.
    Forward(Forward),
    /// `only-if-cached` and nothing to send: 504.
    GatewayTimeout,
}

/// How the inner service failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It answered with this status.
    Status(StatusCode),
    /// It gave no answer: an error, a timeout.
    Disconnected,
}

impl CachePolicy {
    /// Whether a stored response may answer this request at all.
    pub(crate) fn admit(&self, request: &RequestHead<'_>) -> Admission {
        if !matches!(*request.method, Method::GET | Method::HEAD) {
            return Admission::Forward(Forward::Method);
        }
        // Conditions that only the origin may evaluate (RFC 9111 §4.3.2).
        let for_origin = [header::IF_MATCH, header::IF_UNMODIFIED_SINCE];
        if for_origin
            .iter()
            .any(|name| request.headers.contains_key(name))
        {
            return Admission::Forward(Forward::Bypass);
        }
        Admission::Lookup
    }

    /// Whether the client asks for a 504 instead of a forwarded request if nothing is stored.
    pub(crate) fn only_if_cached(&self, request: &RequestHead<'_>) -> bool {
        self.client_directives(request).only_if_cached
    }

    /// Whether the answer to this request must be neither stored nor shared.
    pub(crate) fn forbids_storing(&self, request: &RequestHead<'_>) -> bool {
        self.client_directives(request).no_store
    }

    /// Whether the answer to another request, sent at `began`, can be new enough for this one.
    pub(crate) fn accepts_answer_since(
        &self,
        request: &RequestHead<'_>,
        began: u64,
        now: u64,
    ) -> bool {
        let client = self.client_directives(request);
        let age = now.saturating_sub(began);
        !client.no_cache && client.max_age.is_none_or(|limit| age < seconds(limit))
    }

    /// Whether and how `stored`, with a body of `length` bytes, answers `request` at `now`. This
    /// also checks that it is the variant that the request selects.
    pub(crate) fn reuse(
        &self,
        request: &RequestHead<'_>,
        stored: &StoredHead,
        length: u64,
        now: u64,
    ) -> Reuse {
        let client = self.client_directives(request);
        let reuse = if !stored.is_selected_by(request) {
            Reuse::Forward(Forward::VaryMiss)
        } else if holds(request, stored, length, now) {
            self.reuse_in_time(&client, &stored.validity, now)
        } else {
            let current = self.reuse_in_time(&client, &stored.validity, now) == Reuse::Fresh;
            let completes = request.method == Method::GET && missing(stored, length).is_some();
            if current && completes {
                Reuse::Complete
            } else {
                Reuse::Forward(Forward::Partial)
            }
        };
        match reuse {
            Reuse::Fresh | Reuse::Stale | Reuse::StaleWhileRevalidate => reuse,
            _ if client.only_if_cached => Reuse::GatewayTimeout,
            _ => reuse,
        }
    }

    /// Whether the stored response may be sent in place of the failure. Any status but 500, 502, 503
    /// and 504 is an answer and no failure.
    pub(crate) fn stale_on(
        &self,
        failure: Failure,
        request: &RequestHead<'_>,
        stored: &StoredHead,
        now: u64,
    ) -> bool {
        let configured = match failure {
            Failure::Status(status) if is_error(status) => self.stale_if_error,
            Failure::Status(_) => return false,
            Failure::Disconnected => self.stale_if_error.max(self.stale_if_disconnected),
        };
        let client = self.client_directives(request);
        let validity = &stored.validity;
        if validity.forbid_stale || client.no_cache {
            return false;
        }
        let window = client
            .stale_if_error
            .max(validity.stale_if_error)
            .map_or(millis(configured), seconds);
        validity.staleness(now) <= window
    }

    /// For how long from `now` the stored response can be used: while it is fresh, may be sent stale
    /// or is kept for validation. Zero if it cannot be used at all.
    pub(crate) fn retention(&self, stored: &StoredHead, now: u64) -> Duration {
        let validity = &stored.validity;
        let stale = if validity.forbid_stale {
            0
        } else {
            let on_error = self.stale_if_error.max(self.stale_if_disconnected);
            validity
                .stale_if_error
                .map_or(millis(on_error), seconds)
                .max(millis(self.revalidation_window(validity)))
        };
        let validated = if stored.has_validator() {
            millis(self.keep_for_validation)
        } else {
            0
        };
        let until = validity.lifetime().saturating_add(stale.max(validated));
        Duration::from_millis(until.saturating_sub(validity.age(now)))
    }

    /// For how long after its expiration it may be sent while it is refreshed. The configured
    /// window applies only to a response that has a lifetime.
    pub(super) fn revalidation_window(&self, validity: &Validity) -> Duration {
        match (validity.stale_while_revalidate, validity.lifetime) {
            (Some(window), _) => Duration::from_millis(seconds(window)),
            (None, Some(_)) => self.stale_while_revalidate,
            (None, None) => Duration::ZERO,
        }
    }

    fn reuse_in_time(&self, client: &RequestDirectives, stored: &Validity, now: u64) -> Reuse {
        let fresh = stored.is_fresh(now);
        let rejected = Reuse::Validate(if fresh && !stored.no_cache {
            Forward::Request
        } else {
            Forward::Stale
        });
        if stored.no_cache || client.no_cache {
            return rejected;
        }
        let age = stored.age(now);
        // What is immutable needs no validation while it is fresh, unless by `no-cache` (RFC 8246 §2).
        let unchanging = stored.immutable && fresh;
        let too_old = client.max_age.is_some_and(|limit| age > seconds(limit));
        let ends_soon = client
            .min_fresh
            .is_some_and(|remaining| age.saturating_add(seconds(remaining)) > stored.lifetime());
        if (too_old && !unchanging) || ends_soon {
            return rejected;
        }
        if fresh {
            return Reuse::Fresh;
        }
        if stored.forbid_stale {
            return rejected;
        }
        let staleness = stored.staleness(now);
        let window = millis(self.revalidation_window(stored));
        if window > 0 && staleness <= window {
            return Reuse::StaleWhileRevalidate;
        }
        if client
            .max_stale
            .is_some_and(|limit| staleness <= seconds(limit))
        {
            return Reuse::Stale;
        }
        rejected
    }
}

/// Whether the stored body has all that the answer needs.
fn holds(request: &RequestHead<'_>, stored: &StoredHead, length: u64, now: u64) -> bool {
    let Some(part) = stored.part else {
        return true;
    };
    let range = ByteRange::requested(request, &stored.headers);
    stored.is_not_modified(request, now)
        || range.is_some_and(|range| range.select(Some(part), length) != Selection::NotStored)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
