//! What the server has refused lately: a store that is degraded, seen without asking.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{command::About, reply::Reply};
use crate::store::error::{RefusalKind, StoreError};

/// One line in the log per kind and this time.
const WARN_EVERY: Duration = Duration::from_secs(10);
/// A kind counts as gone when it was not met for so long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

impl RefusalKind {
    pub(super) const ALL: [Self; 10] = [
        Self::OutOfMemory,
        Self::WrongType,
        Self::NoPermission,
        Self::NotPersisted,
        Self::ReadOnly,
        Self::NoReplicas,
        Self::Moved,
        Self::ClusterDown,
        Self::Unsupported,
        Self::Other,
    ];

    pub(super) fn of_error(code: &str, details: &str) -> Self {
        if details.starts_with("unknown command") {
            return Self::Unsupported;
        }
        let code = match code {
            "ASK" => "MOVED",
            "TRYAGAIN" => "CLUSTERDOWN",
            code => code,
        };
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == code);
        known.unwrap_or(Self::Other)
    }
}

const KINDS: usize = RefusalKind::ALL.len();

/// The kinds of refusals that were met lately.
///
/// A command that succeeds costs one atomic load while there are none.
#[derive(Debug)]
pub(super) struct Refusals {
    /// Redirections are followed, and so refuse nothing.
    are_followed: bool,
    /// A bit per kind.
    lately: AtomicU16,
    kinds: Mutex<[Kind; KINDS]>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Kind {
    /// The command that was refused last, and when.
    last: Option<(&'static str, Instant)>,
    warned: Option<Instant>,
    /// How many were refused since then.
    unreported: u64,
}

fn bit(kind: usize) -> u16 {
    1 << kind
}

/// Whether the whole server refuses, and not only for one key.
fn concerns_the_server(kind: RefusalKind) -> bool {
    !matches!(kind, RefusalKind::WrongType | RefusalKind::Other)
}

impl Refusals {
    /// Of a server whose redirections are followed, or not.
    pub(super) fn new(are_followed: bool) -> Self {
        Self {
            are_followed,
            lately: AtomicU16::new(0),
            kinds: Mutex::default(),
        }
    }

    /// Notes that `command` was refused, and says so in the log now and then.
    #[cold]
    pub(super) fn refused(&self, kind: RefusalKind, command: &About, message: &str) {
        if self.are_followed && kind == RefusalKind::Moved {
            return;
        }
        let now = Instant::now();
        let index = RefusalKind::ALL.iter().position(|other| *other == kind);
        let Some(index) = index else { return };
        #[cfg(feature = "metrics")]
        crate::metrics::refusal(kind.as_str());
        let mut kinds = self.lock();
        let noted = &mut kinds[index];
        noted.last = Some((command.identity(), now));
        self.lately.fetch_or(bit(index), Ordering::Relaxed);
        if noted.warned.is_some_and(|at| now - at < WARN_EVERY) {
            noted.unreported += 1;
            return;
        }
        let more = std::mem::take(&mut noted.unreported);
        noted.warned = Some(now);
        drop(kinds);
        tracing::warn!(
            target: "tower_keep::store",
            kind = kind.as_str(), command = command.name(), more, message,
            "Redis refuses commands, the store is degraded"
        );
    }

    /// Whether it says that the command is for another server: this one has executed nothing of it.
    pub(super) fn is_for_another(&self, result: &Result<Reply, StoreError>) -> bool {
        match result {
            Err(StoreError::Refused { kind, .. }) => match kind {
                RefusalKind::ReadOnly => true,
                RefusalKind::Moved | RefusalKind::ClusterDown => self.are_followed,
                _ => false,
            },
            _ => false,
        }
    }

    /// Notes that `command` succeeded: what the server refused to it, it refuses no longer.
    pub(super) fn succeeded(&self, command: &About) {
        if self.lately.load(Ordering::Relaxed) != 0 {
            self.forget(|kind, identity, _| {
                concerns_the_server(kind) && std::ptr::eq(identity, command.identity())
            });
        }
    }

    /// The kinds that were met lately.
    pub(super) fn lately(&self) -> impl Iterator<Item = RefusalKind> + use<> {
        if self.lately.load(Ordering::Relaxed) != 0 {
            self.forget(|_, _, at| at.elapsed() >= FORGOTTEN_AFTER);
        }
        let lately = self.lately.load(Ordering::Relaxed);
        let kinds = RefusalKind::ALL.into_iter().enumerate();
        kinds.filter_map(move |(index, kind)| (lately & bit(index) != 0).then_some(kind))
    }

    #[cold]
    fn forget(&self, gone: impl Fn(RefusalKind, &'static str, Instant) -> bool) {
        for (index, noted) in self.lock().iter_mut().enumerate() {
            let kind = RefusalKind::ALL[index];
            if (noted.last).is_some_and(|(identity, at)| gone(kind, identity, at)) {
                noted.last = None;
                self.lately.fetch_and(!bit(index), Ordering::Relaxed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, [Kind; KINDS]> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
