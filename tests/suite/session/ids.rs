//! Ids that nobody has issued.

use serde_json::json;

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    an_id_that_the_client_made_up_is_never_adopted,
    a_session_cookie_that_is_no_id_is_no_session_and_no_error,
);

async fn an_id_that_the_client_made_up_is_never_adopted(stand: Stand) {
    let planted = "a".repeat(52);
    for read_first in [false, true] {
        let client = stand.client();
        client.plant(&planted);
        client
            .visit(async |session| {
                if read_first {
                    assert!(!session.exists().await.unwrap());
                }
                session.insert("user", "ada").unwrap();
                session.renew().unwrap();
            })
            .await;
        let id = client.id().unwrap();
        assert_ne!(id, planted);
        // Not even its slot tag, by which an attacker could fill one node of a cluster.
        assert_ne!(id[..4], planted[..4]);
        let attacker = stand.client();
        attacker.plant(&planted);
        assert_eq!(attacker.get("user").await, None);
        assert_eq!(
            attacker
                .visit(async |s| s.increment("n", 1).await)
                .await
                .unwrap(),
            1
        );
        assert_ne!(attacker.id().unwrap(), planted);
    }
    if stand.is_redis() {
        let keys = stand.server().keys("*");
        assert_eq!(keys.len(), 4, "{keys:?}");
        assert!(keys.iter().all(|key| !key.contains("aaaa")), "{keys:?}");
    }
}

async fn a_session_cookie_that_is_no_id_is_no_session_and_no_error(stand: Stand) {
    let before = stand.is_redis().then(|| stand.server().reset_stats());
    for bad in ["", "x", "../../etc/passwd", "%00%0d%0a", &"a".repeat(4_000)] {
        let client = stand.client();
        client.plant(bad);
        let exists = client.visit(async |session| session.exists().await.unwrap());
        assert!(!exists.await);
    }
    if before.is_some() {
        // A store looks after its connections by commands of its own.
        let calls = stand.server().command_calls();
        for lookup in ["hgetall", "pttl", "get", "evalsha"] {
            assert!(!calls.contains_key(lookup), "{calls:?}");
        }
    }
    let client = stand.client();
    client.plant("x");
    client
        .visit(async |session| session.insert("k", 1).unwrap())
        .await;
    assert_eq!(client.get("k").await, Some(json!(1)));
}
