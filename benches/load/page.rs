//! What all servers answer, and the settings that they share.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::{Empty, Full};

/// Requests come without a body.
pub(crate) type RequestBody = Empty<Bytes>;
pub(crate) type Page = Response<Full<Bytes>>;

/// Who the load says that it is: the key of the limits.
pub(crate) const CLIENT: http::HeaderName = http::HeaderName::from_static("x-client");

/// More than any run can use up, so that all requests are admitted.
pub(crate) const QUOTA: u64 = 100_000_000;
pub(crate) const WINDOW: Duration = Duration::from_secs(100);

/// The path that makes a session before the load starts.
pub(crate) const LOGIN: &str = "/login";
pub(crate) const USER: &str = "ada";
pub(crate) const CART: [&str; 3] = ["tickets:2", "poster:1", "mug:4"];

pub(crate) static BODY: [u8; 1024] = [b'x'; 1024];

pub(crate) fn page() -> Page {
    page_of(Bytes::from_static(&BODY))
}

pub(crate) fn page_of(body: Bytes) -> Page {
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let control = HeaderValue::from_static("public, max-age=3600");
    headers.insert(CACHE_CONTROL, control);
    response
}
