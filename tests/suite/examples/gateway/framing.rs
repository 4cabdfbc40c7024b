//! Messages whose ends are told in two ways: one meaning for both sides, or a visible error.

use http::{Request, StatusCode};
use http_body_util::BodyExt as _;

use super::stand::{Stand, answer, start};
use crate::harness::{
    body,
    client::Client,
    eventually,
    raw::{self, RawOrigin},
};

const GET: &str = "GET /p HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
const CHUNKS: &str = "28\r\n0123456789012345678901234567890123456789\r\n0\r\n\r\n";
const WHOLE: &str = "0123456789012345678901234567890123456789";

/// An origin that answers with the bytes, a gateway before it, and what a client gets twice.
async fn twice(answer: &str, flags: &[&str]) -> (RawOrigin, [String; 2]) {
    let origin = RawOrigin::start(answer);
    let gateway = start(origin.addr(), flags);
    let first = raw::exchange(gateway.addr(), GET).await;
    let second = raw::exchange(gateway.addr(), GET).await;
    (origin, [first, second])
}

#[tokio::test]
async fn a_response_with_transfer_encoding_and_a_length_is_whole() {
    for length in ["5", "400"] {
        for head in [
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
            format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
            format!(
                "Content-Length: {length}\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n"
            ),
        ] {
            let response =
                format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{head}\r\n{CHUNKS}");
            for cache in ["on", "off"] {
                let (_origin, got) = twice(&response, &["--cache", cache]).await;
                for text in got {
                    assert!(text.starts_with("HTTP/1.1 200 "), "{head}: {text}");
                    assert!(text.contains(WHOLE), "{head}: {text}");
                    assert!(
                        !text.contains(&format!("content-length: {length}\r\n")),
                        "{text}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_coding_that_does_not_end_in_chunked_is_read_to_the_end_of_the_connection() {
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: identity\r\nCache-Control: no-store\r\n\r\n{WHOLE}"
    );
    let (_origin, [text, _]) = twice(&response, &[]).await;
    assert!(text.contains(WHOLE), "{text}");
}

#[tokio::test]
async fn a_response_whose_lengths_contradict_each_other_is_a_502_and_not_stored() {
    for lines in [
        "Content-Length: 5\r\nContent-Length: 40\r\n",
        "Content-Length: 5, 40\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Content-Length:\r\n",
    ] {
        let response =
            format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{lines}\r\n{WHOLE}");
        let (origin, got) = twice(&response, &[]).await;
        for text in got {
            assert!(text.starts_with("HTTP/1.1 502 "), "{lines:?}: {text}");
            assert!(text.contains("application/problem+json"), "{text}");
        }
        assert!(origin.heads().len() >= 2, "{lines:?} was stored");
    }
}

#[tokio::test]
async fn the_same_length_twice_is_one_length() {
    for lines in [
        "Content-Length: 40\r\nContent-Length: 40\r\n",
        "Content-Length: 40, 40\r\n",
    ] {
        let response =
            format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{lines}\r\n{WHOLE}");
        let (origin, got) = twice(&response, &[]).await;
        for text in got {
            assert!(
                text.starts_with("HTTP/1.1 200 ") && text.ends_with(WHOLE),
                "{text}"
            );
            assert_eq!(text.matches("content-length: 40\r\n").count(), 1, "{text}");
        }
        assert_eq!(origin.heads().len(), 1);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_clean_end_and_is_not_stored() {
    for head in [
        "Content-Length: 400\r\n\r\n01234",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
        "Transfer-Encoding: chunked\r\n\r\n28\r\n01234",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\nzz\r\n",
    ] {
        let origin = RawOrigin::start(format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{head}"
        ));
        let gateway = start(origin.addr(), &[]);
        for client in [Client::http1(gateway.addr()), Client::h2c(gateway.addr())] {
            let request = Request::get("/p").header("host", gateway.addr().to_string());
            let response = client.try_send(request.body(body::empty()).unwrap()).await;
            let broken = match response {
                Ok(response) => {
                    response.status() == StatusCode::BAD_GATEWAY
                        || response.into_body().collect().await.is_err()
                }
                Err(_) => true,
            };
            assert!(broken, "{head:?}");
        }
        eventually("both went to the origin", async || {
            origin.heads().len() == 2
        })
        .await;
    }
}

#[tokio::test]
async fn an_http_1_0_response_that_claims_a_transfer_encoding_is_a_502() {
    let response = format!(
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=60\r\n\r\n{CHUNKS}"
    );
    let (_origin, [text, _]) = twice(&response, &[]).await;
    assert!(text.starts_with("HTTP/1.1 502 "), "{text}");
}

#[tokio::test]
async fn a_request_with_transfer_encoding_and_a_length_reaches_the_upstream_whole_and_alone() {
    let stand = Stand::start(&[], async |request: Request<_>| {
        let (head, body) = request.into_parts();
        let length = head.headers.get("content-length").cloned();
        let body = body.collect().await.unwrap().to_bytes();
        answer(&[], &format!("{} {length:?} {}", head.uri, body.len()))
    });
    for (head, text) in [
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            CHUNKS,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            CHUNKS,
        ),
    ] {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";
        let all = format!("POST /p HTTP/1.1\r\nHost: a.example\r\n{head}\r\n{text}{smuggled}");
        let answer = stand.raw(all).await;
        assert!(
            answer.contains("/p None 40") || answer.starts_with("HTTP/1.1 400 "),
            "{answer}"
        );
        assert!(!answer.contains("/smuggled"), "{answer}");
    }
    for request in stand.origin.requests() {
        assert_eq!(request.uri.path(), "/p");
    }
}

#[tokio::test]
async fn requests_of_which_two_readers_could_make_two_are_refused() {
    let stand = Stand::start(&[], async |request: Request<_>| {
        let _ = request.into_body().collect().await;
        answer(&[], "")
    });
    for head in [
        "Content-Length: 5\r\nContent-Length: 40\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5, 40\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X: 1\r\n folded\r\n",
        "X: 1\0\r\n",
        " X: 1\r\n",
    ] {
        let answer = stand
            .raw(format!(
                "POST /p HTTP/1.1\r\nHost: a.example\r\n{head}Connection: close\r\n\r\n{CHUNKS}"
            ))
            .await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
    }
    let old = stand
        .raw(format!(
            "POST /p HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}"
        ))
        .await;
    assert!(old.contains(" 400 "), "{old}");
    assert_eq!(stand.origin.hits(), 0);
}

#[tokio::test]
async fn a_get_with_a_body_of_unknown_length_keeps_it() {
    let stand = Stand::start(&[], async |request: Request<_>| {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        answer(
            &[("cache-control", "max-age=60")],
            &format!("{} bytes", body.len()),
        )
    });
    for method in ["GET", "DELETE", "POST"] {
        let answer = stand
            .raw(format!("{method} /p HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{CHUNKS}"))
            .await;
        assert!(answer.contains("40 bytes"), "{method}: {answer}");
    }
}

#[tokio::test]
async fn the_bytes_after_a_response_are_nobodys() {
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 40\r\nCache-Control: no-store\r\n\r\n{WHOLE}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    );
    let (_origin, got) = twice(&response, &[]).await;
    for text in got {
        assert!(text.ends_with(WHOLE), "{text}");
    }
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for_is_a_502() {
    let response = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nGET /";
    let (_origin, [text, _]) = twice(response, &[]).await;
    assert!(text.starts_with("HTTP/1.1 502 "), "{text}");
}
