//! What stands under an id that was renewed: the way to the session, and who may take it.

/// The hash of another id, under which the session is, and whom it leads there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(crate) leads: Follower,
    pub(crate) id_hash: Box<str>,
}

/// Who follows a pointer; and, of a pointer, who may at the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Follower {
    /// Any request, a logout among them: the session is of the same user as before.
    Request,
    /// A login as the user whose session it is: another user's before, or nobody's.
    Login,
}

/// How an operation has come to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// The client has presented this id.
    Presented,
    /// By pointers that lead any request.
    Old,
    /// By one that leads only a login.
    Closed,
}

impl Pointer {
    /// Whether an operation of `follower` may go on to where this leads.
    pub(crate) fn leads(&self, follower: Follower) -> bool {
        self.leads <= follower
    }
}

impl Pointer {
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let (mark, id_hash) = text.split_first()?;
        let leads = match mark {
            b'>' => Follower::Request,
            b'x' => Follower::Login,
            _ => return None,
        };
        let id_hash = super::reply::utf8(id_hash)?;
        Some(Self { leads, id_hash })
    }
}

impl Via {
    pub(super) fn mark(self) -> &'static str {
        match self {
            Self::Presented => "",
            Self::Old => ">",
            Self::Closed => "x",
        }
    }
}
