//! The limits of one subject on embedded memory: one entry, so that one lock makes a request all or
//! nothing.

use std::sync::Arc;

use super::{
    algorithm::{BanState, Kept, Limit},
    named::NamedLimit,
};
use crate::store::{
    clock::Timestamp,
    memory::{Live, Weigh, heap},
};

/// The states of one subject's limits.
#[derive(Debug, Default)]
pub(crate) struct LimitState {
    limits: Vec<Held>,
    bans: Vec<HeldBan>,
}

#[derive(Debug)]
pub(super) struct Held {
    key_name: Arc<str>,
    pub(super) kept: Kept,
    /// When the state was made: a reservation belongs to one state.
    pub(super) began: u64,
    ends: u64,
    /// Until when more than half of the quota is in use.
    scarce_until: u64,
}

#[derive(Debug)]
struct HeldBan {
    key_name: Arc<str>,
    state: BanState,
    forgotten_at: u64,
}

impl LimitState {
    pub(super) fn reserve(&mut self, limits: usize) {
        let missing = limits.saturating_sub(self.limits.len());
        self.limits.reserve_exact(missing);
    }

    pub(super) fn get_mut(&mut self, named: &NamedLimit) -> Option<&mut Held> {
        let mut held = self.limits.iter_mut();
        held.find(|held| held.key_name == named.key_name)
    }

    /// Changes the state of a limit, or makes it.
    pub(super) fn change(
        &mut self,
        named: &NamedLimit,
        now: u64,
        f: impl FnOnce(Option<Kept>) -> Kept,
    ) -> &Held {
        let mut held = self.limits.iter();
        let at = match held.position(|held| held.key_name == named.key_name) {
            Some(at) => {
                let held = &mut self.limits[at];
                let nothing = Kept::Places(super::algorithm::Places::default());
                held.kept = f(Some(std::mem::replace(&mut held.kept, nothing)));
                at
            }
            None => {
                self.limits.push(Held {
                    key_name: named.key_name.clone(),
                    kept: f(None),
                    began: now,
                    ends: 0,
                    scarce_until: 0,
                });
                self.limits.len() - 1
            }
        };
        let held = &mut self.limits[at];
        held.settle(&named.limit);
        held
    }

    pub(super) fn remove(&mut self, named: &NamedLimit) {
        self.limits.retain(|held| held.key_name != named.key_name);
    }

    pub(super) fn ban(&self, key_name: &Arc<str>) -> Option<BanState> {
        let mut bans = self.bans.iter();
        Some(bans.find(|held| held.key_name == *key_name)?.state)
    }

    pub(super) fn set_ban(&mut self, key_name: &Arc<str>, state: BanState, forgotten_at: u64) {
        self.remove_ban(key_name);
        self.bans.push(HeldBan {
            key_name: key_name.clone(),
            state,
            forgotten_at,
        });
    }

    pub(super) fn remove_ban(&mut self, key_name: &Arc<str>) {
        self.bans.retain(|held| held.key_name != *key_name);
    }

    /// The entry to keep: without what is over, and none if nothing is left.
    pub(super) fn into_live(mut self, now: u64) -> Option<Live<Self>> {
        self.limits.retain(|held| held.ends >= now);
        self.bans.retain(|held| held.forgotten_at > now);
        let limits = self.limits.iter().map(|held| held.ends);
        let bans = self.bans.iter().map(|held| held.forgotten_at);
        let ends = limits.chain(bans).max()?;
        Some(Live {
            value: self,
            // Parts of a microsecond may be left when it ends.
            expires_at: Timestamp::from_micros(ends + 1),
        })
    }
}

impl Held {
    /// Derives anew what follows from the state.
    pub(super) fn settle(&mut self, limit: &Limit) {
        self.ends = self.kept.ends(limit);
        self.scarce_until = self.kept.scarce_until(limit);
    }
}

impl Weigh for LimitState {
    /// The names are shared with the layers', of which there are a few, and count there.
    fn weight(&self) -> usize {
        let kept: usize = (self.limits.iter())
            .map(|held| heap(held.kept.heap_bytes()))
            .sum();
        heap(self.limits.capacity() * size_of::<Held>())
            + heap(self.bans.capacity() * size_of::<HeldBan>())
            + kept
    }

    /// Whether a limit denies, or soon would: without its state the subject would start anew.
    fn is_worth_keeping(&self, now: Timestamp) -> bool {
        let now = now.as_micros();
        self.limits.iter().any(|held| held.scarce_until > now)
            || self.bans.iter().any(|held| held.state.until > now)
    }
}
