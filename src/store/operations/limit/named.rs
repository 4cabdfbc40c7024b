//! Limits and bans with what their states go by.

use std::sync::Arc;

use super::algorithm::{Ban, Limit};

/// A limit and what its states go by.
///
/// That is the policy's name, the algorithm and the window: a state means the same under any
/// quota, and nothing under another algorithm or window.
#[derive(Debug, Clone)]
pub(crate) struct NamedLimit {
    pub(super) key_name: Arc<str>,
    pub(crate) limit: Limit,
}

impl NamedLimit {
    /// `name` must be safe in a key and without a colon.
    pub(crate) fn new(name: &str, limit: Limit) -> Self {
        let algorithm = limit.algorithm.as_str();
        let seconds = limit.window / 1_000_000;
        Self {
            key_name: format!("{name}:{algorithm}:{seconds}").into(),
            limit,
        }
    }
}

impl NamedLimit {
    /// Whether these are the same limits with the same quotas.
    pub(crate) fn are_same(one: &Arc<[Self]>, other: &Arc<[Self]>) -> bool {
        let same = |(one, other): (&Self, &Self)| {
            one.limit == other.limit && one.key_name == other.key_name
        };
        Arc::ptr_eq(one, other) || one.len() == other.len() && one.iter().zip(&**other).all(same)
    }

    /// Other numbers for the same states.
    pub(crate) fn with_limit(&self, limit: Limit) -> Self {
        Self {
            key_name: self.key_name.clone(),
            limit,
        }
    }
}

/// A ban and what its states go by.
#[derive(Debug, Clone)]
pub(crate) struct NamedBan {
    pub(super) key_name: Arc<str>,
    pub(crate) ban: Ban,
}

impl NamedBan {
    /// `name` must be safe in a key and without a colon.
    pub(crate) fn new(name: &str, ban: Ban) -> Self {
        Self {
            key_name: format!("{name}:ban").into(),
            ban,
        }
    }
}
