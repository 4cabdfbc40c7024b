//! The sessions of a user: listed, revoked, and no more of them than the cap.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::Response;
use serde_json::json;
use tokio::{sync::Barrier, task::JoinSet};
use tower_keep::{
    Store,
    session::{Session, SessionError, SessionInfo, SessionLayer, UserSessions},
};

use super::{
    on_all_stores,
    stand::{Client, Stand},
};
use crate::harness::connected::PATIENT;

on_all_stores!(
    a_user_sees_their_sessions_and_nobody_elses,
    a_session_keeps_its_handle_until_another_user_logs_in,
    a_revoked_session_is_gone_in_every_process_and_leaves_the_list,
    a_user_cannot_revoke_anothers_session,
    the_others_or_all_are_revoked_at_once,
    twenty_parallel_logins_leave_as_many_sessions_as_the_cap,
    a_login_at_the_cap_ends_the_oldest,
    what_has_ended_does_not_count_and_leaves_the_list,
    what_has_ended_by_itself_is_not_revoked,
    a_session_that_was_renewed_is_revoked_under_every_id,
    a_login_as_another_user_leaves_the_list_of_the_first,
    two_logins_with_one_cookie_are_one_session_in_the_list,
    two_logins_with_one_cookie_are_one_session_at_the_cap,
    a_slow_writer_of_a_revoked_session_brings_nothing_back,
    a_device_that_is_too_long_is_an_error,
    anonymous_sessions_are_in_no_list,
);

/// Another process over the same store.
async fn another(stand: &Stand) -> Store {
    match stand.is_redis() {
        true => stand.server().connected(PATIENT).await,
        false => stand.store.clone(),
    }
}

fn of(store: &Store, user: &str) -> UserSessions {
    UserSessions::new(store.clone(), user).unwrap()
}

async fn list(client: &Client) -> Vec<SessionInfo> {
    let list = client.visit(async |session| session.list_sessions().await.unwrap());
    list.await
}

async fn handle(client: &Client) -> String {
    let handle = client.visit(async |session| session.handle().await.unwrap());
    handle.await.expect("there is a session").to_string()
}

async fn is_logged_in(client: &Client) -> bool {
    let user = client.visit(async |session| session.user().await.unwrap());
    user.await.is_some()
}

async fn a_user_sees_their_sessions_and_nobody_elses(stand: Stand) {
    let (laptop, phone) = (stand.client(), stand.client());
    for (client, device) in [(&laptop, "laptop"), (&phone, "phone")] {
        client
            .visit(async |session| session.bind("ada", device).unwrap())
            .await;
    }
    let eve = stand.logged_in("eve").await;
    let sessions = list(&laptop).await;
    let devices: BTreeSet<_> = sessions.iter().map(|s| s.device.to_string()).collect();
    assert_eq!(devices, BTreeSet::from(["laptop".into(), "phone".into()]));
    for session in &sessions {
        assert_eq!(session.is_current, &*session.device == "laptop");
        assert!(session.last_seen_at >= session.created_at);
        for client in [&laptop, &phone] {
            assert!(!client.id().unwrap().contains(&*session.handle));
        }
    }
    assert_eq!(of(&stand.store, "ada").list().await.unwrap().len(), 2);
    assert_eq!(list(&eve).await.len(), 1);
    assert_eq!(of(&stand.store, "nobody").list().await.unwrap(), []);
}

async fn a_session_keeps_its_handle_until_another_user_logs_in(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let first = handle(&client).await;
    client.renew().await;
    client.login("ada").await;
    assert_eq!(handle(&client).await, first);
    assert_eq!(*list(&client).await[0].handle, *first);
    client.login("eve").await;
    assert_ne!(handle(&client).await, first);
}

