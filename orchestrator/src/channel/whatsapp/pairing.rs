//! Linking this installation to a phone: by a QR code that the phone scans, or by a code that
//! its owner types in. Used by `nanokimi auth` alone.
//!
//! A phone that agrees makes the server send us away once (515); the link is good only after
//! the login that follows, and the first exchange with the owner's devices.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use wacore::types::events::{Event, EventHandler, PairingCodeError};
use whatsapp_rust::Client;
use whatsapp_rust::pair_code::{PairCodeOptions, PairCodeRejection};

use super::client::{self, Built, ClientError};
use super::connection::{Ending, Verdict};
use super::dialling::Missed;
use super::{is_linked, notices};
use crate::config::Config;

/// A pairing code is good for three minutes, the server says; and some to type it.
const CODE_LASTS: Duration = Duration::from_secs(180);
/// From the phone's yes to the end of the first exchange.
const SETTLING: Duration = Duration::from_secs(240);
/// What the phone sends about the past is not waited for longer.
const HISTORY: Duration = Duration::from_secs(15);
/// Connections from the phone's yes on: the first is sent away, the others are bad luck.
const LOGINS: usize = 4;

/// How the owner agrees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Scan,
    /// With the phone's number: digits, country code first.
    TypeCode {
        phone: String,
    },
}

/// Something to show to whoever waits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// To be scanned; the next one replaces it after `lasts`.
    Qr { data: String, lasts: Duration },
    /// To be typed into the phone.
    Code { code: String, lasts: Duration },
    /// The phone has agreed.
    Agreed,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum PairingError {
    #[error("a device is linked already; `nanokimi auth --reset` forgets it and links anew")]
    AlreadyLinked,
    #[error("WhatsApp has logged this device out ({0}); try again with `nanokimi auth --reset`")]
    LoggedOut(String),
    #[error("nobody scanned the QR code, or entered the pairing code, in time; try again")]
    TimedOut,
    #[error(
        "WhatsApp refuses to pair for now ({0}); wait some hours: trying again at once makes it worse"
    )]
    RateLimited(String),
    #[error(
        "WhatsApp wants a passkey before it links a device to this account, which nanokimi cannot give; use an account without one"
    )]
    Passkey,
    #[error(
        "WhatsApp does not take this version any more; set whatsapp_version to the one that web.whatsapp.com runs"
    )]
    Outdated,
    #[error("WhatsApp refuses to pair: {0}")]
    Refused(String),
    #[error("the connection to WhatsApp failed: {0}")]
    Lost(String),
    #[error(
        "this build takes any server for WhatsApp, for tests of pairing, so `{0}` is refused: it is neither on loopback nor a neighbour's name without a dot"
    )]
    Unverified(String),
    #[error("the phone has agreed, but the first login did not succeed within {} s; start nanokimi to try on", SETTLING.as_secs())]
    Unsettled,
    #[error("told to stop before the phone agreed")]
    Interrupted,
    #[error("told to stop when the phone had agreed; start nanokimi to go on")]
    InterruptedLate,
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("store/auth cannot be read")]
    Io(#[source] std::io::Error),
}

/// Links the installation in `root`, and shows `progress` meanwhile.
pub(crate) async fn pair(
    root: &Path,
    config: &Config,
    method: Method,
    progress: impl FnMut(Progress),
) -> Result<(), PairingError> {
    if is_linked(root).await.map_err(PairingError::Io)? {
        return Err(PairingError::AlreadyLinked);
    }
    let built = client::build(root, config, None).await?;
    let Built {
        client,
        tasks,
        missed,
        versions,
    } = built;
    if let Some(versions) = versions {
        versions.refresh(Timestamp::now()).await;
    }
    // Everything that is told while pairing fits.
    let (told, steps) = mpsc::channel(256);
    let _heard = client.subscribe_handler(Arc::new(Guide { told }));
    let mut pairing = Pairing {
        client: Arc::clone(&client),
        method,
        progress,
        steps,
        missed,
        connection: JoinSet::new(),
    };
    let paired = pairing.run().await;
    // What the library has not said yet, it says when it has written everything down.
    client.disconnect().await;
    pairing.connection.shutdown().await;
    drop(pairing);
    drop(client);
    tasks.end().await;
    paired
}

