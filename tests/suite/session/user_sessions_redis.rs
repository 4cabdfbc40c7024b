//! The index of a user's sessions on Redis: what it leaves there, and what becomes of it when a
//! process dies half-way.

use std::{
    future::poll_fn,
    pin::pin,
    task::Poll::{Pending, Ready},
    time::Duration,
};

use http::{Response, StatusCode};
use tower_keep::{
    StoreConfig,
    session::{SessionLayer, SessionLifetime, UserSessions},
};

use super::stand::{Client, Stand};
use crate::harness::{eventually, proxy::Proxy, redis::Backend};

async fn is_logged_in(client: &Client) -> bool {
    let user = client.visit(async |session| session.user().await.unwrap());
    user.await.is_some()
}

/// Drops a call after so many polls, or when it is done.
async fn leave_after<T>(polls: usize, call: impl Future<Output = T>) {
    let mut call = pin!(call);
    let mut left = polls;
    poll_fn(|cx| {
        left -= 1;
        match call.as_mut().poll(cx) {
            Pending if left > 0 => Pending,
            _ => Ready(()),
        }
    })
    .await;
}

fn ada(stand: &Stand) -> UserSessions {
    UserSessions::new(stand.store.clone(), "ada").unwrap()
}

fn index(server: &Backend) -> String {
    let keys = server.keys("*session_index:*");
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys[0].clone()
}

#[tokio::test]
async fn keys_tell_neither_user_nor_id_and_end_with_the_absolute_timeout() {
    let stand = Stand::redis().await.with(|layer| {
        layer
            .with_absolute_timeout(Duration::from_secs(120))
            .unwrap()
    });
    let client = stand.logged_in("ada").await;
    client.renew().await;
    assert!(is_logged_in(&client).await);
    for key in stand.server().keys("*") {
        assert!(key.contains("session") && !key.contains("ada"), "{key}");
        assert!(!key.contains(&client.id().unwrap()[4..]), "{key}");
        let ttl: i64 = stand.server().query(&["PTTL", &key]);
        assert!((1..=120_000).contains(&ttl), "{key} {ttl}");
    }
    client.logout().await;
    assert_eq!(stand.server().keys("*index*"), [""; 0]);
    assert_eq!(stand.server().keys("*place*"), [""; 0]);
}

/// A process has marked a session, and then died.
#[tokio::test]
async fn what_a_dead_process_has_marked_is_ended_by_the_next_list_or_revocation() {
    for revokes in [false, true] {
        let stand = Stand::redis().await;
        let client = stand.logged_in("ada").await;
        let index = index(stand.server());
        let entry: Vec<String> = stand.server().query(&["HGETALL", &index]);
        let marked = entry[1].replacen('=', "-", 1);
        stand
            .server()
            .command(&["HSET", &index, &entry[0], &marked]);
        assert!(is_logged_in(&client).await);
        match revokes {
            true => assert_eq!(ada(&stand).revoke_all().await.unwrap(), 1),
            false => assert_eq!(ada(&stand).list().await.unwrap(), []),
        }
        assert!(!is_logged_in(&client).await);
        assert_eq!(stand.server().keys("*index*"), [""; 0]);
    }
}

/// Then the session goes on as it was, and its user's list has to know of it as long.
#[tokio::test]
async fn a_shorter_lifetime_that_is_not_stored_leaves_the_session_in_the_index() {
    let stand = Stand::redis().await;
    let stand = stand.with(|layer| layer.with_max_bytes(200).unwrap());
    let lifetime = |days: u64| {
        let time = Duration::from_secs(days * 24 * 3600);
        SessionLifetime::new(time, time).unwrap()
    };
    let client = stand.client();
    client
        .visit(async |session| {
            session.login("ada").unwrap();
            session.set_lifetime(lifetime(30)).unwrap();
            session.insert("a", "x".repeat(100)).unwrap();
        })
        .await;
    let index = index(stand.server());
    let ends = || {
        let entries: Vec<String> = stand.server().query(&["HVALS", &index]);
        u64::from_str_radix(&entries[0][16..27], 16).unwrap()
    };
    let before = ends();
    let response = client
        .send(async |session| {
            session.set_lifetime(lifetime(1))?;
            session.insert("b", "x".repeat(100))?;
            Ok(Response::default())
        })
        .await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(ends(), before);
    assert!(is_logged_in(&client).await);
}

/// The revocation comes between the two steps of a login: the session is noted and not stored.
#[tokio::test]
async fn a_revocation_that_overtakes_a_login_under_way_wins() {
    for anonymous in [false, true] {
        let stand = Stand::redis().await;
        let proxy = Proxy::start(stand.server().addr());
        let config = StoreConfig::from_url(&format!("redis://{}/", proxy.addr())).unwrap();
        let store = config.with_deadline(Duration::from_secs(10));
        let store = store.build().unwrap();
        store.ping().await.unwrap();
        let client = Client::of(SessionLayer::new(store));
        if anonymous {
            client.visit(async |s| s.insert("k", 1).unwrap()).await;
        }
        let login = {
            let client = client.clone();
            let (held, holds) = tokio::sync::oneshot::channel();
            let login = tokio::spawn(async move {
                client
                    .visit(async |session| {
                        session.exists().await.unwrap();
                        held.send(()).unwrap();
                        session.login("ada").unwrap();
                    })
                    .await;
            });
            holds.await.unwrap();
            login
        };
        // The reply to the note comes late enough for a revocation in between, on a busy machine too.
        proxy.delay(Duration::ZERO, Duration::from_secs(3));
        eventually("the session is noted", async || {
            !stand.server().keys("*index*").is_empty()
        })
        .await;
        // It has not been a session yet.
        let overtook = ada(&stand).revoke_all().await.unwrap() == 0;
        proxy.delay(Duration::ZERO, Duration::ZERO);
        login.await.unwrap();
        assert!(overtook);
        assert!(!is_logged_in(&client).await);
        assert_eq!(ada(&stand).list().await.unwrap(), []);
        // The next login of the same client is one like any other.
        client.login("ada").await;
        assert!(is_logged_in(&client).await);
    }
}

