//! What a handle does on the stored session at once: load, increment, update, destroy.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Session, SessionError,
    handle::encode,
    id::{Place, SessionId},
    report,
    state::{Stored, Target},
};
use crate::store::{
    Batch, StoreError,
    operations::{
        Memory,
        session::{
            Access, DestroySession, FirstUse, Follower, IncrementSession, LoadSession,
            LoadedSession, Reached, Swap, SwapSession, TouchSession, Via,
        },
    },
};

/// How many steps may lead from an id to its session.
const MAX_MOVES: usize = 16;
/// Attempts of [`Session::update`]; each that fails means that another writer succeeded.
const MAX_ATTEMPTS: usize = 100;

/// What has become of an operation.
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

    fn answer(self) -> Option<T> {
        match self {
            Self::Here(_, answer) => Some(answer),
            Self::Another | Self::Nowhere => None,
        }
    }
}

impl Session {
    /// Adds `by` to the integer under `key`, atomically, and answers the sum; an absent value,
    /// or one that is no 64-bit integer, counts as 0. One round trip, one more after a
    /// [`login`](Self::login) if nothing was loaded yet.
    ///
    /// On a stored session this happens at once and is not undone by a 5xx. Where there is no
    /// session yet, or this request has a change of `key` to commit, it becomes part of that.
    ///
    /// # Errors
    ///
    /// [`SessionError::Overflow`], and those of [`insert`](Self::insert).
    pub async fn increment(&self, key: &str, by: i64) -> Result<i64, SessionError> {
        let logs_in = self.used().login.is_some();
        if logs_in {
            self.load().await?;
        }
        let _turn = self.0.turn.lock().await;
        if let Some(target) = self.target_of(key)? {
            self.check_sum(key, by)?;
            let increment = |access, _: &Place| IncrementSession {
                access,
                field: key.into(),
                by,
            };
            let found = self.reach(target, Follower::Request, increment).await?;
            if let Some(sum) = found.answer() {
                let sum = sum.ok_or_else(|| SessionError::Overflow(key.into()))?;
                self.state().learn(key, Some(sum.to_string().into()));
                return Ok(sum);
            }
            self.state().gone()?;
        }
        let mut state = self.state();
        state.writable()?;
        let sum = IncrementSession::sum(state.value(key).as_ref(), by)
            .ok_or_else(|| SessionError::Overflow(key.into()))?;
        state.change(key, sum.to_string().into(), &self.rules())?;
        Ok(sum)
    }

    /// Replaces the value of `key` by what `f` makes of it, and answers the new one. When
    /// another request changes it in between, `f` is called again with what is there then.
    ///
    /// On a stored session this happens at once and is not undone by a 5xx, in one round trip
    /// when the session was loaded, two when not, and one more for each interference. Where
    /// there is no session yet, or this request has a change of `key` to commit, it becomes
    /// part of that.
    ///
    /// # Errors
    ///
    /// [`SessionError::Contended`] after 100 attempts, and those of [`insert`](Self::insert).
    pub async fn update<T, F>(&self, key: &str, mut f: F) -> Result<T, SessionError>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> T,
    {
        if !self.used().is_local(key) {
            self.load().await?;
        }
        let _turn = self.0.turn.lock().await;
        for _ in 0..MAX_ATTEMPTS {
            let target = self.target_of(key)?;
            let expected = self.state().value(key);
            let new = f((expected.as_ref()).and_then(|value| self.decode(key, value)));
            let value = encode(key, &new)?;
            let Some(target) = target else {
                let mut state = self.state();
                state.writable()?;
                state.change(key, value, &self.rules())?;
                return Ok(new);
            };
            self.state().check(key, &value, &self.rules())?;
            let swap = |access, _: &Place| SwapSession {
                access,
                field: key.into(),
                expected: expected.clone(),
                value: value.clone(),
            };
            let found = self.reach(target, Follower::Request, swap).await?;
            match found.answer() {
                Some(Swap::Done) => {
                    self.state().learn(key, Some(value));
                    return Ok(new);
                }
                Some(Swap::Conflict(current)) => self.state().learn(key, current),
                None => self.state().gone()?,
            }
        }
        Err(SessionError::Contended(key.into()))
    }

