//! What becomes of the fields on their way.

use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;

use super::stand::{Stand, answer, echo, get_with, shown, start};
use crate::harness::{
    body,
    client::Client,
    raw::{self, RawOrigin},
};

/// A request with these lines after its `Host`, and how the origin sees it.
async fn seen(stand: &Stand, request_line: &str, lines: &str) -> String {
    let head =
        format!("{request_line} HTTP/1.1\r\nHost: a.example\r\n{lines}Connection: close\r\n\r\n");
    stand.raw(head).await
}

#[tokio::test]
async fn connection_cannot_name_an_end_to_end_field() {
    let stand = Stand::start(&["--cache", "off"], echo);
    for (name, value) in [
        ("host", "a.example"),
        ("accept-language", "de"),
        ("authorization", "Basic eA=="),
        ("cookie", "a=b"),
        ("cache-control", "no-store"),
        ("content-type", "text/plain"),
        ("if-none-match", "\"1\""),
        ("range", "bytes=0-1"),
        ("x-forwarded-for", "192.0.2.9, 127.0.0.1"),
        ("origin", "http://a.example"),
    ] {
        let line = match name {
            "host" => String::new(),
            "x-forwarded-for" => "X-Forwarded-For: 192.0.2.9\r\n".to_owned(),
            _ => format!("{name}: {value}\r\n"),
        };
        let shown = seen(&stand, "GET /", &format!("{line}Connection: {name}\r\n")).await;
        assert!(shown.contains(&format!("\n{name}: {value}\n")), "{shown}");
    }
}

#[tokio::test]
async fn what_connection_removes_was_never_there_for_the_cache() {
    let stand = Stand::start(&[], async |request: Request<_>| {
        let fields = [
            ("cache-control", "max-age=60"),
            ("vary", "accept-language, x-own"),
        ];
        answer(&fields, &shown(&request))
    });
    // A field of the connection selects no variant, whatever it says.
    let attack = seen(&stand, "GET /", "X-Own: 1\r\nConnection: X-Own\r\n").await;
    assert!(!attack.contains("x-own: 1"), "{attack}");
    let own = get_with(&stand.client(), "/", "host", "a.example").await;
    assert!(
        own.header("cache-status").unwrap().contains("hit"),
        "{own:?}"
    );
    // A field that is not of the connection selects its own.
    let german = "Accept-Language: de\r\nConnection: Accept-Language\r\n";
    let attack = seen(&stand, "GET /", german).await;
    assert!(attack.contains("\naccept-language: de\n"), "{attack}");
    assert_eq!(stand.origin.hits(), 2);
}

#[tokio::test]
async fn the_upstream_never_sees_its_own_name_as_host() {
    let stand = Stand::start(&[], echo);
    let attack = seen(&stand, "GET /p", "Connection: Host\r\n").await;
    assert!(attack.contains("\nhost: a.example\n"), "{attack}");
}

#[tokio::test]
async fn a_limit_by_a_header_counts_what_is_sent_on() {
    let flags = [
        "--limit",
        "\"one\";q=1;w=600",
        "--limit-key",
        "header:X-Key",
    ];
    let stand = Stand::start(&flags, echo);
    // Without the field all share one budget; a field of the connection buys no other.
    let first = seen(&stand, "GET /1", "X-Key: a\r\nConnection: X-Key\r\n").await;
    let second = seen(&stand, "GET /2", "X-Key: b\r\nConnection: X-Key\r\n").await;
    assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
    assert!(second.starts_with("HTTP/1.1 429 "), "{second}");
}

#[tokio::test]
async fn a_field_of_the_connection_is_removed_however_it_is_named() {
    let stand = Stand::start(&["--cache", "off"], echo);
    let shown = seen(
        &stand,
        "GET /",
        "X-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\nX-One: 1b\r\nConnection: x-ONE ,, X-Two\r\nConnection: x-three\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nTE: gzip;q=0.5, trailers\r\n",
    )
    .await;
    for name in [
        "x-one",
        "x-two",
        "x-three",
        "keep-alive",
        "proxy-connection",
        "http2-settings",
    ] {
        assert!(!shown.contains(name), "{name}: {shown}");
    }
    assert!(shown.contains("\nte: trailers\n"), "{shown}");
    assert!(!shown.contains("gzip"), "{shown}");
}

