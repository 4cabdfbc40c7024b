//! Data that are encrypted in the store.

use http::{Response, StatusCode};
use serde_json::json;
use tower_keep::session::{SessionError, SessionKeys};

use super::{
    on_all_stores,
    stand::{Client, Stand},
};

on_all_stores!(
    encrypted_data_read_back_and_count,
    what_an_earlier_key_has_encrypted_is_read_and_rewritten,
    what_no_key_has_encrypted_counts_as_absent,
    encrypted_data_stay_readable_under_every_id_of_their_session,
    encrypted_values_count_as_they_are_stored,
);

fn keys(secret: u8) -> SessionKeys {
    SessionKeys::new(&[secret; 32]).unwrap()
}

fn client(stand: &Stand, keys: SessionKeys) -> Client {
    Client::of(stand.layer.clone().with_encrypted_data(keys))
}

async fn encrypted_data_read_back_and_count(stand: Stand) {
    let client = client(&stand, keys(1));
    client
        .visit(async |session| {
            session.insert("secret", "a secret").unwrap();
            assert_eq!(session.increment("n", 1).await.unwrap(), 1);
        })
        .await;
    client
        .visit(async |session| {
            let secret = session.get::<String>("secret").await.unwrap();
            assert_eq!(secret.as_deref(), Some("a secret"));
            assert_eq!(session.increment("n", 2).await.unwrap(), 3);
            let doubled = session.update("n", |n: Option<i64>| n.unwrap() * 2);
            assert_eq!(doubled.await.unwrap(), 6);
            let error = session.increment("n", i64::MAX).await.unwrap_err();
            assert!(matches!(error, SessionError::Overflow(_)), "{error}");
        })
        .await;
    assert_eq!(client.get("n").await, Some(json!(6)));
    if stand.is_redis() {
        let key = stand.only_key();
        let fields: Vec<Vec<u8>> = stand.server().query(&["HVALS", &key]);
        for value in fields {
            assert!(!String::from_utf8_lossy(&value).contains("secret"));
        }
    }
}

async fn what_an_earlier_key_has_encrypted_is_read_and_rewritten(stand: Stand) {
    let old = client(&stand, keys(1));
    old.visit(async |s| s.insert("k", "v").unwrap()).await;
    let id = old.id().unwrap();
    let with = |keys| {
        let client = client(&stand, keys);
        client.plant(&id);
        client
    };
    let ring = keys(2).and_previous(&[1; 32]).unwrap();
    assert_eq!(with(ring).get("k").await, Some(json!("v")));
    assert_eq!(with(keys(2)).get("k").await, Some(json!("v")));
    assert_eq!(with(keys(1)).get("k").await, None);
}

async fn what_no_key_has_encrypted_counts_as_absent(stand: Stand) {
    let plain = stand.client();
    plain.visit(async |s| s.insert("k", "v").unwrap()).await;
    let encrypted = client(&stand, keys(1));
    encrypted.plant(&plain.id().unwrap());
    assert_eq!(encrypted.get("k").await, None);
    assert_eq!(plain.get("k").await, Some(json!("v")));
}

async fn encrypted_data_stay_readable_under_every_id_of_their_session(stand: Stand) {
    let client = client(&stand, keys(1));
    client
        .visit(async |session| {
            session.insert("before", 1).unwrap();
            // Saved before the id is known to the client.
            session.save().await.unwrap();
            session.insert("saved", 2).unwrap();
        })
        .await;
    client.renew().await;
    let old = client.copy();
    client.login("ada").await;
    // Another login over the same id joins the session, and writes to it.
    old.visit(async |session| {
        session.login("ada").unwrap();
        session.insert("joined", 3).unwrap();
    })
    .await;
    // A blind write, without a load before.
    client
        .visit(async |session| session.insert("blind", 4).unwrap())
        .await;
    client.renew().await;
    for (key, value) in [("before", 1), ("saved", 2), ("joined", 3), ("blind", 4)] {
        assert_eq!(client.get(key).await, Some(json!(value)), "{key}");
        assert_eq!(old.get(key).await, Some(json!(value)), "{key}");
    }
    // An id that the store does not know: what was written for it is of the session that it gets.
    let unknown = client.another();
    unknown.plant(&"a".repeat(52));
    unknown
        .visit(async |session| {
            session.insert("k", 5).unwrap();
            assert_eq!(session.get::<i32>("k").await.unwrap(), Some(5));
            session
                .update("k", |n: Option<i32>| n.unwrap() + 1)
                .await
                .unwrap();
            assert_eq!(session.get::<i32>("k").await.unwrap(), Some(6));
        })
        .await;
    assert_eq!(unknown.get("k").await, Some(json!(6)));
}

/// The bound is on what is stored, also where it is known at the call.
async fn encrypted_values_count_as_they_are_stored(stand: Stand) {
    // The name, the value as JSON, and what encrypts it.
    const FITS: usize = 1 + 3 + 45;
    for (most, status) in [
        (FITS, StatusCode::OK),
        (FITS - 1, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let layer = stand.layer.clone().with_encrypted_data(keys(1));
        let client = Client::of(layer.with_max_bytes(most).unwrap());
        for updates in [false, true] {
            let response = client
                .send(async |session| {
                    match updates {
                        false => session.insert("k", "v")?,
                        true => drop(
                            session
                                .update("k", |_: Option<String>| "w".to_owned())
                                .await?,
                        ),
                    }
                    Ok(Response::default())
                })
                .await;
            assert_eq!(response.status(), status, "{most} {updates}");
        }
    }
}

/// Who can write to Redis moves what one session holds to another, or within one.
#[tokio::test]
async fn an_encrypted_value_that_was_moved_counts_as_absent() {
    for stand in [
        Stand::redis().await,
        Stand::on(crate::harness::redis::Backend::cluster()).await,
    ] {
        let ada = client(&stand, keys(1));
        ada.visit(async |session| {
            session.login("ada").unwrap();
            session.insert("role", "administrator").unwrap();
        })
        .await;
        let of_ada = stand.only_key();
        let eve = client(&stand, keys(1));
        eve.visit(async |session| {
            session.login("eve").unwrap();
            session.insert("role", "visitor").unwrap();
            session.insert("wish", "administrator").unwrap();
        })
        .await;
        let keys = stand.session_keys();
        let of_eve = keys.iter().find(|key| **key != of_ada).unwrap();
        let server = stand.server();
        let value = |key: &str, field: &str| server.query::<Vec<u8>>(&["HGET", key, field]);
        let script = "local function byte(hex) return string.char(tonumber(hex, 16)) end \
                      return redis.call('HSET', KEYS[1], ARGV[1], (ARGV[2]:gsub('..', byte)))";
        let put = |key: &str, field: &str, value: &[u8]| {
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            server.query::<i64>(&["EVAL", script, "1", key, field, &hex])
        };
        let own = value(of_eve, "d:role");
        for moved in [value(&of_ada, "d:role"), value(of_eve, "d:wish")] {
            put(of_eve, "d:role", &moved);
            assert_eq!(eve.get("role").await, None);
        }
        put(of_eve, "d:role", &own);
        assert_eq!(eve.get("role").await, Some(json!("visitor")));
        // All of it, metadata and user too.
        let all = server.query::<Vec<Vec<u8>>>(&["HGETALL", &of_ada]);
        for pair in all.chunks(2) {
            put(of_eve, std::str::from_utf8(&pair[0]).unwrap(), &pair[1]);
        }
        assert_eq!(eve.get("role").await, None);
        assert_eq!(ada.get("role").await, Some(json!("administrator")));
    }
}
