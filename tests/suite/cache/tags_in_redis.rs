//! What tags cost Redis, and what becomes of them when it loses keys or does not answer.

use std::time::Duration;

use tower_keep::cache::Purged;

use super::{
    stand::{Origin, Site, Stand, ok},
    tags::{FRESH, Slow, settled, tagged},
};

#[tokio::test]
async fn what_redis_evicts_or_loses_makes_misses_and_no_revivals() {
    let stand = Stand::redis().await;
    let server = stand.server();
    let site = tagged(&stand, "surrogate-key", " ");
    let purges = || server.keys("*:cache_purges:*");
    let stored = async || {
        site.get("/a/b").await;
        settled(&stand).await;
        assert!(site.get("/a/b").await.is_hit());
    };
    stored().await;
    for tag in server.keys("*:cache_tag:*") {
        for damage in [&["DEL", &tag][..], &["SET", &tag, "damaged", "KEEPTTL"]] {
            server.command(damage);
            assert!(!site.get("/a/b").await.is_hit(), "{damage:?}");
            settled(&stand).await;
            assert!(site.get("/a/b").await.is_hit(), "{damage:?}");
        }
    }
    // The stamp of all purges is not needed for hits.
    server.command(&["DEL", &purges()[0]]);
    assert!(site.get("/a/b").await.is_hit());
    // It comes back with the next fill. One during which it goes is not stored.
    let slow = Slow::site(&stand);
    let first = tokio::spawn({
        let site = slow.site.clone();
        async move { site.get("/slow").await }
    });
    slow.asked.notified().await;
    server.command(&["DEL", &purges()[0]]);
    slow.go.notify_one();
    assert_eq!(first.await.unwrap().body, "1");
    assert_eq!(slow.site.get("/slow").await.body, "2");
    settled(&stand).await;
    assert!(slow.site.get("/slow").await.is_hit());
    server.assert_every_key_has_a_ttl();
}

#[tokio::test]
async fn a_purge_while_the_store_is_frozen_is_not_lost() {
    let stand = Stand::redis_within(Duration::from_millis(150)).await;
    let site = tagged(&stand, "surrogate-key", " ");
    let other = Site::of(
        &stand.another(),
        Origin::new(|_| async { Ok(ok(&[FRESH], "other")) }),
    );
    site.get("/a").await;
    settled(&stand).await;
    assert!(other.get("/a").await.is_hit());
    stand.server().pause();
    assert_eq!(
        stand.layer.handle().purge_tags(["a"]).await,
        Purged::HereOnly
    );
    assert_eq!(site.get("/a").await.body, "2");
    stand.server().resume();
    for _ in 0..1000 {
        let reply = site.get("/a").await;
        assert_ne!(reply.body, "1");
        if reply.is_hit() {
            assert_ne!(other.get("/a").await.body, "1");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it is never stored again");
}

#[tokio::test]
async fn a_hit_reads_its_tags_with_it_and_a_purge_costs_the_same_for_any_number() {
    let stand = Stand::redis().await;
    let site = tagged(&stand, "surrogate-key", " ");
    for n in 0..50 {
        site.get(&format!("/a/b?{n}")).await;
    }
    settled(&stand).await;
    site.get("/a/b?1").await;
    let server = stand.server();
    server.reset_stats();
    assert!(site.get("/a/b?1").await.is_hit());
    let calls = server.command_calls();
    assert_eq!(
        (calls["hmget"], calls["get"], calls.len()),
        (1, 2, 2),
        "{calls:?}"
    );
    server.reset_stats();
    stand.layer.handle().purge_tags(["a"]).await;
    let calls = server.command_calls();
    assert_eq!((calls["unlink"], calls.len()), (2, 1), "{calls:?}");
    for n in 0..50 {
        assert!(!site.get(&format!("/a/b?{n}")).await.is_hit(), "{n}");
    }
}