#[tokio::test]
async fn cookies_in_crumbs_are_one_line_to_the_upstream() {
    let stand = Stand::start(&["--cache", "off"], echo);
    let crumbs = Request::get("/")
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    let crumbs = crumbs.header("cookie", "c=3").body(body::empty()).unwrap();
    let shown = stand.h2c().send(crumbs).await;
    assert!(
        shown.text().contains("\ncookie: a=1; b=2; c=3\n"),
        "{shown:?}"
    );
    assert_eq!(shown.text().matches("cookie").count(), 1);
}

#[tokio::test]
async fn via_says_the_version_that_was_received() {
    let stand = Stand::start(&["--cache", "off"], echo);
    let one = seen(&stand, "GET /", "Via: 1.0 fred\r\n").await;
    assert!(
        one.contains("\nvia: 1.0 fred\nvia: 1.1 tower-keep\n"),
        "{one}"
    );
    let two = stand.h2c().get("/").await;
    assert!(two.text().contains("\nvia: 2 tower-keep\n"), "{two:?}");
    // The way back is from the upstream, and that speaks HTTP/1.1, or 1.0.
    assert_eq!(two.header("via"), Some("1.1 tower-keep"));
    let old = RawOrigin::start("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx");
    let gateway = start(old.addr(), &[]);
    let reply = Client::http1(gateway.addr()).get("/").await;
    assert_eq!(reply.header("via"), Some("1.0 tower-keep"));
}

#[tokio::test]
async fn the_upstream_learns_who_asked_for_what_and_how() {
    let stand = Stand::start(&["--cache", "off"], echo);
    let shown = seen(&stand, "GET /", "").await;
    for line in [
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: a.example",
    ] {
        assert!(shown.contains(&format!("\n{line}\n")), "{line}: {shown}");
    }
}

#[tokio::test]
async fn what_a_stranger_says_of_itself_is_not_passed_on_as_the_gateways_word() {
    let stand = Stand::start(&["--cache", "off"], echo);
    let shown = seen(
        &stand,
        "GET /",
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nForwarded: for=192.0.2.1;host=evil.example\r\n",
    )
    .await;
    // The list grows at its right end, where those who count their proxies read it.
    assert!(
        shown.contains("\nx-forwarded-for: 192.0.2.1, 127.0.0.1\n"),
        "{shown}"
    );
    assert!(shown.contains("\nx-forwarded-proto: http\n"), "{shown}");
    assert!(shown.contains("\nx-forwarded-host: a.example\n"), "{shown}");
    assert!(!shown.contains("evil.example"), "{shown}");
}

#[tokio::test]
async fn a_trusted_proxy_may_say_that_the_client_came_over_tls() {
    let stand = Stand::start(&["--trusted-hops", "1"], echo);
    let secure = seen(
        &stand,
        "GET /",
        "X-Forwarded-Proto: https\r\nForwarded: for=192.0.2.1\r\n",
    )
    .await;
    assert!(secure.contains("\nx-forwarded-proto: https\n"), "{secure}");
    assert!(
        secure.contains("\nforwarded: for=192.0.2.1, for=127.0.0.1;host=a.example;proto=https\n"),
        "{secure}"
    );
    // The two are two pages: an origin that sends plain clients to TLS does not send all there.
    let plain = seen(&stand, "GET /", "").await;
    assert!(plain.contains("\nx-forwarded-proto: http\n"), "{plain}");
    let odd = seen(&stand, "GET /", "X-Forwarded-Proto: gopher\r\n").await;
    assert!(odd.contains("\nx-forwarded-proto: http\n"), "{odd}");
    assert_eq!(stand.origin.hits(), 2);
}

