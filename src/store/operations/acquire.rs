//! Rate limits: check N limits of one subject and consume from all of them, or from none.

use crate::store::memory::Weigh;
#[cfg(feature = "redis")]
use crate::store::redis::Script;

/// The state of one limit.
#[derive(Debug)]
pub(crate) struct LimitState;

impl Weigh for LimitState {
    fn weight(&self) -> usize {
        0
    }
}

#[cfg(feature = "redis")]
pub(crate) static ACQUIRE: Script = Script::new("return 0");
