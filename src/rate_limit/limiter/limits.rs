//! The limits of one limiter, and what it needs to enforce them.

use std::{sync::Arc, time::Duration};

use super::{
    ban::BanPolicy,
    blocks::{BlockShare, Blocks},
    local_denials::{LocalDenials, RECHECK},
    on_store_error::{Fallback, RateLimitOnStoreError},
    places::PlaceKeeper,
    policy_set::PolicySet,
    waiting::WaitingRoom,
};
use crate::{
    rate_limit::{key::subject::SubjectKey, policy::QuotaPolicy},
    store::{
        Store, StoreError,
        operations::limit::{NamedBan, Reset, Subject},
    },
};

/// The settings of a limiter and what its clones share.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) store: Store,
    pub(crate) set: PolicySet,
    pub(crate) subject_key: SubjectKey,
    pub(crate) ban: Option<BanPolicy>,
    pub(crate) on_store_error: RateLimitOnStoreError,
    /// Only there with [`RateLimitOnStoreError::Local`].
    pub(crate) fallback: Option<Fallback>,
    pub(crate) denial_recheck: Duration,
    pub(crate) waiting_room: Option<WaitingRoom>,
    pub(crate) local_denials: Arc<LocalDenials>,
    pub(crate) places: Arc<PlaceKeeper>,
    /// Whether units are to be taken in blocks.
    pub(crate) block_share: Option<BlockShare>,
    pub(super) blocks: Arc<Blocks>,
    pub(super) named_ban: Option<NamedBan>,
}

impl Limits {
    pub(crate) fn new(store: Store, policy: QuotaPolicy) -> Self {
        let mut limits = Self {
            subject_key: SubjectKey::of_namespace(store.namespace()),
            store,
            set: PolicySet::new([policy].into()),
            ban: None,
            on_store_error: RateLimitOnStoreError::default(),
            fallback: None,
            denial_recheck: RECHECK,
            waiting_room: None,
            local_denials: Arc::new(LocalDenials::new(RECHECK)),
            places: Arc::default(),
            block_share: None,
            blocks: Arc::new(Blocks::new()),
            named_ban: None,
        };
        limits.derive(None);
        limits
    }

    /// Makes anew what follows from the settings, of those `before` only what has changed: what a
    /// limiter has denied, has taken ahead or counts by itself it shares with those whose settings
    /// say the same of it.
    pub(crate) fn derive(&mut self, before: Option<&Self>) {
        let before = before.filter(|before| {
            Arc::ptr_eq(&before.set.policies, &self.set.policies)
                && before.block_share == self.block_share
        });
        if before.is_none() {
            // Embedded memory has no round trip to save.
            let share = self.block_share.filter(|_| !self.store.is_embedded());
            self.set = self.set.clone().with_blocks(share);
            self.blocks = Arc::new(Blocks::new());
        }
        if before.is_none_or(|before| before.on_store_error != self.on_store_error) {
            self.fallback = match self.on_store_error {
                RateLimitOnStoreError::Local { share } => Some(Fallback::new(&self.set, share)),
                RateLimitOnStoreError::Allow | RateLimitOnStoreError::Deny => None,
            };
        }
        let (ban, recheck) = (&self.ban, self.denial_recheck);
        if before.is_none_or(|it| it.ban != *ban || it.denial_recheck != recheck) {
            self.local_denials = Arc::new(LocalDenials::new(recheck));
            self.named_ban = ban.as_ref().map(BanPolicy::named);
        }
    }

    /// Forgets what `subject` has consumed of the quotas of `set`, in the store and here.
    pub(crate) async fn reset(&self, set: &PolicySet, subject: Subject) -> Result<(), StoreError> {
        let reset = |store: &Store, set: &PolicySet| {
            store.execute(Reset {
                names: store.names().clone(),
                subject,
                limits: set.limits.clone(),
                ban: self.named_ban.clone(),
            })
        };
        if let Some(fallback) = &self.fallback {
            reset(&fallback.store, &fallback.set_for(set, &self.set)).await?;
        }
        let result = reset(&self.store, set).await;
        self.local_denials.end(subject);
        self.blocks.forget(subject);
        result
    }
}
