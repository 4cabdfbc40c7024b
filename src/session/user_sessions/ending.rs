//! Ending sessions that their user's index names.

use std::sync::Arc;

use super::UserSessions;
use crate::{
    store::{
        Key, StoreError,
        operations::{
            session::{RevokeSession, Revoked},
            session_index::{
                Condemn, Condemned, Forget, LeavePlace, LocateSession, Location, Member,
            },
        },
    },
    to_the_end::to_the_end,
};

/// How often a session may move to another id while it is being ended: each time it was renewed.
const MAX_MOVES: usize = 100;

impl UserSessions {
    /// Marks sessions, ends them, and forgets them, in this order, also if the caller leaves
    /// meanwhile. Answers how many there were.
    pub(super) async fn condemn(&self, which: Condemned) -> Result<usize, StoreError> {
        let user = self.clone();
        let ended = to_the_end(async move {
            let key = user.key.clone();
            let condemned = user.store.execute(Condemn { key, which }).await?;
            user.end(&condemned).await
        });
        ended.await.unwrap_or(Err(StoreError::Unavailable))
    }

    /// Ends sessions that are marked in the index, and forgets them. Answers how many had not ended
    /// by themselves.
    pub(super) async fn end(&self, condemned: &[Member]) -> Result<usize, StoreError> {
        let mut ended = 0;
        if condemned.is_empty() {
            return Ok(ended);
        }
        let mut left: Vec<_> = condemned.iter().collect();
        let mut locations = self.locate(condemned).await?;
        for _ in 0..MAX_MOVES {
            let revocations = (left.iter().zip(&locations))
                .map(|(member, location)| self.revocation(member, location))
                .collect::<Vec<_>>();
            let answers = self.store.execute(revocations).await;
            let mut moved = Vec::new();
            for (member, answer) in left.into_iter().zip(answers) {
                match answer? {
                    Revoked::Ended => ended += 1,
                    Revoked::Absent => {}
                    Revoked::Moved(hash) => moved.push((member, Location::At(hash))),
                }
            }
            if moved.is_empty() {
                self.forget(condemned.iter().map(|m| m.lineage.clone()))
                    .await?;
                return Ok(ended);
            }
            (left, locations) = moved.into_iter().unzip();
        }
        Err(StoreError::UnexpectedReply(
            "a session that moves without end",
        ))
    }

    /// Forgets a session that has ended.
    pub(in crate::session) async fn forget_ended(&self, member: &Member) -> Result<(), StoreError> {
        let (key, lineages) = (self.key.clone(), vec![member.lineage.clone()]);
        let leave = LeavePlace(self.place(member));
        let (forgotten, left) = self.store.execute((Forget { key, lineages }, leave)).await;
        forgotten.and(left)
    }

    pub(super) async fn forget(
        &self,
        lineages: impl Iterator<Item = Arc<str>>,
    ) -> Result<(), StoreError> {
        let (key, lineages) = (self.key.clone(), lineages.collect::<Vec<_>>());
        if lineages.is_empty() {
            return Ok(());
        }
        self.store.execute(Forget { key, lineages }).await
    }

    pub(super) async fn locate(&self, members: &[Member]) -> Result<Vec<Location>, StoreError> {
        let locate = |member| LocateSession(self.place(member));
        let locations = members.iter().map(locate).collect::<Vec<_>>();
        self.store.execute(locations).await.into_iter().collect()
    }

    pub(super) fn revocation(&self, member: &Member, location: &Location) -> RevokeSession {
        RevokeSession {
            place: self.place(member),
            lineage: member.lineage.clone(),
            session: match location {
                Location::At(hash) => Some((self.session(member, hash), hash.clone())),
                Location::Revoked | Location::Unknown => None,
            },
        }
    }

    pub(super) fn place(&self, member: &Member) -> Key {
        self.names().place(slot(member), &member.lineage)
    }

    pub(super) fn session(&self, member: &Member, hash: &str) -> Key {
        self.names().session(slot(member), hash)
    }
}

fn slot(member: &Member) -> &str {
    // What is not ASCII was never written.
    std::str::from_utf8(&member.slot).unwrap_or_default()
}
