//! The task that owns one person's devices, and the handle through which others ask it. What
//! is asked for is done in the order of asking, so that no two messages share a key.

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use wacore_binary::Jid;
use wacore_libsignal::protocol::SignalProtocolError;
use waproto::whatsapp as wa;

use super::adv;
use super::bundle::KeyBundle;
use super::device::{Device, DeviceAddress, GroupSealed, SealError, Undecryptable};
use super::keys::DeviceKeys;
use super::person::Person;
use super::sealed::Sealed;
use super::seed::Seed;

/// Who asks waits until a phone has done its work; a handful of askers never fills this.
const ERRANDS: usize = 16;

/// Why a phone did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PhoneError {
    #[error("`{0}`'s phone has no device {1}: give it one first")]
    NoDevice(String, u16),
    #[error("`{0}`'s phone is switched off: its task has ended")]
    Gone(String),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Signal(#[from] SignalProtocolError),
}

/// Why a message was not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Undecryptable(#[from] Undecryptable),
    #[error(transparent)]
    Phone(PhoneError),
}

/// A message to one device of a client.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) reader: DeviceAddress,
    /// Begins a new session; without one there must be one already.
    pub(crate) bundle: Option<KeyBundle>,
    /// The group it belongs to: the sender key is handed out (again) along with it. For messages
    /// that are sent again to one reader.
    pub(crate) group: Option<Jid>,
    pub(crate) message: wa::Message,
}

/// A message to all devices in a group.
#[derive(Clone, Debug)]
pub(crate) struct GroupLetter {
    pub(crate) group: Jid,
    /// The clients' devices, with a bundle for each that has no session yet.
    pub(crate) readers: Vec<(DeviceAddress, Option<KeyBundle>)>,
    pub(crate) message: wa::Message,
}

/// What came from a device of a client.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) sender: DeviceAddress,
    /// None: a message to this person alone.
    pub(crate) group: Option<Jid>,
    pub(crate) sealed: Sealed,
}

type Answer<T, E = PhoneError> = oneshot::Sender<Result<T, E>>;

enum Errand {
    Bundle(u16, Answer<KeyBundle>),
    Strangers(u16, Vec<DeviceAddress>, Answer<Vec<DeviceAddress>>),
    Seal(u16, Box<Letter>, Answer<Sealed>),
    SealForGroup(u16, Box<GroupLetter>, Answer<GroupSealed>),
    Open(u16, Box<Envelope>, Answer<Box<wa::Message>, OpenError>),
    Forget(u16, DeviceAddress, Answer<()>),
    RotateSenderKey(u16, Jid, Answer<()>),
    Sessions(u16, Answer<Vec<(DeviceAddress, Vec<u8>)>>),
    Restore(u16, Vec<(DeviceAddress, Vec<u8>)>, Answer<()>),
}

/// A person's phone and their other devices, numbered; 0 is the phone.
#[derive(Clone, Debug)]
pub(crate) struct PhoneHandle {
    person: Person,
    errands: mpsc::Sender<Errand>,
}

impl PhoneHandle {
    /// Switches a phone on. Its task ends with the last handle.
    ///
    /// # Errors
    /// The curve refuses the keys, which seeded ones do not make it.
    pub(crate) fn switch_on(
        person: Person,
        scenario: &Seed,
        devices: &[u16],
        tasks: &mut JoinSet<()>,
    ) -> Result<Self, PhoneError> {
        let mut phone = Phone::new(person.clone(), scenario, devices)?;
        let (errands, mut inbox) = mpsc::channel(ERRANDS);
        tasks.spawn(async move {
            while let Some(errand) = inbox.recv().await {
                phone.run(errand).await;
            }
        });
        Ok(Self { person, errands })
    }

    /// Public keys for one who wants to begin a session; each spends a one-time prekey.
    ///
    /// # Errors
    /// The person has no such device.
    pub(crate) async fn bundle(&self, device: u16) -> Result<KeyBundle, PhoneError> {
        self.ask(|answer| Errand::Bundle(device, answer)).await?
    }

