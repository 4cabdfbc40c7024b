//! When changes are committed, and when not.

use http::{Response, StatusCode};
use serde_json::json;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_keep::session::{Session, SessionError};

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    what_the_head_of_the_response_promises_is_stored,
    a_5xx_drops_what_was_to_be_committed_and_keeps_what_was_done_at_once,
    a_5xx_commits_when_it_is_told_to,
    a_renewal_that_ends_in_a_5xx_leaves_the_session_under_its_old_id,
    a_panic_commits_nothing,
    a_change_after_the_response_has_begun_is_an_error,
    a_change_after_the_request_was_given_up_is_an_error,
    an_error_of_the_inner_service_passes_and_commits_nothing,
);

fn status(status: StatusCode) -> Response<String> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

async fn what_the_head_of_the_response_promises_is_stored(stand: Stand) {
    let client = stand.client();
    let response = client
        .send(async |session| {
            session.insert("user", "ada")?;
            Ok(status(StatusCode::SEE_OTHER))
        })
        .await;
    // The body was not touched yet.
    assert_eq!(client.get("user").await, Some(json!("ada")));
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
}

async fn a_5xx_drops_what_was_to_be_committed_and_keeps_what_was_done_at_once(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let nobody = stand.client();
    for client in [&client, &nobody] {
        let response = client
            .send(async |session| {
                session.increment("visits", 1).await?;
                session.insert("user", "eve")?;
                Ok(status(StatusCode::BAD_GATEWAY))
            })
            .await;
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        assert!(!response.headers().contains_key("set-cookie"));
    }
    assert_eq!(client.get("user").await, Some(json!("ada")));
    assert_eq!(client.get("visits").await, Some(json!(1)));
}

async fn a_5xx_commits_when_it_is_told_to(stand: Stand) {
    let stand = stand.with(|layer| layer.with_commit_on_server_error(true));
    let client = stand.client();
    client
        .send(async |session| {
            session.insert("failures", 1)?;
            Ok(status(StatusCode::INTERNAL_SERVER_ERROR))
        })
        .await;
    assert_eq!(client.get("failures").await, Some(json!(1)));
}

async fn a_renewal_that_ends_in_a_5xx_leaves_the_session_under_its_old_id(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let id = client.id();
    client
        .send(async |session| {
            session.renew()?;
            session.insert("user", "eve")?;
            Ok(status(StatusCode::INTERNAL_SERVER_ERROR))
        })
        .await;
    assert_eq!(client.id(), id);
    assert_eq!(client.get("user").await, Some(json!("ada")));
}

async fn a_panic_commits_nothing(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let request = client.clone();
    let panicked = tokio::spawn(async move {
        let handler = async |session: Session| {
            session.insert("user", "eve")?;
            if session.was_accessed() {
                panic!("a handler's panic, on purpose");
            }
            Ok(Response::default())
        };
        request.send(handler).await.map(drop)
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(client.get("user").await, Some(json!("ada")));
}

async fn a_change_after_the_response_has_begun_is_an_error(stand: Stand) {
    for client in [stand.logged_in("ada").await, stand.client()] {
        let late = client.visit(async |session| session).await;
        let error = |result: Result<(), SessionError>| {
            assert!(matches!(result, Err(SessionError::Committed)), "{result:?}");
        };
        error(late.insert("k", 1));
        error(late.remove("k"));
        error(late.clear());
        error(late.renew());
        error(late.destroy().await);
        error(late.increment("k", 1).await.map(drop));
        error(late.update("k", |_: Option<i32>| 1).await.map(drop));
        assert_eq!(client.get("k").await, None);
    }
    // What was read before may be read on.
    let client = stand.logged_in("ada").await;
    let late = client.visit(async |session| {
        session.exists().await.unwrap();
        session
    });
    assert_eq!(
        late.await.get::<String>("user").await.unwrap().unwrap(),
        "ada"
    );
    // A first look would come too late for the response's head.
    let late = client.visit(async |session| session).await;
    let unread = late.get::<String>("user").await;
    assert!(matches!(unread, Err(SessionError::Committed)), "{unread:?}");
}

async fn a_change_after_the_request_was_given_up_is_an_error(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let (give, mut take) = tokio::sync::mpsc::unbounded_channel();
    {
        let request = client.send(async |session| {
            session.insert("user", "eve")?;
            give.send(session).unwrap();
            std::future::pending().await
        });
        let mut request = std::pin::pin!(request);
        tokio::select! {
            _ = &mut request => unreachable!("the handler never ends"),
            () = tokio::task::yield_now() => {}
        }
    }
    let session = take.recv().await.unwrap();
    let late = session.insert("k", 1);
    assert!(matches!(late, Err(SessionError::Committed)), "{late:?}");
    assert_eq!(client.get("user").await, Some(json!("ada")));
}

async fn an_error_of_the_inner_service_passes_and_commits_nothing(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let inner = service_fn(|request: http::Request<()>| async move {
        let session = request.extensions().get::<Session>().unwrap();
        session.insert("user", "eve").unwrap();
        Err::<Response<String>, _>("the inner service's own error type")
    });
    let mut service = stand.layer.layer(inner);
    let error = service.ready().await.unwrap().call(client.request()).await;
    assert_eq!(error.unwrap_err(), "the inner service's own error type");
    assert_eq!(client.get("user").await, Some(json!("ada")));
}
