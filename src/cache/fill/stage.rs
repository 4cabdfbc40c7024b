//! What is known of a response that is under way.

use std::sync::Arc;

use http::StatusCode;

use crate::cache::policy::{Failure, StoredHead};

/// What is known of the response, for those who wait for it.
#[derive(Default, Clone)]
pub(crate) enum Stage {
    /// The inner service has not answered yet.
    #[default]
    Asked,
    /// It answered, and the response can be shared.
    Answered(Answered),
    /// It failed; its own client got a stale response or the error.
    Failed(Failure),
    /// It answered, and the response is for its own client only.
    Refused,
    /// No answer comes: the task that asked is gone, or took longer than others may have to wait.
    Gone,
}

#[derive(Clone)]
pub(crate) struct Answered {
    pub(crate) head: Arc<StoredHead>,
    /// The length of the body in bytes, if the head declares one.
    pub(crate) length: Option<u64>,
    /// The status of a failure. A failure is shared by those who waited for it and not kept.
    pub(crate) failure: Option<StatusCode>,
}
