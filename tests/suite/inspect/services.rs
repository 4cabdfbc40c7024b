//! What belongs to one kind of data: an operator sees and ends what an application has made, from a
//! process that shares nothing with it but the store.

use std::{convert::Infallible, net::SocketAddr};

use http::{Request, Response, StatusCode, request::Parts};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_keep::{
    PeerAddr, Store,
    cache::{CacheLayer, Purged},
    inspect::Inspector,
    rate_limit::{Key, QuotaPolicy, RateLimitLayer, RateLimiter, SessionUser},
    refresh_token::{Grant, RefreshTokens},
    session::{SessionError, SessionLayer},
};

use crate::{
    cache::stand::{Origin, Site, ok},
    harness::{connected::PATIENT, on_all_stores, redis::Backend},
    session::stand::Client,
};

on_all_stores!(
    the_sessions_of_a_user_are_listed_and_one_or_all_are_ended,
    refresh_tokens_are_listed_and_revoked,
    a_limiters_key_is_peeked_at_and_reset,
    a_client_is_peeked_at_and_reset_as_a_layer_counts_it,
    a_user_is_peeked_at_without_a_session,
    a_uri_is_purged_and_no_other,
    a_tag_is_purged_hard_and_softly,
);

/// An application's store, and an inspector with a store of its own.
pub(super) struct Stand {
    pub(super) store: Store,
    pub(super) inspector: Inspector,
    pub(super) backend: Option<Backend>,
}

impl Stand {
    fn memory() -> Self {
        let store = Store::memory();
        Self {
            inspector: Inspector::new(store.clone()),
            store,
            backend: None,
        }
    }

    pub(super) async fn on(backend: Backend) -> Self {
        Self {
            store: backend.connected(PATIENT).await,
            inspector: Inspector::new(backend.connected(PATIENT).await),
            backend: Some(backend),
        }
    }

    /// A client that has logged in on a device.
    pub(super) async fn client(&self, user: &'static str, device: &'static str) -> Client {
        let client = Client::of(SessionLayer::new(self.store.clone()));
        let bind = move |session: tower_keep::session::Session| async move {
            session.bind(user, device).unwrap();
        };
        client.visit(bind).await;
        client
    }

    /// A site whose pages are fresh for a minute, and then may be stale; each with a tag of its name.
    pub(super) fn site(&self) -> Site {
        let page = |request: Request<String>| async move {
            let path = request.uri().path().trim_start_matches('/');
            let control = "max-age=60, stale-while-revalidate=60";
            let mut response = ok(&[("cache-control", control)], "page");
            response
                .headers_mut()
                .insert("cache-tag", path.parse().unwrap());
            Ok(response)
        };
        Site::of(&CacheLayer::new(self.store.clone()), Origin::new(page))
    }
}

async fn user(client: &Client) -> Option<String> {
    let user = async |session: tower_keep::session::Session| session.user().await.unwrap();
    client.visit(user).await.map(|user| user.to_string())
}

async fn the_sessions_of_a_user_are_listed_and_one_or_all_are_ended(stand: Stand) {
    let laptop = stand.client("ada", "laptop").await;
    let phone = stand.client("ada", "phone").await;
    let stranger = stand.client("eve", "laptop").await;
    let sessions = stand.inspector.user_sessions("ada").unwrap();
    let listed = sessions.list().await.unwrap();
    assert_eq!(listed.len(), 2);
    let of_phone = listed.iter().find(|session| &*session.device == "phone");
    assert!(sessions.revoke(&of_phone.unwrap().handle).await.unwrap());
    assert_eq!(user(&phone).await, None);
    assert_eq!(user(&laptop).await.as_deref(), Some("ada"));
    assert_eq!(sessions.revoke_all().await.unwrap(), 1);
    assert_eq!(user(&laptop).await, None);
    assert!(sessions.list().await.unwrap().is_empty());
    assert_eq!(user(&stranger).await.as_deref(), Some("eve"));
    let nobody = stand.inspector.user_sessions("");
    assert!(matches!(nobody, Err(SessionError::InvalidUser)));
}

async fn refresh_tokens_are_listed_and_revoked(stand: Stand) {
    let tokens = RefreshTokens::new(stand.store.clone());
    let first = tokens.issue(Grant::new("ada", "web")).await.unwrap();
    let second = tokens.issue(Grant::new("ada", "app")).await.unwrap();
    let inspected = stand.inspector.refresh_tokens();
    assert_eq!(inspected.list("ada").await.unwrap().len(), 2);
    inspected.revoke_family("ada", first.family).await.unwrap();
    assert!(tokens.rotate(first.token.expose(), "web").await.is_err());
    let next = tokens.rotate(second.token.expose(), "app").await.unwrap();
    inspected.revoke_user("ada").await.unwrap();
    assert!(tokens.rotate(next.token.expose(), "app").await.is_err());
}

pub(super) fn policy() -> QuotaPolicy {
    r#""daily";q=3;w=86400"#.parse().unwrap()
}

