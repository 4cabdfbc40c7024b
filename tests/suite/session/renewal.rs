//! Renewal of the id while the user stays.

use std::time::Duration;

use http::{Response, StatusCode, header::SET_COOKIE};
use serde_json::json;
use tokio::task::JoinSet;

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    the_old_id_works_for_the_grace_and_is_dead_then,
    an_old_id_leads_to_the_session_until_the_new_one_is_used,
    a_change_through_a_new_id_is_its_first_use,
    without_grace_the_old_id_ends_when_the_new_one_is_used,
    without_grace_a_login_of_another_user_leaves_nothing_under_the_old_id,
    parallel_requests_on_the_old_id_stay_logged_in_while_it_is_renewed,
    an_old_id_in_its_grace_never_learns_the_new_one,
    the_handle_stays_when_the_id_is_renewed,
    an_id_of_age_is_renewed_once,
    parallel_requests_on_an_id_of_age_renew_it_once,
);

async fn the_old_id_works_for_the_grace_and_is_dead_then(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let old = client.copy();
    client.login("ada").await;
    assert_eq!(client.get("user").await, Some(json!("ada")));
    stand.advance(Duration::from_secs(9)).await;
    assert_eq!(old.get("user").await, Some(json!("ada")));
    stand.advance(Duration::from_millis(1_001)).await;
    assert_eq!(old.get("user").await, None);
    assert_eq!(client.get("user").await, Some(json!("ada")));
}

/// The response with the new id may have been lost.
async fn an_old_id_leads_to_the_session_until_the_new_one_is_used(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let old = client.copy();
    client.login("ada").await;
    for n in 0..3 {
        stand.advance(Duration::from_secs(3_600)).await;
        assert_eq!(old.get("user").await, Some(json!("ada")));
        old.visit(async |session| session.insert("n", n).unwrap())
            .await;
        // Neither asks an old id successfully for a new one.
        old.renew().await;
    }
    assert_eq!(client.get("n").await, Some(json!(2)));
    assert_eq!(old.get("user").await, None);
}

async fn a_change_through_a_new_id_is_its_first_use(stand: Stand) {
    for which in 0..4 {
        let client = stand.logged_in("ada").await;
        let old = client.copy();
        client.renew().await;
        stand.advance(Duration::from_secs(11)).await;
        client
            .visit(async |session| match which {
                0 => session.insert("n", 1).unwrap(),
                1 => drop(session.increment("n", 1).await.unwrap()),
                2 => session.renew().unwrap(),
                _ => drop(session.exists().await.unwrap()),
            })
            .await;
        assert_eq!(old.get("user").await, None, "{which}");
        assert_eq!(client.get("user").await, Some(json!("ada")), "{which}");
    }
}

async fn without_grace_the_old_id_ends_when_the_new_one_is_used(stand: Stand) {
    let stand = stand.with(|layer| layer.with_renewal_grace(Duration::ZERO).unwrap());
    let client = stand.logged_in("ada").await;
    let old = client.copy();
    client.login("ada").await;
    // The response with the new id may be lost.
    assert_eq!(old.get("user").await, Some(json!("ada")));
    assert_eq!(client.get("user").await, Some(json!("ada")));
    assert_eq!(old.get("user").await, None);
    if stand.is_redis() {
        stand.only_key();
    }
}

async fn without_grace_a_login_of_another_user_leaves_nothing_under_the_old_id(stand: Stand) {
    let stand = stand.with(|layer| layer.with_renewal_grace(Duration::ZERO).unwrap());
    let client = stand.client();
    client
        .visit(async |session| session.insert("cart", 1).unwrap())
        .await;
    for user in ["ada", "eve"] {
        let old = client.copy();
        client.login(user).await;
        assert_eq!(old.user().await, None);
        assert_eq!(client.user().await.as_deref(), Some(user));
        if stand.is_redis() {
            stand.only_key();
        }
    }
}

