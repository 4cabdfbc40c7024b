//! Sessions: load, commit.

use crate::store::memory::Weigh;
#[cfg(feature = "redis")]
use crate::store::redis::Script;

/// A session or the pointer that a renewed id leaves behind.
#[derive(Debug)]
pub(crate) struct SessionState;

impl Weigh for SessionState {
    fn weight(&self) -> usize {
        0
    }
}

#[cfg(feature = "redis")]
pub(crate) static LOAD: Script = Script::new("return 0");
#[cfg(feature = "redis")]
pub(crate) static COMMIT: Script = Script::new("return 1");
