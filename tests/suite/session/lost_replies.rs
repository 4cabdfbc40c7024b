//! What happens when a connection is lost after the server has executed a command and before
//! its reply: the store sends again what may be sent twice, and only that.

use std::{sync::Arc, time::Duration};

use http::{Response, StatusCode, header::SET_COOKIE};
use serde_json::json;
use tower_keep::{
    StoreConfig,
    session::{Session, SessionError, SessionLayer},
};

use super::stand::{Client, Stand};
use crate::harness::proxy::Proxy;

fn hold_replies(proxy: &Proxy) {
    proxy.delay(Duration::ZERO, Duration::from_secs(60));
}

/// Sends a request over a proxy whose replies `handler` holds back from some point on, and
/// loses them once the server `has_executed` what comes then.
async fn with_a_lost_reply<H, F>(
    stand: &Stand,
    layer: impl FnOnce(SessionLayer) -> SessionLayer,
    id: Option<String>,
    handler: H,
    has_executed: impl Fn(&Proxy) -> bool,
) -> (Client, Response<()>)
where
    H: FnOnce(Session, Arc<Proxy>) -> F + Send + 'static,
    F: Future<Output = Result<Response<String>, SessionError>> + Send,
{
    let proxy = Arc::new(Proxy::start(stand.server().addr()));
    let store = StoreConfig::from_url(&format!("redis://{}/", proxy.addr())).unwrap();
    let store = store
        .with_deadline(Duration::from_secs(10))
        .build()
        .unwrap();
    store.ping().await.unwrap();
    let client = Client::of(layer(SessionLayer::new(store)));
    if let Some(id) = id {
        client.plant(&id);
    }
    let (request, held) = (client.clone(), proxy.clone());
    let request = async move {
        request
            .send(|session| handler(session, held))
            .await
            .map(drop)
    };
    let request = tokio::spawn(request);
    while !has_executed(&proxy) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    proxy.delay(Duration::ZERO, Duration::ZERO);
    proxy.drop_connections();
    let response = request.await.unwrap();
    // The same client without the proxy, which ends here.
    let direct = stand.client();
    if let Some(id) = client.id() {
        direct.plant(&id);
    }
    (direct, response)
}

#[tokio::test]
async fn a_renewal_whose_reply_is_lost_still_reaches_the_client() {
    for (grace, user) in [(10, "ada"), (0, "ada"), (10, "eve"), (0, "eve")] {
        let grace = Duration::from_secs(grace);
        let stand = Stand::redis().await;
        let first = stand.logged_in("ada").await;
        let key = stand.only_key();
        let noted = || {
            let indexes = stand.server().keys("*session_index:*").into_iter();
            let read = |key: String| stand.server().query::<Vec<String>>(&["HGETALL", &key]);
            indexes.map(read).collect::<Vec<_>>()
        };
        let before = noted();
        let (client, response) = with_a_lost_reply(
            &stand,
            |layer| layer.with_renewal_grace(grace).unwrap(),
            first.id(),
            async move |session: Session, proxy: Arc<Proxy>| {
                session.exists().await?;
                // Long enough to see that the session was noted; then no reply comes through.
                proxy.delay(Duration::ZERO, Duration::from_millis(500));
                session.login(user)?;
                session.insert("user", "grace")?;
                Ok(Response::default())
            },
            |proxy| {
                if noted() != before {
                    hold_replies(proxy);
                }
                let meta = stand.server().query::<Option<String>>(&["HGET", &key, "m"]);
                meta.is_none_or(|meta| meta.starts_with(['>', 'x']))
            },
        )
        .await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().contains_key(SET_COOKIE));
        assert_ne!(client.id(), first.id());
        assert_eq!(client.get("user").await, Some(json!("grace")));
        // Nothing leads a login of another user without a grace.
        let keys = match (grace.is_zero(), user) {
            (true, "eve") => 1,
            _ => 2,
        };
        assert_eq!(stand.session_keys().len(), keys);
        stand.server().assert_every_key_has_a_ttl();
    }
}

#[tokio::test]
async fn a_new_session_whose_reply_is_lost_is_stored_once() {
    let stand = Stand::redis().await;
    let (client, response) = with_a_lost_reply(
        &stand,
        |layer| layer,
        None,
        async |session: Session, proxy: Arc<Proxy>| {
            hold_replies(&proxy);
            session.insert("user", "ada")?;
            Ok(Response::default())
        },
        |_| !stand.server().keys("*").is_empty(),
    )
    .await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(client.get("user").await, Some(json!("ada")));
    assert_eq!(stand.server().keys("*").len(), 1);
}

#[tokio::test]
async fn an_increment_whose_reply_is_lost_is_an_error_and_counts_once() {
    let stand = Stand::redis().await;
    let first = stand.logged_in("ada").await;
    let key = stand.only_key();
    let (client, response) = with_a_lost_reply(
        &stand,
        |layer| layer,
        first.id(),
        async |session: Session, proxy: Arc<Proxy>| {
            hold_replies(&proxy);
            session.increment("visits", 1).await?;
            Ok(Response::default())
        },
        |_| stand.server().query(&["HEXISTS", &key, "d:visits"]),
    )
    .await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.get("visits").await, Some(json!(1)));
}

#[tokio::test]
async fn an_update_whose_reply_is_lost_is_an_error_and_applies_once() {
    let stand = Stand::redis().await;
    let first = stand.logged_in("ada").await;
    first
        .visit(async |session| session.insert("n", 1).unwrap())
        .await;
    let key = stand.only_key();
    let (client, response) = with_a_lost_reply(
        &stand,
        |layer| layer,
        first.id(),
        async |session: Session, proxy: Arc<Proxy>| {
            session.exists().await?;
            hold_replies(&proxy);
            session
                .update("n", |n: Option<i32>| n.map_or(100, |n| n * 2))
                .await?;
            Ok(Response::default())
        },
        |_| stand.server().query::<String>(&["HGET", &key, "d:n"]) != "1",
    )
    .await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.get("n").await, Some(json!(2)));
}

/// The login has marked the oldest session, and ends it when it learns of it the second time.
#[tokio::test]
async fn a_login_at_the_cap_whose_reply_is_lost_still_ends_the_oldest() {
    let capped = |layer: SessionLayer| layer.with_max_sessions_per_user(1).unwrap();
    let stand = Stand::redis().await.with(capped);
    let first = stand.logged_in("ada").await;
    let (second, response) = with_a_lost_reply(
        &stand,
        capped,
        None,
        async |session: Session, proxy: Arc<Proxy>| {
            // Long enough to see the mark before its reply is through.
            proxy.delay(Duration::ZERO, Duration::from_millis(500));
            session.login("ada")?;
            Ok(Response::default())
        },
        |_| {
            let index = &stand.server().keys("*session_index:*")[0];
            let entries = stand.server().query::<Vec<String>>(&["HVALS", index]);
            entries.iter().any(|entry| entry.starts_with('-'))
        },
    )
    .await;
    assert_eq!(response.status(), StatusCode::OK);
    let user = async |client: &Client| {
        let user = client.visit(async |session| session.user().await.unwrap());
        user.await.map(|user| user.to_string())
    };
    assert_eq!(user(&second).await.as_deref(), Some("ada"));
    assert_eq!(user(&first).await, None);
}
