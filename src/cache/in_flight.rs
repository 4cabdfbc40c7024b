//! Requests for the same variant share one call of the inner service (collapsed forwarding).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;

use super::{fill::Fill, policy::Failure, room::Room};
use crate::store::Key;

/// The fills under way in this process, and those that the store does not have yet.
#[derive(Debug)]
pub(super) struct InFlight {
    fills: Mutex<HashMap<Key, Vec<Entry>>>,
    /// The memory that their bodies take.
    room: Arc<Room>,
    /// Of those that nobody waits for, so many go on.
    unattended: Semaphore,
}

/// Fills that may go on although nobody waits for them: who leaves at once costs the inner service
/// no more than that.
const UNATTENDED: usize = 256;

impl Default for InFlight {
    fn default() -> Self {
        Self {
            fills: Mutex::default(),
            room: Arc::default(),
            unattended: Semaphore::new(UNATTENDED),
        }
    }
}

#[derive(Debug)]
struct Entry {
    /// What it is found by: a guess until its head is there.
    variant: Option<Box<str>>,
    /// Whether those who look for the variant wait for it.
    joinable: bool,
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

    /// Whether nothing of this key is being filled.
    pub(super) fn is_idle(&self, primary: &Key) -> bool {
        let fills = self.lock();
        fills.is_empty() || !fills.contains_key(primary)
    }

    /// The fill of the variant that a request selects: the newest one that is whole, or
    /// else the one that is under way. To tell the variant takes a hash: it is asked for only
    /// where there is a fill.
    pub(super) fn get(
        &self,
        primary: &Key,
        variant: impl FnOnce() -> Box<str>,
    ) -> Option<Arc<Fill>> {
        if !self.lock().contains_key(primary) {
            return None;
        }
        let variant = variant();
        let fills = self.lock();
        let entries = fills.get(primary)?;
        let whole = entries
            .iter()
            .filter(|entry| entry.variant.as_ref() == Some(&variant))
            .filter_map(|entry| Some((entry.fill.found()?.head.recency(), &entry.fill)));
        let newest = whole.max_by_key(|(recency, _)| *recency);
        let whole = newest.map(|(_, fill)| fill.clone());
        whole.or_else(|| joinable(entries, &variant))
    }

    /// Joins the fill of this variant if it is one that the request `accepts`, or begins one.
    /// Others join that if it is `shared` and they would not find another.
    pub(super) fn claim(
        self: &Arc<Self>,
        primary: &Key,
        variant: Box<str>,
        shared: bool,
        accepts: impl FnOnce(&Fill) -> bool,
    ) -> Claim {
        let mut fills = self.lock();
        let entries = fills.entry(primary.clone()).or_default();
        match joinable(entries, &variant) {
            Some(fill) if accepts(&fill) => Claim::Follower(fill),
            other => {
                let joinable = shared && other.is_none();
                Claim::Leader(self.enter(entries, primary, joinable.then_some(variant)))
            }
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
        let fill = Arc::new(Fill::within(&self.room));
        entries.push(Entry {
            joinable: variant.is_some(),
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

fn joinable(entries: &[Entry], variant: &str) -> Option<Arc<Fill>> {
    let mut entries = entries.iter();
    entries
        .find(|entry| entry.joinable && entry.variant.as_deref() == Some(variant))
        .map(|entry| entry.fill.clone())
}

impl Lead {
    pub(super) fn fill(&self) -> &Arc<Fill> {
        &self.fill
    }

    /// Lets `f` see the entry and those beside it, if it was not forgotten.
    fn entries<R>(&self, f: impl FnOnce(&mut [Entry], usize) -> R) -> Option<R> {
        let mut fills = self.in_flight.lock();
        let entries = fills.get_mut(&self.primary)?;
        let is_own = |entry: &Entry| Arc::ptr_eq(&entry.fill, &self.fill);
        let own = entries.iter().position(is_own)?;
        Some(f(entries, own))
    }

    /// Until nobody waits for the fill while too many others go on like that. Otherwise it goes
    /// on, as one of them.
    pub(super) async fn forsaken(&self) {
        self.fill.deserted().await;
        let permit = self.in_flight.unattended.try_acquire();
        if let Ok(_permit) = permit {
            std::future::pending::<()>().await;
        }
    }

    /// The response is one to share, and of this variant, whatever was guessed: those who look
    /// for it find this fill, unless there is another one for them to wait for.
    pub(super) fn publish(&self, variant: &str) {
        self.entries(|entries, own| {
            let other = joinable(entries, variant);
            entries[own].joinable = other.is_none_or(|fill| Arc::ptr_eq(&fill, &self.fill));
            entries[own].variant = Some(variant.into());
        });
    }

    /// Whether others may be waiting for it.
    pub(super) fn is_joinable(&self) -> bool {
        self.entries(|entries, own| entries[own].joinable)
            .unwrap_or_default()
    }

    /// Those who wait for it go on doing so; nobody else joins them.
    pub(super) fn close(&self) {
        self.entries(|entries, own| entries[own].joinable = false);
    }

    /// The inner service failed, without an answer that could be shared.
    pub(super) fn failed(&self, failure: Failure) {
        self.close();
        self.fill.failed(failure);
    }

    /// What was answered is for its own client only: the others do not wait any longer.
    pub(super) fn refuse(&self) {
        self.close();
        self.fill.refuse();
    }

    /// It takes longer than others may have to wait.
    pub(super) fn lapse(&self) {
        self.close();
        self.fill.lapse();
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
