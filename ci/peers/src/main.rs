//! The mocks beside their peers: the same requests to each, one after the other.
//!
//! `ci/bench-peers` and `ci/bench-storage` install the peers and start this. Figures for people: nothing fails here
//! when it is slow. What a peer cannot do is said in its row. Peers are run, never linked,
//! except for the two that are libraries and live in `stand_in.rs`.

mod case;
mod load;
mod peer;
mod program;
mod scripts;
mod stand_in;
mod storage;
mod table;

use std::io;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use case::Case;
use peer::Peer;
use table::{Row, Table};

/// Measures the scripted model and its peers side by side.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where `mock-server` is.
    #[arg(long)]
    ours: Option<PathBuf>,
    /// The folder into which `ci/bench-peers` has installed the peers.
    #[arg(long, default_value = ".")]
    peers: PathBuf,
    /// Only these, e.g. `ours,aimock`; the floor is always among them.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only cases whose name holds this.
    #[arg(long, default_value = "")]
    case: String,
    /// The longest time for one figure, in seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    #[command(subcommand)]
    instead: Option<Instead>,
}

/// Other things that this program can do or be.
#[derive(Debug, Subcommand)]
enum Instead {
    /// Measures the storage beside a peer.
    Storage {
        /// How many objects there are when they are listed.
        #[arg(long, default_value_t = 100_000)]
        objects: usize,
    },
    /// The least that could answer: axum with constant bytes.
    Floor,
    /// wiremock-rs, with the turns of a script.
    Wiremock { script: PathBuf },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    match arguments.instead {
        Some(Instead::Storage { objects }) => {
            let place = peer::Place::new(arguments.ours, arguments.peers)?;
            storage::compare(&place, objects, arguments.seconds).await
        }
        Some(Instead::Floor) => stand_in::floor().await,
        Some(Instead::Wiremock { ref script }) => stand_in::wiremock(script).await,
        None => compare(&arguments).await,
    }
}

async fn compare(arguments: &Arguments) -> io::Result<()> {
    let place = peer::Place::new(arguments.ours.clone(), arguments.peers.clone())?;
    let is_asked_for = |peer: &Peer| {
        let only = &arguments.only;
        *peer == Peer::Axum || only.is_empty() || only.iter().any(|name| name == peer.name())
    };
    let peers: Vec<_> = Peer::ALL.into_iter().filter(is_asked_for).collect();
    let mut table = Table::begun(io::stdout().lock(), place.is_pinned())?;
    for case in Case::ALL {
        if !case.name().contains(&arguments.case) {
            continue;
        }
        table.case(&case)?;
        for peer in &peers {
            match program::measure(*peer, &place, &case, arguments.seconds).await {
                Ok(figures) => table.row(&Row::of(peer.name(), &figures))?,
                Err(fault) => table.left_out(peer.name(), &fault)?,
            }
        }
    }
    Ok(())
}
