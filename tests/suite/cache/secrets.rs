//! What a response brings for its client alone reaches nobody else, whatever kind it is.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tokio::{sync::Semaphore, task::JoinSet};
use tower_keep::cache::{CacheLayer, SetCookie};

use super::{
    on_all_stores,
    stand::{Origin, Reply, Site, Stand, eventually, ok, status, with},
};
use crate::harness::body::{self, Body};

on_all_stores!(
    what_a_304_brings_for_its_client_reaches_nobody_else,
    what_a_304_to_the_clients_own_condition_brings_reaches_nobody_else,
    what_a_head_brings_for_its_client_reaches_nobody_else,
    what_a_completing_206_brings_for_its_client_reaches_nobody_else,
    what_a_refresh_in_the_background_brings_reaches_nobody,
    what_a_304_brings_for_its_client_does_not_reach_those_who_wait_with_it,
    what_a_new_response_brings_for_its_client_does_not_reach_those_who_wait_with_it,
    trailers_reach_only_the_client_that_caused_them,
    cookies_of_a_304_are_replayed_where_all_cookies_are,
    a_field_that_the_directives_withhold_reaches_only_its_client,
);

/// What is about one exchange, or a secret of its client.
const OWN: [(&str, &str); 7] = [
    ("set-cookie", "id=2"),
    ("set-cookie", "theme=2"),
    ("x-request-id", "2"),
    ("ratelimit", "\"p\";r=1"),
    ("x-ratelimit-remaining-minute", "1"),
    ("server-timing", "db;dur=2"),
    ("retry-after", "2"),
];
const TAG: (&str, &str) = ("etag", "\"a\"");
const FRESH: (&str, &str) = ("cache-control", "max-age=9, stale-while-revalidate=0");

fn lines(own: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let mut lines = vec![FRESH, TAG, ("x-new", "1")];
    lines.extend(own);
    lines
}

/// A first response without anything secret; after that a validation is answered with `answer`.
fn validated(layer: &CacheLayer, answer: fn() -> Response<Body>) -> Site {
    let origin = Origin::new(move |request: Request<String>| async move {
        let conditional = request.headers().contains_key("if-none-match");
        Ok(if conditional {
            answer()
        } else {
            ok(&[FRESH, TAG], "body")
        })
    });
    Site::of(layer, origin)
}