/// What the library tells while it pairs.
#[derive(Debug)]
enum Step {
    Show {
        qr: String,
        lasts: Duration,
    },
    QrSpent,
    Agreed,
    Connected,
    NewCodeWanted,
    CodeRefused(PairingError),
    Failed(PairingError),
    /// The server has said goodbye in good order.
    HungUp {
        why: String,
    },
    Ending(Ending),
}

struct Guide {
    told: mpsc::Sender<Step>,
}

impl EventHandler for Guide {
    fn handle_event(&self, event: Arc<Event>) {
        if let Some(step) = step(&event)
            && self.told.try_send(step).is_err()
        {
            tracing::warn!("the client tells more than pairing can take in");
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library tells far more than concerns us"
)]
fn step(event: &Event) -> Option<Step> {
    match event {
        Event::PairingQrCode(qr) => Some(Step::Show {
            qr: qr.code.clone(),
            lasts: qr.timeout,
        }),
        Event::PairingQrCodesExhausted(_) => Some(Step::QrSpent),
        Event::PairSuccess(_) => Some(Step::Agreed),
        Event::Connected(_) => Some(Step::Connected),
        Event::PairingCodeRefresh(_) => Some(Step::NewCodeWanted),
        Event::PairingCodeError(error) => Some(Step::CodeRefused(code_refused(error))),
        Event::PairError(error) => Some(Step::Failed(PairingError::Refused(error.error.clone()))),
        Event::PairPasskeyError(error) => {
            Some(Step::Failed(PairingError::Refused(error.error.clone())))
        }
        Event::Disconnected(told) if told.reason.is_clean_shutdown() => Some(Step::HungUp {
            why: told.reason.to_string(),
        }),
        _ => notices::ending(event).map(Step::Ending),
    }
}

fn code_refused(error: &PairingCodeError) -> PairingError {
    refused(error.rejection, error.error.clone())
}

/// What the server's answer to the wish for a code means.
fn refused(rejection: Option<PairCodeRejection>, why: String) -> PairingError {
    match rejection {
        Some(rejection) if rejection.is_throttled() => PairingError::RateLimited(why),
        Some(PairCodeRejection::FeatureNotAvailable) => PairingError::Refused(
            "this account cannot be linked by a code; scan the QR code instead".to_owned(),
        ),
        Some(_) | None => PairingError::Refused(why),
    }
}

struct Pairing<P> {
    client: Arc<Client>,
    method: Method,
    progress: P,
    steps: mpsc::Receiver<Step>,
    missed: Missed,
    connection: JoinSet<()>,
}

impl<P: FnMut(Progress)> Pairing<P> {
    async fn run(&mut self) -> Result<(), PairingError> {
        self.connect();
        self.agree().await?;
        (self.progress)(Progress::Agreed);
        match timeout(SETTLING, self.settle()).await {
            Ok(settled) => settled,
            Err(_elapsed) => Err(PairingError::Unsettled),
        }
    }

    fn connect(&mut self) {
        let client = Arc::clone(&self.client);
        self.connection
            .spawn(async move { Box::pin(client.run()).await });
    }

    /// Until the phone has agreed.
    async fn agree(&mut self) -> Result<(), PairingError> {
        let (mut shown, mut asked) = (false, false);
        let mut deadline = None;
        loop {
            match self.next(deadline).await? {
                Step::Show { qr, lasts } => match &self.method {
                    Method::Scan => {
                        shown = true;
                        (self.progress)(Progress::Qr { data: qr, lasts });
                    }
                    // The first QR code says that the server is ready to pair.
                    Method::TypeCode { .. } if asked => {}
                    Method::TypeCode { .. } => {
                        asked = true;
                        deadline = self.ask_for_code().await?;
                    }
                },
                Step::NewCodeWanted => deadline = self.ask_for_code().await?,
                // A code lives on when the QR codes are spent.
                Step::QrSpent if asked => {}
                Step::QrSpent => return Err(PairingError::TimedOut),
                // Its patience with the codes it gave out ends a moment before ours.
                Step::HungUp { .. } if shown || asked => return Err(PairingError::TimedOut),
                Step::HungUp { why } => return Err(PairingError::Lost(why)),
                Step::Agreed => return Ok(()),
                Step::CodeRefused(error) | Step::Failed(error) => return Err(error),
                Step::Ending(ending) => return Err(failed(ending)),
                Step::Connected => return Err(PairingError::AlreadyLinked),
            }
        }
    }

