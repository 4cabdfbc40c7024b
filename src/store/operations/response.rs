//! Stored HTTP responses.

use crate::store::memory::Weigh;
#[cfg(feature = "redis")]
use crate::store::redis::Script;

/// All that is stored under one primary cache key.
#[derive(Debug)]
pub(crate) struct ResponseSet;

impl Weigh for ResponseSet {
    fn weight(&self) -> usize {
        0
    }
}

#[cfg(feature = "redis")]
pub(crate) static STORE: Script = Script::new("return 2");
