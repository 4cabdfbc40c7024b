//! A reply and what it may be read as, without redis-rs' generic conversions.

use bytes::Bytes;
use deadpool_redis::redis::Value;
use smallvec::SmallVec;

use super::elements::Elements;
use crate::store::error::StoreError;

/// The result of each command of a call.
pub(crate) type Results = SmallVec<[Result<Reply, StoreError>; 2]>;

/// Gives every command of a call that failed as a whole the same error.
pub(crate) fn all_failed(error: &StoreError, commands: usize) -> Results {
    (0..commands).map(|_| Err(error.clone())).collect()
}

/// A value that Redis answered; never an error.
#[derive(Debug)]
pub(crate) struct Reply(pub(super) Value);

impl Reply {
    pub(crate) fn okay(self) -> Result<(), StoreError> {
        match self.0 {
            Value::Okay => Ok(()),
            _ => Err(StoreError::UnexpectedReply("not OK")),
        }
    }

    pub(crate) fn integer(self) -> Result<i64, StoreError> {
        match self.0 {
            Value::Int(integer) => Ok(integer),
            _ => Err(StoreError::UnexpectedReply("not an integer")),
        }
    }

    /// An integer, or the reply as it is.
    pub(crate) fn integer_or_other(self) -> Result<i64, Self> {
        match self.0 {
            Value::Int(integer) => Ok(integer),
            other => Err(Self(other)),
        }
    }

    /// A status, or any other text.
    #[cfg(feature = "inspect")]
    pub(crate) fn text(self) -> Result<Box<str>, StoreError> {
        match self.0 {
            Value::SimpleString(text) | Value::VerbatimString { text, .. } => Ok(text.into()),
            Value::BulkString(bytes) => Ok(String::from_utf8_lossy(&bytes).into()),
            _ => Err(StoreError::UnexpectedReply("not a text")),
        }
    }

    pub(crate) fn optional_bytes(self) -> Result<Option<Bytes>, StoreError> {
        match self.0 {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => Ok(Some(bytes.into())),
            // By RESP3 a score is one.
            Value::Double(number) => Ok(Some(number.to_string().into())),
            _ => Err(StoreError::UnexpectedReply("not a string")),
        }
    }

    pub(crate) fn bytes(self) -> Result<Bytes, StoreError> {
        self.optional_bytes()?
            .ok_or(StoreError::UnexpectedReply("nil"))
    }

    pub(crate) fn array(self) -> Result<Elements, StoreError> {
        match self.0 {
            Value::Nil => Err(StoreError::UnexpectedReply("nil")),
            // The conversion reuses the allocation.
            // By RESP3 the members of a set are one.
            Value::Array(values) | Value::Set(values) => {
                let replies = values.into_iter().map(Reply).collect::<Vec<_>>();
                Ok(replies.into_iter())
            }
            _ => Err(StoreError::UnexpectedReply("not an array")),
        }
    }

    /// The fields and values of a hash by turns, or members and scores: RESP2 answers an array,
    /// RESP3 a map or an array of pairs.
    pub(crate) fn hash(self) -> Result<Elements, StoreError> {
        match self.0 {
            Value::Map(pairs) => {
                let pairs = pairs.into_iter();
                let flat = pairs.flat_map(|(field, value)| [Self(field), Self(value)]);
                Ok(flat.collect::<Vec<_>>().into_iter())
            }
            Value::Array(pairs) if pairs.iter().all(is_pair) => {
                let pairs = pairs.into_iter().map(|pair| Self(pair).array());
                let pairs: Vec<_> = pairs.collect::<Result<_, _>>()?;
                Ok(pairs.into_iter().flatten().collect::<Vec<_>>().into_iter())
            }
            other => Self(other).array(),
        }
    }
}

fn is_pair(value: &Value) -> bool {
    matches!(value, Value::Array(pair) if pair.len() == 2)
}
