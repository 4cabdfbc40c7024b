//! Sending commands on a connection, and what their replies mean for it.

use std::sync::Arc;

use deadpool_redis::redis::{RedisError, ServerErrorKind, Value};

use super::{
    command::Command,
    connection::Connection,
    refusals::Refusals,
    reply::{Reply, Results},
};
use crate::store::error::{RefusalKind, StoreError};

/// Sends `commands` and reads their replies; an error says why the connection is of no more
/// use. A script that the server does not know (after `SCRIPT FLUSH`, a restart or a failover)
/// is sent again by its source, and it alone.
pub(super) async fn exchange(
    connection: &mut Connection,
    commands: &[Command],
    refusals: &Refusals,
) -> Result<Results, Arc<str>> {
    // What comes as an error and not as a reply is the transport's.
    let lost = |error: RedisError| Arc::from(error.to_string());
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = connection.send(commands).await.map_err(lost)?;
    for (value, command) in values.iter_mut().zip(commands) {
        if server_error(value) == Some(ServerErrorKind::NoScript)
            && let Some(eval) = command.with_source()
        {
            *value = (connection.send_one(&eval, command.slot()).await).map_err(lost)?;
        }
    }
    let outcomes = values.into_iter().zip(commands);
    outcomes
        .map(|(value, command)| outcome(value, command, refusals))
        .collect()
}

/// What a command's reply means for it alone; an error, what it means for the connection.
fn outcome(
    value: Value,
    command: &Command,
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
    let details = error.details().unwrap_or_default();
    let kind = RefusalKind::of_error(error.code(), details);
    let message = match kind {
        // Read by who follows it.
        RefusalKind::Moved => Arc::from(format!("{} {details}", error.code())),
        _ => message,
    };
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
