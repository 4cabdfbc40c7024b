//! What is stored, and what clients get of it.

use std::time::Duration;

use http::Request;

use super::{
    on_all_stores,
    stand::{Stand, ok, status},
};

on_all_stores!(
    a_second_get_is_a_hit_with_age_and_the_original_date,
    what_must_not_be_stored_is_fetched_each_time,
    lines_of_a_field_come_back_intact_and_in_order,
    fields_of_one_exchange_are_not_replayed,
    variants_are_told_apart,
    ranges_conditions_and_heads_are_answered_from_what_is_stored,
    cookies_are_not_handed_to_others,
    only_if_cached_does_not_go_forward,
    methods_and_bodies_the_cache_is_no_business_of_pass,
    partitions_share_nothing,
);

async fn a_second_get_is_a_hit_with_age_and_the_original_date(stand: Stand) {
    let site = stand.counting(&[("cache-control", "max-age=60")]);
    let first = site.get("/").await;
    assert_eq!(first.cache_status(), "fwd=uri-miss; fwd-status=200; stored");
    stand.advance(Duration::from_secs(7)).await;
    let second = site.get("/").await;
    assert_eq!(second.cache_status(), "hit; ttl=53");
    assert_eq!(second.field("age"), ["7"]);
    assert_eq!(second.body, "1");
    let later = site.get("/").await;
    assert_eq!(later.field("date"), second.field("date"));
    stand.advance(Duration::from_secs(54)).await;
    assert_eq!(site.get("/").await.body, "2");
    assert_eq!(site.hits(), 2);
}

async fn what_must_not_be_stored_is_fetched_each_time(stand: Stand) {
    for (cache_control, detail) in [
        ("nO-StOrE", "no-store"),
        ("private, max-age=60", "private"),
        ("max-age=0", "nothing-to-reuse"),
    ] {
        let site = stand.counting(&[("cache-control", cache_control)]);
        for hit in 1..=2 {
            let reply = site.get("/").await;
            let expected = format!("fwd=uri-miss; fwd-status=200; detail={detail}");
            assert_eq!(reply.cache_status(), expected);
            assert_eq!(site.hits(), hit, "{cache_control}");
        }
    }
}

async fn lines_of_a_field_come_back_intact_and_in_order(stand: Stand) {
    let site = stand.counting(&[
        ("cache-control", "max-age=60"),
        ("link", "<1>, <2>"),
        ("link", "<3>"),
        ("vary", "a"),
        ("vary", "B"),
        ("vary", "c, d"),
        ("connection", "X-Foo"),
        ("x-foo", "1"),
    ]);
    site.get("/").await;
    let hit = site.get("/").await;
    assert!(hit.is_hit());
    assert_eq!(hit.field("link"), ["<1>, <2>", "<3>"]);
    assert_eq!(hit.field("vary"), ["a", "B", "c, d"]);
    assert!(hit.field("x-foo").is_empty());
    assert!(hit.field("connection").is_empty());
}

async fn fields_of_one_exchange_are_not_replayed(stand: Stand) {
    let fields = ["ratelimit", "x-request-id", "traceparent"];
    let mut lines = vec![("cache-control", "max-age=60")];
    lines.extend(fields.map(|name| (name, "1")));
    let site = stand.counting(&lines);
    let first = site.get("/").await;
    let hit = site.get("/").await;
    for name in fields {
        assert_eq!(first.field(name), ["1"]);
        assert!(hit.field(name).is_empty(), "{name}");
    }
}

async fn variants_are_told_apart(stand: Stand) {
    let site = stand.counting(&[("cache-control", "max-age=60"), ("vary", "Accept-Language")]);
    let mut bodies = Vec::new();
    for language in ["en", "de", "en", "DE ", "de"] {
        let lines = [("accept-language", language.trim())];
        bodies.push(site.send("GET", "/", &lines).await.body);
    }
    assert_eq!(bodies, ["1", "2", "1", "2", "2"]);
    assert_eq!(site.hits(), 2);
}