    /// Ends the session, at once and for every process: a logout. What the request has changed
    /// is dropped with it, and the response takes the cookie back. What is written after it
    /// makes a new session. One round trip; none without a session cookie, and one or two more
    /// over an id that was renewed or is new.
    ///
    /// # Errors
    ///
    /// [`SessionError::Unavailable`]: the session may live on; [`SessionError::Committed`].
    pub async fn destroy(&self) -> Result<(), SessionError> {
        drop(self.used());
        let _turn = self.0.turn.lock().await;
        let target = {
            let state = self.state();
            match state.writable() {
                Ok(()) => self.target(&state.stored),
                // It is gone already, as it should be.
                Err(SessionError::Ended) => None,
                Err(error) => return Err(error),
            }
        };
        if let Some(target) = target {
            let destroy = |access, place: &Place| DestroySession {
                access,
                presented: (self.0.presented.as_ref())
                    .filter(|_| place.via != Via::Presented)
                    .map(|id| id.place().key(self.0.store.names())),
            };
            self.reach(target, Follower::Logout, destroy).await?;
        }
        self.state().destroyed(self.0.presented.is_some());
        Ok(())
    }

    /// Asks the store for the session, unless that was done.
    pub(super) async fn load(&self) -> Result<(), SessionError> {
        let on_error = self.0.config.on_store_error;
        if self.state().readable(on_error)? {
            return Ok(());
        }
        // As a rule there is nobody to wait for.
        let _turn = match self.0.turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                let turn = self.0.turn.lock().await;
                if self.state().readable(on_error)? {
                    return Ok(());
                }
                turn
            }
        };
        let Some(target) = self.target(&Stored::Unknown) else {
            return Ok(());
        };
        let load = |access, _: &Place| LoadSession(access);
        match self.reach(target, Follower::Request, load).await {
            Ok(Found::Here(place, session)) => {
                let touched = self.touch(&place, &session).await;
                let mut state = self.state();
                state.loaded(place, session);
                if touched {
                    state.touched();
                }
            }
            Ok(Found::Another | Found::Nowhere) => self.state().stored = Stored::Absent,
            // It is noted in the state by now, and an error or not as the policy says.
            Err(_) => {
                self.state().readable(on_error)?;
            }
        }
        Ok(())
    }

    /// Notes the activity of a request that has read its session, and that a new id came back,
    /// where it has to be noted. A read does not fail because this does: it is tried again at
    /// the next one.
    async fn touch(&self, place: &Place, session: &LoadedSession) -> bool {
        let rules = self.rules();
        let first_use = (session.unconfirmed.as_ref())
            .filter(|_| place.via == Via::Presented)
            .map(|previous| self.first_use(place, previous));
        if first_use.is_none() && !session.age.touch_due(&rules, std::time::Duration::ZERO) {
            return false;
        }
        let touch = TouchSession {
            access: Access {
                key: place.key(self.0.store.names()),
                via: Via::Old,
                rules,
                lineage: Some(session.lineage.clone()),
                touch: true,
            },
            first_use,
        };
        match self.0.store.execute(touch).await {
            Ok(_) => true,
            Err(error) => {
                report::untouched(&error);
                false
            }
        }
    }

    fn first_use(&self, place: &Place, previous: &str) -> FirstUse {
        FirstUse {
            key: place.of_hash(previous.into()).key(self.0.store.names()),
            id_hash: previous.into(),
            grace: self.0.config.grace,
        }
    }

    /// As far as the stored number is known.
    fn check_sum(&self, key: &str, by: i64) -> Result<(), SessionError> {
        let mut state = self.state();
        match IncrementSession::sum(state.value(key).as_ref(), by) {
            Some(sum) => state.check(key, &sum.to_string().into(), &self.rules()),
            // Another request may have changed it.
            None => Ok(()),
        }
    }

    /// Where an immediate change of `key` is to go; `None` if it is local.
    fn target_of(&self, key: &str) -> Result<Option<Target>, SessionError> {
        let state = self.state();
        state.writable()?;
        let local = state.is_local(key);
        Ok(self.target(&state.stored).filter(|_| !local))
    }

    /// Where the session stands as far as is known.
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

    /// Executes an operation where the session is, along the pointers that lead a `follower`
    /// there. A failure is noted and ends the use of the session.
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