async fn a_revoked_session_is_gone_in_every_process_and_leaves_the_list(stand: Stand) {
    let (thief, client) = (stand.logged_in("ada").await, stand.logged_in("ada").await);
    let elsewhere = Client::of(SessionLayer::new(another(&stand).await));
    elsewhere.plant(&thief.id().unwrap());
    assert!(is_logged_in(&elsewhere).await);
    let stolen = handle(&thief).await;
    let revoked = client.visit(async |session| session.revoke_session(&stolen).await.unwrap());
    assert!(revoked.await);
    assert!(!is_logged_in(&elsewhere).await);
    assert!(!is_logged_in(&thief).await);
    assert_eq!(list(&client).await.len(), 1);
    let again = client.visit(async |session| session.revoke_session(&stolen).await.unwrap());
    assert!(!again.await);

    // A session's own handle is a logout, with the cookie.
    let own = handle(&client).await;
    client
        .visit(async |session| assert!(session.revoke_session(&own).await.unwrap()))
        .await;
    assert_eq!(client.id(), None);
    assert_eq!(of(&stand.store, "ada").list().await.unwrap(), []);
}

async fn a_user_cannot_revoke_anothers_session(stand: Stand) {
    let (ada, eve) = (stand.logged_in("ada").await, stand.logged_in("eve").await);
    let wanted = handle(&ada).await;
    for handle in [&wanted, "no such handle", ""] {
        eve.visit(async |session| assert!(!session.revoke_session(handle).await.unwrap()))
            .await;
    }
    eve.visit(async |session| assert_eq!(session.revoke_other_sessions().await.unwrap(), 0))
        .await;
    assert!(is_logged_in(&ada).await);
    let anonymous = stand.client();
    anonymous
        .visit(async |session| assert!(!session.revoke_session(&wanted).await.unwrap()))
        .await;
    assert!(is_logged_in(&ada).await);
}

async fn the_others_or_all_are_revoked_at_once(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let others = [stand.logged_in("ada").await, stand.logged_in("ada").await];
    let eve = stand.logged_in("eve").await;
    client
        .visit(async |session| assert_eq!(session.revoke_other_sessions().await.unwrap(), 2))
        .await;
    for other in &others {
        assert!(!is_logged_in(other).await);
    }
    assert!(is_logged_in(&client).await);
    let other = stand.logged_in("ada").await;
    client
        .visit(async |session| assert_eq!(session.revoke_all_sessions().await.unwrap(), 2))
        .await;
    assert_eq!(client.id(), None);
    assert!(!is_logged_in(&other).await);
    assert!(is_logged_in(&eve).await);
    assert_eq!(of(&stand.store, "eve").revoke_all().await.unwrap(), 1);
    assert!(!is_logged_in(&eve).await);
}

fn capped(layer: SessionLayer) -> SessionLayer {
    layer.with_max_sessions_per_user(3).unwrap()
}

/// Logs `ada` in twenty times at once, in the processes of these stores, and gives the clients.
async fn twenty_logins(stores: &[Store]) -> Vec<Client> {
    let start = Arc::new(Barrier::new(20));
    let mut logins = JoinSet::new();
    for n in 0..20 {
        let client = Client::of(capped(SessionLayer::new(stores[n % stores.len()].clone())));
        let start = start.clone();
        logins.spawn(async move {
            start.wait().await;
            client.login("ada").await;
            client
        });
    }
    logins.join_all().await
}

async fn live(clients: &[Client]) -> usize {
    let mut live = 0;
    for client in clients {
        live += usize::from(client.id().is_some() && is_logged_in(client).await);
    }
    live
}

async fn twenty_parallel_logins_leave_as_many_sessions_as_the_cap(stand: Stand) {
    let stores = [stand.store.clone(), another(&stand).await];
    for run in 0..10 {
        let clients = twenty_logins(&stores).await;
        assert_eq!(live(&clients).await, 3, "run {run}");
        assert_eq!(of(&stand.store, "ada").list().await.unwrap().len(), 3);
        a_moment(&stand).await;
    }
}

/// Two logins in one millisecond are as old as each other.
async fn a_moment(stand: &Stand) {
    match stand.is_redis() {
        true => tokio::time::sleep(Duration::from_millis(2)).await,
        false => tokio::time::advance(Duration::from_millis(2)).await,
    }
}

