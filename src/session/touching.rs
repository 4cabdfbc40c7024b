//! Which sessions this process is noting the activity of.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::store::Key;

/// Of the requests that find at once that a touch is due, one sends it.
#[derive(Debug, Default, Clone)]
pub(super) struct Touching(Arc<Mutex<HashSet<Key>>>);

/// A touch that is being sent.
#[derive(Debug)]
pub(super) struct Touch<'a> {
    of: &'a Touching,
    key: Key,
}

impl Touching {
    /// `None` while another request of this process touches the session.
    pub(super) fn begin(&self, key: &Key) -> Option<Touch<'_>> {
        let begins = self.keys().insert(key.clone());
        begins.then(|| Touch {
            of: self,
            key: key.clone(),
        })
    }

    fn keys(&self) -> MutexGuard<'_, HashSet<Key>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Touch<'_> {
    fn drop(&mut self) {
        self.of.keys().remove(&self.key);
    }
}
