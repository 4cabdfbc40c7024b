//! Requests and responses of every kind: what the session does does not depend on them.

use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response, StatusCode, header},
    response::IntoResponse,
    routing::any,
};
use serde_json::json;
use tower::ServiceExt;
use tower_keep::session::Session;

use super::{
    on_all_stores,
    stand::{Client, Stand},
};

on_all_stores!(
    a_head_and_an_options_are_requests_like_any_other,
    a_304_commits_and_is_private,
    a_handler_that_panics_changes_nothing_and_hands_out_no_cookie,
);

/// What a handler does with its session.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Nothing,
    Reads,
    Changes,
    Renews,
}

impl Does {
    const ALL: [Self; 4] = [Self::Nothing, Self::Reads, Self::Changes, Self::Renews];

    async fn it(self, session: &Session) {
        match self {
            Self::Nothing => {}
            Self::Reads => drop(session.user().await.unwrap()),
            Self::Changes => session.insert("k", "changed").unwrap(),
            Self::Renews => session.renew().unwrap(),
        }
    }
}

/// Asks a site whose handler does this and then answers with what `answer` makes.
async fn ask(
    stand: &Stand,
    client: &Client,
    method: Method,
    does: Does,
    answer: fn() -> Response<Body>,
) -> Response<Body> {
    let handler = move |session: Session| async move {
        does.it(&session).await;
        answer()
    };
    let app = Router::new().route("/", any(handler));
    let app = app.layer(stand.layer.clone());
    app.oneshot(request(client, method)).await.unwrap()
}

fn request(client: &Client, method: Method) -> Request<Body> {
    let (mut parts, ()) = client.request().into_parts();
    parts.method = method;
    Request::from_parts(parts, Body::empty())
}

/// The response of a request that has read its session, or has changed it.
#[track_caller]
fn assert_head(response: &Response<Body>, does: Does) {
    let headers = response.headers();
    let said = |name| headers.get(name).map(|value| value.to_str().unwrap());
    let (cache, vary) = match does {
        Does::Nothing => (None, None),
        Does::Reads | Does::Changes => (Some("private"), Some("Cookie")),
        Does::Renews => (Some("no-store"), Some("Cookie")),
    };
    assert_eq!(said(header::CACHE_CONTROL), cache, "{does:?}");
    assert_eq!(said(header::VARY), vary, "{does:?}");
    let has_cookie = headers.contains_key(header::SET_COOKIE);
    assert_eq!(has_cookie, does == Does::Renews, "{does:?}");
}

async fn a_head_and_an_options_are_requests_like_any_other(stand: Stand) {
    for method in [Method::HEAD, Method::OPTIONS] {
        for does in Does::ALL {
            let client = stand.logged_in("ada").await;
            let ok = || StatusCode::OK.into_response();
            let response = ask(&stand, &client, method.clone(), does, ok).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_head(&response, does);
            let changed = (does == Does::Changes).then(|| json!("changed"));
            assert_eq!(client.get("k").await, changed);
        }
    }
}

/// The stored response that a 304 freshens is the client's own, and so is what it says.
async fn a_304_commits_and_is_private(stand: Stand) {
    for does in Does::ALL {
        let client = stand.logged_in("ada").await;
        let not_modified = || {
            let tag = [(header::ETAG, "\"1\"")];
            (StatusCode::NOT_MODIFIED, tag).into_response()
        };
        let response = ask(&stand, &client, Method::GET, does, not_modified).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(response.headers()[header::ETAG], "\"1\"");
        assert_head(&response, does);
        let changed = (does == Does::Changes).then(|| json!("changed"));
        assert_eq!(client.get("k").await, changed);
    }
}

/// Whether the panic is caught inside of the layer, which sees a 500 then, or outside.
async fn a_handler_that_panics_changes_nothing_and_hands_out_no_cookie(stand: Stand) {
    for inside in [false, true] {
        for does in Does::ALL {
            for anonymous in [false, true] {
                let client = match anonymous {
                    true => stand.client(),
                    false => stand.logged_in("ada").await,
                };
                let handler = move |session: Session| async move {
                    let work = async move {
                        does.it(&session).await;
                        panic!("a handler's panic, on purpose");
                    };
                    match inside {
                        false => work.await,
                        true => drop(tokio::spawn(work).await),
                    }
                    StatusCode::INTERNAL_SERVER_ERROR
                };
                let app = Router::new().route("/", any(handler));
                let app = app.layer(stand.layer.clone());
                let answer = tokio::spawn(app.oneshot(request(&client, Method::POST))).await;
                match answer {
                    Ok(response) => {
                        let response = response.unwrap();
                        assert!(inside);
                        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
                        assert!(!response.headers().contains_key(header::SET_COOKIE));
                    }
                    Err(error) => assert!(error.is_panic() && !inside),
                }
                assert_eq!(client.get("k").await, None);
                assert_eq!(
                    client.user().await.is_some(),
                    !anonymous,
                    "{inside} {does:?}"
                );
            }
        }
    }
}
