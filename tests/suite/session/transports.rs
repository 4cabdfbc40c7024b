//! Ids in header fields and in signed or encrypted cookies.

use std::convert::Infallible;

use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use tower::{Layer, ServiceExt, service_fn};
use tower_keep::{
    ResponseBody, Store,
    session::{Session, SessionKeys, SessionLayer},
};

use super::stand::{Client, Stand};

/// Counts visits, or logs out where the path says so.
async fn ask(layer: &SessionLayer, request: Request<()>) -> Response<ResponseBody<String>> {
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        let body = match request.uri().path() {
            "/logout" => {
                session.destroy().await.unwrap();
                String::new()
            }
            _ => session.increment("visits", 1).await.unwrap().to_string(),
        };
        Ok::<_, Infallible>(Response::new(body))
    });
    layer.layer(service).oneshot(request).await.unwrap()
}

async fn body(response: Response<ResponseBody<String>>) -> String {
    use http_body_util::BodyExt;
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn get(path: &str) -> http::request::Builder {
    Request::get(path)
}

#[tokio::test]
async fn a_program_sends_its_id_in_a_field_of_the_layers_choice_and_gets_it_there() {
    let layer = SessionLayer::new(Store::memory())
        .and_header("x-session-id")
        .unwrap();
    let request = get("/").header("x-session-id", "").body(()).unwrap();
    let response = ask(&layer, request).await;
    assert!(!response.headers().contains_key("set-cookie"));
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["vary"], "x-session-id");
    let id = response.headers()["x-session-id"].clone();
    assert!(id.is_sensitive());

    let request = get("/").header("x-session-id", &id).body(()).unwrap();
    let response = ask(&layer, request).await;
    assert!(!response.headers().contains_key("x-session-id"));
    assert_eq!(response.headers()["cache-control"], "private");
    assert_eq!(response.headers()["vary"], "x-session-id");
    assert_eq!(body(response).await, "2");

    let request = get("/logout").header("x-session-id", &id).body(()).unwrap();
    let response = ask(&layer, request).await;
    assert_eq!(response.headers()["x-session-id"], "");
    // Without the field there is the cookie.
    let response = ask(&layer, get("/").body(()).unwrap()).await;
    assert!(response.headers().contains_key("set-cookie"));
    assert_eq!(body(response).await, "1");
}

#[tokio::test]
async fn a_bearer_token_is_a_session_and_other_authorization_is_not_looked_at() {
    let layer = SessionLayer::new(Store::memory())
        .and_bearer_token()
        .without_cookies();
    let response = ask(&layer, get("/").body(()).unwrap()).await;
    assert!(!response.headers().contains_key("set-cookie"));
    let id = response.headers()["session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    for (authorization, visits) in [
        (format!("Bearer {id}"), "2"),
        (format!("bearer  {id}"), "3"),
        (format!("Basic {id}"), "1"),
        (format!("Bearer {id}x"), "1"),
        ("Bearer".to_owned(), "1"),
    ] {
        let request = get("/").header(AUTHORIZATION, &authorization);
        let response = ask(&layer, request.body(()).unwrap()).await;
        assert_eq!(body(response).await, visits, "{authorization}");
    }
    let twice = get("/").header(AUTHORIZATION, format!("Bearer {id}"));
    let twice = twice.header(AUTHORIZATION, format!("Bearer {id}"));
    let response = ask(&layer, twice.body(()).unwrap()).await;
    assert_eq!(body(response).await, "1");
}

#[tokio::test]
async fn a_cookie_beside_a_bearer_token_does_not_count() {
    let layer = SessionLayer::new(Store::memory()).and_bearer_token();
    let first = ask(&layer, get("/").body(()).unwrap()).await;
    let cookie = first.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap();
    // The second one is what is left on the wire of a field without a token.
    for authorization in ["Bearer of-something-else", "Bearer"] {
        let both = get("/").header("cookie", cookie);
        let both = both.header(AUTHORIZATION, authorization);
        let response = ask(&layer, both.body(()).unwrap()).await;
        assert!(!response.headers().contains_key("set-cookie"));
        assert!(response.headers().contains_key("session-id"));
        assert_eq!(body(response).await, "1", "{authorization}");
    }
}

#[test]
fn a_field_that_cannot_carry_an_id_is_named() {
    for name in ["", "a b", "cookie", "Authorization"] {
        let layer = SessionLayer::new(Store::memory());
        let error = layer.and_header(name).unwrap_err().to_string();
        assert!(error.contains("header field"), "{error}");
    }
}

