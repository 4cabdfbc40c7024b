//! The form of an answer that a layer gives itself: problem details (RFC 9457), or to a gRPC
//! call a status.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

use crate::problem::Problem;

/// What a `grpc-message` may not hold as it is: all but `0x20..=0x7E`, and the percent sign.
const MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

impl<E: Serialize> Problem<'_, E> {
    /// The answer to a request with the header fields `request`, never to be stored: problem
    /// details with `status`, or to a gRPC call the gRPC status that says the same.
    pub(crate) fn answer(self, status: StatusCode, request: &HeaderMap) -> Response<Bytes> {
        match grpc_content_type(request) {
            Some(content_type) => {
                let message = self.detail.unwrap_or(self.title);
                grpc_status(content_type, code(status), message)
            }
            None => self.into_response(status),
        }
    }
}

/// The content type of the answer to a gRPC call; `None` where the request is none.
fn grpc_content_type(request: &HeaderMap) -> Option<HeaderValue> {
    let kind = request.get(CONTENT_TYPE)?.as_bytes();
    let kind = kind.split(|byte| b"+; ".contains(byte)).next()?;
    let kind = match kind.to_ascii_lowercase().as_slice() {
        b"application/grpc" => "application/grpc",
        b"application/grpc-web" => "application/grpc-web",
        b"application/grpc-web-text" => "application/grpc-web-text",
        _ => return None,
    };
    Some(HeaderValue::from_static(kind))
}

/// A response of trailers only: HTTP 200, the status among the header fields and no body.
fn grpc_status(content_type: HeaderValue, code: u8, message: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert("grpc-status", u16::from(code).into());
    let message = utf8_percent_encode(message, MESSAGE).to_string();
    if let Ok(message) = HeaderValue::try_from(message) {
        headers.insert("grpc-message", message);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The gRPC status code for an HTTP status.
fn code(status: StatusCode) -> u8 {
    match status {
        StatusCode::BAD_REQUEST => 3,
        StatusCode::GATEWAY_TIMEOUT => 4,
        StatusCode::NOT_FOUND => 5,
        StatusCode::FORBIDDEN => 7,
        StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        StatusCode::UNAUTHORIZED => 16,
        other if other.is_server_error() => 13,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Plain;

    fn answer(content_type: &str, detail: &str) -> Response<Bytes> {
        let problem = Problem {
            kind: "about:blank",
            title: "Title",
            detail: Some(detail),
            extension: Plain {},
        };
        let content_type = (CONTENT_TYPE, content_type.parse().unwrap());
        let request = HeaderMap::from_iter([content_type]);
        problem.answer(StatusCode::TOO_MANY_REQUESTS, &request)
    }

    #[test]
    fn a_grpc_call_is_known_by_its_content_type() {
        for (asked, told) in [
            ("application/grpc", "application/grpc"),
            ("application/grpc+proto", "application/grpc"),
            ("Application/gRPC;a=b", "application/grpc"),
            ("application/grpc-web+json", "application/grpc-web"),
            ("application/grpc-web-text", "application/grpc-web-text"),
        ] {
            let response = answer(asked, "no");
            assert_eq!(response.status(), StatusCode::OK, "{asked}");
            assert_eq!(response.headers()[CONTENT_TYPE], told);
            assert_eq!(response.headers()["grpc-status"], "8");
            assert!(response.body().is_empty());
        }
        for other in ["application/grpcx", "text/plain", "application/json", ""] {
            let response = answer(other, "no");
            assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS, "{other}");
            assert!(!response.headers().contains_key("grpc-status"));
        }
    }

    #[test]
    fn a_grpc_message_is_percent_encoded() {
        let response = answer("application/grpc", "100 % \"größer\"\n~");
        let expected = "100 %25 \"gr%C3%B6%C3%9Fer\"%0A~";
        assert_eq!(response.headers()["grpc-message"], expected);
    }
}