fn remaining(decision: &tower_keep::rate_limit::RateLimitDecision) -> u64 {
    decision.tightest().unwrap().remaining()
}

async fn a_limiters_key_is_peeked_at_and_reset(stand: Stand) {
    let logins = RateLimiter::new(stand.store.clone(), policy());
    for _ in 0..4 {
        let _ = logins.acquire("ada", 1).await.unwrap();
    }
    let inspected = stand.inspector.rate_limiter(policy());
    for _ in 0..2 {
        assert_eq!(remaining(&inspected.peek("ada").await.unwrap()), 0);
        assert_eq!(remaining(&inspected.peek("eve").await.unwrap()), 3);
    }
    inspected.reset("ada").await.unwrap();
    assert_eq!(remaining(&inspected.peek("ada").await.unwrap()), 3);
}

/// A request of this client and nothing else.
fn request(of: impl Clone + Send + Sync + 'static) -> Parts {
    let request = Request::builder().extension(of).body(()).unwrap();
    request.into_parts().0
}

async fn a_client_is_peeked_at_and_reset_as_a_layer_counts_it(stand: Stand) {
    let layer = RateLimitLayer::new(stand.store.clone(), policy());
    let answer = async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new()));
    let service = layer.layer(service_fn(answer));
    let [one, other] = [7, 8].map(|n| PeerAddr(SocketAddr::from(([192, 0, 2, n], 4711))));
    let send = async || {
        let request = Request::from_parts(request(one), ());
        service.clone().oneshot(request).await.unwrap().status()
    };
    for _ in 0..3 {
        assert_eq!(send().await, StatusCode::OK);
    }
    assert_eq!(send().await, StatusCode::TOO_MANY_REQUESTS);
    let inspected = stand.inspector.rate_limiter(policy());
    let left = async |client| {
        let (key, request) = (Key::peer_ip(), request(client));
        remaining(&inspected.peek_request(&key, &request).await.unwrap())
    };
    assert_eq!((left(one).await, left(other).await), (0, 3));
    inspected
        .reset_request(&Key::peer_ip(), &request(one))
        .await
        .unwrap();
    assert_eq!(left(one).await, 3);
}

async fn a_user_is_peeked_at_without_a_session(stand: Stand) {
    let limit = RateLimitLayer::new(stand.store.clone(), policy()).with_key(Key::session_user());
    let answer = async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new()));
    let service = SessionLayer::new(stand.store.clone()).layer(limit.layer(service_fn(answer)));
    let client = stand.client("ada", "laptop").await;
    for _ in 0..2 {
        let response = service.clone().oneshot(client.request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    let inspected = stand.inspector.rate_limiter(policy());
    let left = async |user: &str| {
        let (key, request) = (Key::session_user(), request(SessionUser::new(user)));
        remaining(&inspected.peek_request(&key, &request).await.unwrap())
    };
    assert_eq!((left("ada").await, left("eve").await), (1, 3));
}

async fn a_uri_is_purged_and_no_other(stand: Stand) {
    let site = stand.site();
    for path in ["/a", "/b"] {
        site.get(path).await;
        assert!(site.get(path).await.is_hit());
    }
    let cache = stand.inspector.cache();
    let uri = |path: &str| format!("http://site.example{path}").parse();
    let purged = cache.purge_uri(&uri("/a").unwrap()).await;
    assert_eq!(purged, Purged::Everywhere);
    assert!(!site.get("/a").await.is_hit());
    assert!(site.get("/b").await.is_hit());
}

async fn a_tag_is_purged_hard_and_softly(stand: Stand) {
    let site = stand.site();
    let cache = stand.inspector.cache();
    for path in ["/a", "/b", "/c"] {
        site.get(path).await;
        assert!(site.get(path).await.is_hit());
    }
    assert_eq!(cache.purge_tags(["a"]).await, Purged::Everywhere);
    cache.soft_purge_tags(["b"]).await.unwrap();
    assert!(!site.get("/a").await.is_hit());
    // It is stale, so it may be served while it is validated.
    let stale = site.get("/b").await;
    assert!(stale.cache_status().contains("hit"), "{stale:?}");
    assert!(site.get("/c").await.is_hit());
    assert!(site.hits() >= 4);
}

#[tokio::test]
async fn a_store_that_is_gone_is_an_error_and_never_a_guess() {
    let mut backend = Backend::redis();
    let inspector = Inspector::new(backend.connected(PATIENT).await);
    backend.kill();
    let limiter = inspector.rate_limiter(policy());
    assert!(limiter.peek("ada").await.is_err());
    assert!(limiter.reset("ada").await.is_err());
    let sessions = inspector.user_sessions("ada").unwrap();
    assert!(sessions.list().await.is_err());
    assert!(sessions.revoke_all().await.is_err());
    assert_eq!(inspector.cache().purge_tags(["a"]).await, Purged::HereOnly);
    assert!(inspector.cache().soft_purge_tags(["a"]).await.is_err());
}
