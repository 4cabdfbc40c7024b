//! Denials as a gRPC client meets them: a real tonic server and client, without generated code.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use http::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::{Service, service_fn};
use tower_keep::rate_limit::{Key, MissingKey, RateLimitLayer, RateLimitOnStoreError};

use super::stand::{Stand, on_memory_and_redis};
use super::{from, in_memory, limited, policy, send, store};
use crate::harness::redis::RedisServer;

/// Messages that are their own bytes.
#[derive(Clone, Copy, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Answers every message with itself.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl UnaryService<Bytes> for Echo {
    type Response = Bytes;
    type Future = std::future::Ready<Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        std::future::ready(Ok(tonic::Response::new(request.into_inner())))
    }
}

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<
        Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send + 'static>,
    >;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(tonic::server::Grpc::new(Plain).unary(Echo, request).await) })
    }
}

/// A tonic server behind a layer.
async fn serve(layer: RateLimitLayer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().layer(layer).add_service(Echo);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

/// A tonic client from an address of the loopback network.
async fn client(from: u8, server: SocketAddr) -> Channel {
    let connect =
        service_fn(
            move |_| async move { super::peers::connect(from, server).await.map(TokioIo::new) },
        );
    let endpoint = Endpoint::from_static("http://localhost");
    endpoint.connect_with_connector(connect).await.unwrap()
}

async fn echo(channel: &Channel) -> Result<Bytes, Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let request = tonic::Request::new(Bytes::from_static(b"hello"));
    let path = PathAndQuery::from_static("/test.Echo/Echo");
    let response = client.unary(request, path, Plain).await?;
    Ok(response.into_inner())
}

async fn a_denied_tonic_client_gets_resource_exhausted_and_each_peer_has_its_budget(stand: Stand) {
    let layer = RateLimitLayer::from_limiter(stand.limiter(r#""one";q=1;w=3600"#));
    let server = serve(layer.on_missing_key(MissingKey::Deny)).await;
    for peer in [2, 3] {
        let channel = client(peer, server).await;
        assert_eq!(echo(&channel).await.unwrap(), "hello");
        for _ in 0..2 {
            let denied = echo(&channel).await.unwrap_err();
            assert_eq!(denied.code(), Code::ResourceExhausted, "{denied:?}");
            assert_eq!(
                denied.message(),
                "Request cannot be satisfied as assigned quota has been exceeded"
            );
            assert!(denied.metadata().contains_key("retry-after"));
            let details = denied.get_error_details();
            let retry = details.retry_info().unwrap().retry_delay.unwrap();
            assert!((3_500..=3_600).contains(&retry.as_secs()), "{retry:?}");
            let violations = &details.quota_failure().unwrap().violations;
            assert_eq!(violations.len(), 1);
            assert_eq!(violations[0].subject, "one");
        }
    }
}

#[tokio::test]
async fn a_store_failure_is_unavailable_and_a_missing_key_an_invalid_argument() {
    let mut redis = RedisServer::start();
    redis.kill();
    let deny = RateLimitLayer::new(store(&redis), policy(r#""one";q=1;w=3600"#))
        .on_store_error(RateLimitOnStoreError::Deny);
    let denied = echo(&client(2, serve(deny).await).await).await.unwrap_err();
    assert_eq!(denied.code(), Code::Unavailable, "{denied:?}");

    let header = Key::header(http::HeaderName::from_static("x-api-key"));
    let missing = in_memory(r#""one";q=1;w=3600"#)
        .with_key(header)
        .on_missing_key(MissingKey::Deny);
    let denied = echo(&client(2, serve(missing).await).await)
        .await
        .unwrap_err();
    assert_eq!(denied.code(), Code::InvalidArgument, "{denied:?}");
}

on_memory_and_redis!(
    a_denied_tonic_client_gets_resource_exhausted_and_each_peer_has_its_budget,
    a_denied_call_is_answered_by_trailers_alone_and_never_by_http_429,
);

async fn a_denied_call_is_answered_by_trailers_alone_and_never_by_http_429(stand: Stand) {
    let layer = RateLimitLayer::from_limiter(stand.limiter(r#""one";q=1;w=3600"#));
    let service = limited(&layer);
    let call = || from("192.0.2.1").header("content-type", "application/grpc+proto");
    assert_eq!(send(&service, call()).await.status, 200);
    let denied = send(&service, call()).await;
    assert_eq!(denied.status, 200);
    assert_eq!(denied.field("grpc-status"), ["8"]);
    assert_eq!(denied.field("content-type"), ["application/grpc"]);
    assert!(denied.body.is_empty());
    // Others, of the same subject, are told as ever.
    assert_eq!(send(&service, from("192.0.2.1")).await.status, 429);
}
