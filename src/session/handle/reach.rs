//! The way from an id to its session in the store.

use super::{
    super::{
        error::SessionError,
        id::{Place, SessionId},
    },
    Session,
    stored::{Seen, Stored},
};
use crate::store::{
    Batch, StoreError,
    operations::{
        Memory,
        session::{Access, FirstUse, Follower, Reached, TouchSession, Via},
        session_index::{LocateSession, Location},
    },
};

/// How many pointers may be followed from an id to its session.
const MAX_MOVES: usize = 16;

/// Where an operation looks for the session, and which session it expects there.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) place: Place,
    /// The session as the request knows it; `None` before the load.
    pub(super) seen: Option<Seen>,
    /// Whether activity may have to be noted.
    pub(super) touch: bool,
}

/// How an operation on the stored session ended.
pub(super) enum Found<T> {
    Here(Place, T),
    /// The session is of another user than the one who logs in.
    Another,
    Nowhere,
}

impl<T> Found<T> {
    pub(super) fn map_with<U>(self, f: impl FnOnce(&Place, T) -> U) -> Found<U> {
        match self {
            Self::Here(place, answer) => {
                let answer = f(&place, answer);
                Found::Here(place, answer)
            }
            Self::Another => Found::Another,
            Self::Nowhere => Found::Nowhere,
        }
    }

    pub(super) fn answer(self) -> Option<T> {
        match self {
            Self::Here(_, answer) => Some(answer),
            Self::Another | Self::Nowhere => None,
        }
    }
}

impl Session {
    /// Where to look for the session; `None` when there is none.
    pub(super) fn target(&self, stored: &Stored) -> Option<Target> {
        match stored {
            Stored::Unknown => Some(Target {
                place: self.0.presented.as_ref().map(SessionId::place)?,
                seen: None,
                touch: true,
            }),
            Stored::Written { place, seen } => Some(Target {
                place: place.clone(),
                seen: seen.clone(),
                touch: true,
            }),
            Stored::Live(live) => Some(Target {
                place: live.place.clone(),
                seen: Some(live.seen.clone()),
                touch: live.touch_due(&self.rules()),
            }),
            Stored::Absent | Stored::Ended(_) => None,
        }
    }

    pub(super) fn first_use(&self, place: &Place, previous: &str) -> FirstUse {
        FirstUse {
            key: place.of_hash(previous).key(self.names()),
            id_hash: previous.into(),
            grace: self.0.config.grace,
        }
    }

    /// Executes an operation on the session, following the pointers that a `follower` may follow.
    /// One that comes too late for them finds the session by its place, if it has a user.
    /// After a failure before the head of the response the request's session is of no more use.
    /// What is rarely needed on the way is boxed: the future is a part of every handler's.
    pub(super) async fn reach<B, T>(
        &self,
        target: &Target,
        follower: Follower,
        operation: impl Fn(Access, &Place) -> B,
    ) -> Result<Found<T>, SessionError>
    where
        B: Batch<Memory, Output = Result<Reached<T>, StoreError>>,
    {
        let store = &self.0.store;
        let lineage = target.seen.as_ref().map(|seen| &seen.lineage);
        let mut place = target.place.clone();
        let mut located = false;
        for _ in 0..=MAX_MOVES {
            let access = |via| Access {
                key: place.key(self.names()),
                via,
                rules: self.rules(),
                // A login as another user has given the session a new lineage.
                lineage: lineage.cloned().filter(|_| via != Via::Closed),
                touch: target.touch,
            };
            let mut reached = store.execute(operation(access(place.via), &place)).await;
            if let Ok(Reached::Unconfirmed(previous)) = &reached {
                let touch = TouchSession {
                    access: access(Via::Old),
                    first_use: Some(self.first_use(&place, previous)),
                };
                match Box::pin(store.execute(touch)).await {
                    Ok(_) => continue,
                    Err(error) => reached = Err(error),
                }
            }
            match reached {
                Ok(Reached::Here(answer)) => return Ok(Found::Here(place, answer)),
                Ok(Reached::Moved(pointer)) if pointer.leads(follower) => place.follow(pointer),
                Ok(Reached::TooLarge) => return Err(self.state().too_large()),
                Ok(Reached::Another) => return Ok(Found::Another),
                Ok(answer @ (Reached::Moved(_) | Reached::Unconfirmed(_) | Reached::Gone)) => {
                    if target.seen.is_none() && matches!(answer, Reached::Moved(_)) {
                        self.state().overtaken = true;
                    }
                    let seen = target.seen.as_ref().filter(|_| !located);
                    match Box::pin(self.locate(&place, seen)).await {
                        Ok(Some(there)) => place = there,
                        Ok(None) => return Ok(Found::Nowhere),
                        Err(error) => return Err(self.fail(error)),
                    }
                    located = true;
                }
                Err(error) => return Err(self.fail(error)),
            }
        }
        Ok(Found::Nowhere)
    }

    /// Where a session stands that was `seen` before and is not at `place` any more: its id was
    /// renewed so long ago that no pointer is left, or without a grace. One round trip.
    async fn locate(
        &self,
        place: &Place,
        seen: Option<&Seen>,
    ) -> Result<Option<Place>, StoreError> {
        let Some(seen) = seen.filter(|seen| seen.user.is_some()) else {
            return Ok(None);
        };
        let noted = place.noted(self.names(), &seen.lineage);
        Ok(match self.0.store.execute(LocateSession(noted)).await? {
            Location::At(hash) => {
                Some(place.of_hash(&hash)).filter(|there| there.id_hash() != place.id_hash())
            }
            Location::Revoked | Location::Unknown => None,
        })
    }

    fn fail(&self, error: StoreError) -> SessionError {
        let mut state = self.state();
        if !state.closed {
            state.failed = Some(error.clone());
        }
        error.into()
    }
}
