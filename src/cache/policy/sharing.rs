//! Which fields of a response may be stored and shared, and which are for its own client only.
//!
//! [`CachePolicy::fields`] is the one place that decides this, for every response: a new one, a part
//! that completes another, a 304 and the response to HEAD. A [`StoredHead`](super::StoredHead)
//! holds [`SharedFields`], which only that function makes.

use std::fmt;

use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::headers::{FieldNames, remove_hop_by_hop, stored};
use super::{CachePolicy, ResponseHead, SetCookie, Terms, date};

/// The fields of a response, separated.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    pub(super) shared: SharedFields,
    pub(super) own: OwnFields,
}

/// Fields that may be stored and sent to anybody.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SharedFields(HeaderMap);

/// Fields that only the client which caused the response may see: cookies, its rate limits, the
/// ids of its request.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnFields(HeaderMap);

impl CachePolicy {
    /// Separates the fields of a response. Those of the connection and the announcement of trailers
    /// (§3.1) are left out of both. `Date` is added if it is missing or invalid (RFC 9110 §6.6.1).
    pub(super) fn fields(&self, response: &ResponseHead<'_>, terms: &Terms) -> Fields {
        let mut shared = response.headers.clone();
        remove_hop_by_hop(&mut shared);
        shared.remove(header::TRAILER);
        let is_own = |name: &HeaderName| {
            let cookie = name == header::SET_COOKIE && self.set_cookie != SetCookie::Store;
            cookie || terms.directives.withheld.contains(name) || is_about_exchange(name)
        };
        let names: Vec<_> = shared.keys().filter(|name| is_own(name)).cloned().collect();
        let mut own = HeaderMap::new();
        for name in names {
            if let Entry::Occupied(entry) = shared.entry(name) {
                let (name, lines) = entry.remove_entry_mult();
                for line in lines {
                    own.append(&name, line);
                }
            }
        }
        let valid = shared
            .get(header::DATE)
            .is_some_and(|value| date::parse(value, response.response_time).is_some());
        if !valid {
            shared.insert(header::DATE, date::format(response.response_time));
        }
        Fields {
            shared: SharedFields(shared),
            own: OwnFields(own),
        }
    }

    /// Whether cookies keep the response from being stored. Cookies that its own directives exclude
    /// (`no-cache="set-cookie"`) do not.
    pub(super) fn refuses_cookies(&self, response: &HeaderMap, terms: &Terms) -> bool {
        self.set_cookie == SetCookie::Refuse
            && response.contains_key(header::SET_COOKIE)
            && !terms.directives.withheld.contains(&header::SET_COOKIE)
    }
}

/// Fields about one exchange, which would be wrong for the next one or are secrets of its client:
/// rate limits, ids of requests and traces, timings, single-use values of authentication.
fn is_about_exchange(name: &HeaderName) -> bool {
    const PREFIXES: [&str; 5] = [
        "ratelimit",
        "x-ratelimit",
        "x-rate-limit",
        "x-b3-",
        "x-datadog-",
    ];
    const NAMES: [&str; 29] = [
        "authentication-info",
        "b3",
        "baggage",
        "cache-status",
        "cf-ray",
        "correlation-id",
        "dpop-nonce",
        "proxy-status",
        "replay-nonce",
        "request-id",
        "retry-after",
        "sentry-trace",
        "server-timing",
        "traceparent",
        "traceresponse",
        "tracestate",
        "uber-trace-id",
        "x-amz-cf-id",
        "x-amz-id-2",
        "x-amz-request-id",
        "x-amzn-requestid",
        "x-amzn-trace-id",
        "x-cloud-trace-context",
        "x-correlation-id",
        "x-csrf-token",
        "x-request-id",
        "x-runtime",
        "x-trace-id",
        "x-xsrf-token",
    ];
    let name = name.as_str();
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

impl SharedFields {
    /// States the length of a body that is complete.
    pub(super) fn set_length(&mut self, length: u64) {
        self.0
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }

    /// Removes the fields that described the one message that a part came in.
    pub(super) fn remove_extent(&mut self) {
        self.0.remove(header::CONTENT_RANGE);
        self.0.remove(header::CONTENT_LENGTH);
    }
}

impl std::ops::Deref for SharedFields {
    type Target = HeaderMap;

    fn deref(&self) -> &HeaderMap {
        &self.0
    }
}

impl OwnFields {
    /// Adds them to the answer to their client, before lines of the same name that this cache
    /// added: the lines of a field are in the order in which the message passed its senders.
    pub(crate) fn add_to(self, headers: &mut HeaderMap) {
        let names: Vec<_> = self.0.keys().cloned().collect();
        let mut own = self.0;
        for name in names {
            let mut lines = Vec::new();
            for map in [&mut own, &mut *headers] {
                if let Entry::Occupied(entry) = map.entry(&name) {
                    lines.extend(entry.remove_entry_mult().1);
                }
            }
            for line in lines {
                headers.append(&name, line);
            }
        }
    }
}

impl fmt::Debug for SharedFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        FieldNames(&self.0).fmt(f)
    }
}

impl fmt::Debug for OwnFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        FieldNames(&self.0).fmt(f)
    }
}

/// As the sequence of their lines, in order and with duplicates.
impl Serialize for SharedFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        stored::serialize(&self.0, serializer)
    }
}

/// Only shared fields are ever stored.
impl<'de> Deserialize<'de> for SharedFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        stored::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests;
