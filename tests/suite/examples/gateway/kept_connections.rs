//! A request meets a kept connection to the upstream server just as that is closed
//! (RFC 9112 §9.3.1, RFC 9110 §9.2.2).

use super::stand::start;
use crate::harness::{
    example::Example,
    raw::{self, RawOrigin},
};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 4\r\n\r\npage";

async fn ask(gateway: &Example, method: &str, body: &str) -> String {
    let length = body.len();
    let request = format!(
        "{method} /p HTTP/1.1\r\nHost: a.example\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    raw::exchange(gateway.addr(), request).await
}

/// How often the origin was asked with this method.
fn asked(origin: &RawOrigin, method: &str) -> usize {
    let heads = origin.heads();
    heads.iter().filter(|head| head.starts_with(method)).count()
}

#[tokio::test]
async fn an_idempotent_request_without_a_body_is_sent_again_on_a_new_connection() {
    for cache in ["on", "off"] {
        for method in ["GET", "DELETE", "OPTIONS"] {
            let origin = RawOrigin::hanging_up(ANSWER);
            let gateway = start(origin.addr(), &["--cache", cache]);
            for _ in 0..3 {
                let got = ask(&gateway, method, "").await;
                assert!(got.starts_with("HTTP/1.1 200 "), "{method}: {got}");
                assert!(got.ends_with("page"), "{method}: {got}");
            }
        }
    }
}

#[tokio::test]
async fn what_may_not_be_repeated_is_sent_once() {
    for (method, body) in [("POST", ""), ("PATCH", "change"), ("PUT", "state")] {
        let origin = RawOrigin::hanging_up(ANSWER);
        let gateway = start(origin.addr(), &[]);
        let first = ask(&gateway, "GET", "").await;
        assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
        let got = ask(&gateway, method, body).await;
        assert!(got.starts_with("HTTP/1.1 502 "), "{method}: {got}");
        assert_eq!(asked(&origin, method), 1, "{method}");
    }
}

#[tokio::test]
async fn an_upstream_server_that_hangs_up_on_a_new_connection_is_asked_once() {
    let origin = RawOrigin::start("");
    let gateway = start(origin.addr(), &[]);
    let got = ask(&gateway, "GET", "").await;
    assert!(got.starts_with("HTTP/1.1 502 "), "{got}");
    assert_eq!(asked(&origin, "GET"), 1);
}
