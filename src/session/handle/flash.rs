//! Messages for the next page.

use serde::{Deserialize, Serialize};

use super::{super::error::SessionError, Session};

/// The session's key for messages. They count to its bounds.
const KEY: &str = "_flash";

/// A message that the next page shows once, as after a redirect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// What it is about: `success`, `error` or what the application likes.
    pub level: String,
    /// The message. Escape it, as all text in a page.
    pub text: String,
}

impl Session {
    /// Leaves a message for the next page. As an [`update`](Self::update): atomically, and on a
    /// stored session at once.
    ///
    /// ```
    /// # use tower_keep::session::{Session, SessionError};
    /// async fn save(session: Session) -> Result<(), SessionError> {
    ///     session.flash("success", "Your profile was saved.").await
    /// }
    ///
    /// async fn page(session: Session) -> Result<String, SessionError> {
    ///     let messages = session.take_flashes().await?;
    ///     Ok(messages.into_iter().map(|message| message.text).collect())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`update`](Self::update).
    pub async fn flash(&self, level: &str, text: &str) -> Result<(), SessionError> {
        let message = Flash {
            level: level.to_owned(),
            text: text.to_owned(),
        };
        let push = |messages: Option<Vec<Flash>>| {
            let mut messages = messages.unwrap_or_default();
            messages.push(message.clone());
            messages
        };
        self.update(KEY, push).await.map(drop)
    }

    /// The messages for this page, which are removed at once: of two pages at the same time one gets
    /// them, and what is left for the next page meanwhile stays.
    ///
    /// They are given back when the page does not go out: before the response where that is a 5xx, and
    /// in a task of its own after a panic or when the client has left.
    ///
    /// One round trip if nothing was loaded yet, and one more if there are any.
    ///
    /// # Errors
    ///
    /// As of [`update`](Self::update).
    pub async fn take_flashes(&self) -> Result<Vec<Flash>, SessionError> {
        if self.get::<Vec<Flash>>(KEY).await?.is_none() {
            return Ok(Vec::new());
        }
        let before = self.state().taken.clone();
        let note = |messages: Option<&Vec<Flash>>| {
            let mut state = self.state();
            // What only this request knows of is dropped with its other changes.
            if !state.closed && !state.is_local(KEY) {
                let messages = messages.into_iter().flatten();
                state.taken = before.iter().chain(messages).cloned().collect();
            }
        };
        Ok(self.take(KEY, note).await?.unwrap_or_default())
    }

    /// Gives back the messages of a page that nobody gets.
    pub(in crate::session) async fn give_back(&self) {
        let _turn = self.0.turn.lock().await;
        let taken = {
            let state = self.state();
            match state.failed {
                None => state.taken.clone(),
                Some(_) => Vec::new(),
            }
        };
        if taken.is_empty() {
            return;
        }
        let put = |left: Option<Vec<Flash>>| {
            let mut left = left.unwrap_or_default();
            // They are still there where the request was given up before they were removed.
            if !left.starts_with(&taken) {
                left.splice(..0, taken.iter().cloned());
            }
            Ok(left)
        };
        match self.replace_stored(KEY, put).await {
            Ok(_) | Err(SessionError::Ended) => {}
            Err(error) => {
                tracing::warn!(target: "tower_keep::session", %error, "messages for the next page are lost");
            }
        }
        self.state().taken.clear();
    }
}
