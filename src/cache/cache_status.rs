//! The `Cache-Status` field (RFC 9211).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use smallvec::SmallVec;

use super::policy::Forward;

static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What this cache did with a request: one member of the field's list.
#[derive(Debug, Clone, Default)]
pub(super) struct CacheStatus {
    pub(super) hit: bool,
    pub(super) forward: Option<Forward>,
    pub(super) forward_status: Option<StatusCode>,
    pub(super) ttl: Option<i64>,
    pub(super) stored: bool,
    pub(super) collapsed: bool,
    pub(super) detail: Option<&'static str>,
}

impl CacheStatus {
    pub(super) fn hit(ttl: i64) -> Self {
        Self {
            hit: true,
            ttl: Some(ttl),
            ..Self::default()
        }
    }

    pub(super) fn forward(forward: Forward) -> Self {
        Self {
            forward: Some(forward),
            ..Self::default()
        }
    }

    pub(super) fn with_detail(self, detail: &'static str) -> Self {
        Self {
            detail: Some(detail),
            ..self
        }
    }

    /// Adds this cache's member behind those of the caches nearer to the origin.
    pub(super) fn append_to(&self, headers: &mut HeaderMap, name: &CacheName) {
        #[cfg(feature = "metrics")]
        self.count();
        let mut member = Member::new();
        self.write(&mut member, name);
        let value = HeaderValue::from_bytes(&member).expect("tokens and numbers are visible ASCII");
        headers.append(CACHE_STATUS.clone(), value);
    }

    #[cfg(feature = "metrics")]
    fn count(&self) {
        let outcome = match self.forward {
            _ if self.hit => "hit",
            Some(forward) => forward.as_str(),
            None => "none",
        };
        crate::metrics::cache(outcome, self.collapsed, self.detail.unwrap_or_default());
    }

    fn write(&self, out: &mut Member, name: &CacheName) {
        let mut add = |parts: [&str; 2]| {
            for part in parts {
                out.extend_from_slice(part.as_bytes());
            }
        };
        add([&name.0, ""]);
        if self.hit {
            add(["; hit", ""]);
        }
        if let Some(forward) = self.forward {
            add(["; fwd=", forward.as_str()]);
        }
        if let Some(status) = self.forward_status {
            add(["; fwd-status=", status.as_str()]);
        }
        if let Some(ttl) = self.ttl {
            add(["; ttl=", itoa::Buffer::new().format(ttl)]);
        }
        if self.stored {
            add(["; stored", ""]);
        }
        if self.collapsed {
            add(["; collapsed", ""]);
        }
        if let Some(detail) = self.detail {
            add(["; detail=", detail]);
        }
    }
}

/// A member is written on the stack: it is made for every response.
type Member = SmallVec<[u8; 128]>;

/// The name of this cache: a structured-field token, or a string where it has to be quoted.
#[derive(Debug, Clone)]
pub(super) struct CacheName(Box<str>);

impl CacheName {
    pub(super) fn new(name: &str) -> Option<Self> {
        if let Ok(token) = sfv::TokenRef::from_str(name) {
            return Some(Self(token.as_str().into()));
        }
        let quoted = sfv::StringRef::from_str(name).ok()?;
        let escaped = quoted.as_str().replace('\\', "\\\\").replace('"', "\\\"");
        Some(Self(format!("\"{escaped}\"").into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_appended_behind_those_that_are_there() {
        let mut headers = HeaderMap::new();
        headers.insert(&CACHE_STATUS, HeaderValue::from_static("origin; hit"));
        let name = CacheName::new("edge").unwrap();
        CacheStatus::hit(59).append_to(&mut headers, &name);
        let miss = CacheStatus {
            forward_status: Some(StatusCode::OK),
            stored: true,
            ..CacheStatus::forward(Forward::UriMiss)
        };
        miss.append_to(&mut headers, &CacheName::new("my cache").unwrap());
        let members: Vec<_> = headers.get_all(&CACHE_STATUS).iter().collect();
        assert_eq!(
            members,
            [
                "origin; hit",
                "edge; hit; ttl=59",
                "\"my cache\"; fwd=uri-miss; fwd-status=200; stored"
            ]
        );
    }

    #[test]
    fn a_name_that_no_structured_field_can_carry_is_refused() {
        assert!(CacheName::new("caché").is_none());
        assert!(CacheName::new("a\nb").is_none());
    }
}
