//! Tags: what a purge of them takes away, or makes stale.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, Request};
use tokio::sync::Notify;
use tower_keep::cache::Purged;

use super::{
    on_all_stores,
    stand::{Origin, Site, Stand, eventually, ok, status},
};

on_all_stores!(
    a_group_is_invalidated_by_an_unsafe_request_and_not_by_a_get,
    a_failed_unsafe_request_invalidates_no_group,
    four_fields_name_tags_of_one_namespace,
    a_purge_takes_every_variant_of_what_has_the_tag_along_and_nothing_else,
    a_purge_of_one_process_is_seen_by_another_at_once,
    a_fill_overtaken_by_a_purge_reaches_its_own_client_only,
    a_fill_overtaken_by_a_purge_in_another_process_reaches_its_own_client_only,
    a_request_that_comes_after_a_purge_does_not_wait_for_what_began_before,
    what_was_purged_does_not_keep_a_response_with_an_older_date_out,
    a_soft_purge_makes_stale_and_a_304_freshens_for_all_processes,
    a_soft_purge_serves_while_it_revalidates,
    a_response_with_too_many_tags_is_not_stored,
    a_purge_by_uri_takes_all_variants_along,
);

pub(super) const FRESH: (&str, &str) = ("cache-control", "max-age=600");

/// Whether each response that was announced is stored.
pub(super) async fn settled(stand: &Stand) {
    if stand.is_redis() {
        let stored = |key: &String| stand.server().query::<bool>(&["HEXISTS", key, "i"]);
        let under_way = |key: &String| stand.server().query::<bool>(&["HEXISTS", key, "n"]);
        eventually(|| {
            let keys = stand.server().keys("*:cache:*");
            keys.iter().all(|key| stored(key) && !under_way(key))
        })
        .await;
    }
}

/// A site whose pages have as many tags as their path has parts, and say how often they were asked for.
pub(super) fn tagged(stand: &Stand, field: &'static str, separator: &'static str) -> Site {
    let count = AtomicUsize::new(0);
    stand.site(move |request: Request<String>| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let tags = request.uri().path()[1..].replace('/', separator);
        let tags = match field {
            "cache-groups" => format!("\"{}\"", tags.replace(", ", "\", \"")),
            _ => tags,
        };
        let response = ok(&[FRESH, ("vary", "x"), (field, &tags)], number.to_string());
        async { Ok(response) }
    })
}

