//! One of the shared connections goes silent while the other works: half of the calls would
//! fail for as long as the kernel keeps it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};
use tower_keep::StoreError;

use super::{answers_again, store};
use crate::harness::redis::RedisServer;

/// Passes everything on, but no reply to the connection whose number is in `silent`.
async fn relay(upstream: SocketAddr, silent: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 1.. {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(upstream).await.unwrap();
            let silent = Arc::clone(&silent);
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                    if silent.load(Ordering::SeqCst) != number {
                        to_client.write_all(&buffer[..read]).await.unwrap();
                    }
                }
            });
        }
    });
    addr
}

#[tokio::test]
async fn it_is_replaced_and_the_breaker_stays_closed() {
    const DEADLINE: Duration = Duration::from_millis(500);
    let redis = RedisServer::start();
    let silent = Arc::new(AtomicUsize::new(0));
    let addr = relay(redis.addr(), Arc::clone(&silent)).await;
    let store = store(&format!("redis://{addr}"), DEADLINE);
    answers_again(&store).await;
    silent.store(1, Ordering::SeqCst);

    // A call every few milliseconds, whatever becomes of those before.
    let start = Instant::now();
    let mut calls = JoinSet::new();
    while start.elapsed() < DEADLINE * 4 {
        let (store, begun) = (store.clone(), start.elapsed());
        calls.spawn(async move { (begun, store.ping().await) });
        sleep(Duration::from_millis(5)).await;
    }
    let mut late = 0;
    for (begun, result) in calls.join_all().await {
        match result {
            Ok(()) => {}
            Err(StoreError::DeadlineExceeded(_)) if begun < DEADLINE * 2 => late += 1,
            Err(other) => panic!("after {begun:?}: {other}"),
        }
    }
    assert!(late > 0, "no call was on the silent connection");
    for _ in 0..20 {
        store.ping().await.unwrap();
    }
}
