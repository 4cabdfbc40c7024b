//! Which sessions a user has.

use std::{sync::Arc, time::Duration};

use super::{SessionInfo, UserSessions};
use crate::store::{
    StoreError,
    operations::{
        session::{PeekSession, Peeked, Reached, Revoked},
        session_index::{Index, Listed, Location, Member, ReadIndex},
    },
};

/// A session without a place is one that is about to be stored, or that has ended. After this
/// time it has ended.
const STORED_WITHIN: Duration = Duration::from_secs(300);

/// What has become of a session in the index.
enum Fate {
    Live(Peeked),
    /// It may be about to be stored, or has just moved to a new id.
    Unknown,
    Ended(Location),
}

impl UserSessions {
    /// The live sessions of the user, the oldest first. What has ended is removed from the index
    /// meanwhile. Three round trips; two more where something has ended.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`].
    pub async fn list(&self) -> Result<Vec<SessionInfo>, StoreError> {
        let read = ReadIndex(self.key.clone());
        let Index { now, entries } = self.store.execute(read).await?;
        let (condemned, entries) = entries
            .into_iter()
            .partition::<Vec<_>, _>(|(_, entry)| entry.condemned);
        let condemned: Vec<_> = condemned.iter().map(member).collect();
        self.end(&condemned).await?;

        let members: Vec<_> = entries.iter().map(member).collect();
        let fates = self
            .fates(&members, |index| is_old(&entries[index].1, now))
            .await?;
        let mut ended = Vec::new();
        let mut sessions = Vec::new();
        for ((handle, entry), fate) in entries.into_iter().zip(fates) {
            match fate {
                Fate::Live(Peeked { created, touched }) => sessions.push(SessionInfo {
                    handle,
                    device: entry.device,
                    created_at: created,
                    last_seen_at: touched,
                    is_current: false,
                }),
                Fate::Unknown => {}
                Fate::Ended(location) => {
                    let (lineage, slot) = (handle, entry.slot);
                    ended.push((Member { lineage, slot }, location));
                }
            }
        }
        self.prune(ended).await?;
        sessions.sort_by(|a, b| (a.created_at, &a.handle).cmp(&(b.created_at, &b.handle)));
        Ok(sessions)
    }

    /// Removes from the index what has ended of `members`.
    pub(super) async fn prune_ended(&self, members: Vec<Member>) -> Result<(), StoreError> {
        let fates = self.fates(&members, |_| false).await?;
        let ended = members.into_iter().zip(fates);
        let ended = ended.filter_map(|(member, fate)| match fate {
            Fate::Ended(location) => Some((member, location)),
            Fate::Live(_) | Fate::Unknown => None,
        });
        self.prune(ended.collect()).await
    }

    async fn fates(
        &self,
        members: &[Member],
        is_old: impl Fn(usize) -> bool,
    ) -> Result<Vec<Fate>, StoreError> {
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let locations = self.locate(members).await?;
        let peeks = (members.iter().zip(&locations)).map(|(member, location)| match location {
            Location::At(hash) => Some(PeekSession(self.session(member, hash))),
            Location::Revoked | Location::Unknown => None,
        });
        let peeked = self.store.execute(peeks.collect::<Vec<_>>()).await;
        let fates = locations.into_iter().zip(peeked).enumerate();
        let fate = |(index, (location, peeked)): (usize, (Location, Option<_>))| {
            Ok(match peeked.transpose()? {
                Some(Reached::Here(peeked)) => Fate::Live(peeked),
                Some(Reached::Moved(_)) => Fate::Unknown,
                None if location == Location::Unknown && !is_old(index) => Fate::Unknown,
                _ => Fate::Ended(location),
            })
        };
        fates.map(fate).collect()
    }

    /// Forgets sessions that have ended. Each is revoked first, in case it is about to be stored
    /// after all; one that has moved meanwhile is not.
    async fn prune(&self, ended: Vec<(Member, Location)>) -> Result<(), StoreError> {
        if ended.is_empty() {
            return Ok(());
        }
        let revocations = ended.iter();
        let revocations = revocations.map(|(member, location)| self.revocation(member, location));
        let answers = self.store.execute(revocations.collect::<Vec<_>>()).await;
        let mut lineages = Vec::new();
        for ((member, _), answer) in ended.into_iter().zip(answers) {
            if !matches!(answer?, Revoked::Moved(_)) {
                lineages.push(member.lineage);
            }
        }
        self.forget(lineages.into_iter()).await
    }
}

fn member((lineage, entry): &(Arc<str>, Listed)) -> Member {
    Member {
        lineage: lineage.clone(),
        slot: entry.slot,
    }
}

/// By the store's clock, as of `now`.
fn is_old(entry: &Listed, now: Duration) -> bool {
    now.saturating_sub(entry.bound) > STORED_WITHIN
}
