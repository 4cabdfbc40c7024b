//! Limits beside a response cache, on either side of it.

use std::convert::Infallible;

use http::{HeaderValue, Response, header::CACHE_CONTROL};
use tower::util::BoxCloneSyncService;
use tower::{Layer, service_fn};
use tower_keep::cache::CacheLayer;
use tower_keep::rate_limit::{PolicyDecision, RateLimitDecision, RateLimitLayer};

use super::stand::{Stand, on_memory_and_redis};
use super::{Body, from, policy, send};

on_memory_and_redis!(
    a_hit_tells_each_client_its_own_limits,
    a_denial_is_stored_by_no_cache_around_it_whatever_it_says_of_caching,
);

const FRESH: HeaderValue = HeaderValue::from_static("public, max-age=600");

fn one_each(stand: &Stand) -> RateLimitLayer {
    RateLimitLayer::new(stand.store.clone(), policy(r#""each";q=1;w=36000"#))
}

/// A page that any cache may keep.
async fn page(_: http::Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut page = Response::new(Body::from("page"));
    page.headers_mut().insert(CACHE_CONTROL, FRESH);
    Ok(page)
}

async fn a_hit_tells_each_client_its_own_limits(stand: Stand) {
    let limit = RateLimitLayer::new(stand.store.clone(), policy(r#""each";q=9;w=36000"#));
    let cache = CacheLayer::new(stand.store.clone());
    let service = limit.layer(cache.layer(service_fn(page)));
    let service = BoxCloneSyncService::new(service);
    let asked = [
        ("192.0.2.1", "fwd", 8),
        ("192.0.2.1", "hit", 7),
        ("192.0.2.2", "hit", 8),
    ];
    for (client, how, left) in asked {
        let reply = send(&service, from(client).uri("http://host/")).await;
        assert_eq!((reply.status.as_u16(), &*reply.body), (200, &b"page"[..]));
        let status = reply.field("cache-status")[0];
        assert!(status.contains(how), "{status}");
        // One member: none is left of whoever made the response.
        let field = reply.field("ratelimit").join(", ");
        let expected = format!(r#""each";r={left};t="#);
        assert!(field.starts_with(&expected), "{field}");
        assert!(!field.contains(','), "{field}");
        let decision: &RateLimitDecision = reply.extensions.get().unwrap();
        let told: Vec<_> = decision.iter().map(PolicyDecision::remaining).collect();
        assert_eq!(told, [left]);
    }
}

async fn a_denial_is_stored_by_no_cache_around_it_whatever_it_says_of_caching(stand: Stand) {
    let limit = one_each(&stand).with_response(|_, mut denial| {
        denial.headers_mut().insert(CACHE_CONTROL, FRESH);
        denial
    });
    let cache = CacheLayer::new(stand.store.clone());
    let service = cache.layer(limit.layer(service_fn(page)));
    let service = BoxCloneSyncService::new(service);
    let get = async |client: &str, path: &str| {
        let request = from(client).uri(format!("http://host{path}"));
        let reply = send(&service, request).await;
        let status = reply.field("cache-status")[0].to_owned();
        (reply.status.as_u16(), status.contains("hit"))
    };
    assert_eq!(get("192.0.2.1", "/a").await, (200, false));
    for _ in 0..3 {
        assert_eq!(get("192.0.2.1", "/b").await, (429, false));
    }
    // Whoever has not used up theirs gets the page, and from then on all do.
    assert_eq!(get("192.0.2.2", "/b").await, (200, false));
    assert_eq!(get("192.0.2.1", "/b").await, (200, true));
}
