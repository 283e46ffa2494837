//! The one task that looks after the engine: whether it answers, and whether containers of ours
//! are left over. It removes what no run of this process owns, at boot and ever after.
//!
//! On real time: neither an engine nor what it has left behind looks at our clock.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::boxes::{Boxes, EngineState, Facts};
use super::engine::EngineError;

/// Between two looks at an engine that works, and at one that does not.
const IN_PEACE: Duration = Duration::from_secs(10);
const IN_NEED: Duration = Duration::from_secs(1);

/// Looks after the engine until told to stop.
pub(crate) async fn serve(boxes: Boxes, stop: CancellationToken) {
    loop {
        let looked = tokio::select! {
            looked = look(&boxes) => looked,
            () = stop.cancelled() => return,
        };
        let pause = match looked {
            Ok(facts) => {
                if let EngineState::Down(_) = boxes.stands(EngineState::Up(facts)) {
                    tracing::info!("the container engine answers again");
                }
                IN_PEACE
            }
            Err(error) => {
                let error = crate::chain(&error);
                if !matches!(
                    boxes.stands(EngineState::Down(error.clone())),
                    EngineState::Down(_)
                ) {
                    tracing::warn!(error, "waiting for the container engine");
                }
                IN_NEED
            }
        };
        let next = Instant::now() + pause;
        tokio::select! {
            () = sleep_until(next) => {}
            () = boxes.look_wanted() => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn look(boxes: &Boxes) -> Result<Facts, EngineError> {
    let info = boxes.engine().info().await?;
    match boxes.sweep_all().await {
        // The engine is there, though a container of ours will not go.
        Ok(()) | Err(EngineError::Refused(..) | EngineError::StillThere(..)) => {}
        Err(error) => return Err(error),
    }
    Ok(Facts::of(&info))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::task::JoinSet;

    use super::*;
    use crate::config::Config;

    /// Answers what the keeper asks; the removal of two containers hangs.
    async fn answer(mut caller: UnixStream) {
        let mut asked = vec![0; 4096];
        let length = caller.read(&mut asked).await.unwrap();
        let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
        let asked = asked.lines().next().unwrap().to_owned();
        let (status, body) = if asked.contains("/containers/stuck") {
            std::future::pending().await
        } else if asked.starts_with("DELETE ") {
            (404, r#"{"message":"gone"}"#)
        } else if asked.contains("/containers/json") {
            (
                200,
                r#"[{"Names":["/stuck1"]},{"Names":["/stuck2"]},{"Names":["/other"]}]"#,
            )
        } else {
            (200, "{}")
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n");
        let rest = format!("Connection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        let answer = head + &rest;
        caller.write_all(answer.as_bytes()).await.unwrap();
    }

    /// Time passes as soon as nothing else happens.
    #[tokio::test(start_paused = true)]
    async fn a_removal_that_hangs_is_that_box_s_and_neither_the_others_nor_the_engine_s() {
        let root = tempfile::tempdir().unwrap();
        let socket = root.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let settings = format!("docker_host = 'unix://{}'\n", socket.display());
        fs_err::write(root.path().join("nanokimi.toml"), settings).unwrap();
        fs_err::create_dir(root.path().join("data")).unwrap();
        let config = Config::load(root.path(), &[].into()).unwrap();
        let boxes = Boxes::open(root.path(), &config).unwrap();
        let mut callers = JoinSet::new();
        let serving = async {
            loop {
                let (caller, _) = listener.accept().await.unwrap();
                callers.spawn(answer(caller));
            }
        };
        let began = Instant::now();
        let looked = tokio::select! {
            looked = look(&boxes) => looked,
            () = serving => unreachable!(),
        };
        assert!(looked.is_ok(), "{looked:?}");
        // Both have their time at once: whoever starts us waits no longer than for one.
        let took = began.elapsed();
        assert!(took < Duration::from_secs(60), "{took:?}");
        let stuck = boxes.status().stuck;
        let names: Vec<&str> = stuck.iter().map(|one| one.container.as_str()).collect();
        assert_eq!(names, ["stuck1", "stuck2"]);
        for one in &stuck {
            let problem = &one.problem;
            assert!(problem.contains("is still there 30s after"), "{problem}");
        }
    }
}
