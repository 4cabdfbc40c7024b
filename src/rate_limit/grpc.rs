//! What a gRPC client is told of a denial beside its status: `google.rpc` details.

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic_types::{ErrorDetails, QuotaViolation, StatusExt as _};

use super::denial::Denial;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Adds `grpc-status-details-bin` to an answer that is a gRPC status: `google.rpc.RetryInfo` with
/// the exact time, and of violated policies `google.rpc.QuotaFailure`.
pub(super) fn add_details(denial: &Denial<'_>, answer: &mut HeaderMap) {
    let code = answer.get(GRPC_STATUS).and_then(|code| code.to_str().ok());
    let Some(code) = code.and_then(|code| code.parse().ok()) else {
        return;
    };
    let mut details = ErrorDetails::new();
    if let Some(retry_after) = denial.retry_after() {
        details.set_retry_info(Some(retry_after));
    }
    let violations = denial.violated().into_iter();
    let violations: Vec<_> = violations
        .map(|name| QuotaViolation::new(name, denial.title()))
        .collect();
    if !violations.is_empty() {
        details.set_quota_failure(violations);
    }
    let code = tonic::Code::from_i32(code);
    let status = tonic::Status::with_error_details(code, denial.title(), details);
    let encoded = BASE64_STANDARD_NO_PAD.encode(status.details());
    if let Ok(value) = HeaderValue::try_from(encoded) {
        answer.insert(DETAILS, value);
    }
}
