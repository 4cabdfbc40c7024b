//! A server that accepts connections long before it has its data. A real one loads small data
//! too fast to be caught at it, so this one only says that it does.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tower_keep::store::StoreState;

use super::{answers_again, assert_refused_at_once, is_open, store};

/// The number in a line such as `*3` or `$5`.
async fn number(from: &mut (impl AsyncBufReadExt + Unpin), mark: char) -> Option<usize> {
    let mut line = String::new();
    from.read_line(&mut line).await.ok()?;
    line.trim_end().strip_prefix(mark)?.parse().ok()
}

/// The name of the next command; `None` at the end of the connection.
async fn command(from: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let mut name = None;
    for _ in 0..number(from, '*').await? {
        let length = number(from, '$').await?;
        let mut word = vec![0; length + 2];
        from.read_exact(&mut word).await.ok()?;
        word.truncate(length);
        name.get_or_insert(String::from_utf8_lossy(&word).to_ascii_uppercase());
    }
    name
}

async fn serve(client: TcpStream, loading: Arc<AtomicBool>) {
    let (from, mut to) = client.into_split();
    let mut from = BufReader::new(from);
    while let Some(name) = command(&mut from).await {
        // As a real one: these are answered while it loads, all else is not.
        let reply = match name.as_str() {
            "CLIENT" => "+OK\r\n",
            "TIME" => "*2\r\n$1\r\n1\r\n$1\r\n0\r\n",
            "ROLE" => "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n",
            _ if loading.load(Ordering::SeqCst) => {
                "-LOADING Redis is loading the dataset in memory\r\n"
            }
            "DBSIZE" => ":0\r\n",
            _ => "+OK\r\n",
        };
        to.write_all(reply.as_bytes()).await.unwrap();
    }
}

async fn server(loading: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, Arc::clone(&loading)));
        }
    });
    addr
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_unavailable_until_it_has_it() {
    let loading = Arc::new(AtomicBool::new(true));
    let addr = server(Arc::clone(&loading)).await;
    let store = store(&format!("redis://{addr}"), Duration::from_millis(500));
    is_open(&store).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_refused_at_once(&store.ping().await);
    loading.store(false, Ordering::SeqCst);
    answers_again(&store).await;
    // And when it does so on a connection that is there, as a replica after a failover.
    loading.store(true, Ordering::SeqCst);
    is_open(&store).await;
    loading.store(false, Ordering::SeqCst);
    answers_again(&store).await;
    assert_eq!(store.state(), StoreState::Ready);
}
