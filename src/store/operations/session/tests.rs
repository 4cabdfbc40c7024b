//! Interleavings of two requests, step by step on embedded memory: there a request is not interrupted
//! on one thread, but on two it is between any two of its operations. On Redis they are tested with
//! requests, whose replies are held back.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    Store,
    store::{
        key::Key,
        operations::session_index::{Condemn, Condemned, EnterIndex, Entered, Member},
    },
};

const HOUR: Duration = Duration::from_secs(3600);
const FIRST: &str = "first-lineage-16";
const SECOND: &str = "other-lineage-16";

/// A store, and what one user's requests execute on it.
struct Steps(Store);

impl Steps {
    fn new() -> Self {
        Self(Store::memory())
    }

    fn names(&self) -> Names<'_> {
        Names::new(self.0.names(), "")
    }

    fn key(&self, id: &str) -> Key {
        self.names().session("slot", id)
    }

    fn place(&self, lineage: &str) -> Key {
        self.names().place("slot", lineage)
    }

    fn index(&self) -> Key {
        self.names().index("ada")
    }

    fn rules() -> Rules {
        Rules {
            idle: HOUR,
            absolute: HOUR,
            touch_fraction: 0.0,
            max_bytes: 1000,
            max_keys: 10,
        }
    }

    fn access(&self, id: &str, lineage: &str) -> Access {
        Access {
            key: self.key(id),
            via: Via::Presented,
            rules: Self::rules(),
            lineage: Some(lineage.into()),
            touch: true,
        }
    }

    async fn create(&self, id: &str, lineage: &str, user: Option<&str>) -> bool {
        let create = CreateSession {
            key: self.key(id),
            rules: Self::rules(),
            lifetime: None,
            lineage: lineage.into(),
            user: user.map(|user| Bound {
                user: user.into(),
                place: self.place(lineage),
                id_hash: id.into(),
            }),
            fields: Arc::new([("k".into(), "1".into())].into()),
        };
        self.0.execute(create).await.unwrap()
    }

    /// A commit of a change and, for the lineage that it comes with, of a login as ada.
    async fn commit(&self, id: &str, lineage: &str, login: Option<&str>) -> Reached<Committed> {
        let commit = CommitSession {
            access: self.access(id, lineage),
            changes: Arc::new(Changes {
                cleared: false,
                fields: [("late".into(), Some("1".into()))].into(),
            }),
            lifetime: None,
            renewal: login.map(|lineage| {
                Box::new(Renewal {
                    user: Some("ada".into()),
                    old_hash: id.into(),
                    key: self.key("renewed"),
                    id_hash: "renewed".into(),
                    grace: HOUR,
                    lineage: lineage.into(),
                    place: Some(self.place(lineage)),
                    old_place: None,
                })
            }),
        };
        self.0.execute(commit).await.unwrap()
    }

    async fn touch(&self, id: &str, lineage: &str) -> Reached<()> {
        let touch = TouchSession {
            access: self.access(id, lineage),
            first_use: None,
        };
        self.0.execute(touch).await.unwrap()
    }

    async fn swap(&self, id: &str, expected: &'static str, value: &'static str) -> Reached<Swap> {
        let swap = SwapSession {
            access: self.access(id, FIRST),
            field: "k".into(),
            expected: Some(expected.into()),
            value: Some(value.into()),
        };
        self.0.execute(swap).await.unwrap()
    }

    async fn destroy(&self, id: &str, lineage: &str) {
        let destroy = DestroySession {
            access: self.access(id, lineage),
            presented: None,
        };
        let destroyed = self.0.execute(destroy).await.unwrap();
        assert!(matches!(destroyed, Reached::Here(_)));
    }

    async fn enter(&self, lineage: &str) -> Entered {
        let enter = EnterIndex {
            key: self.index(),
            member: Member {
                lineage: lineage.into(),
                slot: *b"slot",
            },
            most: 10,
            absolute: HOUR,
            device: Some("".into()),
            evicts: true,
        };
        self.0.execute(enter).await.unwrap()
    }

    async fn condemn(&self) -> usize {
        let condemn = Condemn {
            key: self.index(),
            which: Condemned::All,
        };
        self.0.execute(condemn).await.unwrap().len()
    }

    /// Ends a session that was found to be under `at`; answers where it is instead.
    async fn revoke(&self, lineage: &str, at: Option<&str>) -> Option<Box<str>> {
        let revoke = RevokeSession {
            place: self.place(lineage),
            lineage: lineage.into(),
            session: at.map(|id| (self.key(id), id.into())),
        };
        match self.0.execute(revoke).await.unwrap() {
            Revoked::Moved(hash) => Some(hash),
            Revoked::Ended | Revoked::Absent => None,
        }
    }

    async fn is_live(&self, id: &str) -> bool {
        let peeked = self.0.execute(PeekSession(self.key(id))).await.unwrap();
        matches!(peeked, Reached::Here(_))
    }
}

