//! What users are counted by while nobody can tell who they are.

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use tower::ServiceExt;
use tower_keep::rate_limit::{Key, MissingKey, RateLimitLayer, RateLimitOnStoreError};
use tower_keep::session::{Session, SessionLayer, SessionOnStoreError};

use super::{policy, store};
use crate::harness::redis::RedisServer;

/// A session's cookie and status.
pub(super) async fn send(app: &Router, path: &str, cookie: Option<&str>) -> (u16, Option<String>) {
    let mut request = Request::get(path);
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    let request = request.body(axum::body::Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let cookie = response.headers().get("set-cookie");
    let cookie = cookie.map(|it| it.to_str().unwrap().split(';').next().unwrap().to_owned());
    (response.status().as_u16(), cookie)
}

/// What three users with one more request each, and the first of them with three more, are
/// answered after Redis has gone.
async fn without_redis(on_error: RateLimitOnStoreError, missing_key: MissingKey) -> Vec<u16> {
    let mut redis = RedisServer::start();
    let store = store(&redis);
    let limit = RateLimitLayer::new(store.clone(), policy(r#""two";q=2;w=3600"#))
        .with_key(Key::session_user())
        .on_store_error(on_error)
        .on_missing_key(missing_key);
    let login = async |session: Session, request: Request| {
        let user = request.uri().query().unwrap().to_owned();
        session.login(&user).unwrap();
    };
    let sessions = SessionLayer::new(store).with_insecure_cookies();
    let app = Router::new()
        .route("/", get(async || "hello"))
        .layer(limit)
        .route("/login", get(login))
        .layer(sessions.with_on_store_error(SessionOnStoreError::AnonymousReadOnly));
    let mut cookies = Vec::new();
    for user in ["ada", "bob", "eve"] {
        let (status, cookie) = send(&app, &format!("/login?{user}"), None).await;
        assert_eq!(status, 200);
        cookies.push(cookie.unwrap());
    }
    redis.kill();
    let mut statuses = Vec::new();
    for cookie in [0, 1, 2, 0, 0].map(|user: usize| &cookies[user]) {
        statuses.push(send(&app, "/", Some(cookie)).await.0);
    }
    statuses
}

const MISSING: [MissingKey; 3] = [MissingKey::Shared, MissingKey::Deny, MissingKey::Skip];

#[tokio::test]
async fn users_who_cannot_be_told_are_counted_each_by_their_session() {
    for missing_key in MISSING {
        let statuses = without_redis(RateLimitOnStoreError::default(), missing_key).await;
        assert_eq!(statuses, [200, 200, 200, 200, 429], "{missing_key:?}");
    }
}

#[tokio::test]
async fn users_who_cannot_be_told_pass_or_are_answered_503_as_was_said() {
    for missing_key in MISSING {
        let statuses = without_redis(RateLimitOnStoreError::Allow, missing_key).await;
        assert_eq!(statuses, [200; 5], "{missing_key:?}");
        let statuses = without_redis(RateLimitOnStoreError::Deny, missing_key).await;
        assert_eq!(statuses, [503; 5], "{missing_key:?}");
    }
}
