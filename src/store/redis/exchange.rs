//! Sending commands on a connection, and what their replies mean for it.

use std::sync::Arc;

use deadpool_redis::redis::{RedisError, ServerErrorKind, Value};

use super::{
    command::About,
    connection::Connection,
    pipeline::Pipeline,
    refusals::Refusals,
    reply::{Reply, Results},
};
use crate::store::error::{RefusalKind, StoreError};

/// Sends commands and reads their replies; an error says why the connection is of no more
/// use. A script that the server does not know (after `SCRIPT FLUSH`, a restart or a failover)
/// is sent again by its source, and it alone.
pub(super) async fn exchange(
    connection: &mut Connection,
    commands: &Pipeline,
    refusals: &Refusals,
) -> Result<Results, Arc<str>> {
    // What comes as an error and not as a reply is the transport's.
    let lost = |error: RedisError| Arc::from(error.to_string());
    let mut values = connection.send(commands).await.map_err(lost)?;
    for (value, (cmd, about)) in values.iter_mut().zip(commands.iter()) {
        if server_error(value) == Some(ServerErrorKind::NoScript)
            && let Some(eval) = about.with_source(cmd)
        {
            // On the heap, so that the others are a small future.
            let sent = Box::pin(connection.send_one(&eval, about.slot(cmd)));
            *value = sent.await.map_err(lost)?;
        }
    }
    let outcomes = values.into_iter().zip(commands.iter());
    outcomes
        .map(|(value, (_, about))| outcome(value, about, refusals))
        .collect()
}

/// What a command's reply means for it alone; an error, what it means for the connection.
fn outcome(
    value: Value,
    command: &About,
    refusals: &Refusals,
) -> Result<Result<Reply, StoreError>, Arc<str>> {
    let Value::ServerError(error) = value else {
        refusals.succeeded(command);
        return Ok(Ok(Reply(value)));
    };
    let message = Arc::from(error.to_string());
    // The wrong server for now: one that loads its data, a replica that has lost its master.
    if matches!(
        error.kind(),
        Some(ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown)
    ) {
        return Err(message);
    }
    let kind = RefusalKind::of_error(error.code(), error.details().unwrap_or_default());
    if kind == RefusalKind::WrongType && command.passes_over_other_types() {
        return Ok(Ok(Reply(Value::Nil)));
    }
    refusals.refused(kind, command, &message);
    Ok(Err(StoreError::Refused { kind, message }))
}

pub(super) fn is_refused_by_a_replica(result: &Result<Reply, StoreError>) -> bool {
    let kind = RefusalKind::ReadOnly;
    matches!(result, Err(StoreError::Refused { kind: refused, .. }) if *refused == kind)
}

pub(super) fn server_error(value: &Value) -> Option<ServerErrorKind> {
    match value {
        Value::ServerError(error) => error.kind(),
        _ => None,
    }
}