async fn ranges_conditions_and_heads_are_answered_from_what_is_stored(stand: Stand) {
    let lines = [("cache-control", "max-age=60"), ("etag", "\"a\"")];
    let site = stand.site(move |_| {
        let response = ok(&lines, "0123456789");
        async { Ok(response) }
    });
    site.get("/").await;
    let range = site.send("GET", "/", &[("range", "bytes=2-5")]).await;
    assert_eq!((range.status, &*range.body), (206, "2345"));
    assert_eq!(range.field("content-range"), ["bytes 2-5/10"]);
    let beyond = site.send("GET", "/", &[("range", "bytes=10-")]).await;
    assert_eq!(beyond.status, 416);
    let same = site.send("GET", "/", &[("if-none-match", "\"a\"")]).await;
    assert_eq!((same.status, &*same.body), (304, ""));
    let other = site.send("GET", "/", &[("if-none-match", "\"b\"")]).await;
    assert_eq!((other.status, &*other.body), (200, "0123456789"));
    let head = site.send("HEAD", "/", &[]).await;
    assert_eq!((head.status, &*head.body), (200, ""));
    assert_eq!(head.field("content-length"), ["10"]);
    assert_eq!(site.hits(), 1);
}

async fn cookies_are_not_handed_to_others(stand: Stand) {
    use tower_keep::cache::SetCookie;

    let lines = [
        ("cache-control", "public, max-age=60"),
        ("set-cookie", "id=1"),
    ];
    let site = stand.counting(&lines);
    site.get("/").await;
    let second = site.get("/").await;
    let refused = "fwd=uri-miss; fwd-status=200; detail=set-cookie";
    assert_eq!(second.cache_status(), refused);

    let stand = stand.with(|layer| layer.with_set_cookie(SetCookie::Strip));
    let site = stand.counting(&lines);
    assert_eq!(site.get("/").await.field("set-cookie"), ["id=1"]);
    let hit = site.get("/").await;
    assert!(hit.is_hit() && hit.field("set-cookie").is_empty());
}

async fn only_if_cached_does_not_go_forward(stand: Stand) {
    let site = stand.counting(&[("cache-control", "max-age=60")]);
    let lines = [("cache-control", "only-if-cached")];
    let missed = site.send("GET", "/", &lines).await;
    assert_eq!(missed.status, 504);
    assert_eq!(missed.cache_status(), "fwd=uri-miss; detail=only-if-cached");
    assert_eq!(site.hits(), 0);
    site.get("/").await;
    assert_eq!(site.send("GET", "/", &lines).await.body, "1");
}

async fn methods_and_bodies_the_cache_is_no_business_of_pass(stand: Stand) {
    let site = stand.site(|request: Request<String>| async move {
        let content = format!("{} {}", request.method(), request.body());
        Ok(ok(&[("cache-control", "max-age=60")], content))
    });
    for _ in 0..2 {
        let options = site.send("OPTIONS", "/", &[]).await;
        assert_eq!(options.cache_status(), "fwd=method; fwd-status=200");
        let mut with_body = super::stand::request("GET", "/", &[]);
        *with_body.body_mut() = "query".into();
        let response = site.open(with_body).await.unwrap();
        let reply = super::stand::Reply::of(response).await.unwrap();
        assert_eq!(reply.cache_status(), "fwd=bypass; fwd-status=200");
        assert_eq!(reply.body, "GET query");
    }
    assert_eq!(site.hits(), 4);
}

async fn partitions_share_nothing(stand: Stand) {
    let stand = stand.with(|layer| {
        layer.with_partition(|parts| Some(parts.headers.get("tenant")?.as_bytes().to_vec()))
    });
    let site = stand.counting(&[("cache-control", "max-age=60")]);
    let mut bodies = Vec::new();
    for tenant in ["a", "b", "a", "b"] {
        bodies.push(site.send("GET", "/", &[("tenant", tenant)]).await.body);
    }
    assert_eq!(bodies, ["1", "2", "1", "2"]);
}

#[tokio::test]
async fn a_304_freshens_what_is_stored() {
    let stand = Stand::memory();
    let site = stand.site(|request: Request<String>| async move {
        let lines = [("cache-control", "max-age=9"), ("etag", "\"a\"")];
        Ok(match request.headers().get("if-none-match") {
            Some(tag) if tag == "\"a\"" => status(304, &[lines[0], lines[1], ("x-new", "1")]),
            _ => ok(&lines, "body"),
        })
    });
    site.get("/").await;
    stand.advance(Duration::from_secs(10)).await;
    let validated = site.get("/").await;
    assert_eq!((validated.status, &*validated.body), (200, "body"));
    assert_eq!(
        validated.cache_status(),
        "fwd=stale; fwd-status=304; stored"
    );
    let hit = site.get("/").await;
    assert!(hit.is_hit());
    assert_eq!(hit.field("x-new"), ["1"]);
    assert_eq!(site.hits(), 2);
}
