//! Invalidations that the store has not taken yet, and those that it may forget.
//!
//! Until the store has taken an invalidation, this process treats the key as gone: it does not
//! answer from it, and once the store has failed to take it, stores nothing under it. A task
//! repeats the invalidation until the store takes it, even if whoever asked for it has left.
//!
//! A server that restarts with old data has the responses again that were invalidated since. So the
//! invalidations of the last hour are kept and repeated on every new connection; until that is
//! done, this process treats their keys as gone again. A process without requests has to notice a
//! lost connection too, so it pings the server every second of that hour.

mod invalidations;
mod recent;
mod repeating;
#[cfg(test)]
mod tests;

pub(crate) use self::invalidations::{Hidden, Invalidating, Invalidations};
