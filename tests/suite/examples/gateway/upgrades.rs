//! Websockets are tunnelled; nothing else is.

use super::stand::{Stand, echo, start};
use crate::harness::{
    example::Example,
    raw::{RawClient, RawOrigin},
};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

/// A server that switches and then echoes what comes.
pub(super) async fn echo_server() -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                assert!(head.contains("\nupgrade: websocket\r"), "{head}");
                assert!(head.contains("\nconnection: upgrade\r"), "{head}");
                stream.write_all(SWITCH.as_bytes()).await.unwrap();
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    addr
}

/// A websocket through the gateway, once it stands.
pub(super) async fn tunnel(gateway: &Example) -> RawClient {
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send(ASK).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let lower = head.to_lowercase();
    assert!(
        lower.contains("upgrade: websocket") && lower.contains("connection: upgrade"),
        "{head}"
    );
    client
}

#[tokio::test]
async fn a_websocket_is_a_tunnel() {
    let gateway = start(echo_server().await, &[]);
    let mut client = tunnel(&gateway).await;
    for _ in 0..3 {
        client.send("ping").await;
        assert_eq!(client.read(4).await, b"ping");
    }
}

#[tokio::test]
async fn no_other_protocol_is_switched_to() {
    let stand = Stand::start(&[], echo);
    for upgrade in [
        "h2c",
        "H2C",
        "TLS/1.0",
        "chat",
        "h2c, websocket",
        "websocket2",
    ] {
        for connection in ["Upgrade", "Upgrade, HTTP2-Settings"] {
            let ask = format!(
                "GET /p HTTP/1.1\r\nHost: a.example\r\nConnection: {connection}\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
            );
            let mut client = RawClient::connect(stand.gateway.addr()).await;
            client.send(ask).await;
            let head = client.head().await;
            assert!(head.starts_with("HTTP/1.1 200 "), "{upgrade}: {head}");
        }
    }
    // All these are one ordinary request for one page.
    let [request] = &stand.origin.requests()[..] else {
        panic!("they were not answered from the cache");
    };
    for name in ["upgrade", "connection", "http2-settings"] {
        assert!(!request.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn an_upgrade_has_to_be_named_by_connection_and_to_be_a_get() {
    let stand = Stand::start(&["--cache", "off"], echo);
    for head in [
        "GET /p HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n",
        "POST /p HTTP/1.1\r\nHost: a.example\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
        "GET /p HTTP/1.0\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let answer = stand.raw(head).await;
        assert!(answer.contains(" 200 "), "{head}: {answer}");
    }
    for request in stand.origin.requests() {
        assert!(!request.headers.contains_key("upgrade"), "{request:?}");
    }
}

#[tokio::test]
async fn a_websocket_counts_against_the_limit() {
    let limit = ["--limit", "\"one\";q=1;w=600"];
    let gateway = start(echo_server().await, &limit);
    let _open = tunnel(&gateway).await;
    let mut second = RawClient::connect(gateway.addr()).await;
    second.send(ASK).await;
    let head = second.head().await;
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
}

#[tokio::test]
async fn a_websocket_is_never_answered_from_the_cache() {
    let stand = Stand::start(&[], echo);
    stand.client().get("/chat").await;
    let mut client = RawClient::connect(stand.gateway.addr()).await;
    client.send(ASK).await;
    let head = client.head().await;
    assert!(head.contains("fwd=bypass"), "{head}");
    assert_eq!(stand.origin.hits(), 2);
}

#[tokio::test]
async fn an_upstream_that_switches_to_something_else_is_a_502() {
    for switch in [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let origin = RawOrigin::start(switch);
        let gateway = start(origin.addr(), &[]);
        let mut client = RawClient::connect(gateway.addr()).await;
        client.send(ASK).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{switch}: {head}");
    }
}
