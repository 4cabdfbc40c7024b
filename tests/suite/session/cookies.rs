//! The session's part of a response's head, and several session layers at once.

use std::convert::Infallible;

use http::{HeaderMap, Request, Response, header};
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};
use tower_keep::{
    Store,
    session::{Session, SessionAccessed, SessionLayer},
};

use super::stand::Stand;
use crate::harness::cookie_jar::CookieJar;

fn all(headers: &HeaderMap, name: header::HeaderName) -> Vec<&str> {
    let lines = headers.get_all(name).into_iter();
    lines.map(|line| line.to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_response_with_the_session_cookie_is_not_stored_and_keeps_the_handlers_lines() {
    let response = Stand::memory()
        .client()
        .send(async |session| {
            session.insert("k", 1)?;
            let response = Response::builder()
                .header("set-cookie", "theme=dark")
                .header("vary", "accept-encoding")
                .header("cache-control", "public, max-age=60");
            Ok(response.body(String::new()).unwrap())
        })
        .await;
    let headers = response.headers();
    let cookies = all(headers, header::SET_COOKIE);
    assert_eq!(cookies.len(), 2);
    assert_eq!(cookies[0], "theme=dark");
    assert!(cookies[1].ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"));
    assert_eq!(all(headers, header::CACHE_CONTROL), ["no-store"]);
    assert_eq!(all(headers, header::VARY), ["accept-encoding", "Cookie"]);
}

#[tokio::test]
async fn a_response_from_a_session_is_marked_and_private_unless_it_says_public() {
    let stand = Stand::memory();
    let client = stand.logged_in("ada").await;
    for (client, says, sent) in [
        (&client, None, "private"),
        (&client, Some("public, max-age=60"), "public, max-age=60"),
        // That there is no session is seen of the session too.
        (&stand.client(), None, "private"),
    ] {
        let response = client
            .send(async |session| {
                session.get::<String>("user").await?;
                let mut response = Response::default();
                if let Some(says) = says {
                    response
                        .headers_mut()
                        .insert("cache-control", says.parse().unwrap());
                }
                Ok(response)
            })
            .await;
        assert!(response.extensions().get::<SessionAccessed>().is_some());
        assert_eq!(all(response.headers(), header::CACHE_CONTROL), [sent]);
    }
    let unused = client.send(async |_| Ok(Response::default())).await;
    assert!(unused.extensions().get::<SessionAccessed>().is_none());
}

#[tokio::test]
async fn layers_with_different_cookies_coexist() {
    let store = Store::memory();
    let handler = service_fn(|request: Request<()>| async move {
        let session = request.extensions().get::<Session>().unwrap();
        let admin = session.named("admin").unwrap();
        let visitor = session.named("visitor").unwrap();
        assert!(session.named("other").is_none());
        // The innermost is the one that is found.
        session.increment("innermost", 1).await.unwrap();
        admin.increment("admin", 10).await.unwrap();
        visitor.increment("visitor", 100).await.unwrap();
        let mut seen = Vec::new();
        for session in [admin, visitor] {
            for key in ["innermost", "admin", "visitor"] {
                seen.push(session.get::<i64>(key).await.unwrap());
            }
        }
        Ok::<_, Infallible>(Response::new(json!(seen).to_string()))
    });
    let layer = |name| {
        SessionLayer::new(store.clone())
            .with_cookie_name(name)
            .unwrap()
    };
    let service = layer("visitor").layer(layer("admin").layer(handler));
    let mut jar = CookieJar::default();
    for visit in 1..3 {
        let mut request = Request::new(());
        if let Some(cookies) = jar.header() {
            request.headers_mut().insert("cookie", cookies);
        }
        let response = service.clone().oneshot(request).await.unwrap();
        jar.take(response.headers());
        let body = http_body_util::BodyExt::collect(response.into_body())
            .await
            .unwrap();
        let seen: serde_json::Value = serde_json::from_slice(&body.to_bytes()).unwrap();
        assert_eq!(
            seen,
            json!([visit, 10 * visit, null, null, null, 100 * visit])
        );
    }
    assert!(jar.get("__Host-admin").is_some() && jar.get("__Host-visitor").is_some());
}

#[test]
fn a_setting_that_cannot_be_is_refused_by_name() {
    use std::time::Duration;
    let layer = || SessionLayer::new(Store::memory());
    for (error, name) in [
        (layer().with_cookie_name("a b").unwrap_err(), "cookie name"),
        (layer().with_cookie_path("x").unwrap_err(), "cookie path"),
        (
            layer().with_cookie_domain(".x").unwrap_err(),
            "cookie domain",
        ),
        (
            layer().with_idle_timeout(Duration::ZERO).unwrap_err(),
            "idle timeout",
        ),
        (
            layer().with_absolute_timeout(Duration::MAX).unwrap_err(),
            "absolute timeout",
        ),
        (
            layer().with_renewal_interval(Duration::ZERO).unwrap_err(),
            "renewal interval",
        ),
        (
            layer().with_renewal_grace(Duration::MAX).unwrap_err(),
            "renewal grace",
        ),
        (
            layer().with_touch_fraction(f64::NAN).unwrap_err(),
            "touch fraction",
        ),
    ] {
        let error = error.to_string();
        assert!(
            error.contains(name) && error.contains("expected"),
            "{error}"
        );
    }
}

/// The response cache is around the session layer, and handlers say that all may be stored.
#[tokio::test]
async fn the_response_cache_stores_nothing_of_a_session_unless_it_is_public() {
    use http_body_util::{BodyExt, Empty};
    use tower_keep::cache::CacheLayer;

    let store = Store::memory();
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let handler = service_fn(move |request: Request<Empty<bytes::Bytes>>| {
        let call = 1 + calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            let session = request.extensions().get::<Session>().unwrap();
            let mut cache_control = "max-age=60";
            match request.uri().path() {
                "/unused" => {}
                "/write" => session.insert("k", 1).unwrap(),
                "/read" => assert!(!session.exists().await.unwrap()),
                _ => {
                    assert!(!session.exists().await.unwrap());
                    cache_control = "public, max-age=60";
                }
            }
            let response = Response::builder().header("cache-control", cache_control);
            Ok::<_, Infallible>(response.body(call.to_string()).unwrap())
        }
    });
    let service = SessionLayer::new(store.clone()).layer(handler);
    let service = CacheLayer::new(store).layer(service);
    let get = async |path: &str| {
        let request = Request::get(format!("http://example.com{path}"));
        let response = service.clone().oneshot(request.body(Empty::new()).unwrap());
        let body = response.await.unwrap().into_body().collect().await;
        body.unwrap().to_bytes()
    };
    for (path, stored) in [
        ("/unused", true),
        ("/write", false),
        ("/read", false),
        ("/public", true),
    ] {
        let first = get(path).await;
        assert_eq!(get(path).await == first, stored, "{path}");
    }
}