/// The pages of a site whose POST and GET answer with this field.
fn grouped(stand: &Stand, answer: u16) -> Site {
    stand.site(move |request: Request<String>| {
        let group = ("cache-groups", r#""g""#);
        let invalidation = ("cache-group-invalidation", r#""g""#);
        let response = match (request.method(), request.uri().path()) {
            (&Method::POST, _) => status(answer, &[invalidation]),
            (_, "/other") => ok(&[FRESH, invalidation], "other"),
            _ => ok(&[FRESH, group], "page"),
        };
        async { Ok(response) }
    })
}

async fn a_group_is_invalidated_by_an_unsafe_request_and_not_by_a_get(stand: Stand) {
    let site = grouped(&stand, 200);
    let pages = ["/1", "/2", "/3", "/other"];
    for _ in 0..2 {
        for page in pages {
            site.get(page).await;
        }
    }
    settled(&stand).await;
    assert_eq!(site.hits(), 4);
    for page in pages {
        assert!(site.get(page).await.is_hit(), "{page}");
    }
    site.send("POST", "/elsewhere", &[]).await;
    for page in &pages[..3] {
        let reply = site.get(page).await;
        assert!(
            reply.cache_status().starts_with("fwd=uri-miss"),
            "{page}: {}",
            reply.cache_status()
        );
    }
    assert!(site.get("/other").await.is_hit());
    assert_eq!(site.hits(), 8);
    if stand.is_redis() {
        stand.server().assert_every_key_has_a_ttl();
    }
}

async fn a_failed_unsafe_request_invalidates_no_group(stand: Stand) {
    let site = grouped(&stand, 403);
    site.get("/1").await;
    settled(&stand).await;
    site.send("POST", "/elsewhere", &[]).await;
    assert!(site.get("/1").await.is_hit());
}

async fn four_fields_name_tags_of_one_namespace(stand: Stand) {
    for (field, separator) in [
        ("surrogate-key", " "),
        ("xkey", " "),
        ("cache-tag", ", "),
        ("cache-groups", ", "),
    ] {
        let site = tagged(&stand, field, separator);
        site.get("/a/b").await;
        settled(&stand).await;
        assert!(site.get("/a/b").await.is_hit(), "{field}");
        assert_eq!(
            stand.layer.handle().purge_tags(["b"]).await,
            Purged::Everywhere
        );
        assert!(!site.get("/a/b").await.is_hit(), "{field}");
        settled(&stand).await;
        stand.layer.handle().purge_tags(["a/b", "A"]).await;
        assert!(site.get("/a/b").await.is_hit(), "{field}");
        stand.layer.handle().purge_tags(["x", "a"]).await;
        assert!(!site.get("/a/b").await.is_hit(), "{field}");
        settled(&stand).await;
        stand.layer.handle().purge_tags(["a"]).await;
    }
}

async fn a_purge_takes_every_variant_of_what_has_the_tag_along_and_nothing_else(stand: Stand) {
    let site = tagged(&stand, "surrogate-key", " ");
    let all = [("/a", "1"), ("/a", "2"), ("/a/b", "1"), ("/b", "1")];
    let get = async |(path, x)| site.send("GET", path, &[("x", x)]).await;
    for page in all {
        get(page).await;
        settled(&stand).await;
    }
    for page in all {
        assert!(get(page).await.is_hit(), "{page:?}");
    }
    stand.layer.handle().purge_tags(["a"]).await;
    for page in all {
        assert_eq!(get(page).await.is_hit(), page == ("/b", "1"), "{page:?}");
    }
}

async fn a_purge_of_one_process_is_seen_by_another_at_once(stand: Stand) {
    let site = tagged(&stand, "surrogate-key", " ");
    let other = Site::of(
        &stand.another(),
        Origin::new(|_| async { Ok(ok(&[FRESH], "other")) }),
    );
    for _ in 0..3 {
        site.get("/a").await;
        settled(&stand).await;
        assert!(other.get("/a").await.is_hit());
        assert!(other.get("/a").await.is_hit());
        stand.layer.handle().purge_tags(["a"]).await;
        assert!(!other.get("/a").await.is_hit());
        stand
            .another()
            .handle()
            .purge_uri(&"http://site.example/a".parse().unwrap())
            .await;
        assert!(!site.get("/a").await.is_hit());
        settled(&stand).await;
        stand.layer.handle().purge_tags(["a"]).await;
    }
}

/// A site whose first answer waits.
pub(super) struct Slow {
    pub(super) site: Site,
    pub(super) asked: Arc<Notify>,
    pub(super) go: Arc<Notify>,
}

impl Slow {
    pub(super) fn site(stand: &Stand) -> Self {
        let (asked, go) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let (said, waited) = (asked.clone(), go.clone());
        let count = Arc::<AtomicUsize>::default();
        let site = stand.site(move |_| {
            let (asked, go) = (said.clone(), waited.clone());
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            async move {
                if number == 1 {
                    asked.notify_one();
                    go.notified().await;
                }
                Ok(ok(&[FRESH, ("cache-tag", "a")], number.to_string()))
            }
        });
        Self { site, asked, go }
    }

    async fn overtaken_by(self, purge: impl Future<Output = ()>) {
        let first = tokio::spawn({
            let site = self.site.clone();
            async move { site.get("/").await }
        });
        self.asked.notified().await;
        purge.await;
        self.go.notify_one();
        assert_eq!(first.await.unwrap().body, "1");
        for _ in 0..3 {
            assert_eq!(self.site.get("/").await.body, "2");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn a_fill_overtaken_by_a_purge_reaches_its_own_client_only(stand: Stand) {
    let handle = stand.layer.handle();
    Slow::site(&stand)
        .overtaken_by(async { assert_eq!(handle.purge_tags(["a"]).await, Purged::Everywhere) })
        .await;
}

async fn a_fill_overtaken_by_a_purge_in_another_process_reaches_its_own_client_only(stand: Stand) {
    let handle = stand.another().handle();
    Slow::site(&stand)
        .overtaken_by(async { assert_eq!(handle.purge_tags(["a"]).await, Purged::Everywhere) })
        .await;
}

async fn a_request_that_comes_after_a_purge_does_not_wait_for_what_began_before(stand: Stand) {
    for handle in [stand.layer.handle(), stand.another().handle()] {
        let slow = Slow::site(&stand);
        let first = tokio::spawn({
            let site = slow.site.clone();
            async move { site.get("/wait").await }
        });
        slow.asked.notified().await;
        handle.purge_tags(["a"]).await;
        assert_eq!(slow.site.get("/wait").await.body, "2");
        slow.go.notify_one();
        assert_eq!(first.await.unwrap().body, "1");
        settled(&stand).await;
        assert_eq!(slow.site.get("/wait").await.body, "2");
        handle.purge_tags(["a"]).await;
    }
}

async fn what_was_purged_does_not_keep_a_response_with_an_older_date_out(stand: Stand) {
    let count = AtomicUsize::new(0);
    let site = stand.site(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let date = std::time::SystemTime::now() - Duration::from_secs(60 * number as u64);
        let date = httpdate::fmt_http_date(date);
        let response = ok(
            &[FRESH, ("cache-tag", "a"), ("date", &date)],
            number.to_string(),
        );
        async { Ok(response) }
    });
    site.get("/").await;
    settled(&stand).await;
    stand.layer.handle().purge_tags(["a"]).await;
    assert_eq!(site.get("/").await.body, "1");
    settled(&stand).await;
    assert_eq!(site.get("/").await.body, "1");
    assert_eq!(site.hits(), 2);
}

async fn a_soft_purge_makes_stale_and_a_304_freshens_for_all_processes(stand: Stand) {
    let origin = |request: Request<String>| {
        let response = match request.headers().contains_key("if-none-match") {
            // A 304 may leave the tags out.
            true => status(304, &[FRESH, ("etag", "\"1\"")]),
            false => ok(&[FRESH, ("etag", "\"1\""), ("cache-tag", "a")], "page"),
        };
        async { Ok(response) }
    };
    let site = stand.site(origin);
    let other = Site::of(&stand.another(), Origin::new(origin));
    site.get("/").await;
    settled(&stand).await;
    assert!(other.get("/").await.is_hit());
    for _ in 0..2 {
        stand.layer.handle().soft_purge_tags(["a"]).await.unwrap();
        let reply = site.get("/").await;
        assert_eq!(reply.body, "page");
        assert!(
            reply
                .cache_status()
                .starts_with("fwd=stale; fwd-status=304"),
            "{}",
            reply.cache_status()
        );
        settled(&stand).await;
        assert!(site.get("/").await.is_hit());
        assert!(other.get("/").await.is_hit());
        // Still under its tag.
        stand
            .another()
            .handle()
            .soft_purge_tags(["a"])
            .await
            .unwrap();
        assert!(!other.get("/").await.is_hit());
        settled(&stand).await;
    }
    stand.layer.handle().purge_tags(["a"]).await;
    assert!(
        site.get("/")
            .await
            .cache_status()
            .starts_with("fwd=uri-miss")
    );
}

async fn a_soft_purge_serves_while_it_revalidates(stand: Stand) {
    let count = AtomicUsize::new(0);
    let site = stand.site(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let control = ("cache-control", "max-age=600, stale-while-revalidate=60");
        let response = ok(&[control, ("cache-tag", "a")], number.to_string());
        async { Ok(response) }
    });
    site.get("/").await;
    settled(&stand).await;
    stand.layer.handle().soft_purge_tags(["a"]).await.unwrap();
    let reply = site.get("/").await;
    assert_eq!(reply.body, "1");
    assert!(reply.is_hit(), "{}", reply.cache_status());
    eventually(|| site.hits() == 2).await;
    settled(&stand).await;
    for _ in 0..100 {
        if site.get("/").await.body == "2" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it is not refreshed");
}

async fn a_response_with_too_many_tags_is_not_stored(stand: Stand) {
    let site = tagged(&stand, "surrogate-key", " ");
    let path = |n: usize| (0..n).map(|n| format!("/t{n}")).collect::<String>();
    assert!(site.get(&path(64)).await.cache_status().ends_with("stored"));
    settled(&stand).await;
    assert!(site.get(&path(64)).await.is_hit());
    let reply = site.get(&path(65)).await;
    assert_eq!(
        reply.cache_status(),
        "fwd=uri-miss; fwd-status=200; detail=too-many-tags"
    );
    stand.layer.handle().purge_tags(["t63"]).await;
    assert!(!site.get(&path(64)).await.is_hit());
}

async fn a_purge_by_uri_takes_all_variants_along(stand: Stand) {
    let site = tagged(&stand, "x-none", " ");
    let get = async |path, x| site.send("GET", path, &[("x", x)]).await;
    for (path, x) in [("/a?q", "1"), ("/a?q", "2"), ("/a", "1")] {
        get(path, x).await;
        settled(&stand).await;
    }
    let uri = "http://SITE.example/a?q".parse().unwrap();
    assert_eq!(
        stand.layer.handle().purge_uri(&uri).await,
        Purged::Everywhere
    );
    assert!(!get("/a?q", "1").await.is_hit());
    assert!(!get("/a?q", "2").await.is_hit());
    assert!(get("/a", "1").await.is_hit());
}
