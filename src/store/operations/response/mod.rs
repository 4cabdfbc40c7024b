//! Stored HTTP responses: all variants of a primary cache key under one key.
//!
//! On Redis a hash with the fields `g` (generation), `n` (fills
//! under way), `v` (the lists of names that `Vary` had,
//! newest first), `i` (the variants and their ends) and, per variant, `h…` (head) and `b…` (body).
//!
//! A fill is announced before the inner service is called ([`Begin`]) and stored only while that
//! announcement's generation stands ([`Put`]). To invalidate is to delete the key
//! ([`Invalidate`]): all variants go in one command, and so does every fill under way. An
//! evicted or lapsed announcement makes a miss, never a revival.

mod fill;
mod lookup;
mod set;

pub(crate) use super::generation::Generation;
#[cfg(feature = "redis")]
pub(crate) use fill::{ABANDON, BEGIN, PUT};
pub(crate) use fill::{Abandon, Begin, Invalidate, Put};
pub(crate) use lookup::{Lookup, Stored};
pub(crate) use set::ResponseSet;