#[tokio::test]
async fn a_grpc_call_gets_its_session_from_metadata_and_unauthenticated_without_one() {
    let layer = SessionLayer::new(Store::memory()).and_bearer_token();
    let call = async |path: &str, id: Option<&str>| {
        let service = service_fn(async |request: Request<()>| {
            let session = request.extensions().get::<Session>().unwrap();
            if request.uri().path() == "/login" {
                session.login("ada").unwrap();
            }
            let answer = match session.require_user().await {
                Ok(user) => Response::new(user.to_string()),
                Err(error) => tonic::Status::from(error).into_http(),
            };
            Ok::<_, Infallible>(answer)
        });
        let mut request = get(path).header("content-type", "application/grpc");
        if let Some(id) = id {
            request = request.header(AUTHORIZATION, format!("Bearer {id}"));
        }
        let response = layer.layer(service).oneshot(request.body(()).unwrap());
        response.await.unwrap()
    };
    // An empty token is the way to ask for an id in the metadata.
    let response = call("/login", Some("")).await;
    assert!(!response.headers().contains_key("grpc-status"));
    let id = response.headers()["session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(body(call("/", Some(&id)).await).await, "ada");
    for id in [
        None,
        Some(""),
        Some("unknown"),
        Some("a".repeat(52).as_str()),
    ] {
        let response = call("/", id).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["grpc-status"], "16", "{id:?}");
    }
}

#[tokio::test]
async fn a_grpc_call_that_the_store_fails_gets_a_grpc_status() {
    let store = tower_keep::StoreConfig::from_url("redis://127.0.0.1:1/").unwrap();
    let layer = SessionLayer::new(store.build().unwrap());
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.insert("k", 1).unwrap();
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let request = get("/").header("content-type", "application/grpc");
    let response = layer.layer(service).oneshot(request.body(()).unwrap());
    let response = response.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "14");
}

/// A gRPC call that has failed without a message: its HTTP status is 200.
#[tokio::test]
async fn a_grpc_call_that_fails_drops_its_changes() {
    let stand = Stand::memory();
    let client = stand.client();
    let response = client.send(async |session| {
        session.insert("k", 1)?;
        let response = Response::builder().header("grpc-status", "13");
        Ok(response.body(String::new()).unwrap())
    });
    assert!(!response.await.headers().contains_key("set-cookie"));
}

fn keys(secret: u8) -> SessionKeys {
    SessionKeys::new(&[secret; 32]).unwrap()
}

#[tokio::test]
async fn signed_and_encrypted_cookies_are_read_by_every_key_of_the_ring_and_no_other() {
    let stand = Stand::memory();
    let plain = stand.logged_in("ada").await.id().unwrap();
    for kind in [
        SessionLayer::with_signed_cookies as fn(SessionLayer, SessionKeys) -> SessionLayer,
        SessionLayer::with_encrypted_cookies,
    ] {
        let layer = |keys| kind(stand.layer.clone(), keys);
        let client = Client::of(layer(keys(1)));
        client.login("ada").await;
        let cookie = client.id().unwrap();
        let another = if cookie[20..].starts_with('A') {
            'B'
        } else {
            'A'
        };
        let forged = format!("{}{another}{}", &cookie[..20], &cookie[21..]);
        let ring = keys(2).and_previous(&[1; 32]).unwrap();
        for (keys, cookie, reads) in [
            (keys(1), cookie.clone(), true),
            (ring, cookie.clone(), true),
            (keys(2), cookie.clone(), false),
            (keys(1), cookie.replace('=', ""), false),
            (keys(1), forged, false),
            (keys(1), plain.clone(), false),
            (keys(1), "x".repeat(5000), false),
        ] {
            let reader = Client::of(layer(keys));
            reader.plant(&cookie);
            assert_eq!(reader.get("user").await.is_some(), reads, "{cookie:.80}");
        }
    }
    let encrypted = Client::of(stand.layer.clone().with_encrypted_cookies(keys(1)));
    encrypted.login("ada").await;
    assert_eq!(encrypted.id().unwrap().len(), 108);
}

#[tokio::test]
async fn the_longest_cookie_is_far_below_4096_bytes() {
    let layer = Stand::memory().layer.with_encrypted_cookies(keys(1));
    let layer = layer.with_cookie_name(&"n".repeat(64)).unwrap();
    let request = get("/").body(()).unwrap();
    let response = ask(&layer, request).await;
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    let (pair, _) = cookie.split_once(';').unwrap();
    assert!(pair.len() < 250, "{pair}");
}
