//! Problem details for the layers' own answers (RFC 9457).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;

/// `application/problem+json`. Members beside the standard ones come from `extension`.
#[derive(Debug, Serialize)]
pub(crate) struct Problem<'a, E> {
    /// A URI that names the problem type; `about:blank` where the status says it all.
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
    pub(crate) title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<&'a str>,
    #[serde(flatten)]
    pub(crate) extension: E,
}

/// No members of its own.
#[derive(Debug, Serialize)]
pub(crate) struct Plain {}

impl<E: Serialize> Problem<'_, E> {
    /// The response of `status` with this problem as its body. It is never to be stored.
    pub(crate) fn into_response(self, status: StatusCode) -> Response<Bytes> {
        #[derive(Serialize)]
        struct WithStatus<T> {
            #[serde(flatten)]
            problem: T,
            status: u16,
        }
        let body = WithStatus {
            problem: self,
            status: status.as_u16(),
        };
        // Only a map with keys that are no strings or a failing `Serialize` could fail.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(
            http::header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        );
        response
    }
}
