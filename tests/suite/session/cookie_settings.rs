//! What a layer's settings make of its cookie, and its defaults: on the wire.

use std::time::Duration;

use http::{
    Response, StatusCode,
    header::{CACHE_CONTROL, SET_COOKIE, VARY},
};
use tower_keep::{
    ResponseBody, Store,
    session::{SameSite, SessionConfigError, SessionError, SessionLayer},
};

use super::{
    on_all_stores,
    stand::{Client, Stand},
};
use crate::harness::eventually;

on_all_stores!(
    a_session_holds_64_kib_and_128_keys_by_default,
    a_session_lives_24_hours_without_a_request_and_7_days_at_all_by_default,
    an_old_id_lives_10_seconds_beside_the_new_one_by_default,
);

/// The only `Set-Cookie` line, with `ID` in the place of an id.
fn line(response: &Response<ResponseBody<String>>) -> String {
    let headers = response.headers();
    let lines: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert_eq!(headers[VARY], "Cookie");
    let line = lines[0].to_str().unwrap();
    let (name, rest) = line.split_once('=').unwrap();
    let (value, attributes) = rest.split_once(';').unwrap();
    let value = match value.len() {
        52 => "ID",
        0 => "",
        _ => panic!("{line}"),
    };
    format!("{name}={value};{attributes}")
}

/// The lines with which a session comes and goes.
async fn lines(layer: SessionLayer) -> [String; 2] {
    let client = Client::of(layer);
    let issued = client
        .send(async |session| {
            session.login("ada")?;
            Ok(Response::default())
        })
        .await;
    assert!(
        client.user().await.is_some(),
        "the cookie does not come back"
    );
    let removed = client
        .send(async |session| {
            session.destroy().await?;
            Ok(Response::default())
        })
        .await;
    [line(&issued), line(&removed)]
}

#[tokio::test]
async fn every_setting_of_the_cookie_is_in_the_line_that_sets_it_and_in_that_which_takes_it_back() {
    type Settings = fn(SessionLayer) -> Result<SessionLayer, SessionConfigError>;
    let cases: [(Settings, &str, &str); 11] = [
        (Ok, "__Host-id", "HttpOnly; SameSite=Lax; Secure; Path=/"),
        (
            |layer| layer.with_cookie_name("sid"),
            "__Host-sid",
            "HttpOnly; SameSite=Lax; Secure; Path=/",
        ),
        (
            |layer| layer.with_cookie_path("/app"),
            "__Secure-id",
            "HttpOnly; SameSite=Lax; Secure; Path=/app",
        ),
        (
            |layer| layer.with_cookie_domain("example.com"),
            "__Secure-id",
            "HttpOnly; SameSite=Lax; Secure; Path=/; Domain=example.com",
        ),
        (
            |layer| Ok(layer.with_same_site(SameSite::Strict)),
            "__Host-id",
            "HttpOnly; SameSite=Strict; Secure; Path=/",
        ),
        (
            |layer| Ok(layer.with_same_site(SameSite::None)),
            "__Host-id",
            "HttpOnly; SameSite=None; Secure; Path=/",
        ),
        (
            |layer| Ok(layer.with_partitioned_cookie()),
            "__Host-id",
            "HttpOnly; SameSite=Lax; Partitioned; Secure; Path=/",
        ),
        (
            |layer| Ok(layer.with_insecure_cookies()),
            "id",
            "HttpOnly; SameSite=Lax; Path=/",
        ),
        (
            |layer| Ok(layer.with_partitioned_cookie().with_insecure_cookies()),
            "id",
            "HttpOnly; SameSite=Lax; Path=/",
        ),
        (
            |layer| {
                let layer = layer.with_insecure_cookies();
                layer.with_cookie_path("/app")?.with_cookie_name("sid")
            },
            "sid",
            "HttpOnly; SameSite=Lax; Path=/app",
        ),
        (
            |layer| {
                let layer = layer
                    .with_same_site(SameSite::None)
                    .with_partitioned_cookie();
                layer
                    .with_cookie_domain("example.com")?
                    .with_cookie_name("sid")
            },
            "__Secure-sid",
            "HttpOnly; SameSite=None; Partitioned; Secure; Path=/; Domain=example.com",
        ),
    ];
    for (settings, name, attributes) in cases {
        let layer = settings(SessionLayer::new(Store::memory())).unwrap();
        assert_eq!(layer.cookie_name(), name);
        let [issued, removed] = lines(layer).await;
        assert_eq!(issued, format!("{name}=ID; {attributes}"));
        // A browser takes away the cookie of the same name, path and domain. `Partitioned` is part of
        // where it is kept.
        assert_eq!(removed, format!("{name}=; {attributes}; Max-Age=0"));
    }
}

