//! When the inner service was asked, and when it answered.

use http::{HeaderMap, StatusCode};

use crate::cache::policy::ResponseHead;

/// When the inner service was asked and when its head came, in Unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) asked: u64,
    pub(crate) answered: u64,
}

impl Times {
    /// A response with these times, for the policy.
    pub(crate) fn head(self, status: StatusCode, headers: &HeaderMap) -> ResponseHead<'_> {
        ResponseHead {
            status,
            headers,
            request_time: self.asked,
            response_time: self.answered,
        }
    }
}
