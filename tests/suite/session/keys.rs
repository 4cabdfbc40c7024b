//! What sessions leave in Redis.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use tower_keep::session::SessionLifetime;

use super::stand::Stand;

/// All that Redis holds, names and values.
fn dump(stand: &Stand) -> String {
    let server = stand.server();
    let keys = server.keys("*").into_iter();
    keys.map(|key| {
        format!(
            "{key} {:?}\n",
            match server.query::<String>(&["TYPE", &key]).as_str() {
                "string" => vec![server.query::<String>(&["GET", &key])],
                _ => server.query(&["HGETALL", &key]),
            }
        )
    })
    .collect()
}

#[tokio::test]
async fn redis_holds_the_hash_of_an_id_and_never_the_id() {
    let stand = Stand::redis().await;
    let client = stand.logged_in("ada").await;
    let old = client.id().unwrap();
    client.visit(async |session| session.renew().unwrap()).await;
    let new = client.id().unwrap();
    let dump = dump(&stand);
    for id in [&old, &new] {
        assert!(!dump.contains(&id[4..]), "{dump}");
        let hash = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(id));
        assert!(
            dump.contains(&format!("keep:session:{{{}}}:{hash}", &id[..4])),
            "{dump}"
        );
    }
}

#[tokio::test]
async fn every_key_ends_with_the_session_and_a_pointer_with_the_grace_once_the_new_id_is_used() {
    let stand = Stand::redis().await.with(|layer| {
        let layer = layer.with_idle_timeout(Duration::from_secs(100)).unwrap();
        layer
            .with_absolute_timeout(Duration::from_secs(120))
            .unwrap()
    });
    let client = stand.logged_in("ada").await;
    let ttl = |key: &str| stand.server().query::<i64>(&["PTTL", key]);
    let first = stand.only_key();
    assert!((99_000..=100_000).contains(&ttl(&first)), "{}", ttl(&first));

    stand.advance(Duration::from_secs(60)).await;
    client
        .visit(async |session| session.increment("n", 1).await.unwrap())
        .await;
    client
        .visit(async |session| session.update("m", |_: Option<i32>| 1).await.unwrap())
        .await;
    assert!((58_000..=60_000).contains(&ttl(&first)), "{}", ttl(&first));

    client.renew().await;
    assert_eq!(stand.session_keys().len(), 2);
    assert!((58_000..=60_000).contains(&ttl(&first)), "{}", ttl(&first));
    client.get("user").await;
    assert!((9_000..=10_000).contains(&ttl(&first)), "{}", ttl(&first));
    stand.server().assert_every_key_has_a_ttl();

    stand.advance(Duration::from_secs(55)).await;
    let last = stand.only_key();
    client.renew().await;
    client.get("user").await;
    assert!((1..=5_000).contains(&ttl(&last)), "{}", ttl(&last));
    stand.server().assert_every_key_has_a_ttl();
}

#[tokio::test]
async fn a_login_leaves_pointers_that_end_within_the_grace() {
    let stand = Stand::redis().await;
    let client = stand.client();
    client.visit(async |s| s.insert("k", 1).unwrap()).await;
    let first = stand.only_key();
    let other = client.copy();
    other
        .visit(async |session| {
            session.exists().await.unwrap();
            client.login("ada").await;
            session.login("ada").unwrap();
        })
        .await;
    assert_eq!(stand.session_keys().len(), 3);
    let ttl: i64 = stand.server().query(&["PTTL", &first]);
    assert!((1..=10_000).contains(&ttl), "{ttl}");
    stand.server().assert_every_key_has_a_ttl();
}

#[tokio::test]
async fn a_small_session_is_one_allocation_of_redis() {
    let stand = Stand::redis().await;
    let client = stand.logged_in("ada").await;
    client
        .visit(async |s| s.insert("k", "a value").unwrap())
        .await;
    let encoding: String = (stand.server()).query(&["OBJECT", "ENCODING", &stand.only_key()]);
    assert_eq!(encoding, "listpack");
}

#[tokio::test]
async fn sessions_live_under_the_stores_namespace() {
    let stand = Stand::redis().await;
    let shop = stand.store.clone().with_namespace("shop").unwrap();
    let stand = stand.with(|_| tower_keep::session::SessionLayer::new(shop));
    stand.logged_in("ada").await;
    assert!(stand.only_key().starts_with("shop:session:{"));
}

/// Whatever wrote it last, and however long the idle timeout and the grace are.
#[tokio::test]
async fn no_key_outlives_the_absolute_timeout_of_its_session() {
    const WHOLE: Duration = Duration::from_secs(1800);
    let stand = Stand::redis().await.with(|layer| {
        let layer = layer.with_absolute_timeout(WHOLE).unwrap();
        let layer = layer.with_idle_timeout(24 * WHOLE).unwrap();
        layer.with_renewal_grace(2 * WHOLE).unwrap()
    });
    let assert_within = |what: &str, left: Duration| {
        for key in stand.server().keys("*") {
            // Of a user's index nothing moves back with the clock.
            if key.contains("session_") {
                continue;
            }
            let ttl: i64 = stand.server().query(&["PTTL", &key]);
            let left = i64::try_from(left.as_millis()).unwrap();
            assert!((1..=left).contains(&ttl), "{what}: {key} {ttl}");
        }
    };
    let client = stand.client();
    client
        .visit(async |session| session.insert("k", 1).unwrap())
        .await;
    assert_within("new", WHOLE);
    stand.advance(WHOLE / 6).await;
    assert_eq!(client.get("k").await, Some(serde_json::json!(1)));
    assert_within("read", WHOLE * 5 / 6);
    client.renew().await;
    assert_within("renewed", WHOLE * 5 / 6);
    client
        .visit(async |session| assert!(session.exists().await.unwrap()))
        .await;
    assert_within("used", WHOLE * 5 / 6);
    client
        .visit(async |session| session.insert("k", 2).unwrap())
        .await;
    assert_within("changed", WHOLE * 5 / 6);
    client.login("ada").await;
    assert_within("logged in", WHOLE);
    stand.advance(WHOLE / 2).await;
    client.login("ada").await;
    assert_within("again", WHOLE / 2);
    client.user().await;
    client.login("eve").await;
    assert_within("another", WHOLE);
    client
        .visit(async |session| {
            let own = SessionLifetime::new(24 * WHOLE, WHOLE * 2 / 3).unwrap();
            session.set_lifetime(own).unwrap();
        })
        .await;
    client.user().await;
    client
        .visit(async |session| session.insert("k", 3).unwrap())
        .await;
    // The pointers of before have the timeout of before.
    let ttl: i64 = stand.server().query(&["PTTL", &live_key(&stand)]);
    assert!((1..=1_200_000).contains(&ttl), "{ttl}");
}

/// The key of the only session among the pointers to it.
fn live_key(stand: &Stand) -> String {
    let is_live = |key: &String| {
        let meta: String = stand.server().query(&["HGET", key, "m"]);
        meta.starts_with(['=', '?'])
    };
    let live: Vec<_> = stand.session_keys().into_iter().filter(is_live).collect();
    assert_eq!(live.len(), 1, "{live:?}");
    live[0].clone()
}