#[tokio::test]
async fn a_persistent_cookie_lives_as_long_as_its_session_can() {
    const DAY: u64 = 24 * 3600;
    for (absolute, max_age) in [(7 * DAY, 7 * DAY), (1000 * DAY, 400 * DAY)] {
        let layer = SessionLayer::new(Store::memory()).with_persistent_cookie();
        let layer = layer.with_absolute_timeout(Duration::from_secs(absolute));
        let [issued, removed] = lines(layer.unwrap()).await;
        assert!(
            issued.ends_with(&format!("; Max-Age={max_age}")),
            "{issued}"
        );
        assert!(removed.ends_with("; Max-Age=0"), "{removed}");
    }
    // A new id does not make it longer.
    let stand = Stand::memory().with(SessionLayer::with_persistent_cookie);
    let client = stand.logged_in("ada").await;
    stand.advance(Duration::from_secs(DAY / 2)).await;
    let renewed = client
        .send(async |session| {
            session.renew()?;
            Ok(Response::default())
        })
        .await;
    let renewed = line(&renewed);
    assert!(
        renewed.ends_with(&format!("; Max-Age={}", 13 * DAY / 2)),
        "{renewed}"
    );
}

async fn a_session_holds_64_kib_and_128_keys_by_default(stand: Stand) {
    let client = stand.client();
    let insert = async |key: String, bytes: usize| {
        let response = client.send(async |session| {
            session.insert(&key, "x".repeat(bytes - 2 - key.len()))?;
            Ok::<_, SessionError>(Response::default())
        });
        response.await.status()
    };
    assert_eq!(insert("k".into(), 64 << 10).await, StatusCode::OK);
    assert_eq!(
        insert("k".into(), (64 << 10) + 1).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(insert("k".into(), 100).await, StatusCode::OK);
    for n in 1..128 {
        assert_eq!(insert(n.to_string(), 100).await, StatusCode::OK, "{n}");
    }
    assert_eq!(
        insert("more".into(), 100).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

async fn a_session_lives_24_hours_without_a_request_and_7_days_at_all_by_default(stand: Stand) {
    const HOUR: Duration = Duration::from_secs(3600);
    let idle = stand.logged_in("ada").await;
    stand.advance(24 * HOUR - Duration::from_secs(60)).await;
    assert!(idle.user().await.is_some());
    stand.advance(24 * HOUR + Duration::from_secs(60)).await;
    assert!(idle.user().await.is_none());

    let busy = stand.logged_in("ada").await;
    for _ in 0..8 {
        stand.advance(20 * HOUR).await;
        assert!(busy.user().await.is_some());
    }
    stand.advance(8 * HOUR - Duration::from_secs(60)).await;
    assert!(busy.user().await.is_some());
    stand.advance(Duration::from_secs(61)).await;
    assert!(busy.user().await.is_none());
}

async fn an_old_id_lives_10_seconds_beside_the_new_one_by_default(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let old = client.copy();
    client.renew().await;
    assert!(client.user().await.is_some());
    if stand.is_redis() {
        let now = stand.session_keys();
        let ttl = |key: &String| stand.server().query::<i64>(&["PTTL", key]);
        let left: Vec<_> = now.iter().map(ttl).filter(|ttl| *ttl <= 10_000).collect();
        assert!(left.len() == 1 && left[0] > 0, "{left:?}");
    }
    assert!(old.user().await.is_some());
    stand.advance(Duration::from_millis(10_001)).await;
    eventually("the old id has ended", async || old.user().await.is_none()).await;
    assert!(client.user().await.is_some());
}
