//! Redis over the application's own pool.
//!
//! [`call`](Redis::call) sends the commands of a batch in one write on a *lane*, a connection
//! that was taken out of the pool once and is shared by all concurrent calls. There is no
//! checkout, and so no PING and no UNWATCH, per operation.

mod command;
mod health;
mod lane;
mod script;

use std::{sync::Arc, time::Duration};

use deadpool_redis::{
    Pool,
    redis::{ErrorKind, Pipeline, RedisError, ServerErrorKind, Value, aio::MultiplexedConnection},
};
use tokio::time::Instant;

pub(crate) use command::{Command, NextReply, Reply};
use health::Health;
use lane::Lanes;
pub(crate) use script::Script;

use super::{StoreState, error::StoreError};

/// The result of each command of a call.
pub(crate) type Results = Vec<Result<Reply, StoreError>>;

/// A Redis server behind a pool, the lanes that lead to it and what is known of its health.
#[derive(Debug)]
pub(crate) struct Redis {
    pool: Pool,
    lanes: Lanes,
    health: Health,
}

impl Redis {
    pub(crate) fn new(pool: Pool, lanes: usize) -> Arc<Self> {
        Arc::new(Self {
            pool,
            lanes: Lanes::new(lanes),
            health: Health::new(),
        })
    }

    pub(crate) fn state(&self) -> StoreState {
        self.health.state()
    }

    /// Executes `commands` in one round trip, within `limit`.
    pub(crate) async fn call(
        self: Arc<Self>,
        commands: Vec<Command>,
        limit: Duration,
    ) -> Result<Results, StoreError> {
        let deadline = Deadline::new(limit);
        let result = self.attempt(&commands, &deadline).await;
        // A server that answered others meanwhile is alive, and slow with this call only.
        if matches!(result, Err(StoreError::DeadlineExceeded(_)))
            && !self.health.replied_within(limit / 2)
        {
            self.trip("it gave no answer within the deadline");
        }
        result
    }

    async fn attempt(
        self: &Arc<Self>,
        commands: &[Command],
        deadline: &Deadline,
    ) -> Result<Results, StoreError> {
        let mut replays = u8::from(commands.iter().all(Command::is_replayable));
        loop {
            let (mut connection, generation) = match self.ready_lane()? {
                Some(lane) => lane,
                None => tokio::time::timeout(deadline.left(), self.lane())
                    .await
                    .map_err(|_| deadline.exceeded())??,
            };
            let error = match exchange(&mut connection, commands, deadline).await {
                Ok(results) => {
                    self.health.replied();
                    return Ok(results);
                }
                Err(error) => error,
            };
            // Before that time it is the connection that timed out.
            if error.is_timeout() && deadline.left().is_zero() {
                return Err(deadline.exceeded());
            }
            if !error.is_unrecoverable_error() {
                return Err(refused(&error));
            }
            self.lose(generation, &error);
            if replays == 0 {
                return Err(StoreError::Connection(error.to_string().into()));
            }
            replays -= 1;
        }
    }

    /// A lane's connection and its generation; `None` while lanes are being connected. Fails
    /// while the breaker is open.
    fn ready_lane(self: &Arc<Self>) -> Result<Option<Lane>, StoreError> {
        match self.health.state() {
            StoreState::Ready => {
                if let Some(lane) = self.lanes.next() {
                    return Ok(Some(lane));
                }
                self.health.set(StoreState::Connecting);
            }
            StoreState::Connecting => {}
            StoreState::Unavailable => return Err(StoreError::Unavailable),
        }
        self.connect();
        Ok(None)
    }

    /// As [`ready_lane`](Self::ready_lane), and waits for one.
    async fn lane(self: &Arc<Self>) -> Result<Lane, StoreError> {
        loop {
            if let Some(lane) = self.ready_lane()? {
                return Ok(lane);
            }
            self.health.changed().await;
        }
    }
}

type Lane = (MultiplexedConnection, u64);

/// When a call has to be over.
#[derive(Debug)]
struct Deadline {
    started: Instant,
    limit: Duration,
}

impl Deadline {
    fn new(limit: Duration) -> Self {
        let started = Instant::now();
        Self { started, limit }
    }

    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.started.elapsed())
    }

    fn exceeded(&self) -> StoreError {
        StoreError::DeadlineExceeded(self.limit)
    }
}

/// Sends `commands` and reads their replies. A script that the server does not know (after
/// `SCRIPT FLUSH`, a restart or a failover) is sent again by its source, and it alone.
async fn exchange(
    connection: &mut MultiplexedConnection,
    commands: &[Command],
    deadline: &Deadline,
) -> Result<Results, RedisError> {
    // Of this handle only. One timer, instead of ours around that of redis-rs.
    connection.set_response_timeout(deadline.left());
    let values = match commands {
        [] => return Ok(Vec::new()),
        [single] => vec![connection.send_packed_command(single.cmd()).await?],
        several => {
            let mut pipeline = Pipeline::with_capacity(several.len());
            for command in several {
                pipeline.add_command(command.cmd().clone());
            }
            connection
                .send_packed_commands(&pipeline, 0, several.len())
                .await?
        }
    };
    let mut results = Vec::with_capacity(values.len());
    for (value, command) in values.into_iter().zip(commands) {
        let value = match server_error(&value) {
            Some(ServerErrorKind::NoScript) => match command.with_source() {
                Some(eval) => {
                    connection.set_response_timeout(deadline.left());
                    connection.send_packed_command(&eval).await?
                }
                None => value,
            },
            _ => value,
        };
        results.push(match value {
            Value::ServerError(error) => {
                let error = RedisError::from(error);
                if error.is_unrecoverable_error() {
                    // READONLY: a demoted master. The connection leads to the wrong server.
                    return Err(error);
                }
                Err(refused(&error))
            }
            value => Ok(Reply(value)),
        });
    }
    Ok(results)
}

fn server_error(value: &Value) -> Option<ServerErrorKind> {
    match value {
        Value::ServerError(error) => error.kind(),
        _ => None,
    }
}

fn refused(error: &RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown) => {
            StoreError::Unavailable
        }
        _ => StoreError::Refused(error.to_string().into()),
    }
}
