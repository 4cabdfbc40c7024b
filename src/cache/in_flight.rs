//! Requests for the same variant share one call of the inner service (collapsed forwarding).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{fill::Fill, key::PrimaryKey};

/// The fills under way in this process, and those that the store does not have yet.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    fills: Mutex<HashMap<PrimaryKey, Vec<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    variant: Box<str>,
    fill: Arc<Fill>,
}

/// What a request that has to go forward becomes.
#[derive(Debug)]
pub(super) enum Claim {
    /// The one that goes.
    Leader(Lead),
    /// One that waits for it.
    Follower(Arc<Fill>),
}

/// The leader's hold on its entry. However it ends, nobody waits for it any longer.
#[derive(Debug)]
pub(super) struct Lead {
    in_flight: Arc<InFlight>,
    primary: PrimaryKey,
    fill: Arc<Fill>,
}

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, HashMap<PrimaryKey, Vec<Entry>>> {
        self.fills.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fill of this variant, if one is under way.
    pub(super) fn get(&self, primary: &PrimaryKey, variant: &str) -> Option<Arc<Fill>> {
        let fills = self.lock();
        let entry = fills
            .get(primary)?
            .iter()
            .find(|entry| &*entry.variant == variant)?;
        Some(entry.fill.clone())
    }

    pub(super) fn claim(
        self: &Arc<Self>,
        primary: &PrimaryKey,
        variant: &str,
        background: bool,
    ) -> Claim {
        let mut fills = self.lock();
        let entries = fills.entry(primary.clone()).or_default();
        if let Some(entry) = entries.iter().find(|entry| &*entry.variant == variant) {
            return Claim::Follower(entry.fill.clone());
        }
        let fill = Fill::new(background);
        entries.push(Entry {
            variant: variant.into(),
            fill: fill.clone(),
        });
        Claim::Leader(Lead {
            in_flight: self.clone(),
            primary: primary.clone(),
            fill,
        })
    }

    /// Takes every fill of `primary` out: what is stored now would be out of date.
    pub(super) fn forget(&self, primary: &PrimaryKey) {
        self.lock().remove(primary);
    }
}

impl Lead {
    pub(super) fn fill(&self) -> &Arc<Fill> {
        &self.fill
    }

    /// The variant turned out to be another one than guessed: those who look for that one
    /// find this fill.
    pub(super) fn rename(&self, variant: &str) {
        if let Some(entries) = self.in_flight.lock().get_mut(&self.primary) {
            for entry in entries
                .iter_mut()
                .filter(|entry| Arc::ptr_eq(&entry.fill, &self.fill))
            {
                entry.variant = variant.into();
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
