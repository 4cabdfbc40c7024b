//! Conditions and malformed fields, from both sides.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Request};

use super::{
    on_all_stores,
    stand::{Origin, Site, Stand, ok, status},
};

on_all_stores!(
    conditions_on_what_is_not_stored_reach_the_origin,
    a_condition_does_not_keep_the_first_response_from_being_stored,
    a_date_in_the_future_is_no_condition,
    an_unfinished_quoted_string_hides_no_directive,
    a_vary_that_names_no_fields_is_not_stored,
    a_length_that_contradicts_the_body_is_not_stored,
);

async fn conditions_on_what_is_not_stored_reach_the_origin(stand: Stand) {
    for cache_control in ["private, max-age=60", "no-store"] {
        let bodies = Arc::new(AtomicUsize::new(0));
        let count = bodies.clone();
        let site = stand.site(move |request: Request<String>| {
            let lines = [("cache-control", cache_control), ("etag", "\"a\"")];
            let response = match request.headers().get("if-none-match") {
                Some(tag) if tag == "\"a\"" => status(304, &lines),
                _ => {
                    count.fetch_add(1, Ordering::Relaxed);
                    ok(&lines, "a long body")
                }
            };
            async { Ok(response) }
        });
        assert_eq!(site.get("/").await.body, "a long body");
        // A 304 keeps it known that nothing is stored: longer than the one response did.
        for _ in 0..10 {
            stand.advance(Duration::from_secs(20)).await;
            let reply = site.send("GET", "/", &[("if-none-match", "\"a\"")]).await;
            assert_eq!((reply.status, &*reply.body), (304, ""));
        }
        assert_eq!(bodies.load(Ordering::Relaxed), 1, "{cache_control}");
        let other = site.send("GET", "/", &[("if-none-match", "\"b\"")]).await;
        assert_eq!((other.status, &*other.body), (200, "a long body"));
    }
}

async fn a_condition_does_not_keep_the_first_response_from_being_stored(stand: Stand) {
    let site = stand.site(|request: Request<String>| async move {
        assert!(!request.headers().contains_key("if-none-match"));
        let lines = [("cache-control", "max-age=60"), ("etag", "\"a\"")];
        Ok(ok(&lines, "body"))
    });
    let reply = site.send("GET", "/", &[("if-none-match", "\"a\"")]).await;
    assert_eq!((reply.status, &*reply.body), (304, ""));
    let hit = site.get("/").await;
    assert_eq!((hit.is_hit(), &*hit.body), (true, "body"));
}

async fn a_date_in_the_future_is_no_condition(stand: Stand) {
    let future = [("if-modified-since", "Fri, 01 Jan 2038 00:00:00 GMT")];
    for cache_control in ["max-age=60", "no-store"] {
        let site = stand.counting(&[("cache-control", cache_control)]);
        for _ in 0..3 {
            assert_eq!(site.send("GET", "/", &future).await.status, 200);
        }
    }
}

async fn an_unfinished_quoted_string_hides_no_directive(stand: Stand) {
    for line in [
        "max-age=60, ext=\"x, no-store",
        "max-age=60, ext=\"x, private, y=\"z\"",
        "max-age=60, ext=x\", no-store, y=\"",
    ] {
        let site = stand.site(move |_| async move { Ok(ok(&[("cache-control", line)], "body")) });
        for hits in 1..=2 {
            assert!(!site.get("/").await.is_hit(), "{line}");
            assert_eq!(site.hits(), hits, "{line}");
        }
    }
}

async fn a_vary_that_names_no_fields_is_not_stored(stand: Stand) {
    for vary in [&b"accept, \xff\xfe"[..], b"\xe9", b"no name", b"a\"b, *\""] {
        let origin = Origin::new(move |_| async move {
            let mut response = ok(&[("cache-control", "max-age=60")], "body");
            let value = HeaderValue::from_bytes(vary).unwrap();
            response.headers_mut().insert("vary", value);
            Ok(response)
        });
        let site = Site::of(&stand.layer, origin);
        for hits in 1..=2 {
            let reply = site.get("/").await;
            assert_eq!(reply.body, "body");
            assert!(reply.cache_status().ends_with("detail=vary-any"));
            assert_eq!(site.hits(), hits);
        }
    }
}

async fn a_length_that_contradicts_the_body_is_not_stored(stand: Stand) {
    for length in ["3", "5", "4, 4", "x"] {
        let lines = [("cache-control", "max-age=60"), ("content-length", length)];
        let site = stand.site(move |_| async move { Ok(ok(&lines, "body")) });
        for hits in 1..=2 {
            let reply = site.get("/").await;
            assert_eq!(site.hits(), hits, "{length}");
            assert!(reply.cache_status().ends_with("detail=length"), "{length}");
        }
    }
}
