//! The extractor and the errors in an axum application.

use axum::{Router, body::Body, routing::get};
use http::{Request, StatusCode};
use tower::ServiceExt;
use tower_keep::session::{Session, SessionError, SessionLayer};

use super::stand::Stand;

async fn visits(session: Session) -> Result<String, SessionError> {
    Ok(session.increment("visits", 1).await?.to_string())
}

fn get_root(cookie: Option<&str>) -> Request<Body> {
    let request = Request::get("/");
    let request = match cookie {
        Some(cookie) => request.header("cookie", cookie),
        None => request,
    };
    request.body(Body::empty()).unwrap()
}

fn app(layer: SessionLayer) -> Router {
    Router::new().route("/", get(visits)).layer(layer)
}

async fn body(response: http::Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 16)
        .await
        .unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_handler_takes_the_session_as_an_argument() {
    let app = app(Stand::memory().layer);
    let first = app.clone().oneshot(get_root(None)).await.unwrap();
    let cookie = first.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert_eq!(body(first).await, "1");
    let cookie = cookie.split(';').next();
    let second = app.oneshot(get_root(cookie)).await.unwrap();
    assert_eq!(body(second).await, "2");
}

#[tokio::test]
async fn a_missing_layer_is_named_in_the_log_and_a_problem_to_the_client() {
    let app = Router::new().route("/", get(visits));
    let response = app.oneshot(get_root(None)).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert!(body(response).await.contains("session layer is missing"));
}

#[tokio::test]
async fn a_failing_store_is_a_503_problem() {
    let mut stand = Stand::redis().await;
    let client = stand.logged_in("ada").await;
    stand.server_mut().kill();
    let cookie = format!("__Host-id={}", client.id().unwrap());
    let response = app(stand.layer.clone())
        .oneshot(get_root(Some(&cookie)))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let text = body(response).await;
    assert!(text.contains("\"status\":503"), "{text}");
}

async fn visits_if_any(session: Option<Session>) -> Result<String, SessionError> {
    match session {
        Some(session) => visits(session).await,
        None => Ok("no layer".to_owned()),
    }
}

#[tokio::test]
async fn an_optional_session_is_none_without_a_layer_and_costs_nothing() {
    let app = Router::new().route("/", get(visits_if_any));
    let without = app.clone().oneshot(get_root(None)).await.unwrap();
    assert_eq!(without.status(), StatusCode::OK);
    assert_eq!(body(without).await, "no layer");
    let with = app.layer(Stand::memory().layer);
    let with = with.oneshot(get_root(None)).await.unwrap();
    assert!(with.headers().contains_key("set-cookie"));
    assert_eq!(body(with).await, "1");
}

async fn whoami(session: Session) -> Result<String, SessionError> {
    Ok(session.require_user().await?.to_string())
}

#[tokio::test]
async fn a_replay_after_a_logout_is_a_401() {
    let stand = Stand::memory();
    let client = stand.logged_in("ada").await;
    let cookie = format!("__Host-id={}", client.id().unwrap());
    let app = Router::new()
        .route("/", get(whoami))
        .layer(stand.layer.clone());
    let ask = async || app.clone().oneshot(get_root(Some(&cookie))).await.unwrap();
    assert_eq!(body(ask().await).await, "ada");
    client.logout().await;
    let replay = ask().await;
    assert_eq!(replay.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(replay.headers()["content-type"], "application/problem+json");
}
