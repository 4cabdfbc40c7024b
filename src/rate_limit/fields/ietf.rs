//! The newest draft: structured-field Lists of Strings.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

use super::RATE_LIMIT;
use crate::{
    rate_limit::{
        limiter::{RateLimitDecision, ceil_seconds},
        policy::QuotaPolicy,
    },
    store::operations::limit::Subject,
};

/// `"burst";q=5;w=10, …`
pub(super) fn policies<'a>(
    policies: impl Iterator<Item = (&'a QuotaPolicy, Option<Subject>)>,
) -> Option<HeaderValue> {
    let pk = |partition: Option<Subject>| partition.map(pk).unwrap_or_default();
    let items = policies.map(|(policy, partition)| policy.advertised() + &pk(partition));
    HeaderValue::try_from(items.collect::<Vec<_>>().join(", ")).ok()
}

/// A Byte Sequence.
fn pk(partition: Subject) -> String {
    format!(";pk=:{}:", BASE64_STANDARD.encode(partition.digest()))
}

/// `"burst";r=4;t=2, …`
///
/// Written by hand, since it is made for every response: the serializer would take longer than
/// the limit itself. Quotas and times are in the range of a structured field's Integer.
pub(super) fn write(headers: &mut HeaderMap, decision: &RateLimitDecision, with_partition: bool) {
    let mut field = SmallVec::<[u8; 128]>::new();
    let mut number = itoa::Buffer::new();
    for policy in decision.iter() {
        if !field.is_empty() {
            field.extend_from_slice(b", ");
        }
        field.extend_from_slice(policy.policy().quoted_name().as_bytes());
        field.extend_from_slice(b";r=");
        field.extend_from_slice(number.format(policy.remaining()).as_bytes());
        if policy.has_known_times() {
            field.extend_from_slice(b";t=");
            let seconds = ceil_seconds(policy.more_after());
            field.extend_from_slice(number.format(seconds).as_bytes());
        }
        if with_partition {
            field.extend_from_slice(pk(policy.subject()).as_bytes());
        }
    }
    if field.is_empty() {
        return;
    }
    if let Ok(value) = HeaderValue::from_bytes(&field) {
        headers.append(RATE_LIMIT, value);
    }
}