async fn a_login_at_the_cap_ends_the_oldest(stand: Stand) {
    let stand = stand.with(capped);
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(stand.logged_in("ada").await);
        a_moment(&stand).await;
    }
    for (n, client) in clients.iter().enumerate() {
        assert_eq!(is_logged_in(client).await, n >= 2, "{n}");
    }
    // To log in again with a session is no further session.
    clients[2].login("ada").await;
    assert_eq!(live(&clients).await, 3);
}

async fn what_has_ended_does_not_count_and_leaves_the_list(stand: Stand) {
    let stand = stand.with(|layer| {
        let layer = layer.with_idle_timeout(Duration::from_secs(100)).unwrap();
        capped(layer)
    });
    let first = stand.logged_in("ada").await;
    let ended = [stand.logged_in("ada").await, stand.logged_in("ada").await];
    stand.advance(Duration::from_secs(60)).await;
    assert!(is_logged_in(&first).await);
    stand.advance(Duration::from_secs(60)).await;
    assert_eq!(list(&first).await.len(), 1);
    let others = [stand.logged_in("ada").await, stand.logged_in("ada").await];
    assert!(is_logged_in(&first).await);
    assert_eq!(live(&ended).await, 0);
    // Also where nobody has listed them in between.
    stand.advance(Duration::from_secs(60)).await;
    assert!(is_logged_in(&first).await);
    stand.advance(Duration::from_secs(60)).await;
    let more = [stand.logged_in("ada").await, stand.logged_in("ada").await];
    assert!(is_logged_in(&first).await);
    assert_eq!((live(&others).await, live(&more).await), (0, 2));
}

async fn what_has_ended_by_itself_is_not_revoked(stand: Stand) {
    let hundred = Duration::from_secs(100);
    let stand = stand.with(|layer| layer.with_idle_timeout(hundred).unwrap());
    let client = stand.logged_in("ada").await;
    let ended = [stand.logged_in("ada").await, stand.logged_in("ada").await];
    let handle = handle(&ended[0]).await;
    for _ in 0..2 {
        stand.advance(Duration::from_secs(60)).await;
        assert!(is_logged_in(&client).await);
    }
    let revoked = client.visit(async |session| session.revoke_session(&handle).await.unwrap());
    assert!(!revoked.await);
    let other = stand.logged_in("ada").await;
    client
        .visit(async |session| assert_eq!(session.revoke_other_sessions().await.unwrap(), 1))
        .await;
    assert_eq!(live(&[other]).await, 0);
    let ended = stand.logged_in("ada").await;
    stand.advance(Duration::from_secs(60)).await;
    assert!(is_logged_in(&client).await);
    stand.advance(Duration::from_secs(60)).await;
    assert_eq!(of(&stand.store, "ada").revoke_all().await.unwrap(), 1);
    assert_eq!(live(&[client, ended]).await, 0);
}

async fn a_session_that_was_renewed_is_revoked_under_every_id(stand: Stand) {
    for uses in [false, true] {
        let client = stand.logged_in("ada").await;
        let mut ids = vec![client.copy()];
        for _ in 0..3 {
            client.renew().await;
            ids.push(client.copy());
            if uses {
                assert!(is_logged_in(&client).await);
            }
        }
        assert_eq!(of(&stand.store, "ada").revoke_all().await.unwrap(), 1);
        for client in &ids {
            assert!(!is_logged_in(client).await);
        }
        if stand.is_redis() {
            stand.server().assert_every_key_has_a_ttl();
        }
    }
}

async fn a_login_as_another_user_leaves_the_list_of_the_first(stand: Stand) {
    for reads in [false, true] {
        let client = stand.logged_in("ada").await;
        let handle = handle(&client).await;
        client
            .visit(async |session| {
                if reads {
                    session.exists().await.unwrap();
                }
                session.login("eve").unwrap();
            })
            .await;
        assert_eq!(of(&stand.store, "ada").list().await.unwrap(), []);
        assert!(!of(&stand.store, "ada").revoke(&handle).await.unwrap());
        assert!(is_logged_in(&client).await);
        assert_eq!(of(&stand.store, "eve").revoke_all().await.unwrap(), 1);
        assert!(!is_logged_in(&client).await);
    }
}

