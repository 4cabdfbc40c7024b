//! Heads of messages for the tests of the engine.

use http::{HeaderMap, Method, StatusCode, Uri};

use super::{CachePolicy, NotStorable, RequestHead, ResponseHead, StoredHead, date};

/// 2026-01-01T00:00:00.500Z: the responses of the tests come then.
pub(super) const NOW: u64 = 1_767_225_600_500;

pub(super) fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, value.parse().unwrap());
    }
    headers
}

/// The HTTP-date so many seconds from [`NOW`].
pub(super) fn at(seconds: i64) -> String {
    let time = NOW.checked_add_signed(seconds * 1000).unwrap();
    date::format(time).to_str().unwrap().to_owned()
}

/// So many seconds after [`NOW`].
pub(super) fn after(seconds: u64) -> u64 {
    NOW + seconds * 1000
}

#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
}

impl Request {
    pub(super) fn get(lines: &[(&str, &str)]) -> Self {
        Self::new("GET", lines)
    }

    /// With the fields that the conformance suite always sends.
    pub(super) fn new(method: &str, lines: &[(&str, &str)]) -> Self {
        let mut headers = headers(lines);
        let said = headers.remove("cache-control");
        let pragma = headers.remove("pragma");
        let ignored = "nothing-to-see-here";
        let value = said.map_or(ignored.to_owned(), |said| {
            format!("{ignored}, {}", said.to_str().unwrap())
        });
        headers.insert("cache-control", value.parse().unwrap());
        let pragma = pragma.map_or("foo".to_owned(), |said| {
            format!("foo, {}", said.to_str().unwrap())
        });
        headers.insert("pragma", pragma.parse().unwrap());
        Self {
            method: method.parse().unwrap(),
            uri: Uri::from_static("http://example.com/dir/page?query=1"),
            headers,
        }
    }

    pub(super) fn head(&self) -> RequestHead<'_> {
        RequestHead::new(&self.method, &self.uri, &self.headers)
    }
}

pub(super) fn response(status: u16, headers: &HeaderMap) -> ResponseHead<'_> {
    ResponseHead {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        request_time: NOW,
        response_time: NOW,
    }
}

/// What the default policy makes of a response to GET that comes [`NOW`].
pub(super) fn store(
    request: &Request,
    status: u16,
    lines: &[(&str, &str)],
) -> Result<StoredHead, NotStorable> {
    let headers = headers(lines);
    CachePolicy::default().storable(&request.head(), &response(status, &headers), |_| {})
}

/// A stored 200 with these fields.
pub(in crate::cache) fn stored(lines: &[(&str, &str)]) -> StoredHead {
    let mut lines = lines.to_vec();
    if !lines.iter().any(|(name, _)| *name == "cache-control") {
        lines.push(("cache-control", "max-age=60"));
    }
    store(&Request::get(&[]), 200, &lines).unwrap()
}
