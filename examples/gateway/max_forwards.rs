//! `Max-Forwards` (RFC 9110 §7.6.2): how far TRACE and OPTIONS go.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};

use crate::Body;

/// Counts one hop down. The answer, where the request was to come no further than here.
pub fn count<B>(request: &mut Request<B>) -> Option<Response<Body>> {
    let (trace, options) = (Method::TRACE, Method::OPTIONS);
    if ![&trace, &options].contains(&request.method()) {
        return None;
    }
    let mut lines = request.headers().get_all(header::MAX_FORWARDS).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    // What is no number is not for this gateway to understand.
    let digits = line.to_str().ok()?;
    let left: u64 = digits.parse().ok().filter(|_| !digits.starts_with('+'))?;
    if let Some(left) = left.checked_sub(1) {
        request
            .headers_mut()
            .insert(header::MAX_FORWARDS, HeaderValue::from(left));
        return None;
    }
    Some(if *request.method() == trace {
        reflection(request)
    } else {
        options_of_gateway()
    })
}

fn options_of_gateway() -> Response<Body> {
    let mut response = response(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE");
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

/// The request as it came, without what a script must not learn of it (RFC 9110 §9.3.8).
fn reflection<B>(request: &Request<B>) -> Response<Body> {
    let mut message = format!("TRACE {} {:?}\r\n", request.uri(), request.version()).into_bytes();
    for (name, value) in request.headers() {
        if ![header::AUTHORIZATION, header::COOKIE].contains(name) && !value.is_sensitive() {
            message.extend_from_slice(name.as_str().as_bytes());
            message.extend_from_slice(b": ");
            message.extend_from_slice(value.as_bytes());
            message.extend_from_slice(b"\r\n");
        }
    }
    message.extend_from_slice(b"\r\n");
    let mut response = response(message.into());
    let kind = HeaderValue::from_static("message/http");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn response(body: Bytes) -> Response<Body> {
    let body = Full::new(body).map_err(|infallible| match infallible {});
    Response::new(body.boxed_unsync())
}
