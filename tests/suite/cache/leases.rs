//! How long a primary key lives: as long as what is stored in it, or the fills under way.

use std::{sync::Arc, time::Duration};

use http::Request;
use tokio::sync::Notify;

use super::{
    on_all_stores,
    stand::{Site, Stand, eventually, ok},
};

on_all_stores!(
    a_short_lived_variant_does_not_end_the_fill_of_another,
    a_fill_that_is_given_up_ends_none_of_the_others,
);

/// Kept for a second, and not for any use after it.
const BRIEF: (&str, &str) = ("cache-control", "s-maxage=1, must-revalidate");
const FRESH: (&str, &str) = ("cache-control", "max-age=600");
const VARY: (&str, &str) = ("vary", "x");

/// A site whose answers to `x: slow` wait, to `x: none` are not stored, and are brief else.
fn site(stand: &Stand) -> (Site, Arc<Notify>, Arc<Notify>) {
    let (asked, go) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let (said, waited) = (asked.clone(), go.clone());
    let site = stand.site(move |request: Request<String>| {
        let (asked, go) = (said.clone(), waited.clone());
        async move {
            Ok(match request.headers()["x"].to_str().unwrap() {
                "slow" => {
                    asked.notify_one();
                    go.notified().await;
                    ok(&[FRESH, VARY], "slow")
                }
                "none" => ok(&[("cache-control", "no-store"), VARY], "none"),
                _ => ok(&[BRIEF, VARY], "brief"),
            })
        }
    });
    (site, asked, go)
}

async fn pass(stand: &Stand, time: Duration) {
    if stand.is_redis() {
        // Redis' own clock cannot be driven.
        tokio::time::sleep(time).await;
    } else {
        tokio::time::advance(time).await;
    }
}

async fn survives(stand: Stand, other: &str) {
    let (site, asked, go) = site(&stand);
    site.send("GET", "/", &[("x", "brief")]).await;
    let slow = tokio::spawn({
        let site = site.clone();
        async move { site.send("GET", "/", &[("x", "slow")]).await }
    });
    asked.notified().await;
    site.send("GET", "/", &[("x", other), ("authorization", "x")])
        .await;
    pass(&stand, Duration::from_millis(1_500)).await;
    go.notify_one();
    assert_eq!(slow.await.unwrap().body, "slow");
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Should it be asked again, it does not wait.
    go.notify_one();
    let reply = site.send("GET", "/", &[("x", "slow")]).await;
    assert!(reply.is_hit(), "{}", reply.cache_status());
}

async fn a_short_lived_variant_does_not_end_the_fill_of_another(stand: Stand) {
    survives(stand, "another").await;
}

async fn a_fill_that_is_given_up_ends_none_of_the_others(stand: Stand) {
    survives(stand, "none").await;
}

#[tokio::test]
async fn what_is_given_up_leaves_the_key_as_long_as_its_variants() {
    let stand = Stand::redis().await;
    let (site, ..) = site(&stand);
    site.send("GET", "/", &[("x", "brief")]).await;
    let key = || stand.server().keys("*:cache:*").pop();
    eventually(|| key().is_some_and(|key| stand.server().query::<bool>(&["HEXISTS", &key, "i"])))
        .await;
    site.send("GET", "/", &[("x", "none")]).await;
    let left = || {
        let key = stand.server().keys("*:cache:*").pop();
        key.map_or(0, |key| stand.server().query::<i64>(&["PTTL", &key]))
    };
    eventually(|| left() <= 1_000).await;
}
