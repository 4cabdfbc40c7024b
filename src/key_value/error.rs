//! Why there is no value, or why it was not set.

use std::{sync::Arc, time::Duration};

use super::CodecError;
use crate::StoreError;

/// Why a value was not set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// The codec cannot write it. JSON cannot write a map whose keys are no strings, for example.
    #[error("the value cannot be encoded: {0}")]
    Encode(#[source] CodecError),
    /// The store failed, or has [no room](StoreError::NoRoom) for so large a value.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a load gave no value. Every call that waited for the load gets the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError<E> {
    /// The loader's own error.
    #[error("{0}")]
    Loader(Arc<E>),
    /// The load took longer than [its time](super::KeyValue::with_load_timeout), or the call
    /// longer than [its budget](super::KeyValue::with_budget), which this is.
    #[error("the load took longer than {0:?}")]
    TimedOut(Duration),
    /// The loader panicked. The panic hook has reported how.
    #[error("the loader panicked")]
    Panicked,
    /// The runtime that this call ran the loader on was shut down.
    #[error("the load was cancelled with its runtime")]
    Cancelled,
}

impl<E> LoadError<E> {
    /// The loader's own error, if that is the reason.
    pub fn loader(&self) -> Option<&E> {
        match self {
            Self::Loader(error) => Some(error),
            _ => None,
        }
    }
}

impl<E> Clone for LoadError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Loader(error) => Self::Loader(error.clone()),
            Self::TimedOut(limit) => Self::TimedOut(*limit),
            Self::Panicked => Self::Panicked,
            Self::Cancelled => Self::Cancelled,
        }
    }
}
