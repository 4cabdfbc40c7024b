//! What a gRPC client is told of a denial beside its status: `google.rpc` details.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic_types::{ErrorDetails, QuotaViolation, StatusExt as _};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Adds `grpc-status-details-bin` to an answer that is a gRPC status: `google.rpc.RetryInfo` with
/// the exact time, and of violated policies `google.rpc.QuotaFailure`.
pub(super) fn add_details(
    answer: &mut HeaderMap,
    title: &str,
    retry_after: Option<Duration>,
    violated: &[&str],
) {
    let code = answer.get(GRPC_STATUS).and_then(|code| code.to_str().ok());
    let Some(code) = code.and_then(|code| code.parse().ok()) else {
        return;
    };
    let mut details = ErrorDetails::new();
    if let Some(retry_after) = retry_after {
        details.set_retry_info(Some(retry_after));
    }
    if !violated.is_empty() {
        let violations = violated.iter();
        let violations = violations.map(|name| QuotaViolation::new(*name, title));
        details.set_quota_failure(violations.collect::<Vec<_>>());
    }
    let code = tonic::Code::from_i32(code);
    let status = tonic::Status::with_error_details(code, title, details);
    let encoded = BASE64_STANDARD_NO_PAD.encode(status.details());
    if let Ok(value) = HeaderValue::try_from(encoded) {
        answer.insert(DETAILS, value);
    }
}
