//! Changing a stored value at once, by compare-and-set.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::MutexGuard;

use super::{
    super::{error::SessionError, id::Place},
    Session,
    reach::Target,
    state::State,
};
use crate::store::operations::session::{Follower, Swap, SwapSession};

/// Attempts of [`Session::update`]; each that fails means that another writer succeeded.
const MAX_ATTEMPTS: usize = 100;

impl Session {
    /// As [`update`](Self::update), with another type for the new value, and an error that leaves
    /// all as it was.
    pub(super) async fn replace<T, U>(
        &self,
        key: &str,
        f: impl FnMut(Option<T>) -> Result<U, SessionError>,
    ) -> Result<U, SessionError>
    where
        T: DeserializeOwned,
        U: Serialize,
    {
        let _turn = self.turn_to_change(key).await?;
        self.replace_stored(key, f).await
    }

    /// Removes the value of `key` and answers it: of several requests at once, one gets it. `about_to`
    /// is called with it before it is removed, and again where that was in vain.
    pub(super) async fn take<T: DeserializeOwned>(
        &self,
        key: &str,
        mut about_to: impl FnMut(Option<&T>),
    ) -> Result<Option<T>, SessionError> {
        let _turn = self.turn_to_change(key).await?;
        let remove = |text: Option<&Bytes>| {
            let value = text.and_then(|text| self.read(key, text));
            about_to(value.as_ref());
            Ok((None, value))
        };
        self.exchange(key, remove).await
    }

    /// Waits until the session may be changed, with what it has under `key` loaded.
    async fn turn_to_change(&self, key: &str) -> Result<MutexGuard<'_, ()>, SessionError> {
        if !self.used().is_local(key) {
            self.load().await?;
        }
        let turn = self.0.turn.lock().await;
        self.state().writable()?;
        Ok(turn)
    }

    /// As `replace`, for a caller that has the turn and has loaded the session.
    pub(super) async fn replace_stored<T, U>(
        &self,
        key: &str,
        mut f: impl FnMut(Option<T>) -> Result<U, SessionError>,
    ) -> Result<U, SessionError>
    where
        T: DeserializeOwned,
        U: Serialize,
    {
        let replace = |text: Option<&Bytes>| {
            let new = f(text.and_then(|text| self.read(key, text)))?;
            Ok((Some(self.encode(key, &new)?), new))
        };
        self.exchange(key, replace).await
    }

    /// Replaces what is stored under `key` by what `f` makes of it, both as JSON, and answers what else
    /// `f` says; `None` is nothing stored.
    async fn exchange<R>(
        &self,
        key: &str,
        mut f: impl FnMut(Option<&Bytes>) -> Result<(Option<Bytes>, R), SessionError>,
    ) -> Result<R, SessionError> {
        for _ in 0..MAX_ATTEMPTS {
            let (target, expected) = {
                let state = self.state();
                (self.stored_target(&state, key), state.value(key))
            };
            let Some(target) = target else {
                let (text, answer) = f(expected.as_ref())?;
                let mut state = self.state();
                state.writable()?;
                match text {
                    Some(text) => state.change(key, text, &self.bounds())?,
                    None => drop(state.changes.fields.insert(key.into(), None)),
                }
                return Ok(answer);
            };
            let opened = (expected.as_ref()).and_then(|value| self.open(&target.place, key, value));
            let (text, answer) = f(opened.as_ref().map(|opened| &opened.text))?;
            let value = text.map(|text| self.seal(&target.place, key, text));
            let value = value.transpose()?;
            if let Some(value) = &value {
                self.state().check(key, value, &self.bounds())?;
            }
            let swap = |access, _: &Place| SwapSession {
                access,
                field: key.into(),
                expected: expected.clone(),
                value: value.clone(),
            };
            let found = self.reach(&target, Follower::Request, swap).await?;
            match found.answer() {
                Some(Swap::Done) => {
                    self.state().learn(key, value);
                    return Ok(answer);
                }
                Some(Swap::Conflict(current)) => self.state().learn(key, current),
                None => self.state().gone()?,
            }
        }
        Err(SessionError::Contended(key.into()))
    }

    /// Where an immediate change of `key` goes; `None` if only this request knows of the key.
    pub(super) fn target_of(&self, key: &str) -> Result<Option<Target>, SessionError> {
        let state = self.state();
        state.writable()?;
        Ok(self.stored_target(&state, key))
    }

    fn stored_target(&self, state: &State, key: &str) -> Option<Target> {
        self.target(&state.stored).filter(|_| !state.is_local(key))
    }

    /// Encrypts a value anew that an earlier key has encrypted, if it is still the same in the
    /// store. A read does not fail when this does.
    pub(super) async fn rewrite(&self, key: &str, old: &Bytes, text: &Bytes) {
        if let Ok(Some(target)) = self.target_of(key)
            && let Ok(new) = self.seal(&target.place, key, text.clone())
        {
            let swap = |access, _: &Place| SwapSession {
                access,
                field: key.into(),
                expected: Some(old.clone()),
                value: Some(new.clone()),
            };
            let _turn = self.0.turn.lock().await;
            if self.state().failed.is_some() {
                return;
            }
            let found = self.reach(&target, Follower::Request, swap).await;
            match found.map(|found| found.answer()) {
                Ok(Some(Swap::Done)) => self.state().learn(key, Some(new)),
                Ok(_) => {}
                // The request has not failed: the next one that reads the value tries again.
                Err(_) => self.state().failed = None,
            }
        }
    }
}
