//! Races, each a hundred times: two requests that have both read the session go on at once. What the
//! same interleavings come to one by one is in `overtaken` and `interleavings`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{sync::Barrier, task::JoinSet};
use tower_keep::{
    Store,
    session::{Session, SessionLayer, UserSessions},
};

use super::{
    on_all_stores,
    stand::{Client, Stand},
};
use crate::harness::connected::PATIENT;

on_all_stores!(
    logouts_and_writers_at_once_leave_no_session,
    logouts_and_touches_at_once_leave_no_session,
    logouts_and_renewals_at_once_leave_no_session,
    renewals_and_writers_at_once_keep_what_was_written,
    two_logins_at_once_are_both_logged_in,
    nothing_is_read_in_any_process_once_a_revocation_has_returned,
);

pub(super) const RUNS: usize = 100;

/// Another process over the same store.
pub(super) async fn another(stand: &Stand) -> Store {
    match stand.is_redis() {
        true => stand.server().connected(PATIENT).await,
        false => stand.store.clone(),
    }
}

/// The same client at a server of another process.
fn at(client: &Client, layer: &SessionLayer) -> Client {
    let there = Client::of(layer.clone());
    there.plant(&client.id().unwrap());
    there
}

/// Sends two requests, which go on from their first read at once.
async fn both<A, B>(
    (first, one): (Client, impl FnOnce(Session) -> A + Send + 'static),
    (second, other): (Client, impl FnOnce(Session) -> B + Send + 'static),
) where
    A: Future<Output = ()> + Send,
    B: Future<Output = ()> + Send,
{
    let barrier = Arc::new(Barrier::new(2));
    let mut requests = JoinSet::new();
    let read = barrier.clone();
    requests.spawn(async move {
        let handler = async move |session: Session| {
            session.exists().await.unwrap();
            read.wait().await;
            one(session).await;
        };
        first.visit(handler).await;
    });
    requests.spawn(async move {
        let handler = async move |session: Session| {
            session.exists().await.unwrap();
            barrier.wait().await;
            other(session).await;
        };
        second.visit(handler).await;
    });
    while let Some(request) = requests.join_next().await {
        request.unwrap();
    }
}

async fn logouts_and_writers_at_once_leave_no_session(stand: Stand) {
    let layer = SessionLayer::new(another(&stand).await);
    for run in 0..RUNS {
        let client = stand.logged_in("ada").await;
        let writer = at(&client, &layer);
        both(
            (client.copy(), async |session: Session| {
                session.destroy().await.unwrap();
            }),
            (writer.clone(), async move |session: Session| {
                match run % 2 {
                    0 => session.insert("late", 1).unwrap(),
                    _ => drop(session.increment("late", 1).await),
                }
            }),
        )
        .await;
        assert_eq!(writer.get("late").await, None, "run {run}");
        assert_eq!(client.user().await, None, "run {run}");
        if stand.is_redis() {
            assert_eq!(stand.session_keys(), [""; 0], "run {run}");
        }
    }
}

/// Every read is a touch. Readers ask all the time, so that the logout comes between the two.
async fn logouts_and_touches_at_once_leave_no_session(stand: Stand) {
    let touching = |layer: SessionLayer| layer.with_touch_fraction(0.0).unwrap();
    let layer = touching(SessionLayer::new(another(&stand).await));
    for run in 0..RUNS {
        let client = stand.logged_in("ada").await;
        let left = Arc::new(AtomicBool::new(false));
        let mut requests = JoinSet::new();
        for _ in 0..4 {
            let (reader, left) = (at(&client, &layer), left.clone());
            requests.spawn(async move {
                loop {
                    let had_left = left.load(Ordering::SeqCst);
                    let seen = reader.user().await;
                    if had_left {
                        assert_eq!(seen, None, "run {run}");
                        return;
                    }
                    // On embedded memory nothing else lets the others go on.
                    tokio::task::yield_now().await;
                }
            });
        }
        for _ in 0..run % 10 {
            tokio::task::yield_now().await;
        }
        client.copy().logout().await;
        left.store(true, Ordering::SeqCst);
        while let Some(reader) = requests.join_next().await {
            reader.unwrap();
        }
        assert_eq!(client.user().await, None, "run {run}");
        if stand.is_redis() {
            assert_eq!(stand.session_keys(), [""; 0], "run {run}");
        }
    }
}

/// Whatever the order: the cookies that are left lead nowhere, since each logout came after the
/// login that gave it its cookie.
async fn logouts_and_renewals_at_once_leave_no_session(stand: Stand) {
    for run in 0..RUNS {
        let grace = Duration::from_secs(if run % 2 == 0 { 0 } else { 10 });
        let client = Client::of(stand.layer.clone().with_renewal_grace(grace).unwrap());
        client.login("ada").await;
        let start = Arc::new(Barrier::new(2));
        let (leaver, renewer) = (client.copy(), client.copy());
        let mut requests = JoinSet::new();
        let started = start.clone();
        let renewer_ = renewer.clone();
        requests.spawn(async move {
            let handler = async move |session: Session| {
                session.exists().await.unwrap();
                started.wait().await;
                session.renew().unwrap();
            };
            renewer_.visit(handler).await;
        });
        requests.spawn(async move {
            let handler = async move |session: Session| {
                start.wait().await;
                session.destroy().await.unwrap();
            };
            leaver.visit(handler).await;
        });
        requests.join_all().await;
        assert_eq!(renewer.get("user").await, None, "run {run}");
        assert_eq!(client.get("user").await, None, "run {run}");
    }
}

/// A user's session is found by its place even without a grace, and nobody's by what the grace leaves
/// under the old id.
async fn renewals_and_writers_at_once_keep_what_was_written(stand: Stand) {
    for run in 0..RUNS {
        let is_users = run % 2 == 0;
        let grace = Duration::from_secs(if is_users { 0 } else { 10 });
        let here = stand.layer.clone().with_renewal_grace(grace).unwrap();
        let client = Client::of(here);
        match is_users {
            true => client.login("ada").await,
            false => client.visit(async |s| s.insert("k", 1).unwrap()).await,
        }
        let writer = client.copy();
        both(
            (client.clone(), async |session: Session| {
                session.renew().unwrap();
            }),
            (writer, async move |session: Session| {
                session.insert("late", run).unwrap();
            }),
        )
        .await;
        assert_eq!(client.get("late").await, Some(json!(run)), "run {run}");
        assert_eq!(client.user().await.is_some(), is_users, "run {run}");
    }
}

/// Two logins over one id: whichever cookie the browser keeps, it is logged in.
async fn two_logins_at_once_are_both_logged_in(stand: Stand) {
    let layer = SessionLayer::new(another(&stand).await);
    for run in 0..RUNS {
        let client = stand.client();
        client.visit(async |s| s.insert("k", 1).unwrap()).await;
        let (one, other) = (client.copy(), at(&client, &layer));
        both(
            (one.clone(), async |session: Session| {
                session.login("ada").unwrap();
            }),
            (other.clone(), async |session: Session| {
                session.login("ada").unwrap();
            }),
        )
        .await;
        for browser in [&one, &other] {
            assert_eq!(browser.user().await.as_deref(), Some("ada"), "run {run}");
            assert_eq!(browser.get("k").await, Some(json!(1)), "run {run}");
        }
        assert_eq!(client.user().await, None, "run {run}");
        let ada = UserSessions::new(stand.store.clone(), "ada").unwrap();
        assert_eq!(ada.revoke_all().await.unwrap(), 1, "run {run}");
    }
}

/// Readers in another process ask all the time, while the session is also renewed, with a grace and
/// without.
async fn nothing_is_read_in_any_process_once_a_revocation_has_returned(stand: Stand) {
    let layer = SessionLayer::new(another(&stand).await);
    for run in 0..RUNS {
        let grace = Duration::from_secs(if run % 2 == 0 { 0 } else { 10 });
        let layer = layer.clone().with_renewal_grace(grace).unwrap();
        let client = stand.logged_in("ada").await;
        let revoked = Arc::new(AtomicBool::new(false));
        let mut requests = JoinSet::new();
        for n in 0..3 {
            let reader = at(&client, &layer);
            let revoked = revoked.clone();
            requests.spawn(async move {
                loop {
                    let was_revoked = revoked.load(Ordering::SeqCst);
                    let seen = match n {
                        0 => {
                            let renewed = reader.visit(async |session| {
                                session.renew().unwrap();
                                session.user().await.unwrap()
                            });
                            renewed.await.map(|user| user.to_string())
                        }
                        _ => reader.user().await,
                    };
                    if was_revoked {
                        assert_eq!(seen, None, "run {run}");
                        return;
                    }
                    // On embedded memory nothing else lets the others go on.
                    tokio::task::yield_now().await;
                }
            });
        }
        let ada = UserSessions::new(stand.store.clone(), "ada").unwrap();
        for _ in 0..run % 10 {
            tokio::task::yield_now().await;
        }
        ada.revoke_all().await.unwrap();
        revoked.store(true, Ordering::SeqCst);
        while let Some(reader) = requests.join_next().await {
            reader.unwrap();
        }
    }
}
