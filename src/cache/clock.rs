//! The time as the policy counts it.

use crate::store::Timestamp;

/// The time in Unix milliseconds, by the clock that the store goes by.
pub(crate) fn now() -> u64 {
    Timestamp::now().as_millis()
}
