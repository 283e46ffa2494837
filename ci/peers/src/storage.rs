//! The storage beside an emulator that people install: objects of two sizes, and a page of many.
//!
//! Over the JSON API, which both have. Each is given its objects by the same requests.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::load::{self, Latencies, Load};
use crate::peer::Place;
use crate::program::{Running, Start};

const BUCKET: &str = "bench";
const SMALL: usize = 1 << 10;
const LARGE: usize = 16 << 20;
/// At most so many requests for a figure; the time is up before with large objects.
const REQUESTS: usize = 20_000;
/// How long is spent on putting in what is listed. Each object costs the emulator more than the one
/// before, and a hundred thousand would take it days.
const SEEDING: Duration = Duration::from_secs(120);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Ours,
    Emulator,
}

/// What is measured.
struct Figure {
    name: &'static str,
    load: Load,
    /// The bytes of one request or answer that count.
    size: usize,
}

/// Prints a table: ours, the emulator, and how they compare.
pub(crate) async fn compare(place: &Place, objects: usize, seconds: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "| | ours | gcp-storage-emulator | ratio |")?;
    writeln!(out, "|---|--:|--:|--:|")?;
    let longest = Duration::from_secs(seconds);
    let (ours, _) = Server::Ours.started(place).await?;
    let emulator = Server::Emulator.started(place).await;
    let pair = Pair {
        ours,
        emulator: match emulator {
            Ok((emulator, _)) => Some(emulator),
            Err(fault) => {
                writeln!(
                    out,
                    "| gcp-storage-emulator is not measured: {fault} | | | |"
                )?;
                None
            }
        },
    };
    for figure in figures() {
        pair.line(&mut out, &figure, longest).await?;
    }
    let (ours, theirs) = pair.seed(objects).await?;
    pair.line(&mut out, &page(), longest).await?;
    writeln!(
        out,
        "\nlisted among {ours} objects of ours, which take {} MB, and {theirs} of the emulator's: \
         all that it takes within {SEEDING:?}",
        pair.ours.memory()?
    )
}

/// Both servers, running.
struct Pair {
    ours: Running,
    emulator: Option<Running>,
}

impl Server {
    async fn started(self, place: &Place) -> io::Result<(Running, String)> {
        let start = Start {
            command: |_: &Path, port| self.command(place, port),
            tells_its_port: self == Self::Ours,
        };
        let line = match self {
            // It makes its bucket by itself.
            Self::Emulator => "GET /storage/v1/b?project=bench",
            Self::Ours => "POST /storage/v1/b?project=bench",
        };
        let body = format!("{{\"name\":\"{BUCKET}\"}}");
        let body = match self {
            Self::Ours => body.as_bytes(),
            Self::Emulator => b"",
        };
        Running::started(start, &Load::asking(line, body, 1)).await
    }

    fn command(self, place: &Place, port: u16) -> io::Result<Command> {
        let port = port.to_string();
        match self {
            Self::Ours => {
                let mut command = place.ours()?;
                command.args(["--port", "0"]);
                Ok(command)
            }
            Self::Emulator => {
                let program = place.installed("storage/bin/gcp-storage-emulator")?;
                let mut command = place.command(&program);
                command.args(["start", "--host", "127.0.0.1", "--port", &port]);
                command.args(["--in-memory", "--default-bucket", BUCKET]);
                Ok(command)
            }
        }
    }
}

impl Pair {
    async fn line(
        &self,
        out: &mut impl Write,
        figure: &Figure,
        longest: Duration,
    ) -> io::Result<()> {
        let run = async |running: &Running| {
            figure
                .load
                .run(running.address, REQUESTS / 10, longest / 3)
                .await?;
            figure.load.run(running.address, REQUESTS, longest).await
        };
        let ours = run(&self.ours).await?;
        let told = |latencies: &Latencies| figure.told(latencies);
        let Some(emulator) = &self.emulator else {
            return writeln!(out, "| {} | {} | | |", figure.name, told(&ours));
        };
        match run(emulator).await {
            Ok(theirs) => {
                let ratio = per_second(&ours) / per_second(&theirs);
                let (ours, theirs) = (told(&ours), told(&theirs));
                writeln!(out, "| {} | {ours} | {theirs} | {ratio:.1} |", figure.name)?;
            }
            Err(fault) => {
                let why = fault.to_string().replace(['\n', '\r', '|'], " ");
                writeln!(out, "| {} | {} | {why:.80} | |", figure.name, told(&ours))?;
            }
        }
        out.flush()
    }

    /// Puts in what is to be listed, each by a request of its own; returns how many each has taken.
    async fn seed(&self, objects: usize) -> io::Result<(usize, usize)> {
        // The emulator hangs up on who sends it an object without a byte.
        let requests = || {
            (0..objects).map(|number| Load::asking(&upload(&format!("many/{number:06}")), b"x", 1))
        };
        let filled = async |running: &Running| {
            load::one_after_the_other(running.address, requests(), SEEDING).await
        };
        let theirs = match &self.emulator {
            Some(emulator) => filled(emulator).await?,
            None => 0,
        };
        Ok((filled(&self.ours).await?, theirs))
    }
}

impl Figure {
    /// Requests and, where they are large, megabytes per second, and two latencies.
    fn told(&self, latencies: &Latencies) -> String {
        let per_second = per_second(latencies);
        let millis = |percent| latencies.percentile(percent).as_secs_f64() * 1e3;
        let rate = if self.size > SMALL {
            let megabytes = u32::try_from(self.size / 1_000_000).map_or(0.0, f64::from);
            format!("{:.0} MB/s", per_second * megabytes)
        } else {
            format!("{per_second:.0}/s")
        };
        format!(
            "{rate} · p50 {:.2} ms · p99 {:.2} ms",
            millis(50),
            millis(99)
        )
    }
}

fn per_second(latencies: &Latencies) -> f64 {
    let count = u32::try_from(latencies.each.len().max(1)).map_or(f64::MAX, f64::from);
    count / latencies.took.as_secs_f64()
}

fn upload(name: &str) -> String {
    let name = name.replace('/', "%2F");
    format!("POST /upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={name}")
}

fn download(name: &str) -> String {
    format!("GET /download/storage/v1/b/{BUCKET}/o/{name}?alt=media")
}

fn figures() -> Vec<Figure> {
    let body = |size: usize| -> Vec<u8> {
        // Nothing that is easy to pack.
        let bytes = (0_u32..).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]);
        bytes.take(size).collect()
    };
    let put = |name, size, connections| Figure {
        name,
        load: Load::asking(&upload(&format!("object-{size}")), &body(size), connections),
        size,
    };
    let get = |name, size, connections| Figure {
        name,
        load: Load::asking(&download(&format!("object-{size}")), b"", connections),
        size,
    };
    vec![
        put("put 1 KiB", SMALL, 1),
        get("get 1 KiB", SMALL, 1),
        put("put 1 KiB, 8 at once", SMALL, 8),
        get("get 1 KiB, 8 at once", SMALL, 8),
        put("put 16 MiB", LARGE, 1),
        get("get 16 MiB", LARGE, 1),
    ]
}

fn page() -> Figure {
    let line = format!("GET /storage/v1/b/{BUCKET}/o?maxResults=1000&prefix=many/");
    Figure {
        name: "list a page of 1,000",
        load: Load::asking(&line, b"", 1),
        size: 0,
    }
}