#[tokio::test]
async fn max_forwards_counts_down_and_ends_here_at_zero() {
    let stand = Stand::start(&["--cache", "off"], echo);
    let on = seen(&stand, "OPTIONS /", "Max-Forwards: 5\r\n").await;
    assert!(on.contains("\nmax-forwards: 4\n"), "{on}");
    let on = seen(&stand, "TRACE /", "Max-Forwards: 1\r\n").await;
    assert!(
        on.contains("TRACE /\n") && on.contains("\nmax-forwards: 0\n"),
        "{on}"
    );
    // To other methods it means nothing.
    let get = seen(&stand, "GET /", "Max-Forwards: 0\r\n").await;
    assert!(get.contains("\nmax-forwards: 0\n"), "{get}");
    let reached = stand.origin.hits();

    let here = seen(&stand, "OPTIONS /", "Max-Forwards: 0\r\n").await;
    assert!(here.starts_with("HTTP/1.1 204 "), "{here}");
    assert!(here.contains("allow: "), "{here}");
    let secrets = "Cookie: s3cret\r\nAuthorization: s3cret\r\nX-Own: shown\r\nMax-Forwards: 0\r\n";
    let here = seen(&stand, "TRACE /t?q", secrets).await;
    assert!(here.starts_with("HTTP/1.1 200 "), "{here}");
    assert!(here.contains("content-type: message/http"), "{here}");
    assert!(
        here.contains("TRACE /t?q HTTP/1.1\r\n") && here.contains("x-own: shown\r\n"),
        "{here}"
    );
    assert!(!here.contains("s3cret"), "{here}");
    assert_eq!(stand.origin.hits(), reached);
}

#[tokio::test]
async fn trailers_of_a_request_reach_the_upstream() {
    let stand = Stand::start(&[], async |request: Request<_>| {
        let collected = request.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let sum = trailers.get("x-sum").map(|sum| sum.to_str().unwrap());
        let text = format!("{} bytes, sum {sum:?}", collected.to_bytes().len());
        answer(&[], &text)
    });
    let whole = stand
        .raw("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n")
        .await;
    assert!(whole.contains("3 bytes, sum Some(\"9\")"), "{whole}");
    let (mut sender, upload) = body::stream();
    sender.send_data("abc".into()).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "9".parse().unwrap());
    sender.send_trailers(trailers).await.unwrap();
    drop(sender);
    let request = Request::post("/").header("trailer", "x-sum").body(upload);
    let reply = stand.h2c().send(request.unwrap()).await;
    assert_eq!(reply.text(), "3 bytes, sum Some(\"9\")");
}

#[tokio::test]
async fn trailers_of_a_response_reach_clients_of_both_versions() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nCache-Control: no-store\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n";
    let origin = RawOrigin::start(chunked);
    let gateway = start(origin.addr(), &[]);
    let one = "GET / HTTP/1.1\r\nHost: a.example\r\nTE: trailers\r\nConnection: close, te\r\n\r\n";
    let one = raw::exchange(gateway.addr(), one).await;
    assert!(one.ends_with("0\r\nx-sum: 9\r\n\r\n"), "{one}");
    let two = Client::h2c(gateway.addr()).get("/").await;
    assert_eq!(two.trailers.unwrap()["x-sum"], "9");
}

#[tokio::test]
async fn the_upstreams_connection_cannot_name_an_end_to_end_field_either() {
    let stand = Stand::start(&[], async |_: Request<_>| {
        answer(
            &[
                ("cache-control", "max-age=60"),
                ("connection", "x-hop, cache-control, vary"),
                ("x-hop", "1"),
                ("vary", "accept-language"),
            ],
            "page",
        )
    });
    for _ in 0..2 {
        let reply = stand.client().ask(Method::GET, "/").await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.header("x-hop"), None);
        assert_eq!(reply.header("vary"), Some("accept-language"));
    }
    assert_eq!(stand.origin.hits(), 1);
}