#[tokio::test]
async fn what_a_logout_has_overtaken_brings_nothing_back() {
    let steps = Steps::new();
    assert!(steps.create("id", FIRST, None).await);
    steps.destroy("id", FIRST).await;
    assert_eq!(steps.commit("id", FIRST, None).await, Reached::Gone);
    assert_eq!(steps.commit("id", FIRST, Some(SECOND)).await, Reached::Gone);
    assert_eq!(steps.touch("id", FIRST).await, Reached::Gone);
    assert_eq!(steps.swap("id", "1", "2").await, Reached::Gone);
    assert!(!steps.is_live("id").await && !steps.is_live("renewed").await);
}

#[tokio::test]
async fn another_session_under_the_same_key_is_none_of_theirs() {
    let steps = Steps::new();
    assert!(steps.create("id", SECOND, None).await);
    assert_eq!(steps.commit("id", FIRST, None).await, Reached::Gone);
    assert_eq!(steps.touch("id", FIRST).await, Reached::Gone);
    assert_eq!(steps.swap("id", "1", "2").await, Reached::Gone);
    assert_eq!(steps.revoke(FIRST, Some("id")).await, None);
    assert!(steps.is_live("id").await);
}

#[tokio::test]
async fn a_revocation_that_overtakes_a_login_wins() {
    for existed in [false, true] {
        let steps = Steps::new();
        if existed {
            assert!(steps.create("id", FIRST, None).await);
        }
        assert_eq!(steps.enter(SECOND).await, Entered::Noted(Vec::new()));
        assert_eq!(steps.condemn().await, 1);
        assert_eq!(steps.revoke(SECOND, None).await, None);
        let stored = match existed {
            true => steps.commit("id", FIRST, Some(SECOND)).await != Reached::Gone,
            false => steps.create("id", SECOND, Some("ada")).await,
        };
        assert!(!stored && !steps.is_live("renewed").await);
        assert_eq!(steps.is_live("id").await, existed);
        // A login as the same user would be noted, and is not.
        assert_eq!(steps.enter(SECOND).await, Entered::Condemned);
    }
}

#[tokio::test]
async fn a_revocation_that_a_renewal_overtakes_is_told_where_the_session_is() {
    let steps = Steps::new();
    assert!(steps.create("id", FIRST, Some("ada")).await);
    // The renewal of the session's own user.
    let renewed = steps.commit("id", FIRST, Some(FIRST)).await;
    assert!(matches!(renewed, Reached::Here(Committed::NewId(_))));
    assert_eq!(
        steps.revoke(FIRST, Some("id")).await.as_deref(),
        Some("renewed")
    );
    assert!(steps.is_live("renewed").await);
    assert_eq!(steps.revoke(FIRST, Some("renewed")).await, None);
    assert!(!steps.is_live("renewed").await);
}

#[tokio::test]
async fn of_two_updates_of_one_value_the_second_is_told_of_the_first() {
    let steps = Steps::new();
    assert!(steps.create("id", FIRST, None).await);
    assert_eq!(steps.swap("id", "1", "2").await, Reached::Here(Swap::Done));
    let second = steps.swap("id", "1", "3").await;
    assert_eq!(second, Reached::Here(Swap::Conflict(Some("2".into()))));
}
