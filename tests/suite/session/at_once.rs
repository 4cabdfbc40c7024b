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
    renewals_and_writers_at_once_keep_what_was_written,
    two_logins_at_once_are_both_logged_in,
    lists_and_logins_at_once_leave_nobody_unlisted,
    nothing_is_read_in_any_process_once_a_revocation_has_returned,
);

const RUNS: usize = 100;

/// Another process over the same store.
async fn another(stand: &Stand) -> Store {
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

async fn user(client: &Client) -> Option<String> {
    let user = client.visit(async |session| session.user().await.unwrap());
    user.await.map(|user| user.to_string())
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
        assert_eq!(user(&client).await, None, "run {run}");
        if stand.is_redis() {
            assert_eq!(stand.session_keys(), [""; 0], "run {run}");
        }
    }
}

/// Every read is a touch.
async fn logouts_and_touches_at_once_leave_no_session(stand: Stand) {
    let touching = |layer: SessionLayer| layer.with_touch_fraction(0.0).unwrap();
    let layer = touching(SessionLayer::new(another(&stand).await));
    for run in 0..RUNS {
        let client = stand.logged_in("ada").await;
        let start = Arc::new(Barrier::new(9));
        let mut requests = JoinSet::new();
        for _ in 0..8 {
            let (reader, start) = (at(&client, &layer), start.clone());
            requests.spawn(async move {
                start.wait().await;
                user(&reader).await;
            });
        }
        let leaver = client.copy();
        requests.spawn(async move {
            start.wait().await;
            leaver.logout().await;
        });
        requests.join_all().await;
        assert_eq!(user(&client).await, None, "run {run}");
        if stand.is_redis() {
            assert_eq!(stand.session_keys(), [""; 0], "run {run}");
        }
    }
}

async fn renewals_and_writers_at_once_keep_what_was_written(stand: Stand) {
    for run in 0..RUNS {
        let grace = Duration::from_secs(if run % 2 == 0 { 0 } else { 10 });
        let here = stand.layer.clone().with_renewal_grace(grace).unwrap();
        let client = Client::of(here);
        client.login("ada").await;
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
        assert_eq!(user(&client).await.as_deref(), Some("ada"));
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
            assert_eq!(user(browser).await.as_deref(), Some("ada"), "run {run}");
            assert_eq!(browser.get("k").await, Some(json!(1)), "run {run}");
        }
        assert_eq!(user(&client).await, None, "run {run}");
        let ada = UserSessions::new(stand.store.clone(), "ada").unwrap();
        assert_eq!(ada.revoke_all().await.unwrap(), 1, "run {run}");
    }
}

/// Also when a list finds sessions that have ended, which it forgets.
async fn lists_and_logins_at_once_leave_nobody_unlisted(stand: Stand) {
    let capped = |store| {
        SessionLayer::new(store)
            .with_max_sessions_per_user(4)
            .unwrap()
    };
    let layers = [capped(stand.store.clone()), capped(another(&stand).await)];
    for run in 0..RUNS {
        let start = Arc::new(Barrier::new(5));
        let mut requests = JoinSet::new();
        for n in 0..3 {
            let (client, start) = (Client::of(layers[n % 2].clone()), start.clone());
            requests.spawn(async move {
                start.wait().await;
                client.login("ada").await;
                if n == 2 {
                    client.logout().await;
                }
                Some(client)
            });
        }
        for _ in 0..2 {
            let ada = UserSessions::new(stand.store.clone(), "ada").unwrap();
            let start = start.clone();
            requests.spawn(async move {
                start.wait().await;
                ada.list().await.unwrap();
                None
            });
        }
        let clients: Vec<_> = requests.join_all().await.into_iter().flatten().collect();
        let ada = UserSessions::new(stand.store.clone(), "ada").unwrap();
        let listed = ada.list().await.unwrap().len();
        let mut live = 0;
        for client in &clients {
            live += usize::from(user(client).await.is_some());
        }
        assert_eq!((live, listed), (2, 2), "run {run}");
        ada.revoke_all().await.unwrap();
    }
}

/// Readers in another process ask all the time, while the session is also renewed.
async fn nothing_is_read_in_any_process_once_a_revocation_has_returned(stand: Stand) {
    let layer = SessionLayer::new(another(&stand).await);
    for run in 0..RUNS {
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
                        _ => user(&reader).await,
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
        if run % 2 == 0 {
            tokio::task::yield_now().await;
        }
        ada.revoke_all().await.unwrap();
        revoked.store(true, Ordering::SeqCst);
        while let Some(reader) = requests.join_next().await {
            reader.unwrap();
        }
    }
}

#[tokio::test]
async fn twenty_logins_at_once_a_hundred_times_stay_within_the_cap() {
    let stand = Stand::redis().await;
    let capped = |store| {
        SessionLayer::new(store)
            .with_max_sessions_per_user(3)
            .unwrap()
    };
    let layers = [capped(stand.store.clone()), capped(another(&stand).await)];
    for run in 0..RUNS {
        let start = Arc::new(Barrier::new(20));
        let mut logins = JoinSet::new();
        for n in 0..20 {
            let (client, start) = (Client::of(layers[n % 2].clone()), start.clone());
            logins.spawn(async move {
                start.wait().await;
                client.login("ada").await;
                client
            });
        }
        let mut live = 0;
        for client in logins.join_all().await {
            live += usize::from(client.id().is_some() && user(&client).await.is_some());
        }
        assert_eq!(live, 3, "run {run}");
        // Two logins in one millisecond are as old as each other.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