async fn two_logins_with_one_cookie_are_one_session_in_the_list(stand: Stand) {
    for first in [None, Some("ada")] {
        let client = stand.client();
        match first {
            None => client.visit(async |s| s.insert("k", 1).unwrap()).await,
            Some(user) => client.login(user).await,
        }
        let other = client.copy();
        other
            .visit(async |session| {
                session.exists().await.unwrap();
                client.visit(async |s| s.login("ada").unwrap()).await;
                session.login("ada").unwrap();
            })
            .await;
        assert_eq!(list(&client).await.len(), 1);
        assert_eq!(of(&stand.store, "ada").revoke_all().await.unwrap(), 1);
        assert_eq!(live(&[client, other]).await, 0);
    }
}

/// They end neither each other nor another device.
async fn two_logins_with_one_cookie_are_one_session_at_the_cap(stand: Stand) {
    for (cap, reads) in [(1, true), (1, false), (2, true), (2, false)] {
        let layer = stand.layer.clone().with_max_sessions_per_user(cap).unwrap();
        let device = Client::of(layer.clone());
        if cap == 2 {
            device.login("ada").await;
            a_moment(&stand).await;
        }
        let client = Client::of(layer);
        client.visit(async |s| s.insert("k", 1).unwrap()).await;
        let other = client.copy();
        other
            .visit(async |session| {
                if reads {
                    session.exists().await.unwrap();
                }
                client.visit(async |s| s.login("ada").unwrap()).await;
                session.login("ada").unwrap();
            })
            .await;
        assert_eq!(
            device.id().is_some() && is_logged_in(&device).await,
            cap == 2
        );
        for client in [&client, &other] {
            assert!(is_logged_in(client).await, "{cap} {reads}");
            assert_eq!(client.get("k").await, Some(json!(1)));
        }
        assert_eq!(list(&client).await.len(), cap);
        assert_eq!(of(&stand.store, "ada").revoke_all().await.unwrap(), cap);
        assert!(!is_logged_in(&other).await && !is_logged_in(&client).await);
    }
}

async fn a_slow_writer_of_a_revoked_session_brings_nothing_back(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let response = client
        .copy()
        .send(async |session: Session| {
            session.get::<String>("user").await?;
            of(&stand.store, "ada").revoke_all().await.unwrap();
            let error = session.increment("n", 1).await.unwrap_err();
            assert!(matches!(error, SessionError::Ended), "{error}");
            Ok(Response::default())
        })
        .await;
    assert!(!response.headers().contains_key("set-cookie"));
    for login in [false, true] {
        let client = stand.logged_in("ada").await;
        let slow = client.copy();
        slow.visit(async |session| {
            session.get::<String>("user").await.unwrap();
            of(&stand.store, "ada").revoke_all().await.unwrap();
            session.insert("cart", "tea").unwrap();
            if login {
                session.login("ada").unwrap();
            }
        })
        .await;
        assert_eq!(live(&[client, slow]).await, 0);
        assert_eq!(of(&stand.store, "ada").list().await.unwrap(), []);
    }
}

async fn a_device_that_is_too_long_is_an_error(stand: Stand) {
    stand
        .client()
        .visit(async |session| {
            let error = session.bind("ada", &"x".repeat(257)).unwrap_err();
            assert!(matches!(error, SessionError::InvalidDevice), "{error}");
            session.bind("ada", &"x".repeat(256)).unwrap();
        })
        .await;
    assert!(UserSessions::new(stand.store.clone(), "").is_err());
}

async fn anonymous_sessions_are_in_no_list(stand: Stand) {
    let client = stand.client();
    client.visit(async |s| s.insert("k", 1).unwrap()).await;
    assert_eq!(list(&client).await, []);
    client
        .visit(async |session| assert_eq!(session.revoke_other_sessions().await.unwrap(), 0))
        .await;
    assert_eq!(client.get("k").await, Some(json!(1)));
}