    async fn next(&mut self, deadline: Option<Instant>) -> Result<Step, PairingError> {
        let waiting = async {
            tokio::select! {
                biased;
                Some(step) = self.steps.recv() => Ok(step),
                Some(_ended) = self.connection.join_next() => {
                    let why = self.missed.why();
                    let why = why.unwrap_or_else(|| "it was closed".to_owned());
                    let silence = |_silence| Step::Ending(Ending::Lost { why });
                    Ok(self.steps.try_recv().unwrap_or_else(silence))
                }
                else => Err(PairingError::Lost("the client has ended".to_owned())),
            }
        };
        match deadline {
            None => waiting.await,
            Some(deadline) => match timeout_at(deadline, waiting).await {
                Ok(step) => step,
                Err(_elapsed) => Err(PairingError::TimedOut),
            },
        }
    }

    /// Returns until when the code can be typed.
    async fn ask_for_code(&mut self) -> Result<Option<Instant>, PairingError> {
        let Method::TypeCode { phone } = &self.method else {
            return Ok(None);
        };
        let options = PairCodeOptions {
            phone_number: phone.clone(),
            ..PairCodeOptions::default()
        };
        match Box::pin(self.client.pair_with_code(options)).await {
            Ok(code) => {
                (self.progress)(Progress::Code {
                    code,
                    lasts: CODE_LASTS,
                });
                Ok(Some(Instant::now() + CODE_LASTS))
            }
            Err(error) => Err(refused(error.rejection(), error.to_string())),
        }
    }

    /// From the phone's yes until the device is really in.
    async fn settle(&mut self) -> Result<(), PairingError> {
        let mut logins = 1;
        loop {
            tokio::select! {
                biased;
                Some(step) = self.steps.recv() => match step {
                    Step::Connected => break,
                    Step::Ending(Ending::Final(verdict)) => {
                        return Err(failed(Ending::Final(verdict)));
                    }
                    Step::Failed(error) => return Err(error),
                    Step::Ending(_) | Step::HungUp { .. } | Step::Show { .. } | Step::QrSpent
                    | Step::Agreed | Step::NewCodeWanted | Step::CodeRefused(_) => {}
                },
                Some(_ended) = self.connection.join_next() => {
                    if logins == LOGINS {
                        return Err(PairingError::Unsettled);
                    }
                    logins += 1;
                    self.connect();
                }
                else => return Err(PairingError::Unsettled),
            }
        }
        if let Err(error) = self.client.wait_for_startup_sync(HISTORY).await {
            tracing::debug!(
                error = format!("{error:#}"),
                "the phone still tells of the past"
            );
        }
        Ok(())
    }
}

/// What an end before the phone's yes means.
fn failed(ending: Ending) -> PairingError {
    match ending {
        Ending::Final(Verdict::LoggedOut { why }) => PairingError::LoggedOut(why),
        Ending::Final(Verdict::Replaced) => {
            PairingError::LoggedOut("another program uses the same link".to_owned())
        }
        Ending::Final(Verdict::Outdated) => PairingError::Outdated,
        Ending::Final(Verdict::Passkey) => PairingError::Passkey,
        Ending::Banned { why, .. } => PairingError::RateLimited(why),
        Ending::Refused { why } => PairingError::Refused(why),
        Ending::Lost { why } => PairingError::Lost(why),
        Ending::Renewed => PairingError::Lost("the server asked again".to_owned()),
    }
}
