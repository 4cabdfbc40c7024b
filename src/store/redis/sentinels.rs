//! Asking sentinels which server is the master.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use deadpool_redis::redis::{Pipeline, RedisResult, Value, aio::MultiplexedConnection, pipe};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::timeout;

use super::{
    access::{Access, Address},
    connection::Connection,
    handshake::{Role, check},
};

/// How long the others may take once one has answered.
const OTHERS: Duration = Duration::from_millis(100);
/// How long one may take.
const ATTEMPT: Duration = Duration::from_millis(500);

/// The sentinels of a master, and how to reach whatever server they name.
///
/// All are asked at once, so that one that is frozen costs nothing but a short wait. A sentinel
/// that was cut off from the rest names an old master: the latest configuration counts.
#[derive(Debug)]
pub(crate) struct Sentinels {
    sentinels: Vec<Sentinel>,
    name: String,
    master: Access,
}

struct Sentinel {
    access: Access,
    /// Kept from one question to the next.
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl std::fmt::Debug for Sentinel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.access.fmt(f)
    }
}

/// A server that a sentinel takes for the master.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    /// Of the configuration; the failover that is under way has the next one.
    epoch: u64,
    address: Address,
}

impl Sentinels {
    /// The addresses in `master` do not matter.
    pub(crate) fn new(sentinels: Vec<Access>, name: String, master: Access) -> Self {
        let sentinel = |access| Sentinel {
            access,
            connection: Mutex::default(),
        };
        Self {
            sentinels: sentinels.into_iter().map(sentinel).collect(),
            name,
            master,
        }
    }

    /// A connection to the master.
    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, String> {
        let mut named = self.named().await?;
        // The latest first.
        named.sort_unstable_by(|one, other| other.cmp(one));
        named.dedup();
        let mut replica = None;
        let mut failed = None;
        for Named { address, .. } in named {
            // One that is frozen must not use up the time of the others.
            match timeout(ATTEMPT, self.role(&address)).await {
                Ok(Ok((Role::Replica, connection))) => replica = replica.or(Some(connection)),
                Ok(Ok((Role::Master | Role::Untold, connection))) => return Ok(connection),
                Ok(Err(error)) => {
                    failed.get_or_insert(error);
                }
                Err(_) => {
                    let (host, port) = address;
                    failed.get_or_insert(format!("{host}:{port} gave no answer in {ATTEMPT:?}"));
                }
            }
        }
        // It answers what only reads.
        replica.ok_or_else(|| failed.unwrap_or_else(|| "no sentinel knows a master".to_owned()))
    }

    /// A connection to the server at `address`, and what that is.
    async fn role(&self, address: &Address) -> Result<(Role, MultiplexedConnection), String> {
        let connection = self.master.to(address).connect().await;
        let connection = connection.map_err(|error| error.to_string())?;
        let role = check(&mut Connection::Direct(connection.clone())).await?;
        Ok((role, connection))
    }

    /// Whom the sentinels name that answer.
    async fn named(&self) -> Result<Vec<Named>, String> {
        let mut questions: FuturesUnordered<_> = self
            .sentinels
            .iter()
            .map(|sentinel| sentinel.ask(&self.name))
            .collect();
        let mut named = Vec::new();
        let mut failed = None;
        while named.is_empty() {
            match questions.next().await {
                Some(Ok(answer)) => named.push(answer),
                Some(Err(error)) => failed = Some(error),
                None => return Err(failed.unwrap_or_else(|| "there is no sentinel".to_owned())),
            }
        }
        let others = async {
            while let Some(answer) = questions.next().await {
                named.extend(answer.ok());
            }
        };
        let _ = timeout(OTHERS, others).await;
        Ok(named)
    }
}

impl Sentinel {
    async fn ask(&self, name: &str) -> Result<Named, String> {
        let result = match timeout(ATTEMPT, self.asked(name)).await {
            Ok(Ok(replies)) => read(&replies)
                .ok_or_else(|| format!("a sentinel knows no master of the name {name:?}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("a sentinel gave no answer within {ATTEMPT:?}")),
        };
        if result.is_err() {
            *self.kept() = None;
        }
        result
    }

    async fn asked(&self, name: &str) -> RedisResult<Vec<Value>> {
        let kept = self.kept().clone();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.access.connect().await?,
        };
        let mut question: Pipeline = pipe();
        question
            .cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(name);
        question.cmd("SENTINEL").arg("MASTER").arg(name);
        let replies = connection.send_packed_commands(&question, 0, 2).await?;
        *self.kept() = Some(connection);
        Ok(replies)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<MultiplexedConnection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the address of the master, and which configuration it is of if the user may know that.
fn read(replies: &[Value]) -> Option<Named> {
    let [Value::Array(address), facts] = replies else {
        return None;
    };
    let [host, port] = &address[..] else {
        return None;
    };
    let address = (text(host)?, text(port)?.parse().ok()?);
    let field = |name: &str| fact(facts, name);
    let configured = field("ip").zip(field("port").and_then(|port| port.parse().ok()));
    // A user of the sentinels that may not ask for it leaves it unknown.
    let epoch = field("config-epoch").and_then(|epoch| epoch.parse().ok());
    let epoch: u64 = epoch.unwrap_or(0);
    let is_new = u64::from(configured.is_some_and(|configured| configured != address));
    Some(Named {
        epoch: epoch + is_new,
        address,
    })
}

/// A field of what a sentinel tells of a master: an array by RESP2, a map by RESP3.
fn fact(facts: &Value, name: &str) -> Option<String> {
    let is_name = |field: &Value| text(field).is_some_and(|text| text == name);
    match facts {
        Value::Array(flat) => {
            let mut pairs = flat.chunks_exact(2);
            pairs
                .find(|pair| is_name(&pair[0]))
                .and_then(|pair| text(&pair[1]))
        }
        Value::Map(pairs) => {
            let mut pairs = pairs.iter();
            pairs
                .find(|(field, _)| is_name(field))
                .and_then(|(_, value)| text(value))
        }
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(text) => String::from_utf8(text.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Value {
        let word = |word: &&str| Value::BulkString(word.as_bytes().to_vec());
        Value::Array(words.iter().map(word).collect())
    }

    #[test]
    fn a_failover_under_way_is_later_than_the_configuration_that_it_ends() {
        let facts = ["ip", "10.0.0.1", "port", "6379", "config-epoch", "4"];
        let named = |host| read(&[words(&[host, "6379"]), words(&facts)]).unwrap();
        assert_eq!(named("10.0.0.1").epoch, 4);
        assert_eq!(named("10.0.0.2").epoch, 5);
        assert!(named("10.0.0.2") > named("10.0.0.1"));
    }

    #[test]
    fn a_name_that_a_sentinel_does_not_know_is_none() {
        assert_eq!(read(&[Value::Nil, Value::Nil]), None);
    }
}
