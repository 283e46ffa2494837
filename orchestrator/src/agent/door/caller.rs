//! One connection to the door, from what it asks for to its end.

use std::io;
use std::time::Duration;

use std::sync::Arc;

use agent_protocol::door::{Answer, Call, DoorTarget, read_line, relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long a caller may take to say what it wants.
const TO_SAY: Duration = Duration::from_secs(10);
/// How long a host may take to be found and to take the connection.
const TO_CONNECT: Duration = Duration::from_secs(10);

/// Why a caller is not let through, as it is told.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0} is not among the hosts that this agent may reach")]
    NotListed(DoorTarget),
    #[error("{0} cannot be reached: {1}")]
    Unreachable(DoorTarget, io::Error),
    #[error("{0} has not taken the connection within {TO_CONNECT:?}")]
    Silent(DoorTarget),
}

/// Lets one caller through, or says why not.
pub(super) async fn attend(mut caller: UnixStream, targets: Arc<[DoorTarget]>) {
    // An agent that breaks off is its own affair; what it waits for is told in the box.
    if let Err(error) = try_to_attend(&mut caller, &targets).await {
        tracing::debug!(%error, "a connection through an agent's door broke off");
    }
}

async fn try_to_attend(caller: &mut UnixStream, targets: &[DoorTarget]) -> io::Result<()> {
    let line = timeout(TO_SAY, read_line(caller)).await??;
    match line.parse() {
        Ok(Call::Lifeline) => {
            answer(caller, &Answer::Open).await?;
            hold(caller).await
        }
        Ok(Call::To(target)) => match connect(target, targets).await {
            Ok(mut connection) => {
                answer(caller, &Answer::Open).await?;
                relay(caller, &mut connection).await
            }
            Err(refusal) => {
                tracing::info!("refused at an agent's door: {refusal}");
                answer(caller, &Answer::Refused(refusal.to_string())).await
            }
        },
        Err(invalid) => {
            tracing::info!("refused at an agent's door: {invalid}");
            answer(caller, &Answer::Refused(invalid.to_string())).await
        }
    }
}

async fn connect(target: DoorTarget, targets: &[DoorTarget]) -> Result<TcpStream, Refusal> {
    if !targets.contains(&target) {
        return Err(Refusal::NotListed(target));
    }
    let connecting = TcpStream::connect((target.name(), target.port()));
    match timeout(TO_CONNECT, connecting).await {
        Ok(Ok(connection)) => match connection.set_nodelay(true) {
            Ok(()) => Ok(connection),
            Err(error) => Err(Refusal::Unreachable(target, error)),
        },
        Ok(Err(error)) => Err(Refusal::Unreachable(target, error)),
        Err(_elapsed) => Err(Refusal::Silent(target)),
    }
}

async fn answer(caller: &mut UnixStream, answer: &Answer) -> io::Result<()> {
    caller.write_all(format!("{answer}\n").as_bytes()).await
}

/// A lifeline lasts until its runner ends; whatever is said on it means nothing.
async fn hold(caller: &mut UnixStream) -> io::Result<()> {
    let mut unheard = [0; 64];
    while caller.read(&mut unheard).await? > 0 {}
    Ok(())
}
