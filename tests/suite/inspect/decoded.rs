//! What the crate's services have written, as an operator sees it in Redis.

use tower_keep::{
    rate_limit::RateLimiter,
    refresh_token::{Grant, RefreshTokens},
};

use super::services::{Stand, policy};
use crate::harness::{eventually, on_redis};

// The README's service user may not ask for a key's type.
on_redis!(redis: what_the_crate_has_written_is_shown_decoded);
on_redis!(cluster: what_the_crate_has_written_is_shown_decoded);
on_redis!(sentinel: what_the_crate_has_written_is_shown_decoded);

async fn what_the_crate_has_written_is_shown_decoded(stand: Stand) {
    let name = |kind: &str| {
        let keys = stand
            .backend
            .as_ref()
            .unwrap()
            .keys(&format!("keep:{kind}:*"));
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys[0]["keep:".len()..].to_owned()
    };
    stand.client("ada", "laptop").await;
    let session = value(&stand, &name("session")).await;
    assert_eq!(session["m"]["id_was_presented"], true, "{session}");
    assert!(session["m"]["ends_at_ms"].as_u64() > session["m"]["created_at_ms"].as_u64());
    let index = value(&stand, &name("session_index")).await;
    let [entry] = &index.as_object().unwrap().values().collect::<Vec<_>>()[..] else {
        panic!("{index}");
    };
    assert_eq!(entry["device"], "laptop", "{index}");
    assert_eq!(entry["to_be_ended"], false, "{index}");

    let grant = Grant::new("ada", "web").with_scope("read");
    let tokens = RefreshTokens::new(stand.store.clone());
    let issued = tokens.issue(grant).await.unwrap();
    tokens.rotate(issued.token.expose(), "web").await.unwrap();
    let families = value(&stand, &name("refresh_token")).await;
    let [family] = &families.as_object().unwrap().values().collect::<Vec<_>>()[..] else {
        panic!("{families}");
    };
    assert_eq!(family["for"]["client"], "web", "{family}");
    assert_eq!(
        (&family["scope"], &family["rotations"]),
        (&"read".into(), &1.into())
    );
    assert_eq!(family["ended_for_reuse"], false);

    let site = stand.site();
    site.get("/a").await;
    eventually("it is stored", async || site.get("/a").await.is_hit()).await;
    eventually("Redis has it", async || {
        let stored = value(&stand, &name("cache")).await;
        stored.to_string().contains("page")
    })
    .await;
    let stored = value(&stand, &name("cache")).await;
    let head = stored
        .as_object()
        .unwrap()
        .iter()
        .find(|(name, _)| name.starts_with('h'));
    let (_, head) = head.unwrap();
    assert_eq!(
        (&head["status"], &head["length"]),
        (&200.into(), &4.into()),
        "{head}"
    );
    let fields = head["fields"].as_array().unwrap();
    assert!(fields.contains(&"cache-tag: a".into()), "{head}");

    let limiter = RateLimiter::new(stand.store.clone(), policy());
    assert!(limiter.acquire("ada", 1).await.unwrap().is_admitted());
    let limit = value(&stand, &name("rate_limit")).await;
    assert!(
        limit
            .as_object()
            .unwrap()
            .values()
            .all(serde_json::Value::is_number),
        "{limit}"
    );
}

async fn value(stand: &Stand, name: &str) -> serde_json::Value {
    stand.inspector.value(name).await.unwrap().unwrap()
}