/// Its cache does not store cookies, or stores responses without them.
fn guarded(stand: &Stand) -> [(CacheLayer, &'static str); 2] {
    [(SetCookie::Refuse, "/refuse"), (SetCookie::Strip, "/strip")]
        .map(|(cookies, path)| (stand.layer.clone().with_set_cookie(cookies), path))
}

fn has_all(reply: &Reply) -> bool {
    OWN.iter()
        .all(|(name, value)| reply.field(name).contains(value))
}

fn has_none(reply: &Reply) -> bool {
    OWN.iter().all(|(name, _)| reply.field(name).is_empty())
}

/// A later client, of this process and of another one, sees the news but nothing of the secrets.
async fn nobody_else(stand: &Stand, site: &Site, path: &str) {
    let hits = site.hits();
    let hit = site.get(path).await;
    assert!(hit.is_hit(), "{}", hit.cache_status());
    assert_eq!(hit.field("x-new"), ["1"]);
    assert!(has_none(&hit), "{:?}", hit.headers);
    if let Some(stored) = stand.is_redis().then(|| stand.server()) {
        eventually(|| !stored.keys("*:cache:*").is_empty()).await;
    }
    let other = Site::of(
        &stand.another(),
        Origin::new(|_| async { panic!("it is stored") }),
    );
    let hit = loop {
        // What is stored off the response's path shows there a moment later.
        let hit = other.get(path).await;
        if !hit.field("x-new").is_empty() {
            break hit;
        }
        tokio::task::yield_now().await;
    };
    assert!(hit.is_hit() && has_none(&hit), "{:?}", hit.headers);
    assert_eq!(site.hits(), hits);
}

async fn what_a_304_brings_for_its_client_reaches_nobody_else(stand: Stand) {
    for (layer, path) in guarded(&stand) {
        let site = validated(&layer, || status(304, &lines(&OWN)));
        assert_eq!(site.get(path).await.body, "body");
        stand.advance(Duration::from_secs(10)).await;
        let client = site.get(path).await;
        assert_eq!((client.status, &*client.body), (200, "body"));
        assert!(has_all(&client), "{:?}", client.headers);
        assert_eq!(client.field("set-cookie"), ["id=2", "theme=2"]);
        nobody_else(&stand, &site, path).await;
    }
}

async fn what_a_304_to_the_clients_own_condition_brings_reaches_nobody_else(stand: Stand) {
    for (layer, path) in guarded(&stand) {
        let site = validated(&layer, || status(304, &lines(&OWN)));
        site.get(path).await;
        stand.advance(Duration::from_secs(10)).await;
        let client = site.send("GET", path, &[("if-none-match", TAG.1)]).await;
        assert_eq!((client.status, &*client.body), (304, ""));
        assert!(has_all(&client), "{:?}", client.headers);
        nobody_else(&stand, &site, path).await;
    }
}

async fn what_a_head_brings_for_its_client_reaches_nobody_else(stand: Stand) {
    for (layer, path) in guarded(&stand) {
        let site = validated(&layer, || status(200, &lines(&OWN)));
        site.get(path).await;
        stand.advance(Duration::from_secs(10)).await;
        let client = site.send("HEAD", path, &[]).await;
        assert!(has_all(&client), "{:?}", client.headers);
        nobody_else(&stand, &site, path).await;
    }
}

async fn what_a_completing_206_brings_for_its_client_reaches_nobody_else(stand: Stand) {
    for (layer, path) in guarded(&stand) {
        let origin = Origin::new(|request: Request<String>| async move {
            let first = request.headers()["range"] == "bytes=0-4";
            let (own, range, content) = match first {
                true => (&[][..], "bytes 0-4/10", "01234"),
                false => (&OWN[..], "bytes 5-9/10", "56789"),
            };
            let mut lines = lines(own);
            lines.push(("content-range", range));
            let mut response = ok(&lines, content);
            *response.status_mut() = http::StatusCode::PARTIAL_CONTENT;
            Ok(response)
        });
        let site = Site::of(&layer, origin);
        let part = site.send("GET", path, &[("range", "bytes=0-4")]).await;
        assert_eq!((part.status, &*part.body), (206, "01234"));
        let client = site.get(path).await;
        assert_eq!((client.status, &*client.body), (200, "0123456789"));
        assert_eq!(site.hits(), 2);
        assert!(has_all(&client), "{:?}", client.headers);
        nobody_else(&stand, &site, path).await;
    }
}

async fn what_a_refresh_in_the_background_brings_reaches_nobody(stand: Stand) {
    const REFRESHED: (&str, &str) = ("cache-control", "max-age=9, stale-while-revalidate=60");
    for (layer, path) in guarded(&stand) {
        let origin = Origin::new(|request: Request<String>| async move {
            let mut news = lines(&OWN);
            news[0] = REFRESHED;
            Ok(match request.headers().contains_key("if-none-match") {
                true => status(304, &news),
                false => ok(&[REFRESHED, TAG], "body"),
            })
        });
        let site = Site::of(&layer, origin);
        site.get(path).await;
        stand.advance(Duration::from_secs(10)).await;
        let stale = site.get(path).await;
        assert!(stale.is_hit() && has_none(&stale));
        eventually(|| site.hits() == 2).await;
        loop {
            let hit = site.get(path).await;
            assert!(hit.is_hit() && has_none(&hit), "{:?}", hit.headers);
            if !hit.field("x-new").is_empty() {
                break;
            }
            tokio::task::yield_now().await;
        }
        nobody_else(&stand, &site, path).await;
    }
}

/// The replies to ten requests that come while the origin does not answer yet.
async fn crowd(stand: &Stand, site: &Site, path: &'static str, gate: &Semaphore) -> Vec<Reply> {
    let mut crowd = JoinSet::new();
    for _ in 0..10 {
        let site = site.clone();
        crowd.spawn(async move { site.get(path).await });
    }
    if stand.is_redis() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(10);
    crowd.join_all().await
}

async fn what_a_304_brings_for_its_client_does_not_reach_those_who_wait_with_it(stand: Stand) {
    for (layer, path) in guarded(&stand) {
        let gate = Arc::new(Semaphore::new(1));
        let entry = gate.clone();
        let origin = Origin::new(move |request: Request<String>| {
            let entry = entry.clone();
            async move {
                entry.acquire().await.unwrap().forget();
                Ok(match request.headers().contains_key("if-none-match") {
                    true => status(304, &lines(&OWN)),
                    false => ok(&[FRESH, TAG], "body"),
                })
            }
        });
        let site = Site::of(&layer, origin);
        site.get(path).await;
        stand.advance(Duration::from_secs(10)).await;
        let replies = crowd(&stand, &site, path, &gate).await;
        assert_eq!(site.hits(), 2);
        assert!(replies.iter().all(|reply| reply.body == "body"));
        assert_eq!(replies.iter().filter(|reply| has_all(reply)).count(), 1);
        assert_eq!(replies.iter().filter(|reply| has_none(reply)).count(), 9);
    }
}

async fn what_a_new_response_brings_for_its_client_does_not_reach_those_who_wait_with_it(
    stand: Stand,
) {
    let gate = Arc::new(Semaphore::new(0));
    let entry = gate.clone();
    let origin = Origin::new(move |_| {
        let entry = entry.clone();
        async move {
            entry.acquire().await.unwrap().forget();
            Ok(ok(&lines(&OWN), "body"))
        }
    });
    let [_, (layer, path)] = guarded(&stand);
    let site = Site::of(&layer, origin);
    let replies = crowd(&stand, &site, path, &gate).await;
    assert_eq!(site.hits(), 1);
    assert_eq!(replies.iter().filter(|reply| has_all(reply)).count(), 1);
    assert_eq!(replies.iter().filter(|reply| has_none(reply)).count(), 9);
}

async fn trailers_reach_only_the_client_that_caused_them(stand: Stand) {
    let gate = Arc::new(Semaphore::new(0));
    let entry = gate.clone();
    let origin = Origin::new(move |_| {
        let entry = entry.clone();
        async move {
            entry.acquire().await.unwrap().forget();
            let trailers = HeaderMap::from_iter(
                [("server-timing", "db;dur=2")]
                    .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())),
            );
            let body = body::full("body").with_trailers(std::future::ready(Some(Ok(trailers))));
            Ok(with(&[FRESH, ("content-length", "4")], body.boxed()))
        }
    });
    let site = Site::of(&stand.layer, origin);
    let replies = crowd(&stand, &site, "/", &gate).await;
    assert_eq!(site.hits(), 1);
    let with_trailers = replies.iter().filter(|reply| reply.trailers.is_some());
    assert_eq!(with_trailers.count(), 1);
}

