//! The keys of one layer's sessions.

use smallvec::SmallVec;

use super::super::session_index;
use crate::store::key::{Key, Namespace};

/// Names the keys of the sessions that share a name, in a namespace of the store. Sessions of
/// different names are kept apart: an id of one is unknown to the others, and so is a user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    namespace: &'a Namespace,
    /// Empty for those that most applications have alone.
    name: &'a str,
}

impl<'a> Names<'a> {
    /// `name` has neither colon nor brace.
    pub(crate) fn new(namespace: &'a Namespace, name: &'a str) -> Self {
        Self { namespace, name }
    }

    /// `{namespace}:session:{{slot}}:{id_hash}`, or with a name
    /// `{namespace}:session:{name}:{{slot}}:{id_hash}`, and so for the others. A renewed id keeps its
    /// slot tag, so that the move from the old id to the new one is atomic on a cluster too.
    pub(crate) fn session(self, slot: &str, id_hash: &str) -> Key {
        self.key(super::NAMES[0], &["{", slot, "}:", id_hash])
    }

    /// `{namespace}:session_index:{{user}}`: the sessions of a user, whose digest `user` is.
    pub(crate) fn index(self, user: &str) -> Key {
        self.key(session_index::NAMES[0], &["{", user, "}"])
    }

    /// `{namespace}:session_place:{{slot}}:{lineage}`: the place of a session, in its own slot.
    pub(crate) fn place(self, slot: &str, lineage: &str) -> Key {
        self.key(session_index::NAMES[1], &["{", slot, "}:", lineage])
    }

    fn key(self, kind: &str, parts: &[&str]) -> Key {
        if self.name.is_empty() {
            return self.namespace.key(kind, parts);
        }
        let named = [self.name, ":"].into_iter().chain(parts.iter().copied());
        let parts: SmallVec<[&str; 6]> = named.collect();
        self.namespace.key(kind, &parts)
    }
}
