//! The places that this process holds of concurrency limits: renewed while they are held, and given
//! back when they are dropped.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinHandle};

use crate::store::{
    Store,
    operations::limit::{PerLimit, Place, PlaceId, ReleasePlace, RenewPlace},
    random,
};

/// A renewal that is lost may be repeated once before a place is given up.
const RENEWALS_A_LEASE: u32 = 3;

/// How many places are renewed in one round trip.
const RENEWALS_A_TRIP: usize = 1_000;

/// The places that are held, by how often they have to be renewed. That is one interval, unless the
/// lease depends on who asks.
#[derive(Default)]
pub(crate) struct PlaceKeeper(Mutex<HashMap<Duration, Kept>>);

/// Places with one interval, and the task that renews them.
#[derive(Default)]
struct Kept {
    held: HashMap<PlaceId, (Store, PerLimit<Place>)>,
    task: Option<JoinHandle<()>>,
}

/// A request's places. Dropping it gives them back: at once where the store is embedded memory,
/// else by a task; where there is no runtime to run it, they end with their lease.
#[derive(Debug)]
pub(crate) struct HeldPlaces {
    keeper: Arc<PlaceKeeper>,
    id: PlaceId,
    every: Duration,
}

/// An id that no other request has, in this process or another.
pub(crate) fn new_place() -> PlaceId {
    static PROCESS: LazyLock<u64> = LazyLock::new(random::unique);
    static REQUEST: AtomicU64 = AtomicU64::new(0);
    let request = REQUEST.fetch_add(1, Ordering::Relaxed);
    PlaceId(u128::from(*PROCESS) << 64 | u128::from(request))
}

impl PlaceKeeper {
    /// Holds places that the store has given.
    pub(crate) fn hold(self: &Arc<Self>, store: &Store, places: PerLimit<Place>) -> HeldPlaces {
        let id = places.first().map_or(PlaceId(0), |place| place.id);
        let windows = places.iter().map(|place| place.limit.limit.window);
        let lease = Duration::from_micros(windows.min().unwrap_or(u64::MAX));
        let every = lease / RENEWALS_A_LEASE;
        let mut kept = self.lock();
        let kept = kept.entry(every).or_default();
        kept.held.insert(id, (store.clone(), places));
        if kept.task.as_ref().is_none_or(JoinHandle::is_finished)
            && let Ok(runtime) = Handle::try_current()
        {
            kept.task = Some(runtime.spawn(renew(Arc::downgrade(self), every)));
        }
        let keeper = self.clone();
        HeldPlaces { keeper, id, every }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Duration, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is held, by its store; `None`, and it is not asked for again, where nothing is.
    fn to_renew(&self, every: Duration) -> Option<Vec<(Store, Vec<RenewPlace>)>> {
        let mut kept = self.lock();
        let held = &kept.get(&every)?.held;
        if held.is_empty() {
            kept.remove(&every);
            return None;
        }
        // The limiter's own, and the one that takes its place when that fails.
        let mut stores: Vec<(Store, Vec<RenewPlace>)> = Vec::new();
        for (store, places) in held.values() {
            let renewals = places.iter().cloned().map(RenewPlace);
            match stores.iter_mut().find(|(known, _)| known.is_same(store)) {
                Some((_, others)) => others.extend(renewals),
                None => stores.push((store.clone(), renewals.collect())),
            }
        }
        Some(stores)
    }
}

/// Renews what is held for as long as something is.
async fn renew(keeper: Weak<PlaceKeeper>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(stores) = keeper.upgrade().and_then(|keeper| keeper.to_renew(every)) else {
            return;
        };
        for (store, mut renewals) in stores {
            while !renewals.is_empty() {
                let rest = renewals.split_off(renewals.len().min(RENEWALS_A_TRIP));
                for error in store
                    .execute(renewals)
                    .await
                    .into_iter()
                    .filter_map(Result::err)
                {
                    tracing::debug!(target: "tower_keep::rate_limit", %error, "a place was not renewed");
                }
                renewals = rest;
            }
        }
    }
}

impl Drop for HeldPlaces {
    fn drop(&mut self) {
        let held = match self.keeper.lock().get_mut(&self.every) {
            Some(kept) => kept.held.remove(&self.id),
            None => None,
        };
        if let Some((store, places)) = held {
            release(&store, places);
        }
    }
}

fn release(store: &Store, places: PerLimit<Place>) {
    let releases: Vec<_> = places.into_iter().map(ReleasePlace).collect();
    let execute = store.execute(releases);
    if execute.is_ready() {
        return;
    }
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(execute);
    }
}

impl fmt::Debug for PlaceKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held: usize = self.lock().values().map(|kept| kept.held.len()).sum();
        f.debug_struct("PlaceKeeper").field("held", &held).finish()
    }
}
