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

    let end = Instant::now() + DEADLINE * 5;
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        callers.spawn(async move {
            let mut late = 0;
            while Instant::now() < end {
                match store.ping().await {
                    Ok(()) => sleep(Duration::from_millis(5)).await,
                    Err(StoreError::DeadlineExceeded(_)) => late += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            late
        });
    }
    let late = callers.join_all().await;
    // Each waited on it once, and none again.
    assert!(late.iter().all(|late| *late <= 1), "{late:?}");
    assert!(late.iter().sum::<usize>() > 0, "{late:?}");
    for _ in 0..20 {
        store.ping().await.unwrap();
    }
}
