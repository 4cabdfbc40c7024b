//! Noting a session in the index of the user who logs in.

use std::{sync::Arc, time::Duration};

use super::{MOST, UserSessions};
use crate::store::{
    StoreError,
    operations::session_index::{EnterIndex, Entered, Member},
};

/// A session that is about to be stored for a user.
#[derive(Debug)]
pub(in crate::session) struct Binding {
    pub(in crate::session) member: Member,
    pub(in crate::session) absolute: Duration,
    /// `None` where its user does not log in now, and only its timeout is another.
    pub(in crate::session) device: Option<Arc<str>>,
    /// The most sessions of the user, if the layer sets a cap.
    pub(in crate::session) cap: Option<usize>,
}

/// Whether a session may be stored.
#[derive(Debug)]
pub(in crate::session) enum Noted {
    Yes,
    /// It is being revoked.
    No,
    /// Its user has as many as the cap, which these are. Nothing was changed.
    AtCap(Vec<Member>),
}

impl UserSessions {
    /// Notes a session before it is stored, where the cap has room for it.
    pub(in crate::session) async fn enter(&self, binding: &Binding) -> Result<Noted, StoreError> {
        // Without a cap the bound is so high that it does not matter which of them live.
        self.note(binding, binding.cap.is_none()).await
    }

    /// Likewise, and ends the oldest of `members` that are over the cap once those are not counted
    /// that have ended.
    pub(in crate::session) async fn enter_at_cap(
        &self,
        binding: &Binding,
        members: Vec<Member>,
    ) -> Result<bool, StoreError> {
        self.prune_ended(members).await?;
        let noted = self.note(binding, true).await?;
        Ok(matches!(noted, Noted::Yes))
    }

    async fn note(&self, binding: &Binding, evicts: bool) -> Result<Noted, StoreError> {
        let enter = EnterIndex {
            key: self.key.clone(),
            member: binding.member.clone(),
            most: binding.cap.unwrap_or(MOST),
            absolute: binding.absolute,
            device: binding.device.clone(),
            evicts,
        };
        match self.store.execute(enter).await? {
            Entered::Noted(condemned) => {
                self.end(&condemned).await?;
                Ok(Noted::Yes)
            }
            // A revocation is under way, or its process has died before it was done.
            Entered::Condemned => {
                self.end(std::slice::from_ref(&binding.member)).await?;
                Ok(Noted::No)
            }
            Entered::Full(members) => Ok(Noted::AtCap(members)),
        }
    }
}