#[tokio::test]
async fn a_revocation_works_on_a_server_at_its_memory_limit() {
    let stand = Stand::redis().await;
    let client = stand.logged_in("ada").await;
    let server = stand.server();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(ada(&stand).revoke_all().await.unwrap(), 1);
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(!is_logged_in(&client).await);
}

/// A client that leaves does not leave a revocation half done, wherever it is by then.
#[tokio::test]
async fn a_revocation_whose_caller_leaves_is_done_to_its_end() {
    for which in 0..3 {
        for polls in 1..8 {
            let stand = Stand::redis().await;
            let client = stand.logged_in("ada").await;
            let handle = client.visit(async |session| session.handle().await.unwrap());
            let handle = handle.await.unwrap();
            let ada = ada(&stand);
            let revocation = async {
                match which {
                    0 => drop(ada.revoke(&handle).await.unwrap()),
                    1 => drop(ada.revoke_others("another").await.unwrap()),
                    _ => drop(ada.revoke_all().await.unwrap()),
                }
            };
            leave_after(polls, revocation).await;
            eventually("the session has ended", async || {
                !is_logged_in(&client).await
            })
            .await;
        }
    }
}

/// Wherever the client leaves, there is no state in which the others have ended and this one goes on.
#[tokio::test]
async fn a_logout_everywhere_whose_client_leaves_ends_this_session_too() {
    for polls in 1..12 {
        let stand = Stand::redis().await;
        let clients = [stand.logged_in("ada").await, stand.logged_in("ada").await];
        let request = clients[0].visit(async |session| {
            session.revoke_all_sessions().await.unwrap();
        });
        leave_after(polls, request).await;
        // What it had asked of the store when it left is answered by then, and what follows is done.
        let mut live = Vec::new();
        eventually("both have ended, or neither", async || {
            live.clear();
            for client in &clients {
                live.push(is_logged_in(client).await);
            }
            live[0] == live[1]
        })
        .await;
        // No revocation had begun only where the session was still being read.
        assert!(!live[0] || polls < 3, "{polls}");
    }
}

/// The process dies once the sessions are marked, before any of them has ended.
#[tokio::test]
async fn a_logout_everywhere_whose_process_dies_is_done_by_the_next_list() {
    let stand = Stand::redis().await;
    let proxy = Proxy::start(stand.server().addr());
    let config = StoreConfig::from_url(&format!("redis://{}/", proxy.addr())).unwrap();
    let store = config.with_deadline(Duration::from_secs(10));
    let store = store.build().unwrap();
    store.ping().await.unwrap();
    let client = Client::of(SessionLayer::new(store));
    client.login("ada").await;
    let other = stand.logged_in("ada").await;
    let index = index(stand.server());
    let marked = || {
        let entries: Vec<String> = stand.server().query(&["HVALS", &index]);
        entries
            .iter()
            .filter(|entry| entry.starts_with('-'))
            .count()
    };
    let request = tokio::spawn({
        let (client, proxy) = (client.copy(), std::sync::Arc::new(proxy));
        async move {
            client
                .visit(async |session| {
                    session.exists().await.unwrap();
                    proxy.delay(Duration::ZERO, Duration::from_secs(60));
                    drop(session.revoke_all_sessions().await);
                })
                .await;
        }
    });
    eventually("the sessions are marked", async || marked() > 0).await;
    assert_eq!(marked(), 2);
    request.abort();
    drop(request.await);
    assert_eq!(ada(&stand).list().await.unwrap(), []);
    for client in [client.id().unwrap(), other.id().unwrap()] {
        let there = stand.client();
        there.plant(&client);
        assert!(!is_logged_in(&there).await);
    }
}

/// Whether a login under way is so old that it has ended is by the server's clock.
#[tokio::test]
async fn a_list_of_a_process_whose_clock_is_ahead_forgets_no_login() {
    let stand = Stand::redis().await;
    let client = stand.logged_in("ada").await;
    // As it is between the two steps of a login.
    let place = stand.server().keys("*session_place:*").remove(0);
    stand.server().command(&["DEL", &place]);
    let ahead = Duration::from_secs(400);
    tokio::time::pause();
    tokio::time::advance(ahead).await;
    tokio::time::resume();
    assert_eq!(ada(&stand).list().await.unwrap(), []);
    assert_eq!(stand.server().keys("*session_place:*"), [""; 0]);
    assert_eq!(stand.server().keys("*session_index:*").len(), 1);
    assert!(is_logged_in(&client).await);
}
