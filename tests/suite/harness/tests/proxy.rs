//! The proxy in front of a server: what it passes on, delays, counts and withholds.

use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{AsyncConnectionConfig, Client, RedisResult, cmd, pipe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::super::proxy::Proxy;
use super::super::redis::RedisServer;

async fn connect(proxy: &Proxy) -> RedisResult<MultiplexedConnection> {
    let patient = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(5)));
    Client::open(format!("redis://{}/", proxy.addr()))?
        .get_multiplexed_async_connection_with_config(&patient)
        .await
}

async fn ping(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    cmd("PING").exec_async(connection).await
}

/// A bare connection on which one PING has been answered.
async fn connected(proxy: &Proxy) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.write_all(b"PING\r\n").await.unwrap();
    pong(&mut stream).await;
    stream
}

async fn pong(stream: &mut TcpStream) {
    let mut reply = [0; 7];
    timeout(Duration::from_secs(5), stream.read_exact(&mut reply))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
}

#[tokio::test]
async fn a_proxy_passes_on_what_it_is_sent() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.addr());
    let value = "x".repeat(1_000_000);
    let mut connection = connect(&proxy).await.unwrap();
    cmd("SET")
        .arg("a")
        .arg(&value)
        .exec_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(server.query::<String>(&["GET", "a"]), value);
    assert_eq!(
        cmd("GET")
            .arg("a")
            .query_async::<String>(&mut connection)
            .await
            .unwrap(),
        value
    );
}

#[tokio::test]
async fn a_proxy_delays_each_direction() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.addr());
    let mut connection = connect(&proxy).await.unwrap();
    let to_server = (Duration::from_millis(50), Duration::ZERO);
    let to_client = (Duration::ZERO, Duration::from_millis(50));
    for (there, back) in [to_server, to_client] {
        proxy.delay(there, back);
        let start = Instant::now();
        ping(&mut connection).await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(50));
    }
}

#[tokio::test]
async fn a_delay_is_latency_and_not_throughput() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.addr());
    let connection = connect(&proxy).await.unwrap();
    proxy.delay(Duration::from_millis(100), Duration::ZERO);
    let pings = (0..50).map(|_| {
        let mut connection = connection.clone();
        tokio::spawn(async move { ping(&mut connection).await })
    });
    let pings: Vec<_> = pings.collect();
    let all = async {
        for answer in pings {
            answer.await.unwrap().unwrap();
        }
    };
    // One after the other they would take five seconds.
    timeout(Duration::from_millis(2_500), all).await.unwrap();
}

#[tokio::test]
async fn a_pipeline_is_one_trip_and_commands_in_turn_are_several() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.addr());
    let mut connection = connect(&proxy).await.unwrap();
    let before = proxy.round_trips();
    pipe()
        .cmd("PING")
        .cmd("PING")
        .cmd("PING")
        .exec_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(proxy.round_trips() - before, 1);
    for _ in 0..3 {
        ping(&mut connection).await.unwrap();
    }
    assert_eq!(proxy.round_trips() - before, 4);
}

#[tokio::test]
async fn dropped_connections_end_and_new_ones_work() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.addr());
    let mut stream = connected(&proxy).await;
    proxy.drop_connections();
    assert_ends(&mut stream).await;
    connected(&proxy).await;
}

#[tokio::test]
async fn a_refusing_proxy_is_like_a_dead_server_until_it_is_opened() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.addr());
    let mut stream = connected(&proxy).await;
    proxy.refuse();
    assert_ends(&mut stream).await;
    assert!(TcpStream::connect(proxy.addr()).await.is_err());
    proxy.open();
    connected(&proxy).await;
}

#[tokio::test]
async fn a_blackhole_holds_everything_back_until_it_is_opened() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.addr());
    let mut old = connected(&proxy).await;
    proxy.blackhole();
    let mut new = TcpStream::connect(proxy.addr()).await.unwrap();
    for stream in [&mut old, &mut new] {
        stream.write_all(b"PING\r\n").await.unwrap();
        assert!(
            timeout(Duration::from_millis(100), stream.read_u8())
                .await
                .is_err()
        );
    }
    proxy.open();
    pong(&mut old).await;
    pong(&mut new).await;
}

#[tokio::test]
async fn a_dropped_proxy_closes_its_port_and_connections() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.addr());
    let mut stream = connected(&proxy).await;
    drop(proxy);
    assert_ends(&mut stream).await;
}

/// A reset is as good an end as an orderly one.
async fn assert_ends(stream: &mut TcpStream) {
    let end = timeout(Duration::from_secs(5), stream.read(&mut [0]))
        .await
        .unwrap();
    assert!(!matches!(end, Ok(1..)), "the connection delivers");
}
