//! Batches on a real server, through operations of the test's own.

use std::{
    process::{Child, Command as Process, Stdio},
    time::Duration,
};

use deadpool_redis::redis::Value;
use tempfile::TempDir;

use super::{Command, Commands, Reply, Script};
use crate::{
    Store, StoreConfig, StoreError,
    store::{
        batch::{Batch, Replies},
        clock::Timestamp,
    },
};

/// A `redis-server` on a socket in a directory of its own.
struct Server {
    dir: TempDir,
    process: Child,
}

impl Server {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let process = Self::launch(&dir, args);
        Self { dir, process }
    }

    fn launch(dir: &TempDir, args: &[&str]) -> Child {
        let program = std::env::var_os("TEST_REDIS_SERVER");
        Process::new(program.unwrap_or_else(|| "redis-server".into()))
            .args(["--port", "0", "--save", "", "--unixsocket", "redis.sock"])
            .args(args)
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("there is a redis-server")
    }

    fn restart(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.process = Self::launch(&self.dir, &[]);
    }

    async fn store(&self) -> Store {
        self.store_with("").await
    }

    async fn store_with(&self, query: &str) -> Store {
        let url = format!("unix://{}/redis.sock{query}", self.dir.path().display());
        let config = StoreConfig::from_url(&url).unwrap();
        let store = config
            .with_deadline(Duration::from_secs(5))
            .build()
            .unwrap();
        // It has just been started.
        for _ in 0..1_000 {
            if store.ping().await.is_ok() {
                return store;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("redis-server does not answer");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

static DOUBLE: Script = Script::new("return ARGV[1] * 2");

/// Any command, with its reply as it comes.
struct Raw(fn() -> Command);

impl<M> Batch<M> for Raw {
    type Output = Result<Value, StoreError>;

    fn run(&self, _: &M, _: Timestamp) -> Self::Output {
        Ok(Value::Nil)
    }

    fn commands(&self, out: &mut Commands) {
        out.push(self.0());
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        replies.next().unwrap().map(|Reply(value)| value)
    }
}

fn double() -> Raw {
    Raw(|| Command::script::<crate::store::Key>(&DOUBLE, &[]).arg(21))
}

fn echo() -> Raw {
    Raw(|| Command::new("ECHO").arg("hello"))
}

fn hello() -> Value {
    Value::BulkString(b"hello".to_vec())
}

#[tokio::test]
async fn each_operation_of_a_batch_gets_its_own_reply_whatever_the_batchs_form() {
    let server = Server::start();
    let store = server.store().await;
    let batch = (
        (Some(echo()), None::<Raw>),
        (vec![double(), echo(), double()], double()),
    );
    let ((some, none), (many, one)) = store.execute(batch).await;
    assert_eq!(some.unwrap().unwrap(), hello());
    assert!(none.is_none());
    let many: Vec<_> = many.into_iter().map(Result::unwrap).collect();
    assert_eq!(many, [Value::Int(42), hello(), Value::Int(42)]);
    assert_eq!(one.unwrap(), Value::Int(42));
}

#[tokio::test]
async fn an_empty_batch_sends_nothing() {
    let server = Server::start();
    let store = server.store().await;
    let (many, none) = store.execute((Vec::<Raw>::new(), None::<Raw>)).await;
    assert!(many.is_empty() && none.is_none());
}

#[tokio::test]
async fn the_error_of_one_command_is_its_own() {
    let server = Server::start();
    let store = server.store().await;
    let plant = Raw(|| Command::new("HSET").arg("keep:h").arg("field").arg("value"));
    store.execute(plant).await.unwrap();
    let wrong = Raw(|| Command::new("GET").arg("keep:h"));
    let missing = Raw(|| Command::new("NO-SUCH-COMMAND"));
    let replies = store
        .execute(vec![echo(), wrong, double(), missing, echo()])
        .await;
    assert_eq!(*replies[0].as_ref().unwrap(), hello());
    let refused = |index: usize| match &replies[index] {
        Err(StoreError::Refused { message, .. }) => message.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(refused(1).contains("WRONGTYPE"), "{}", refused(1));
    assert_eq!(*replies[2].as_ref().unwrap(), Value::Int(42));
    assert!(refused(3).contains("unknown command"), "{}", refused(3));
    assert_eq!(*replies[4].as_ref().unwrap(), hello());
    // And the connection is not blamed.
    store.ping().await.unwrap();
    assert_eq!(store.state(), crate::store::StoreState::Degraded);
}

#[tokio::test]
async fn a_lost_connection_is_the_same_error_for_every_operation() {
    let server = Server::start();
    let store = server.store().await;
    drop(server);
    let once = Raw(|| Command::new("ECHO").arg("hello").once());
    for reply in store.execute(vec![once, echo()]).await {
        assert!(
            matches!(
                reply,
                Err(StoreError::Connection(_) | StoreError::Unavailable)
            ),
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn of_a_batch_whose_connection_is_lost_what_counts_twice_fails_and_the_rest_is_sent_again() {
    let server = Server::start();
    let (store, other) = (server.store().await, server.store().await);
    let kill = Raw(|| Command::new("CLIENT").arg("KILL").arg("TYPE").arg("normal"));
    other.execute(kill).await.unwrap();
    let once = Raw(|| Command::new("ECHO").arg("hello").once());
    let replies = store.execute(vec![echo(), once, double()]).await;
    assert_eq!(*replies[0].as_ref().unwrap(), hello());
    assert!(
        matches!(replies[1], Err(StoreError::Connection(_))),
        "{:?}",
        replies[1]
    );
    assert_eq!(*replies[2].as_ref().unwrap(), Value::Int(42));
}

#[tokio::test]
async fn a_call_that_was_answered_does_not_fail_with_one_that_was_sent_beside_it() {
    let server = Server::start();
    let store = server.store().await;
    let stale = Raw(|| {
        let set = Command::new("CONFIG").arg("SET");
        set.arg("replica-serve-stale-data").arg("no")
    });
    store.execute(stale).await.unwrap();
    // A replica that never reaches its master, and so refuses to read, but tells the time.
    let replica = Raw(|| Command::new("REPLICAOF").arg("127.0.0.1").arg(1));
    store.execute(replica).await.unwrap();
    let time = || Raw(|| Command::new("TIME").once());
    let get = || Raw(|| Command::new("GET").arg("keep:x"));
    // Every other call goes over the same connection.
    let calls = (
        (store.execute(time()), store.execute(time())),
        (store.execute(get()), store.execute(get())),
    );
    let ((one, other), _) = tokio::join!(async { tokio::join!(calls.0.0, calls.0.1) }, async {
        tokio::join!(calls.1.0, calls.1.1)
    },);
    for answered in [one, other] {
        assert!(matches!(answered, Ok(Value::Array(_))), "{answered:?}");
    }
}

#[tokio::test]
async fn a_socket_takes_a_database_and_a_password_from_the_query() {
    let server = Server::start_with(&["--requirepass", "p@ss w/rd"]);
    let store = server.store_with("?db=3&pass=p%40ss+w%2Frd").await;
    let info = Raw(|| Command::new("CLIENT").arg("INFO"));
    let info = store.execute(info).await.unwrap();
    assert!(format!("{info:?}").contains(" db=3 "), "{info:?}");
}

#[tokio::test]
async fn a_new_connection_changes_the_epoch_before_the_first_call_on_it() {
    let mut server = Server::start();
    let store = server.store().await;
    let first = store.connections_epoch();
    for _ in 0..10 {
        store.ping().await.unwrap();
    }
    assert_eq!(store.connections_epoch(), first);
    server.restart();
    // The first call that is answered by the new process finds it changed.
    while store.ping().await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(store.connections_epoch() > first);
    assert_eq!(Store::memory().connections_epoch(), 0);
}
