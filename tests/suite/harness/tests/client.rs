//! The client: JSON, headers, trailers and cookies.

use http::header::{HeaderMap, SET_COOKIE};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::super::body::{self, Body};
use super::super::client::Client;
use super::super::origin::Origin;

/// Answers with what it was sent: the `Cookie` line, the content type and the body.
async fn echo(request: Request<Incoming>) -> Response<Body> {
    let field = |name| {
        request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let (cookie, kind) = (field("cookie"), field("content-type"));
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Response::new(body::full(
        json!({ "cookie": cookie, "kind": kind, "body": body }).to_string(),
    ))
}

#[tokio::test]
async fn json_goes_both_ways() {
    let origin = Origin::start(echo);
    let reply = Client::http1(origin.addr())
        .post_json("/", &json!({ "a": 1 }))
        .await;
    let echoed: Value = reply.json();
    assert_eq!(echoed["kind"], "application/json");
    assert_eq!(echoed["body"], r#"{"a":1}"#);
}

#[tokio::test]
async fn all_lines_of_a_header_and_the_trailers_are_there() {
    let origin = Origin::start(|_| async {
        let (mut sender, body) = body::stream();
        let trailers =
            HeaderMap::from_iter([("grpc-status".parse().unwrap(), "8".parse().unwrap())]);
        sender.send_trailers(trailers).await.unwrap();
        let response = Response::builder()
            .header("link", "<a>")
            .header("link", "<b>");
        response.status(StatusCode::ACCEPTED).body(body).unwrap()
    });
    let reply = Client::h2c(origin.addr()).get("/").await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    assert_eq!(reply.header("link"), Some("<a>"));
    assert_eq!(reply.header("absent"), None);
    assert!(reply.headers.get_all("link").iter().eq(["<a>", "<b>"]));
    assert_eq!(reply.trailers.unwrap()["grpc-status"], "8");
}

#[tokio::test]
async fn a_request_keeps_the_host_it_was_given() {
    let origin = Origin::start(echo);
    let request = Request::get("/")
        .header("host", "example.org")
        .body(body::empty())
        .unwrap();
    Client::http1(origin.addr()).send(request).await;
    assert_eq!(origin.requests()[0].headers["host"], "example.org");
}

#[tokio::test]
async fn cookies_are_kept_sent_back_and_removed() {
    let origin = Origin::start(|request: Request<Incoming>| async move {
        let lines: &[&str] = match request.uri().path() {
            "/login" => &["id=abc; Path=/; HttpOnly", "theme=dark"],
            "/logout" => &["id=; Max-Age=0; Path=/"],
            _ => &[],
        };
        let mut response = echo(request).await;
        for line in lines {
            response
                .headers_mut()
                .append(SET_COOKIE, line.parse().unwrap());
        }
        response
    });
    let client = Client::http1(origin.addr()).with_cookies();
    let sent = async |path| client.get(path).await.json::<Value>()["cookie"].clone();
    assert_eq!(sent("/login").await, Value::Null);
    assert_eq!(client.cookies().get("id"), Some("abc"));
    assert_eq!(sent("/").await, "id=abc; theme=dark");
    client.cookies().set("id", "forged");
    assert_eq!(sent("/logout").await, "id=forged; theme=dark");
    assert_eq!(sent("/").await, "theme=dark");
    assert_eq!(client.cookies().get("id"), None);
}

#[tokio::test]
async fn a_client_without_cookies_sends_none_back() {
    let origin = Origin::start(|request: Request<Incoming>| async move {
        let mut response = echo(request).await;
        response
            .headers_mut()
            .append(SET_COOKIE, "id=abc".parse().unwrap());
        response
    });
    let client = Client::http1(origin.addr());
    client.get("/").await;
    assert_eq!(client.get("/").await.json::<Value>()["cookie"], Value::Null);
}
