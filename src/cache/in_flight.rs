//! Requests for the same variant share one call of the inner service (collapsed forwarding).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::fill::Fill;
use crate::store::Key;

/// The fills under way in this process, and those that the store does not have yet.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    fills: Mutex<HashMap<Key, Vec<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    /// Where it is found. `None`: by nobody, unless its response turns out to be one to share.
    variant: Option<Box<str>>,
    fill: Arc<Fill>,
}

/// What a request that has to go forward becomes.
#[derive(Debug)]
pub(super) enum Claim {
    /// One that goes.
    Leader(Lead),
    /// One that waits for another.
    Follower(Arc<Fill>),
}

/// The hold on an entry of whoever fills it. However it ends, nobody waits for it any longer.
#[derive(Debug)]
pub(super) struct Lead {
    in_flight: Arc<InFlight>,
    primary: Key,
    fill: Arc<Fill>,
}

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Entry>>> {
        self.fills.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fill of the variant that a request selects, if one is under way. To tell the variant
    /// takes a hash: it is asked for only where there is a fill.
    pub(super) fn get(
        &self,
        primary: &Key,
        variant: impl FnOnce() -> Box<str>,
    ) -> Option<Arc<Fill>> {
        if !self.lock().contains_key(primary) {
            return None;
        }
        let variant = variant();
        find(self.lock().get(primary)?, &variant)
    }

    /// Joins the fill of this variant, or begins one, which others join if it is `shared`.
    pub(super) fn claim(self: &Arc<Self>, primary: &Key, variant: &str, shared: bool) -> Claim {
        let mut fills = self.lock();
        let entries = fills.entry(primary.clone()).or_default();
        match find(entries, variant) {
            Some(fill) => Claim::Follower(fill),
            None => Claim::Leader(self.enter(entries, primary, shared.then(|| variant.into()))),
        }
    }

    /// Begins a fill beside any other.
    pub(super) fn begin(self: &Arc<Self>, primary: &Key) -> Lead {
        let mut fills = self.lock();
        let entries = fills.entry(primary.clone()).or_default();
        self.enter(entries, primary, None)
    }

    fn enter(
        self: &Arc<Self>,
        entries: &mut Vec<Entry>,
        primary: &Key,
        variant: Option<Box<str>>,
    ) -> Lead {
        let fill = Arc::<Fill>::default();
        entries.push(Entry {
            variant,
            fill: fill.clone(),
        });
        Lead {
            in_flight: self.clone(),
            primary: primary.clone(),
            fill,
        }
    }

    /// Takes every fill of `primary` out: what is stored now would be out of date.
    pub(super) fn forget(&self, primary: &Key) {
        self.lock().remove(primary);
    }
}

fn find(entries: &[Entry], variant: &str) -> Option<Arc<Fill>> {
    let mut entries = entries.iter();
    entries
        .find(|entry| entry.variant.as_deref() == Some(variant))
        .map(|entry| entry.fill.clone())
}

impl Lead {
    pub(super) fn fill(&self) -> &Arc<Fill> {
        &self.fill
    }

    /// The response is one to share, and of this variant, whatever was guessed: those who look
    /// for it find this fill. Not so if it was forgotten, or if they find another one.
    pub(super) fn publish(&self, variant: &str) {
        let mut fills = self.in_flight.lock();
        let Some(entries) = fills.get_mut(&self.primary) else {
            return;
        };
        let found = find(entries, variant);
        let taken = found.is_some_and(|fill| !Arc::ptr_eq(&fill, &self.fill));
        for entry in entries {
            if Arc::ptr_eq(&entry.fill, &self.fill) {
                entry.variant = (!taken).then(|| variant.into());
            }
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        {
            let mut fills = self.in_flight.lock();
            if let Some(entries) = fills.get_mut(&self.primary) {
                entries.retain(|entry| !Arc::ptr_eq(&entry.fill, &self.fill));
                if entries.is_empty() {
                    fills.remove(&self.primary);
                }
            }
        }
        self.fill.abandon();
    }
}