    /// Which of these the device has no session with, so that their bundles are needed.
    ///
    /// # Errors
    /// The person has no such device.
    pub(crate) async fn strangers(
        &self,
        device: u16,
        others: Vec<DeviceAddress>,
    ) -> Result<Vec<DeviceAddress>, PhoneError> {
        self.ask(|answer| Errand::Strangers(device, others, answer))
            .await?
    }

    /// # Errors
    /// There is no session and no bundle, or a key in the bundle is none.
    pub(crate) async fn seal(&self, device: u16, letter: Letter) -> Result<Sealed, PhoneError> {
        self.ask(|answer| Errand::Seal(device, Box::new(letter), answer))
            .await?
    }

    /// # Errors
    /// As [`Self::seal`], for any of the readers.
    pub(crate) async fn seal_for_group(
        &self,
        device: u16,
        letter: GroupLetter,
    ) -> Result<GroupSealed, PhoneError> {
        self.ask(|answer| Errand::SealForGroup(device, Box::new(letter), answer))
            .await?
    }

    /// Opens what a client sent; a sender key in it is kept.
    ///
    /// # Errors
    /// It cannot be decrypted: ask for it again with a retry receipt.
    pub(crate) async fn open(
        &self,
        device: u16,
        envelope: Envelope,
    ) -> Result<wa::Message, OpenError> {
        let opened = self
            .ask(|answer| Errand::Open(device, Box::new(envelope), answer))
            .await;
        Ok(*opened.map_err(OpenError::Phone)??)
    }

    /// Loses all keys that the device shares with that client.
    ///
    /// # Errors
    /// The person has no such device.
    pub(crate) async fn forget(&self, device: u16, other: DeviceAddress) -> Result<(), PhoneError> {
        self.ask(|answer| Errand::Forget(device, other, answer))
            .await?
    }

    /// The next message to the group comes with a new sender key, as after a member left.
    ///
    /// # Errors
    /// The person has no such device.
    pub(crate) async fn rotate_sender_key(
        &self,
        device: u16,
        group: Jid,
    ) -> Result<(), PhoneError> {
        self.ask(|answer| Errand::RotateSenderKey(device, group, answer))
            .await?
    }

    /// The device's sessions, each with its record: what a later phone goes on with.
    ///
    /// # Errors
    /// The person has no such device.
    pub(crate) async fn sessions(
        &self,
        device: u16,
    ) -> Result<Vec<(DeviceAddress, Vec<u8>)>, PhoneError> {
        self.ask(|answer| Errand::Sessions(device, answer)).await?
    }

    /// Goes on with a session of an earlier phone.
    ///
    /// # Errors
    /// The record is none.
    pub(crate) async fn restore(
        &self,
        device: u16,
        sessions: Vec<(DeviceAddress, Vec<u8>)>,
    ) -> Result<(), PhoneError> {
        self.ask(|answer| Errand::Restore(device, sessions, answer))
            .await?
    }

    async fn ask<T>(
        &self,
        errand: impl FnOnce(oneshot::Sender<T>) -> Errand,
    ) -> Result<T, PhoneError> {
        let gone = || PhoneError::Gone(self.person.name().to_owned());
        let (answer, answered) = oneshot::channel();
        if self.errands.send(errand(answer)).await.is_err() {
            return Err(gone());
        }
        answered.await.map_err(|_closed| gone())
    }
}

/// What the task owns.
struct Phone {
    person: Person,
    devices: Vec<(u16, Device)>,
}

impl Phone {
    fn new(person: Person, scenario: &Seed, numbers: &[u16]) -> Result<Self, PhoneError> {
        let seed = person.seed(scenario);
        let primary = DeviceKeys::of(&seed, 0)?;
        let mut devices = Vec::new();
        for number in numbers.iter().copied() {
            devices.push((number, device(&person, &seed, &primary, number)?));
        }
        Ok(Self { person, devices })
    }

