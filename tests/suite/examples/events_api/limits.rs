//! The limit of logins and that of everything.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::stand::{Api, Stand, assert_problem, start};
use crate::harness::{
    client::Client,
    example::{Example, PATIENT},
};

super::on_all_stores!(
    the_sixth_login_in_a_minute_is_429_and_nothing_else_is,
    every_route_is_under_the_limit,
    all_policies_of_the_flag_count,
);

async fn the_sixth_login_in_a_minute_is_429_and_nothing_else_is(mut stand: Stand) {
    stand.restart(&["--login-limit", r#""login";q=5;w=60"#]);
    for remaining in (0..5).rev() {
        let reply = stand.client().login("ada").await;
        assert_eq!(reply.status, StatusCode::OK);
        let fields = fields(&reply.headers, "ratelimit");
        assert!(
            fields.contains(&format!("\"login\";r={remaining};")),
            "{fields}"
        );
    }
    let client = stand.client();
    for _ in 0..3 {
        let reply = client.login("ada").await;
        let problem = assert_problem(&reply, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(
            problem["type"],
            "https://iana.org/assignments/http-problem-types#quota-exceeded"
        );
        assert_eq!(problem["violated-policies"], json!(["login"]));
        let retry_after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=12).contains(&retry_after), "{retry_after}");
        assert!(fields(&reply.headers, "ratelimit").contains("\"login\";r=0;"));
        assert!(fields(&reply.headers, "ratelimit-policy").contains("\"login\";q=5;w=60"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(client.id(), None);
    }
    assert_eq!(client.status("/events").await, StatusCode::OK);
    assert_eq!(client.status("/users/1").await, StatusCode::OK);
    assert_eq!(client.me().await.0, StatusCode::UNAUTHORIZED);
}

async fn every_route_is_under_the_limit(mut stand: Stand) {
    let routes = [
        "/events",
        "/events/1",
        "/users/1",
        "/me",
        "/session/a",
        "/_debug/reads",
        "/nowhere",
    ];
    let policy = format!("\"burst\";q={};w=60", routes.len());
    stand.restart(&["--limit", &policy]);
    let client = stand.client();
    for (n, path) in routes.into_iter().enumerate() {
        let reply = client.get(path).await;
        assert_ne!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert_eq!(reply.header("ratelimit-policy"), Some(&*policy));
        let expected = format!("\"burst\";r={};", routes.len() - 1 - n);
        let field = reply.header("ratelimit").unwrap();
        assert!(field.starts_with(&expected), "{path}: {field}");
    }
    for path in routes {
        assert_problem(&client.get(path).await, StatusCode::TOO_MANY_REQUESTS);
    }
    let login = client.login("ada").await;
    assert_problem(&login, StatusCode::TOO_MANY_REQUESTS);
}

async fn all_policies_of_the_flag_count(mut stand: Stand) {
    let (burst, hour) = (r#""burst";q=3;w=10"#, r#""hour";q=2;w=3600;alg=fixed"#);
    stand.restart(&["--limit", burst, "--limit", hour]);
    let client = stand.client();
    client.get("/events").await;
    client.get("/events").await;
    let reply = client.get("/events").await;
    let problem = assert_problem(&reply, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(problem["violated-policies"], json!(["hour"]));
    assert_eq!(
        reply.header("ratelimit-policy"),
        Some(r#""burst";q=3;w=10, "hour";q=2;w=3600"#)
    );
    // What was denied has consumed nothing.
    assert!(
        reply
            .header("ratelimit")
            .unwrap()
            .contains("\"burst\";r=1;")
    );
}

/// The status of a login from an address of the loopback network, and all of its response.
async fn login_from(address: u8, to: std::net::SocketAddr, user: &str) -> (String, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    let from = std::net::Ipv4Addr::new(127, 0, 0, address);
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let body = json!({"user": user}).to_string();
    let head = "POST /login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-type: application/json\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let status = response.split(' ').nth(1).unwrap().to_owned();
    (status, response)
}

#[tokio::test]
async fn failed_logins_count_by_user_name_from_any_address_and_a_success_gives_them_back() {
    let example = Example::start("events_api", &["--login-limit", r#""login";q=5;w=3600"#]);
    let to = example.addr();
    // A name that no user can have: the attempt fails, wherever it comes from.
    let nobody = "x".repeat(300);
    let mut statuses = Vec::new();
    for address in 2..9 {
        let (status, response) = login_from(address, to, &nobody).await;
        if status == "429" {
            assert!(response.contains("http-problem-types#quota-exceeded"));
            assert!(response.contains(r#""violated-policies":["login"]"#));
        }
        statuses.push(status);
    }
    assert!(
        statuses[..5].iter().all(|status| status != "429"),
        "{statuses:?}"
    );
    assert_eq!(statuses[5..], ["429", "429"]);
    for address in 10..20 {
        assert_eq!(login_from(address, to, "ada").await.0, "200");
    }
}

#[tokio::test]
async fn two_servers_share_the_limits() {
    let stand = Stand::redis().await;
    let flags = [&PATIENT[..], &["--login-limit", r#""login";q=5;w=60"#]].concat();
    let servers = [
        start(Some(stand.server()), &flags),
        start(Some(stand.server()), &flags),
    ];
    let mut statuses = Vec::new();
    for n in 0..8 {
        let client = Client::http1(servers[n % 2].addr());
        statuses.push(client.login("ada").await.status);
    }
    let admitted = statuses.iter().filter(|status| **status == StatusCode::OK);
    assert_eq!(admitted.count(), 5, "{statuses:?}");
}

#[tokio::test]
async fn the_default_is_a_hundred_requests_a_minute() {
    let example = Example::start("events_api", &[]);
    let client = Client::http1(example.addr());
    let reply = client.get("/events").await;
    assert_eq!(
        reply.header("ratelimit-policy"),
        Some(r#""burst";q=100;w=60"#)
    );
    let login: Value = json!({"user": "ada", "device": "laptop"});
    let reply = client.send_json(Method::POST, "/login", &login).await;
    assert!(fields(&reply.headers, "ratelimit-policy").contains(r#""login";q=5;w=60"#));
}

/// All lines of a field as one.
fn fields(headers: &http::HeaderMap, name: &str) -> String {
    let lines = headers.get_all(name).iter();
    let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
    lines.join(", ")
}
