//! Collapsed forwarding: requests for the same variant share one call of the inner service.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;

use super::{arriving::Fill, memory::FillMemory};
use crate::cache::policy::Failure;
use crate::store::Key;

/// The fills under way in this process, and those that the store does not have yet.
#[derive(Debug)]
pub(crate) struct InFlight {
    fills: Mutex<HashMap<Key, Vec<Entry>>>,
    /// The memory that their bodies take together.
    memory: Arc<FillMemory>,
    /// Permits for fills that go on although all their clients have left.
    unattended: Semaphore,
}

/// How many fills may go on although all their clients have left. This bounds what clients that
/// leave at once can make the inner service do.
const UNATTENDED: usize = 256;

impl Default for InFlight {
    fn default() -> Self {
        Self {
            fills: Mutex::default(),
            memory: Arc::default(),
            unattended: Semaphore::new(UNATTENDED),
        }
    }
}

#[derive(Debug)]
struct Entry {
    /// The variant it is found by: a guess until the head has arrived.
    variant: Option<Box<str>>,
    /// Whether requests for the variant may wait for it.
    joinable: bool,
    fill: Arc<Fill>,
}

/// The part of a request that has to go forward.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It calls the inner service.
    Leader(Lead),
    /// It waits for the answer to another one.
    Follower(Arc<Fill>),
}

/// The leader's hold on its entry. When it is dropped, for whatever reason, the entry goes and
/// nobody waits for it any longer.
#[derive(Debug)]
pub(crate) struct Lead {
    in_flight: Arc<InFlight>,
    primary: Key,
    fill: Arc<Fill>,
}

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Entry>>> {
        self.fills.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing of this key is being filled.
    pub(crate) fn is_idle(&self, primary: &Key) -> bool {
        let fills = self.lock();
        fills.is_empty() || !fills.contains_key(primary)
    }

    /// The fill of the variant that a request selects: the newest complete one, or else the one
    /// that requests may wait for. `variant` is called only if the key has any fill, since it
    /// computes a hash.
    pub(crate) fn get(
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

    /// Joins the fill of this variant if the request `accepts` it, or begins a new one. Others can
    /// join the new one if it is `shared` and there is no other for them to join.
    pub(crate) fn claim(
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

    /// Begins a fill that nobody joins.
    pub(crate) fn begin(self: &Arc<Self>, primary: &Key) -> Lead {
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
        let fill = Arc::new(Fill::within(&self.memory));
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

    /// Removes every fill of `primary`, so that no later request uses it: it is out of date.
    pub(crate) fn forget(&self, primary: &Key) {
        self.lock().remove(primary);
    }

    /// Removes all fills, as [`forget`](Self::forget) does those of one key.
    pub(crate) fn forget_all(&self) {
        self.lock().clear();
    }
}

fn joinable(entries: &[Entry], variant: &str) -> Option<Arc<Fill>> {
    let mut entries = entries.iter();
    entries
        .find(|entry| entry.joinable && entry.variant.as_deref() == Some(variant))
        .map(|entry| entry.fill.clone())
}

impl Lead {
    pub(crate) fn fill(&self) -> &Arc<Fill> {
        &self.fill
    }

    /// Calls `f` with all entries of the key and the position of this one, unless it was forgotten.
    fn entries<R>(&self, f: impl FnOnce(&mut [Entry], usize) -> R) -> Option<R> {
        let mut fills = self.in_flight.lock();
        let entries = fills.get_mut(&self.primary)?;
        let is_own = |entry: &Entry| Arc::ptr_eq(&entry.fill, &self.fill);
        let own = entries.iter().position(is_own)?;
        Some(f(entries, own))
    }

    /// Completes when nobody waits for the fill and too many others go on without clients.
    /// Otherwise the fill takes one of their permits and goes on.
    pub(crate) async fn forsaken(&self) {
        self.fill.deserted().await;
        let permit = self.in_flight.unattended.try_acquire();
        if let Ok(_permit) = permit {
            std::future::pending::<()>().await;
        }
    }

    /// Notes the variant that the response turned out to be, in place of the guess. Requests for
    /// it may wait for this fill, unless there is another one for them to wait for.
    pub(crate) fn publish(&self, variant: &str) {
        self.entries(|entries, own| {
            let other = joinable(entries, variant);
            entries[own].joinable = other.is_none_or(|fill| Arc::ptr_eq(&fill, &self.fill));
            entries[own].variant = Some(variant.into());
        });
    }

    /// Whether others may be waiting for it.
    pub(crate) fn is_joinable(&self) -> bool {
        self.entries(|entries, own| entries[own].joinable)
            .unwrap_or_default()
    }

    /// Lets nobody else join. Those who wait already go on waiting.
    pub(crate) fn close(&self) {
        self.entries(|entries, own| entries[own].joinable = false);
    }

    /// Ends the waiting: the inner service failed, without an answer that could be shared.
    pub(crate) fn failed(&self, failure: Failure) {
        self.close();
        self.fill.failed(failure);
    }

    /// Ends the waiting: the answer is for its own client only.
    pub(crate) fn refuse(&self) {
        self.close();
        self.fill.refuse();
    }

    /// Ends the waiting: it takes longer than others may have to wait.
    pub(crate) fn lapse(&self) {
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
