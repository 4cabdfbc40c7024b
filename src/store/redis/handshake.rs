//! What a new connection is asked before calls go over it.

use deadpool_redis::redis::{Cmd, Pipeline, ServerErrorKind, Value};

use super::{
    connection::Connection,
    exchange::server_error,
    identity::Identity,
    script::{Script, Scripts},
};

/// Needs all that the crate's scripts need of a server.
static PROBE: Script = Script::new("return redis.call('TIME')[1]");

/// Whether a server takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Master,
    Replica,
    /// The user may not ask.
    Untold,
}

/// Makes sure that a server answers which has its data. What an ACL does not allow is not asked.
pub(super) async fn check(connection: &mut Connection) -> Result<Role, String> {
    let mut pipeline = Pipeline::with_capacity(2);
    // DBSIZE, unlike TIME, is refused while the server loads its data or has lost its master.
    pipeline.cmd("DBSIZE").cmd("ROLE");
    let replies = send(connection, &pipeline).await?;
    if let Some(refusal @ Value::ServerError(error)) = replies.first()
        && server_error(refusal) != Some(ServerErrorKind::NoPerm)
    {
        return Err(error.to_string());
    }
    let Some(Value::Array(role)) = replies.get(1) else {
        return Ok(Role::Untold);
    };
    match role.first() {
        Some(Value::BulkString(role)) if role == b"master" => Ok(Role::Master),
        Some(Value::BulkString(role)) if role == b"slave" => Ok(Role::Replica),
        _ => Ok(Role::Untold),
    }
}

/// Gives the server the scripts, and learns what it is and whether it can run them. One that
/// may not be loaded goes by its source.
pub(super) async fn prime(
    connection: &mut Connection,
    scripts: Scripts,
) -> Result<Identity, String> {
    let mut pipeline = Pipeline::new();
    pipeline.cmd("HELLO");
    let all = scripts.iter().copied().flatten().copied();
    for script in all.chain([&PROBE]) {
        pipeline.cmd("SCRIPT").arg("LOAD").arg(script.source());
    }
    pipeline.cmd("EVALSHA").arg(PROBE.sha()).arg(0);
    let mut replies = send(connection, &pipeline).await?;
    let mut probed = replies.pop().unwrap_or(Value::Nil);
    if server_error(&probed) == Some(ServerErrorKind::NoScript) {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(Cmd::new().arg("EVAL").arg(PROBE.source()).arg(0).take());
        probed = send(connection, &pipeline)
            .await?
            .pop()
            .unwrap_or(Value::Nil);
    }
    let hello = replies.into_iter().next().unwrap_or(Value::Nil);
    Ok(Identity::of(hello, &probed))
}

async fn send(connection: &mut Connection, pipeline: &Pipeline) -> Result<Vec<Value>, String> {
    let sent = connection.ask(pipeline).await;
    sent.map_err(|error| error.to_string())
}
