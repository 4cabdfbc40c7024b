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

impl UserSessions {
    /// Notes a session before it is stored, and ends the oldest that are over the cap. Answers
    /// whether it may be stored: not when the session is just being revoked.
    pub(in crate::session) async fn enter(&self, binding: &Binding) -> Result<bool, StoreError> {
        let enter = |evicts| EnterIndex {
            key: self.key.clone(),
            member: binding.member.clone(),
            most: binding.cap.unwrap_or(MOST),
            absolute: binding.absolute,
            device: binding.device.clone(),
            evicts,
        };
        // Without a cap the bound is so high that it does not matter which of them live.
        let mut entered = self.store.execute(enter(binding.cap.is_none())).await?;
        if let Entered::Full(members) = entered {
            self.prune_ended(members).await?;
            entered = self.store.execute(enter(true)).await?;
        }
        match entered {
            Entered::Noted(condemned) => {
                self.end(&condemned).await?;
                Ok(true)
            }
            // A revocation is under way, or its process has died before it was done.
            Entered::Condemned => {
                self.end(std::slice::from_ref(&binding.member)).await?;
                Ok(false)
            }
            Entered::Full(_) => Ok(false),
        }
    }
}
