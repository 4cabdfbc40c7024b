//! The way from an id to its session in the store.

use std::sync::Arc;

use super::{
    super::{
        error::SessionError,
        id::{Place, SessionId},
    },
    Session,
    state::Stored,
};
use crate::store::{
    Batch, StoreError,
    operations::{
        Memory,
        session::{Access, FirstUse, Follower, Reached, TouchSession, Via},
    },
};

/// How many pointers may be followed from an id to its session.
const MAX_MOVES: usize = 16;

/// Where an operation looks for the session, and which session it expects there.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) place: Place,
    /// Of the session that was loaded; `None` before the load.
    pub(super) lineage: Option<Arc<str>>,
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
    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> Found<U> {
        match self {
            Self::Here(place, answer) => Found::Here(place, f(answer)),
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
                lineage: None,
                touch: true,
            }),
            Stored::Live(live) => Some(Target {
                place: live.place.clone(),
                lineage: Some(live.lineage.clone()),
                touch: live.touch_due(&self.rules()),
            }),
            Stored::Absent | Stored::Ended(_) => None,
        }
    }

    pub(super) fn first_use(&self, place: &Place, previous: &str) -> FirstUse {
        FirstUse {
            key: place.of_hash(previous).key(self.0.store.names()),
            id_hash: previous.into(),
            grace: self.0.config.grace,
        }
    }

    /// Executes an operation on the session, following the pointers that a `follower` may follow.
    /// After a failure the request's session is of no more use.
    pub(super) async fn reach<B, T>(
        &self,
        target: Target,
        follower: Follower,
        operation: impl Fn(Access, &Place) -> B,
    ) -> Result<Found<T>, SessionError>
    where
        B: Batch<Memory, Output = Result<Reached<T>, StoreError>>,
    {
        let store = &self.0.store;
        let mut place = target.place;
        for _ in 0..=MAX_MOVES {
            let access = |via| Access {
                key: place.key(store.names()),
                via,
                rules: self.rules(),
                lineage: target.lineage.clone(),
                touch: target.touch,
            };
            let mut reached = store.execute(operation(access(place.via), &place)).await;
            if let Ok(Reached::Unconfirmed(previous)) = &reached {
                let touch = TouchSession {
                    access: access(Via::Old),
                    first_use: Some(self.first_use(&place, previous)),
                };
                match store.execute(touch).await {
                    Ok(_) => continue,
                    Err(error) => reached = Err(error),
                }
            }
            match reached {
                Ok(Reached::Here(answer)) => return Ok(Found::Here(place, answer)),
                Ok(Reached::Moved(pointer)) if pointer.leads(follower) => place.follow(pointer),
                Ok(Reached::TooLarge) => return Err(self.state().too_large()),
                Ok(Reached::Another) => return Ok(Found::Another),
                Ok(Reached::Moved(_) | Reached::Unconfirmed(_) | Reached::Gone) => {
                    return Ok(Found::Nowhere);
                }
                Err(error) => {
                    self.state().failed = Some(error.clone());
                    return Err(error.into());
                }
            }
        }
        Ok(Found::Nowhere)
    }
}
