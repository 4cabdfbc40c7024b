//! The settings of the policy.

use std::time::Duration;

use http::HeaderName;

use super::SetCookie;

/// How this shared cache applies RFC 9111 where the RFC leaves a choice.
///
/// ```
/// use std::time::Duration;
/// use tower_keep::cache::{CachePolicy, RequestDirective};
///
/// let policy = CachePolicy::default()
///     .with_stale_if_error(Duration::from_secs(300))
///     // Visitors must not be able to force requests to the origin.
///     .with_request_directives([RequestDirective::OnlyIfCached]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct CachePolicy {
    pub(super) heuristic_percent: u8,
    pub(super) heuristic_max: Duration,
    pub(super) targeted: Vec<HeaderName>,
    pub(super) honoured: u8,
    pub(super) stale_while_revalidate: Duration,
    pub(super) stale_if_error: Duration,
    pub(super) stale_if_disconnected: Duration,
    pub(super) keep_for_validation: Duration,
    pub(super) stale_beside_s_maxage: bool,
    /// Set on the layer, which keeps it when the policy is replaced.
    pub(super) set_cookie: SetCookie,
}

/// A `Cache-Control` directive of requests (RFC 9111 §5.2.1, RFC 5861 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestDirective {
    /// `max-age`: an older stored response is validated first.
    MaxAge,
    /// `max-stale`: a stale stored response is welcome.
    MaxStale,
    /// `min-fresh`: the stored response has to stay fresh for so long.
    MinFresh,
    /// `no-cache`, and `Pragma: no-cache` in a request without `Cache-Control`: validate first.
    NoCache,
    /// `no-store`: the answer to this request is not stored.
    NoStore,
    /// `only-if-cached`: answer from the store or with 504.
    OnlyIfCached,
    /// `stale-if-error`: a stale stored response is welcome when the origin fails.
    StaleIfError,
}

impl RequestDirective {
    const ALL: [Self; 7] = [
        Self::MaxAge,
        Self::MaxStale,
        Self::MinFresh,
        Self::NoCache,
        Self::NoStore,
        Self::OnlyIfCached,
        Self::StaleIfError,
    ];

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Default for CachePolicy {
    /// Heuristics of 10 % up to a day, `CDN-Cache-Control`, every request directive, nothing stale
    /// but for ten minutes when the origin cannot be reached.
    fn default() -> Self {
        Self {
            heuristic_percent: 10,
            heuristic_max: Duration::from_secs(24 * 60 * 60),
            targeted: vec![HeaderName::from_static("cdn-cache-control")],
            honoured: 0,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            stale_if_disconnected: Duration::from_secs(10 * 60),
            keep_for_validation: Duration::from_secs(10 * 60),
            stale_beside_s_maxage: false,
            set_cookie: SetCookie::default(),
        }
        .with_request_directives(RequestDirective::ALL)
    }
}

impl CachePolicy {
    /// The share, in percent of the time since `Last-Modified`, for which a response without
    /// explicit expiration is fresh (RFC 9111 §4.2.2), and the longest such time.
    ///
    /// Defaults: 10 % and 24 hours. 0 % turns heuristic freshness off; more than 100 % is 100 %.
    pub fn with_heuristic(mut self, percent: u8, max: Duration) -> Self {
        self.heuristic_percent = percent.min(100);
        self.heuristic_max = max;
        self
    }

    /// The targeted fields to look for, the first one wins (RFC 9213 §2.2).
    ///
    /// Default: `CDN-Cache-Control`. A field of one's own goes before it:
    /// `["myservice-cache-control", "cdn-cache-control"]`.
    pub fn with_targeted_fields(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.targeted = names.into_iter().collect();
        self
    }

    /// The request directives to honour; the others are ignored, which a surrogate may do
    /// to keep its clients from choosing the load of the origin.
    ///
    /// Default: all.
    pub fn with_request_directives(
        mut self,
        honoured: impl IntoIterator<Item = RequestDirective>,
    ) -> Self {
        self.honoured = honoured
            .into_iter()
            .fold(0, |bits, directive| bits | directive.bit());
        self
    }

    /// For how long after its expiration a response without `stale-while-revalidate` is served
    /// while it is refreshed (RFC 5861 §3). Default: zero.
    pub fn with_stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = window;
        self
    }

    /// For how long after its expiration a response without `stale-if-error` is served in place of
    /// a 500, 502, 503 or 504 (RFC 5861 §4). Default: zero.
    pub fn with_stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = window;
        self
    }

    /// For how long after its expiration a response without `stale-if-error` is served when the
    /// origin gives no answer at all (RFC 9111 §4.2.4, "disconnected"). Default: ten minutes.
    pub fn with_stale_if_disconnected(mut self, window: Duration) -> Self {
        self.stale_if_disconnected = window;
        self
    }

    /// Whether `stale-while-revalidate` and `stale-if-error` count beside `s-maxage`, which by
    /// RFC 9111 §5.2.2.10 forbids a shared cache to send stale responses as `proxy-revalidate`
    /// does. Many origins write `s-maxage=60, stale-while-revalidate=600` and mean both.
    /// Default: no.
    pub fn with_stale_beside_s_maxage(mut self, honour: bool) -> Self {
        self.stale_beside_s_maxage = honour;
        self
    }

    /// For how long a response with a validator is kept after its expiration, to be validated
    /// rather than fetched again. Default: ten minutes.
    pub fn with_keep_for_validation(mut self, keep: Duration) -> Self {
        self.keep_for_validation = keep;
        self
    }

    /// What becomes of responses that set cookies.
    pub(crate) fn with_set_cookie(mut self, set_cookie: SetCookie) -> Self {
        self.set_cookie = set_cookie;
        self
    }

    pub(crate) fn set_cookie(&self) -> SetCookie {
        self.set_cookie
    }

    pub(super) fn honours(&self, directive: RequestDirective) -> bool {
        self.honoured & directive.bit() != 0
    }
}
