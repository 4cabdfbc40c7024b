//! The first read of a request's session, and noting its activity.

use std::time::Duration;

use super::{
    super::{error::SessionError, id::Place, report},
    Session,
    reach::{Found, Target},
    stored::Seen,
};
use crate::store::operations::session::{
    Access, Follower, LoadSession, LoadedSession, TouchSession, Via,
};

/// A session that was found.
pub(super) struct Loaded {
    pub(super) place: Place,
    pub(super) session: LoadedSession,
    /// Whether its activity was noted meanwhile.
    pub(super) touched: bool,
}

impl Loaded {
    /// The way to it for the operations that follow.
    pub(super) fn target(self) -> Target {
        Target {
            seen: Some(Seen::of(&self.session)),
            place: self.place,
            touch: false,
        }
    }
}

impl Session {
    /// Asks the store for the session, unless that was done.
    pub(super) async fn load(&self) -> Result<(), SessionError> {
        let on_error = self.0.config.on_store_error;
        if self.state().readable(on_error)? {
            return Ok(());
        }
        // Almost always the turn is free, and then no lock has to be awaited.
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
        match self.fetch().await {
            // The state has the failure by now; the policy decides whether it is an error.
            Err(_) => self.state().readable(on_error).map(drop),
            Ok(()) => Ok(()),
        }
    }

    async fn fetch(&self) -> Result<(), SessionError> {
        let Some(target) = self.target(&self.state().stored) else {
            return Ok(());
        };
        let found = self.find(&target, Follower::Request).await;
        #[cfg(feature = "metrics")]
        if self.0.presented.is_some() {
            crate::metrics::session_load(match &found {
                Ok(Some(_)) => "found",
                Ok(None) => "absent",
                Err(_) => "failed",
            });
        }
        let found = found?;
        let mut state = self.state();
        match found {
            Some(found) => {
                state.loaded(found.place, found.session);
                if found.touched {
                    state.touched();
                }
            }
            None => drop(state.gone()),
        }
        Ok(())
    }

    /// Asks the store for a session, along the pointers that a `follower` may follow, and notes the
    /// activity where it is due. The caller has the turn.
    pub(super) async fn find(
        &self,
        target: &Target,
        follower: Follower,
    ) -> Result<Option<Loaded>, SessionError> {
        let load = |access, _: &Place| LoadSession(access);
        let Found::Here(place, session) = self.reach(target, follower, load).await? else {
            return Ok(None);
        };
        let touched = match self.touch_due(&place, &session) {
            Some(touch) => Box::pin(self.touch(touch)).await,
            None => false,
        };
        Ok(Some(Loaded {
            place,
            session,
            touched,
        }))
    }

    /// What notes the activity of a request, and that the client has presented a new id, when
    /// either is due.
    fn touch_due(&self, place: &Place, session: &LoadedSession) -> Option<TouchSession> {
        let rules = self.rules();
        let first_use = (session.unconfirmed.as_ref())
            .filter(|_| place.via == Via::Presented)
            .map(|previous| self.first_use(place, previous));
        let of_session = rules.of(session.lifetime);
        if first_use.is_none() && !session.age.touch_due(&of_session, Duration::ZERO) {
            return None;
        }
        Some(TouchSession {
            access: Access {
                key: place.key(self.names()),
                via: Via::Old,
                rules,
                lineage: Some(session.lineage.clone()),
                touch: true,
            },
            first_use,
        })
    }

    /// Whether the activity was noted. It is not where another request of this process is doing
    /// so. When this fails the read does not: the next request tries again.
    async fn touch(&self, touch: TouchSession) -> bool {
        let begun = self.0.config.touching.begin(&touch.access.key);
        if begun.is_none() && touch.first_use.is_none() {
            return false;
        }
        match self.0.store.execute(touch).await {
            Ok(_) => true,
            Err(error) => {
                report::untouched(&error);
                false
            }
        }
    }
}
