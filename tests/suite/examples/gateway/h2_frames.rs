//! HTTP/2 frames by hand: heads that no library would send.

use super::stand::{Stand, echo};
use crate::harness::raw::RawClient;

/// What becomes of a stream.
#[derive(Debug, PartialEq)]
enum Outcome {
    Status(u16),
    /// Of the stream or of the connection.
    Reset,
}

const GET: [(&str, &str); 3] = [(":method", "GET"), (":scheme", "http"), (":path", "/p")];

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags, 0, 0, 0, stream]);
    frame.extend(payload);
    frame
}

/// HEADERS of one whole request, each field as a literal (RFC 7541 §6.2.2).
fn headers(fields: &[(&str, &str)], flags: u8) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    frame(1, flags, 1, &block)
}

async fn outcome(stand: &Stand, frames: &[u8]) -> Outcome {
    let mut client = RawClient::connect(stand.gateway.addr()).await;
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client.send(frame(4, 0, 0, &[])).await;
    client.send(frames).await;
    loop {
        let head = client.read(9).await;
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let payload = client.read(length).await;
        match head[3] {
            // The status comes first: from the static table, or as three digits after its name.
            1 => {
                return Outcome::Status(match payload[0] {
                    0x88 => 200,
                    0x8c => 400,
                    0x8e => 500,
                    _ => 0,
                });
            }
            3 | 7 => return Outcome::Reset,
            _ => {}
        }
    }
}

async fn ask(stand: &Stand, fields: &[(&str, &str)]) -> Outcome {
    outcome(stand, &headers(fields, 0x5)).await
}

#[tokio::test]
async fn a_site_is_named_by_authority_or_by_host_and_once() {
    let stand = Stand::start(&[], echo);
    let with = |fields: &[(&'static str, &'static str)]| [&GET, fields].concat();
    for fields in [
        &[(":authority", "a.example")][..],
        &[("host", "a.example")],
        &[(":authority", "a.example"), ("host", "A.example")],
    ] {
        assert_eq!(
            ask(&stand, &with(fields)).await,
            Outcome::Status(200),
            "{fields:?}"
        );
    }
    let reached = stand.origin.hits();
    assert_eq!(reached, 1, "all are one page");
    for fields in [
        &[][..],
        &[("host", "a.example"), ("host", "a.example")],
        &[(":authority", "a.example"), ("host", "evil.example")],
        &[
            (":authority", "a.example"),
            ("host", "a.example"),
            ("host", "evil.example"),
        ],
        &[(":authority", "user@a.example")],
        &[(":authority", "a.example:http")],
        &[("host", "a b/../c")],
    ] {
        let outcome = ask(&stand, &with(fields)).await;
        assert!(
            [Outcome::Status(400), Outcome::Reset].contains(&outcome),
            "{fields:?}: {outcome:?}"
        );
    }
    assert_eq!(stand.origin.hits(), reached);
}

#[tokio::test]
async fn heads_that_http_1_1_would_read_otherwise_reach_nobody() {
    let stand = Stand::start(&[], echo);
    let site = (":authority", "a.example");
    let mut heads: Vec<Vec<(&str, &str)>> = [
        ("transfer-encoding", "chunked"),
        ("connection", "upgrade"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("Host", "a.example"),
        ("x-a", "1\r\nhost: evil.example"),
        ("x-a", "1\nx-b: 2"),
        ("x a", "1"),
        ("x-a: 1\r\nx-b", "2"),
        (":authority", "evil.example"),
        (":path", "/q"),
        (":protocol", "websocket"),
    ]
    .into_iter()
    .map(|field| [&GET[..], &[site, field]].concat())
    .collect();
    for path in [
        "",
        "*",
        "p",
        "/p HTTP/1.1\r\nhost: evil.example\r\n\r\nGET /q",
    ] {
        heads.push(vec![
            (":method", "GET"),
            (":scheme", "http"),
            (":path", path),
            site,
        ]);
    }
    heads.push(vec![
        (":method", "GET"),
        (":scheme", "ftp"),
        (":path", "/p"),
        site,
    ]);
    heads.push(vec![
        (":method", "GET /q HTTP/1.1\r\n"),
        (":scheme", "http"),
        (":path", "/p"),
        site,
    ]);
    heads.push(vec![(":method", "CONNECT"), site]);
    heads.push(vec![
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/p"),
        site,
    ]);
    for head in heads {
        let outcome = ask(&stand, &head).await;
        assert_ne!(outcome, Outcome::Status(200), "{head:?}");
    }
    assert_eq!(stand.origin.hits(), 0, "{:?}", stand.origin.requests());
}

#[tokio::test]
async fn a_length_that_the_frames_contradict_does_not_make_two_requests() {
    let stand = Stand::start(&[], echo);
    for length in ["1", "400"] {
        let head = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/p"),
            (":authority", "a.example"),
            ("content-length", length),
        ];
        let smuggled = b"xGET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";
        let frames = [headers(&head, 0x4), frame(0, 1, 1, smuggled)].concat();
        assert_ne!(
            outcome(&stand, &frames).await,
            Outcome::Status(200),
            "{length}"
        );
    }
    for request in stand.origin.requests() {
        assert_eq!(request.uri.path(), "/p");
    }
}
