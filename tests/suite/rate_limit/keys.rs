//! What requests are counted by.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use http::request::Builder;
use http::{HeaderName, Method, Request};
use tower::ServiceExt;
use tower_keep::Store;
use tower_keep::rate_limit::{ForwardingField, Key, MissingKey, RateLimitLayer, TrustedProxies};

use super::stand::{Stand, on_memory_and_redis};
use super::{Limited, from, limited, policy, send, store};
use crate::harness::redis::RedisServer;

on_memory_and_redis!(
    peers_are_counted_by_address_and_ipv6_by_64_bits,
    a_client_behind_one_trusted_proxy_cannot_invent_addresses,
    headers_methods_and_closures_make_keys_and_keys_combine,
    a_missing_key_shares_a_budget_is_refused_or_passes_as_was_said,
    axum_tells_the_peer_and_the_matched_path,
    the_lines_of_a_header_are_one_value_however_they_are_split,
    nothing_that_a_client_writes_makes_it_another_budget,
    ipv6_is_grouped_as_the_application_says,
    a_cookie_is_a_key_whatever_stands_beside_it,
);

/// One request an hour, of a policy that no other layer has.
fn one(stand: &Stand) -> RateLimitLayer {
    static LAYERS: AtomicU64 = AtomicU64::new(0);
    let number = LAYERS.fetch_add(1, Ordering::Relaxed);
    RateLimitLayer::from_limiter(stand.limiter(&format!(r#""one {number}";q=1;w=3600"#)))
}

/// Whether the two requests draw from one budget under `key`.
async fn share_a_budget(stand: &Stand, key: &Key, first: Builder, second: Builder) -> bool {
    let service = limited(&one(stand).with_key(key.clone()));
    assert_eq!(send(&service, first).await.status, 200);
    send(&service, second).await.status == 429
}

async fn peers_are_counted_by_address_and_ipv6_by_64_bits(stand: Stand) {
    let key = Key::default();
    let cases = [
        ("192.0.2.1", "192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("::ffff:192.0.2.1", "192.0.2.1", true),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", true),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
    ];
    for (first, second, expected) in cases {
        assert_eq!(
            share_a_budget(&stand, &key, from(first), from(second)).await,
            expected,
            "{second}"
        );
    }
    let spoofed = from("192.0.2.1").header("x-forwarded-for", "198.51.100.1");
    assert!(share_a_budget(&stand, &key, from("192.0.2.1"), spoofed).await);
}

async fn a_client_behind_one_trusted_proxy_cannot_invent_addresses(stand: Stand) {
    let key = Key::client_ip(TrustedProxies::hops(1));
    let forwarded = |line: &str| from("10.0.0.1").header("x-forwarded-for", line);
    let plain = || forwarded("198.51.100.1");
    for line in [
        "203.0.113.5, 198.51.100.1",
        "garbage, 198.51.100.1:80",
        "198.51.100.1",
        "\"198.51.100.1:80\"",
    ] {
        assert!(
            share_a_budget(&stand, &key, plain(), forwarded(line)).await,
            "{line}"
        );
    }
    let two_lines = forwarded("203.0.113.5").header("x-forwarded-for", "198.51.100.1");
    assert!(share_a_budget(&stand, &key, plain(), two_lines).await);
    assert!(!share_a_budget(&stand, &key, plain(), forwarded("198.51.100.2")).await);
    // Garbage where the proxy writes, or nothing: the peer.
    let peer = || from("10.0.0.1");
    assert!(share_a_budget(&stand, &key, peer(), forwarded("198.51.100.1, garbage")).await);
}

async fn headers_methods_and_closures_make_keys_and_keys_combine(stand: Stand) {
    let header = Key::header(HeaderName::from_static("x-api-key"));
    let with = |value: &str| Request::builder().header("x-api-key", value);
    assert!(share_a_budget(&stand, &header, with("a"), with("a")).await);
    assert!(!share_a_budget(&stand, &header, with("a"), with("b")).await);

    let method = |method: &str| Request::builder().method(method);
    assert!(!share_a_budget(&stand, &Key::method(), method("GET"), method("POST")).await);
    // Inventing methods makes no budgets.
    assert!(share_a_budget(&stand, &Key::method(), method("FOO"), method("BAR")).await);
    assert!(share_a_budget(&stand, &Key::global(), method("GET"), method("POST")).await);

    let tenant = Key::from_fn("tenant", |request| {
        request.uri.path().split('/').nth(1).map(str::to_owned)
    });
    assert!(share_a_budget(&stand, &tenant, Request::get("/a/1"), Request::get("/a/2")).await);
    assert!(!share_a_budget(&stand, &tenant, Request::get("/a/1"), Request::get("/b/1")).await);

    let both = header.and(Key::method());
    assert!(!share_a_budget(&stand, &both, with("a"), with("a").method("POST")).await);
    assert!(share_a_budget(&stand, &both, with("a"), with("a")).await);
}

async fn a_missing_key_shares_a_budget_is_refused_or_passes_as_was_said(stand: Stand) {
    let key = Key::header(HeaderName::from_static("x-api-key"));
    let layer = one(&stand).with_key(key);
    let without = Request::builder;
    async fn two(service: &Limited, request: impl Fn() -> Builder) -> [u16; 2] {
        let first = send(service, request()).await.status.as_u16();
        [first, send(service, request()).await.status.as_u16()]
    }

    let service = limited(&layer);
    assert_eq!(two(&service, without).await, [200, 429]);
    // A present value, even an empty one, is no missing key.
    assert_eq!(
        two(&service, || without().header("x-api-key", "")).await,
        [200, 429]
    );

    let service = limited(&layer.clone().on_missing_key(MissingKey::Skip));
    assert_eq!(two(&service, without).await, [200, 200]);

    let service = limited(&layer.on_missing_key(MissingKey::Deny));
    let refused = send(&service, without()).await;
    assert_eq!(
        (refused.status.as_u16(), refused.retry_after()),
        (400, None)
    );
    assert_eq!(refused.json()["title"], "Bad Request");
    assert_eq!(refused.field("cache-control"), ["no-store"]);
}

async fn axum_tells_the_peer_and_the_matched_path(stand: Stand) {
    let layer = one(&stand).with_key(Key::peer_ip().and(Key::matched_path()));
    let router = Router::new()
        .route("/users/{id}", get(async || "user"))
        .route("/events/{id}", get(async || "event"))
        .layer(layer);
    let status = async |path: &str, peer: &str| {
        let peer: SocketAddr = peer.parse().unwrap();
        let request = Request::get(path).extension(ConnectInfo(peer));
        let request = request
            .method(Method::GET)
            .body(axum::body::Body::empty())
            .unwrap();
        router
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(status("/users/1", "192.0.2.1:1").await, 200);
    assert_eq!(status("/users/2", "192.0.2.1:2").await, 429);
    assert_eq!(status("/events/1", "192.0.2.1:3").await, 200);
    assert_eq!(status("/users/3", "192.0.2.2:4").await, 200);
}

async fn the_lines_of_a_header_are_one_value_however_they_are_split(stand: Stand) {
    let with = |name: &'static str, lines: &[&str]| {
        let request = Request::builder();
        lines
            .iter()
            .fold(request, |request, line| request.header(name, *line))
    };
    for (name, whole, lines, other) in [
        ("x-api-key", "a, b", ["a", "b"], ["b", "a"]),
        // HTTP/2 sends a cookie a line.
        (
            "cookie",
            "id=1; theme=dark",
            ["id=1", "theme=dark"],
            ["id=2", "theme=dark"],
        ),
    ] {
        let key = Key::header(HeaderName::from_static(name));
        assert!(share_a_budget(&stand, &key, with(name, &[whole]), with(name, &lines)).await);
        assert!(!share_a_budget(&stand, &key, with(name, &lines), with(name, &other)).await);
        let deny = one(&stand).with_key(key).on_missing_key(MissingKey::Deny);
        let status = send(&limited(&deny), with(name, &lines)).await.status;
        assert_eq!(status, 200, "{name} is there");
    }
}

async fn nothing_that_a_client_writes_makes_it_another_budget(stand: Stand) {
    let forged = [
        "203.0.113.5",
        "\"",
        "for=\"",
        "for=\"203.0.113.5, for=\\",
        ",,;=",
        "for=203.0.113.5;for=203.0.113.6",
    ];
    let by_default = Key::client_ip(TrustedProxies::hops(1));
    let plain = || from("10.0.0.1").header("x-forwarded-for", "198.51.100.1");
    for left in forged {
        let line = format!("{left}, 198.51.100.1");
        let request = from("10.0.0.1").header("x-forwarded-for", line);
        assert!(
            share_a_budget(&stand, &by_default, plain(), request).await,
            "{left}"
        );
        // The other field is nobody's word.
        let request = plain().header("forwarded", left);
        assert!(
            share_a_budget(&stand, &by_default, plain(), request).await,
            "{left}"
        );
    }
    let proxies = TrustedProxies::hops(1).with_field(ForwardingField::Forwarded);
    let forwarded = Key::client_ip(proxies);
    let plain = || from("10.0.0.1").header("forwarded", "for=198.51.100.1");
    for left in forged {
        let line = format!("{left}, for=198.51.100.1");
        let request = from("10.0.0.1").header("forwarded", line);
        assert!(
            share_a_budget(&stand, &forwarded, plain(), request).await,
            "{left}"
        );
        let request = plain().header("x-forwarded-for", left);
        assert!(
            share_a_budget(&stand, &forwarded, plain(), request).await,
            "{left}"
        );
        // Where the proxy's own entry is no address, the peer counts and not what stands before.
        let broken = from("10.0.0.1").header("forwarded", format!("{left}, for=unknown"));
        assert!(
            share_a_budget(&stand, &forwarded, from("10.0.0.1"), broken).await,
            "{left}"
        );
    }
}

async fn ipv6_is_grouped_as_the_application_says(stand: Stand) {
    let (a, b) = ("2001:db8:1:2::1", "2001:db8:1:2::2");
    let (c, d) = ("2001:db8:1:2::1", "2001:db8:1:3::1");
    for (bits, [within, across]) in [
        (48, [true, true]),
        (64, [true, false]),
        (128, [false, false]),
    ] {
        for key in [Key::peer_ip(), Key::client_ip(TrustedProxies::hops(1))] {
            let key = key.with_ipv6_prefix(bits).unwrap();
            assert_eq!(
                share_a_budget(&stand, &key, from(a), from(b)).await,
                within,
                "{bits}"
            );
            assert_eq!(
                share_a_budget(&stand, &key, from(c), from(d)).await,
                across,
                "{bits}"
            );
            let mapped = from("::ffff:192.0.2.1");
            assert!(share_a_budget(&stand, &key, mapped, from("192.0.2.1")).await);
            assert!(!share_a_budget(&stand, &key, from("192.0.2.1"), from("192.0.2.2")).await);
        }
    }
    for bits in [0, 32, 47, 129] {
        let error = Key::peer_ip()
            .with_ipv6_prefix(bits)
            .unwrap_err()
            .to_string();
        let expected = format!("an IPv6 prefix of {bits} bits: expected 48 to 128, as in 64");
        assert_eq!(error, expected);
    }
}

#[tokio::test]
async fn another_secret_or_namespace_makes_other_names_of_the_same_addresses() {
    let redis = RedisServer::start();
    let shop = store(&redis).with_namespace("shop").unwrap();
    let layer = |store| RateLimitLayer::new(store, policy(r#""a";q=5;w=60"#));
    let layers = [
        layer(store(&redis)),
        layer(shop),
        layer(store(&redis)).with_secret("correct horse battery staple"),
    ];
    for layer in &layers {
        assert_eq!(send(&limited(layer), from("192.0.2.1")).await.status, 200);
        assert!(!format!("{layer:?}").contains("horse"));
    }
    let subject = |key: &str| key.split(['{', '}']).nth(1).unwrap().to_owned();
    let keys = redis.keys("*");
    let subjects: std::collections::HashSet<_> = keys.iter().map(|key| subject(key)).collect();
    assert_eq!(subjects.len(), 3, "{keys:?}");
}

async fn a_cookie_is_a_key_whatever_stands_beside_it(stand: Stand) {
    let key = Key::cookie("visitor");
    let cookie = |line: &str| from("192.0.2.1").header("cookie", line);
    let one = || cookie("visitor=7");
    for line in [
        "a=b; visitor=7",
        "visitor=7; visitors=8",
        "visitor=7; visitor=9",
    ] {
        assert!(
            share_a_budget(&stand, &key, one(), cookie(line)).await,
            "{line}"
        );
    }
    for line in ["visitor=8", "visitors=7", "a=visitor=7", "Visitor=7"] {
        assert!(
            !share_a_budget(&stand, &key, one(), cookie(line)).await,
            "{line}"
        );
    }
    let two_lines = from("192.0.2.1")
        .header("cookie", "a=b")
        .header("cookie", "visitor=7");
    assert!(share_a_budget(&stand, &key, one(), two_lines).await);
}

#[tokio::test]
async fn who_is_logged_in_is_a_key_whatever_session_they_come_with() {
    use axum::extract::Request;
    use tower_keep::session::{Session, SessionLayer};

    use super::session_user::send;

    let redis = RedisServer::start();
    for store in [Store::memory(), store(&redis)] {
        let limit = RateLimitLayer::new(store.clone(), policy(r#""one";q=1;w=3600"#))
            .with_key(Key::session_user())
            .on_missing_key(MissingKey::Skip);
        let login = async |session: Session, request: Request| {
            let user = request.uri().query().unwrap().to_owned();
            session.login(&user).unwrap();
        };
        let app = Router::new()
            .route("/", get(async || "hello"))
            .route("/login", get(login))
            .layer(limit)
            .layer(SessionLayer::new(store).with_insecure_cookies());
        let mut cookies = Vec::new();
        for user in ["ada", "ada", "bob"] {
            let (status, cookie) = send(&app, &format!("/login?{user}"), None).await;
            assert_eq!(status, 200);
            cookies.push(cookie.unwrap());
        }
        let mut statuses = Vec::new();
        for cookie in &cookies {
            statuses.push(send(&app, "/", Some(cookie)).await.0);
        }
        assert_eq!(statuses, [200, 429, 200]);
        // Nobody is logged in.
        assert_eq!(send(&app, "/", None).await.0, 200);
        assert_eq!(send(&app, "/", None).await.0, 200);
    }
}

#[tokio::test]
async fn a_configuration_says_how_ipv6_is_grouped() {
    for (bits, status) in [(48, 429), (64, 200)] {
        let config = serde_json::json!({
            "policies": [r#""one";q=1;w=3600"#],
            "key": "peer_ip",
            "ipv6_prefix": bits,
        });
        let config = serde_json::from_value(config).unwrap();
        let service = limited(&RateLimitLayer::from_config(Store::memory(), config).unwrap());
        assert_eq!(send(&service, from("2001:db8:1:2::1")).await.status, 200);
        let other = send(&service, from("2001:db8:1:3::1")).await;
        assert_eq!(other.status, status, "{bits}");
    }
}