async fn cookies_of_a_304_are_replayed_where_all_cookies_are(stand: Stand) {
    let layer = stand.layer.clone().with_set_cookie(SetCookie::Store);
    let site = validated(&layer, || status(304, &lines(&OWN)));
    site.get("/").await;
    stand.advance(Duration::from_secs(10)).await;
    assert_eq!(site.get("/").await.field("set-cookie"), ["id=2", "theme=2"]);
    let hit = site.get("/").await;
    assert!(hit.is_hit());
    assert_eq!(hit.field("set-cookie"), ["id=2", "theme=2"]);
    assert!(hit.field("x-request-id").is_empty());
}

async fn a_field_that_the_directives_withhold_reaches_only_its_client(stand: Stand) {
    const WITHHELD: (&str, &str) = ("cache-control", "max-age=9, private=\"x-user\"");
    let origin = Origin::new(|request: Request<String>| async move {
        Ok(match request.headers().contains_key("if-none-match") {
            // That the field is private is known from the stored response.
            true => status(304, &[TAG, ("x-user", "ada"), ("x-new", "1")]),
            false => ok(&[WITHHELD, TAG], "body"),
        })
    });
    let site = Site::of(&stand.layer, origin);
    site.get("/").await;
    stand.advance(Duration::from_secs(10)).await;
    let client = site.get("/").await;
    assert_eq!(client.field("x-user"), ["ada"]);
    let hit = site.get("/").await;
    assert!(hit.is_hit() && hit.field("x-user").is_empty());
    assert_eq!(hit.field("x-new"), ["1"]);
}
