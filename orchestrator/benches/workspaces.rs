//! What a workspace of 10,000 files and 1 GB costs: released to a folder, looked over unchanged,
//! and restored on an empty machine, each beside copying the same files; and as many files with a
//! tenth of the bytes, which should hardly take less memory. Its peak is the whole process's.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How many files the workspaces have.
const FILES: usize = 10_000;
/// Bytes of most files, and every how many of them there is a large one.
const SIZES: [(usize, usize); 2] = [(1_200, 1_000), (12_000, 100)];
/// More than goes in one request.
const LARGE: usize = 9_000_000;
const PATIENCE: Duration = Duration::from_secs(600);

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    SIZES.into_iter().try_for_each(measure)
}

fn measure(sizes: (usize, usize)) -> Outcome<()> {
    let machine = tempfile::tempdir()?;
    let store = tempfile::tempdir()?;
    let bytes = fill(&machine.path().join("groups/family"), sizes)?;
    settle(machine.path(), store.path())?;
    let mut out = io::stdout().lock();
    writeln!(out, "{FILES} files, {} MB", bytes / 1_000_000)?;

    let floor = copied(&machine.path().join("groups"))?;
    let seconds = floor.as_secs_f64();
    writeln!(out, "copied by cp         {seconds:>7.2} s")?;

    register(machine.path())?;
    for (what, event) in [("released", "workspace.released"), ("unchanged", "ready")] {
        let figures = run(machine.path(), event)?;
        writeln!(out, "{what:<20} {}", figures.told(floor))?;
    }
    let empty = tempfile::tempdir()?;
    settle(empty.path(), store.path())?;
    let figures = run(empty.path(), "workspace.restored")?;
    writeln!(out, "restored             {}", figures.told(floor))?;
    check_restored(empty.path())
}

/// How long it takes to copy a folder.
fn copied(folder: &Path) -> Outcome<Duration> {
    let copy = tempfile::tempdir()?;
    let copying = Instant::now();
    command("cp", &["-r", &text(folder), &text(copy.path())])?;
    Ok(copying.elapsed())
}

fn check_restored(root: &Path) -> Outcome<()> {
    let listed = Command::new(env!("CARGO_BIN_EXE_nanokimi"))
        .arg("--root")
        .arg(root)
        .args(["workspace", "list"])
        .output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    match listed.contains(&format!("\t{FILES} files\t")) {
        true => Ok(()),
        false => Err(format!("not all of {FILES} files are back: {listed}").into()),
    }
}

/// Files that no two are alike, and how many bytes there are.
fn fill(group: &Path, (small, every): (usize, usize)) -> Outcome<u64> {
    let mut bytes = 0;
    let mut noise: u64 = 0x9e37_79b9_7f4a_7c15;
    for number in 0..FILES {
        let folder = group.join(format!("folder-{:03}", number / 100));
        fs_err::create_dir_all(&folder)?;
        let size = if number % every == 0 { LARGE } else { small };
        let mut content = Vec::with_capacity(size + 8);
        while content.len() < size {
            // Xorshift: fast, and nothing that a disk could pack.
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            content.extend_from_slice(&noise.to_le_bytes());
        }
        bytes += content.len() as u64;
        fs_err::write(folder.join(format!("file-{number}")), content)?;
    }
    Ok(bytes)
}

fn settle(root: &Path, store: &Path) -> Outcome<()> {
    let settings = format!(
        "agent_runtime = \"host\"\nagent_runner = \"/bin/true\"\nhttp_listen = \"127.0.0.1:0\"\n\
         workspace_store = \"file://{}\"\n",
        store.display()
    );
    fs_err::create_dir_all(root.join("store"))?;
    Ok(fs_err::write(root.join("nanokimi.toml"), settings)?)
}

fn register(root: &Path) -> Outcome<()> {
    let root = text(root);
    let arguments = [
        "--root",
        &root,
        "groups",
        "register",
        "http:family",
        "--folder",
        "family",
    ];
    command(env!("CARGO_BIN_EXE_nanokimi"), &arguments)
}

fn command(program: &str, arguments: &[&str]) -> Outcome<()> {
    let output = Command::new(program).args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Runs nanokimi until the event has been told and all is settled, and says how long that took
/// and how large it became.
fn run(root: &Path, event: &str) -> Outcome<Figures> {
    let socket = root.join("notify");
    if socket.exists() {
        fs_err::remove_file(&socket)?;
    }
    let notify = UnixDatagram::bind(&socket)?;
    notify.set_read_timeout(Some(PATIENCE))?;
    let begun = Instant::now();
    let mut nanokimi = Nanokimi(
        Command::new(env!("CARGO_BIN_EXE_nanokimi"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("NOTIFY_SOCKET", &socket)
            .arg("--root")
            .arg(root)
            .args(["run", "--test-clock", "2026-01-05T09:00:00Z"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?,
    );
    let mut said = [0; 512];
    let length = notify.recv(&mut said)?;
    let said = String::from_utf8_lossy(&said[..length]).into_owned();
    let address = said
        .lines()
        .find_map(|line| line.strip_prefix("X_HTTP_ADDR="))
        .ok_or("it did not say where it is")?;
    let token = fs_err::read_to_string(root.join("data/api-token"))?;
    // Moving the clock returns when nothing is at work any more.
    let moved = ask(
        address,
        token.trim(),
        r#"{"advance": "1s", "within": "600s"}"#,
    )?;
    let took = begun.elapsed();
    let told = fs_err::read_to_string(root.join("logs/nanokimi.log"))?;
    let words = match event {
        "workspace.released" => "Workspace released",
        "workspace.restored" => "Workspace restored",
        _other => "ready",
    };
    if !moved.contains("\"settled\":true") || !told.contains(words) {
        return Err(format!("{event} did not come: {moved}\n{told}").into());
    }
    let peak = peak(nanokimi.0.id())?;
    nanokimi.0.kill()?;
    nanokimi.0.wait()?;
    Ok(Figures { took, peak })
}

struct Figures {
    took: Duration,
    /// Megabytes.
    peak: u64,
}

impl Figures {
    fn told(&self, floor: Duration) -> String {
        let Self { took, peak } = self;
        let seconds = took.as_secs_f64();
        let times = seconds / floor.as_secs_f64();
        format!("{seconds:>7.2} s, {times:.1} × cp, peak {peak} MB")
    }
}

struct Nanokimi(Child);

impl Drop for Nanokimi {
    fn drop(&mut self) {
        let (Ok(()) | Err(_)) = self.0.kill();
        let (Ok(_) | Err(_)) = self.0.wait();
    }
}

fn ask(address: &str, token: &str, body: &str) -> Outcome<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    write!(
        connection,
        "POST /v1/clock HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The most memory that the process has had, in megabytes.
fn peak(pid: u32) -> Outcome<u64> {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("the kernel does not tell")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kilobytes / 1024)
}
