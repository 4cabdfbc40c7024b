//! Committing while the handler runs, and after the head of the response.

use std::sync::Arc;

use super::{
    super::{error::SessionError, lifetime::SessionLifetime},
    Session, Shared,
    stored::{Stored, Written},
};
use crate::store::{
    StoreError,
    operations::session::{Changes, Lifetime, Prospect},
};

impl Session {
    /// Commits what was written so far at once, within the store's deadline, and keeps the session
    /// usable after the head of the response: for a stream of events, a WebSocket, a long job.
    ///
    /// Call it before the handler returns. From then on this handle and its clones read and write
    /// also after the head of the response, and what they write is stored by the next `save`. What is
    /// never saved is lost, with an event at level `warn`. A read after it asks the store again, so
    /// that a long job sees what others have changed.
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// use std::{convert::Infallible, time::Duration};
    /// use axum::response::sse::{Event, Sse};
    /// use tokio_stream::{Stream, StreamExt, wrappers::IntervalStream};
    /// use tower_keep::session::{Session, SessionError};
    ///
    /// async fn ticks(
    ///     session: Session,
    /// ) -> Result<Sse<impl Stream<Item = Result<Event, SessionError>>>, SessionError> {
    ///     session.require_user().await?;
    ///     session.save().await?;
    ///     let ticks = IntervalStream::new(tokio::time::interval(Duration::from_secs(1)));
    ///     let events = ticks.then(move |_| {
    ///         let session = session.clone();
    ///         async move {
    ///             // An error when the user has logged out meanwhile: the stream ends.
    ///             let ticks = session.increment("ticks", 1).await?;
    ///             session.insert("seen", ticks)?;
    ///             session.save().await?;
    ///             Ok(Event::default().data(ticks.to_string()))
    ///         }
    ///     });
    ///     Ok(Sse::new(events))
    /// }
    /// # let app: axum::Router = axum::Router::new().route("/ticks", axum::routing::get(ticks));
    /// # }
    /// ```
    ///
    /// - *Before the head*: a [`login`](Self::login) or another new id is stored at once, and the
    ///   response hands it out, also when it is a 5xx. What was saved stays, whatever the response is.
    /// - *After the head* no cookie can be sent: a login, a renewal, another lifetime, and the first
    ///   change of a client that has no session are [`SessionError::TooLateForCookie`].
    /// - *Others*: after a logout or a revocation, what was written is dropped and this is
    ///   [`SessionError::Ended`]. When the id was renewed, it lands in the session under the new id.
    ///
    /// One round trip, one more if nothing was loaded yet, and those of a login.
    ///
    /// # Errors
    ///
    /// [`SessionError::Ended`] and [`SessionError::TooLarge`]: what was written is dropped.
    /// [`SessionError::Unavailable`]: the changes may have been stored, or not; before the head the
    /// response becomes a 503, after it they are kept and the next `save` tries again. The same goes
    /// for a `save` that is dropped before it is done, as by a timeout around it.
    /// [`SessionError::Committed`] after the head without a `save` before it.
    pub async fn save(&self) -> Result<(), SessionError> {
        drop(self.used());
        self.load_unless_known().await?;
        let _turn = self.0.turn.lock().await;
        let (plan, closed) = {
            let mut state = self.state();
            state.writable()?;
            state.kept = true;
            let closed = state.closed;
            let plan = self.plan(&mut state, !closed);
            state.read_anew();
            (plan, closed)
        };
        let Some(mut plan) = plan else {
            return Ok(());
        };
        if plan.target.is_none() && closed {
            return Err(SessionError::TooLateForCookie);
        }
        let (changes, chosen) = (plan.changes.clone(), plan.lifetime);
        let mut unanswered = Unanswered {
            session: self,
            changes: Some(changes.clone()),
        };
        let written = self.write(&mut plan).await;
        unanswered.changes = None;
        let mut state = self.state();
        match written {
            Ok(Written::Dropped(lineage)) => {
                state.stored = Stored::Ended(lineage);
                Err(SessionError::Ended)
            }
            Ok(written) => {
                state.written(written, chosen.map(|own| self.prospect(own)));
                Ok(())
            }
            Err(error) => {
                if closed && matches!(error, SessionError::Unavailable(_)) {
                    state.put_back((*changes).clone());
                }
                Err(error)
            }
        }
    }

    /// Asks the store which session it is, unless that is known.
    async fn load_unless_known(&self) -> Result<(), SessionError> {
        let known = match &self.state().stored {
            Stored::Unknown => false,
            Stored::Written { seen, .. } => seen.is_some(),
            Stored::Absent | Stored::Live(_) | Stored::Ended(_) => true,
        };
        match known {
            true => Ok(()),
            false => self.load().await,
        }
    }

    /// For how long a session may live with this lifetime, or with its layer's.
    pub(super) fn prospect(&self, own: Option<SessionLifetime>) -> Prospect {
        let own = own.map(Lifetime::from);
        Prospect {
            remaining: self.rules().of(own).absolute,
            persistent: own.and_then(Lifetime::persistent),
        }
    }
}

/// A save of which nobody knows what it has stored, if it is dropped with its changes: the handler
/// has stopped waiting for it.
struct Unanswered<'a> {
    session: &'a Session,
    changes: Option<Arc<Changes>>,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(changes) = self.changes.take() {
            let mut state = self.session.state();
            state.put_back((*changes).clone());
            if !state.closed {
                // An id may have been stored that the client would never learn of.
                state.renew = true;
                state.failed.get_or_insert(StoreError::Unavailable);
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let state = state.unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.kept && state.has_changes() {
            tracing::warn!(target: "tower_keep::session", "changes of a session after the head of its response were never saved: they are lost");
        }
    }
}