    async fn run(&mut self, errand: Errand) {
        // Who asked may have stopped waiting; what was done stays done.
        match errand {
            Errand::Bundle(device, answer) => drop(answer.send(self.bundle(device))),
            Errand::Strangers(device, others, answer) => {
                drop(answer.send(self.strangers(device, others)));
            }
            Errand::Seal(device, letter, answer) => {
                drop(answer.send(self.seal(device, *letter).await));
            }
            Errand::SealForGroup(device, letter, answer) => {
                drop(answer.send(self.seal_for_group(device, &letter).await));
            }
            Errand::Open(device, envelope, answer) => {
                drop(answer.send(self.open(device, &envelope).await.map(Box::new)));
            }
            Errand::Forget(device, other, answer) => {
                drop(answer.send(self.device(device).map(|device| device.forget(&other))));
            }
            Errand::RotateSenderKey(device, group, answer) => {
                let rotated = self
                    .device(device)
                    .map(|device| device.rotate_sender_key(&group));
                drop(answer.send(rotated));
            }
            Errand::Sessions(device, answer) => drop(answer.send(self.sessions(device))),
            Errand::Restore(device, sessions, answer) => {
                drop(answer.send(self.restore(device, &sessions)));
            }
        }
    }

    fn device(&mut self, number: u16) -> Result<&mut Device, PhoneError> {
        let found = self.devices.iter_mut().find(|(at, _)| *at == number);
        match found {
            Some((_, device)) => Ok(device),
            None => Err(PhoneError::NoDevice(self.person.name().to_owned(), number)),
        }
    }

    fn bundle(&mut self, device: u16) -> Result<KeyBundle, PhoneError> {
        Ok(self.device(device)?.bundle()?)
    }

    fn sessions(&mut self, device: u16) -> Result<Vec<(DeviceAddress, Vec<u8>)>, PhoneError> {
        Ok(self.device(device)?.sessions()?)
    }

    fn restore(
        &mut self,
        device: u16,
        sessions: &[(DeviceAddress, Vec<u8>)],
    ) -> Result<(), PhoneError> {
        Ok(self.device(device)?.restore_sessions(sessions)?)
    }

    fn strangers(
        &mut self,
        device: u16,
        mut others: Vec<DeviceAddress>,
    ) -> Result<Vec<DeviceAddress>, PhoneError> {
        let device = self.device(device)?;
        others.retain(|other| !device.knows(other));
        Ok(others)
    }

    async fn seal(&mut self, device: u16, letter: Letter) -> Result<Sealed, PhoneError> {
        let Letter {
            reader,
            bundle,
            group,
            mut message,
        } = letter;
        let device = self.device(device)?;
        if let Some(group) = group {
            let distribution = device.distribution(&group).await?;
            message.sender_key_distribution_message = distribution.sender_key_distribution_message;
        }
        Ok(device.seal(&reader, bundle.as_ref(), &message).await?)
    }

    async fn seal_for_group(
        &mut self,
        device: u16,
        letter: &GroupLetter,
    ) -> Result<GroupSealed, PhoneError> {
        let GroupLetter {
            group,
            readers,
            message,
        } = letter;
        let device = self.device(device)?;
        Ok(device.seal_for_group(group, readers, message).await?)
    }

    async fn open(&mut self, device: u16, envelope: &Envelope) -> Result<wa::Message, OpenError> {
        let Envelope {
            sender,
            group,
            sealed,
        } = envelope;
        let device = self.device(device).map_err(OpenError::Phone)?;
        Ok(device.open(sender, group.as_ref(), sealed).await?)
    }
}

fn device(
    person: &Person,
    seed: &Seed,
    primary: &DeviceKeys,
    number: u16,
) -> Result<Device, SignalProtocolError> {
    let own = DeviceKeys::of(seed, number)?;
    let proof = match number {
        0 => None,
        companion => Some(adv::device_identity(primary, &own, companion)?),
    };
    let address = DeviceAddress::of(&person.pn(), number);
    Ok(Device::new(own, address, seed, proof))
}