/// Half of them have read the session before the renewal and write after it, the other half
/// come when it is over.
async fn parallel_requests_on_the_old_id_stay_logged_in_while_it_is_renewed(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let (renewed, _) = tokio::sync::watch::channel(false);
    let read = std::sync::Arc::new(tokio::sync::Barrier::new(6));
    let mut requests = JoinSet::new();
    for n in 0..10 {
        let (old, mut renewed, read) = (client.copy(), renewed.subscribe(), read.clone());
        requests.spawn(async move {
            let handler = async move |session: tower_keep::session::Session| {
                if n % 2 == 0 {
                    assert_eq!(session.get::<String>("user").await?.unwrap(), "ada");
                    read.wait().await;
                }
                renewed.wait_for(|done| *done).await.unwrap();
                assert_eq!(session.get::<String>("user").await?.unwrap(), "ada");
                session.insert(&format!("k{n}"), n)?;
                Ok(Response::default())
            };
            let response = old.send(handler).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert!(!response.headers().contains_key(SET_COOKIE));
        });
    }
    read.wait().await;
    client.visit(async |session| session.renew().unwrap()).await;
    renewed.send(true).unwrap();
    while let Some(request) = requests.join_next().await {
        request.unwrap();
    }
    for key in ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"] {
        assert_eq!(
            client.get(key).await,
            Some(json!(key[1..].parse::<i32>().unwrap()))
        );
    }
}

async fn an_old_id_in_its_grace_never_learns_the_new_one(stand: Stand) {
    let stand = stand.with(|layer| {
        layer
            .with_renewal_interval(Duration::from_secs(60))
            .unwrap()
    });
    let client = stand.logged_in("ada").await;
    stand.advance(Duration::from_secs(61)).await;
    let old = client.copy();
    client.login("ada").await;
    let known = old.id();
    assert_eq!(old.get("user").await, Some(json!("ada")));
    old.visit(async |session| session.insert("k", 1).unwrap())
        .await;
    assert_eq!(old.id(), known);
}

async fn the_handle_stays_when_the_id_is_renewed(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let handle = async || {
        client
            .visit(async |s| s.handle().await.unwrap())
            .await
            .unwrap()
    };
    let before = handle().await;
    client.login("ada").await;
    assert_eq!(handle().await, before);
    assert!(!client.id().unwrap().contains(&*before));
    let nobody = stand.client();
    let handle = nobody.visit(async |s| s.handle().await.unwrap());
    assert_eq!(handle.await, None);
}

async fn an_id_of_age_is_renewed_once(stand: Stand) {
    let stand = stand.with(|layer| {
        layer
            .with_renewal_interval(Duration::from_secs(60))
            .unwrap()
    });
    let client = stand.logged_in("ada").await;
    let id = client.id();
    stand.advance(Duration::from_secs(59)).await;
    client.get("user").await;
    assert_eq!(client.id(), id);
    stand.advance(Duration::from_secs(2)).await;
    let other_tab = client.copy();
    assert_eq!(client.get("user").await, Some(json!("ada")));
    let renewed = client.id();
    assert_ne!(renewed, id);
    assert_eq!(other_tab.get("user").await, Some(json!("ada")));
    assert_eq!(other_tab.id(), id);
    assert_eq!(client.get("user").await, Some(json!("ada")));
    assert_eq!(client.id(), renewed);
}

async fn parallel_requests_on_an_id_of_age_renew_it_once(stand: Stand) {
    let stand = stand.with(|layer| {
        layer
            .with_renewal_interval(Duration::from_secs(60))
            .unwrap()
    });
    let client = stand.logged_in("ada").await;
    stand.advance(Duration::from_secs(61)).await;
    let read = std::sync::Arc::new(tokio::sync::Barrier::new(10));
    let mut requests = JoinSet::new();
    for n in 0..10 {
        let (client, read) = (client.copy(), read.clone());
        requests.spawn(async move {
            let handler = async move |session: tower_keep::session::Session| {
                session.insert(&format!("k{n}"), n)?;
                session.exists().await?;
                read.wait().await;
                Ok(Response::default())
            };
            let response = client.send(handler).await;
            (response.headers().contains_key(SET_COOKIE), client)
        });
    }
    let done = requests.join_all().await;
    let renewed: Vec<_> = done.iter().filter(|(renewed, _)| *renewed).collect();
    assert_eq!(renewed.len(), 1);
    for key in ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"] {
        assert!(renewed[0].1.get(key).await.is_some(), "{key}");
    }
}
