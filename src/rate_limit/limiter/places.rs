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

/// The places that are held, and the task that renews them.
#[derive(Default)]
pub(crate) struct PlaceKeeper(Mutex<Kept>);

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
        let mut kept = self.lock();
        kept.held.insert(id, (store.clone(), places));
        if kept.task.as_ref().is_none_or(JoinHandle::is_finished)
            && let Ok(runtime) = Handle::try_current()
        {
            let renew = renew(Arc::downgrade(self), lease / RENEWALS_A_LEASE);
            kept.task = Some(runtime.spawn(renew));
        }
        let keeper = self.clone();
        HeldPlaces { keeper, id }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews what is held for as long as something is.
async fn renew(keeper: Weak<PlaceKeeper>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(keeper) = keeper.upgrade() else {
            return;
        };
        let held: Vec<_> = {
            let mut kept = keeper.lock();
            if kept.held.is_empty() {
                kept.task = None;
                return;
            }
            kept.held.values().cloned().collect()
        };
        for (store, places) in held {
            let renewals: Vec<_> = places.into_iter().map(RenewPlace).collect();
            for renewed in store.execute(renewals).await {
                if let Err(error) = renewed {
                    tracing::debug!(target: "tower_keep::rate_limit", %error, "a place was not renewed");
                }
            }
        }
    }
}

impl Drop for HeldPlaces {
    fn drop(&mut self) {
        let held = self.keeper.lock().held.remove(&self.id);
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
        let held = self.lock().held.len();
        f.debug_struct("PlaceKeeper").field("held", &held).finish()
    }
}
