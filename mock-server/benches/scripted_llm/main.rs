//! How fast the scripted model answers, beside a bare axum handler on the same machine.
//!
//! `cargo bench -p mock-server`: figures for people. Nothing fails here when it is slow.
//! Servers run as processes of their own, so that their CPU time is theirs alone.

mod load;
mod servers;

use std::io::{self, Write};
use std::time::Duration;

use load::{Load, Measured};
use servers::Running;

const REQUESTS: usize = 20_000;
const STREAMS: usize = 4_000;

/// One line of the table.
struct Case {
    name: &'static str,
    load: Load,
    script: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    if std::env::args().any(|argument| argument == servers::FLOOR) {
        return servers::serve_floor().await;
    }
    // `cargo test --all-targets` starts benchmarks too, without this.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<34} {:>9} {:>9} {:>9} {:>10}",
        "", "req/s", "p50 ms", "p99 ms", "CPU µs/req"
    )?;
    for case in cases() {
        let floor = measure(Running::floor()?, &case.load).await?;
        row(&mut out, &format!("bare axum, {}", case.name), &floor)?;
        let mock = measure(Running::mock(&case.script)?, &case.load).await?;
        row(&mut out, &format!("mock-server, {}", case.name), &mock)?;
    }
    Ok(())
}

fn cases() -> [Case; 4] {
    let plain = r#"{"model":"m","messages":[{"role":"user","content":"question 999 please"}]}"#;
    let long = format!(
        r#"{{"model":"m","messages":[{{"role":"system","content":"{}"}},{{"role":"user","content":"question 999 please"}}]}}"#,
        "All work and no play. ".repeat(2_500)
    );
    let stream = plain.replacen('{', r#"{"stream":true,"#, 1);
    [
        Case {
            name: "1 turn",
            load: Load::new(plain, REQUESTS),
            script: servers::script(999..1000, "hello"),
        },
        Case {
            name: "last of 1,000 turns",
            load: Load::new(plain, REQUESTS),
            script: servers::script(0..1000, "hello"),
        },
        Case {
            name: "request of 55 KB",
            load: Load::new(&long, STREAMS),
            script: servers::script(999..1000, "hello"),
        },
        Case {
            name: "stream of 100 frames",
            load: Load::new(&stream, STREAMS),
            script: servers::script(999..1000, &"word ".repeat(98)),
        },
    ]
}

async fn measure(server: Running, load: &Load) -> io::Result<(Measured, Duration)> {
    // Once for the caches, and to fail early.
    load.once(server.address()).await?;
    let before = server.cpu_time()?;
    let measured = load.run(server.address()).await?;
    let spent = server.cpu_time()?.saturating_sub(before);
    Ok((measured, spent))
}

fn row(
    out: &mut impl Write,
    name: &str,
    (measured, spent): &(Measured, Duration),
) -> io::Result<()> {
    let requests = measured.latencies.len();
    let millis = |latency: Duration| latency.as_secs_f64() * 1e3;
    writeln!(
        out,
        "{name:<34} {:>9.0} {:>9.2} {:>9.2} {:>10.1}",
        requests as f64 / measured.took.as_secs_f64(),
        millis(measured.percentile(50)),
        millis(measured.percentile(99)),
        spent.as_secs_f64() * 1e6 / requests as f64,
    )
}
