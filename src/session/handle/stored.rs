//! What a request knows of the session in the store.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::{id::Place, transport::Issue};
use crate::store::operations::session::{Age, Fields, Lifetime, LoadedSession, Rules};

/// What is known of the stored session.
#[derive(Debug)]
pub(super) enum Stored {
    /// The client has sent an id and the store was not asked about it.
    Unknown,
    /// There is none: no id, an unknown one, or the session was destroyed by this request.
    Absent,
    /// This request has saved it, and not read it since; which session it is, if that is known.
    Written {
        place: Place,
        seen: Option<Seen>,
    },
    Live(LiveSession),
    /// It was there when it was loaded, and then no more. Its lineage.
    Ended(Arc<str>),
}

/// Which session it is, and whose.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) lineage: Arc<str>,
    /// Who is logged in.
    pub(super) user: Option<Arc<str>>,
    /// What is stored of when it ends.
    pub(super) lifetime: Option<Lifetime>,
}

impl Seen {
    pub(super) fn of(session: &LoadedSession) -> Self {
        Self {
            lineage: session.lineage.clone(),
            user: session.user.clone(),
            lifetime: session.lifetime,
        }
    }
}

/// How a commit went.
pub(super) enum Written {
    /// The session is here, under the id that led there; as it is now, if that is known.
    Here(Place, Option<Seen>),
    /// Likewise, under a new id.
    NewId(Issue, Option<Seen>),
    /// The session of this lineage has ended.
    Dropped(Arc<str>),
    /// There was nothing to store.
    Nothing,
}

#[derive(Debug)]
pub(super) struct LiveSession {
    pub(super) place: Place,
    pub(super) seen: Seen,
    /// At the load, after the touch that was due then.
    pub(super) age: Age,
    loaded_at: Instant,
    /// As of the load, and with this request's own immediate changes.
    pub(super) fields: Fields,
}

impl LiveSession {
    pub(super) fn new(place: Place, session: LoadedSession) -> Self {
        Self {
            place,
            seen: Seen::of(&session),
            age: session.age,
            loaded_at: Instant::now(),
            fields: session.fields,
        }
    }

    /// Whether activity has to be noted again since the load.
    pub(super) fn touch_due(&self, rules: &Rules) -> bool {
        let rules = rules.of(self.seen.lifetime);
        self.age.touch_due(&rules, self.loaded_at.elapsed())
    }
}
