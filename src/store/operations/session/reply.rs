//! Reading what Redis answers.

use crate::store::{batch::Replies, error::StoreError, redis::Reply};

/// The next of the replies to an operation.
pub(super) fn next(replies: &mut Replies) -> Result<Reply, StoreError> {
    const SHORT: StoreError = StoreError::UnexpectedReply("fewer replies than commands");
    replies.next().unwrap_or(Err(SHORT))
}

/// `None` for what is not UTF-8, which this crate never writes.
pub(super) fn utf8<T: for<'a> From<&'a str>>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok().map(T::from)
}
