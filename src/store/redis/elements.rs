//! Reading an array reply element by element.

use super::Reply;
use crate::store::error::StoreError;

/// The elements of an array reply, in order.
pub(crate) type Elements = std::vec::IntoIter<Reply>;

/// Reads the next element of an array reply.
pub(crate) trait NextReply {
    fn next_reply(&mut self) -> Result<Reply, StoreError>;

    fn next_integer(&mut self) -> Result<i64, StoreError> {
        self.next_reply()?.integer()
    }

    /// A non-negative integer: a count, a duration or a point in time.
    fn next_unsigned(&mut self) -> Result<u64, StoreError> {
        u64::try_from(self.next_integer()?)
            .map_err(|_| StoreError::UnexpectedReply("a negative integer"))
    }
}

impl NextReply for Elements {
    fn next_reply(&mut self) -> Result<Reply, StoreError> {
        self.next()
            .ok_or(StoreError::UnexpectedReply("a short array"))
    }
}
