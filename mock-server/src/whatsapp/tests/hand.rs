//! A client that is driven by hand: it shakes hands as an initiator does, and then sends and
//! reads one stanza at a time.

use std::time::Duration;

use buffa::{Message as _, MessageField};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_websockets::{ClientBuilder, Message, WebSocketStream};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::consts::{
    NOISE_PATTERN_IK, NOISE_PATTERN_XX, NOISE_PATTERN_XXFALLBACK, WA_CONN_HEADER,
};
use wacore_binary::marshal::{marshal, unmarshal_ref};
use wacore_binary::util::unpack;
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::framing::{FrameDecoder, encode_frame};
use wacore_noise::{NoiseCipher, NoiseHandshake};
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;
use waproto::whatsapp::handshake_message::{ClientFinish, ClientHello, ServerHello};
use waproto::whatsapp::{ClientPayload, HandshakeMessage};

use crate::MockServer;
use crate::whatsapp::certificate::raw;
use crate::whatsapp::phone::Seed;
use crate::whatsapp::{Base64, LinkedAccount, SignedPrekey};

/// Real time; only a broken test ever waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The keys of a client.
pub(super) struct Keys {
    noise: KeyPair,
    identity: KeyPair,
    signed: KeyPair,
    signature: Vec<u8>,
}

impl Keys {
    pub(super) fn made(number: u64) -> Self {
        let mut randomness = Seed::of_scenario(number)
            .of("a client by hand")
            .randomness();
        let identity = KeyPair::generate(&mut randomness);
        let signed = KeyPair::generate(&mut randomness);
        let public = signed.public_key.serialize();
        let signature = identity
            .calculate_signature(&public, &mut randomness)
            .unwrap();
        Self {
            noise: KeyPair::generate(&mut randomness),
            identity,
            signed,
            signature: signature.to_vec(),
        }
    }

    pub(super) fn identity(&self) -> &KeyPair {
        &self.identity
    }

    pub(super) fn noise_public(&self) -> [u8; 32] {
        raw(&self.noise)
    }

    pub(super) fn account(&self, device: u16) -> LinkedAccount {
        LinkedAccount {
            device,
            registration_id: 7,
            noise_key: Base64(raw(&self.noise).to_vec()),
            identity_key: Base64(raw(&self.identity).to_vec()),
            signed_prekey: SignedPrekey {
                id: 1,
                key: Base64(raw(&self.signed).to_vec()),
                signature: Base64(self.signature.clone()),
            },
            prekeys: Vec::new(),
            device_identity: Base64(Vec::new()),
            sessions: Vec::new(),
        }
    }

    pub(super) fn login(&self, device: u32) -> ClientPayload {
        ClientPayload {
            username: Some(4_915_100_000_001),
            device: Some(device),
            ..ClientPayload::default()
        }
    }

    pub(super) fn registration(&self) -> ClientPayload {
        let pairing = DevicePairingRegistrationData {
            e_regid: Some(vec![0, 0, 0, 7]),
            e_keytype: Some(vec![5]),
            e_ident: Some(raw(&self.identity).to_vec()),
            e_skey_id: Some(vec![0, 0, 1]),
            e_skey_val: Some(raw(&self.signed).to_vec()),
            e_skey_sig: Some(self.signature.clone()),
            ..DevicePairingRegistrationData::default()
        };
        ClientPayload {
            device_pairing_data: MessageField::some(pairing),
            ..ClientPayload::default()
        }
    }
}

/// A connection after its handshake.
pub(super) struct Hand {
    line: Line,
    write: NoiseCipher,
    read: NoiseCipher,
    sent: u32,
    received: u32,
}

impl Hand {
    /// By a full handshake.
    pub(super) async fn begins(url: &str, keys: &Keys, payload: ClientPayload) -> Self {
        let mut line = Line::dialed(url).await;
        let ephemeral = ephemeral();
        let hello = ClientHello {
            ephemeral: Some(raw(&ephemeral).to_vec()),
            ..ClientHello::default()
        };
        line.say_hello(hello).await;
        let answer = line.hear_hello().await;
        finish(line, NOISE_PATTERN_XX, keys, &ephemeral, (answer, payload)).await
    }

    /// By a short one, for who believes that the server's key is `server`.
    pub(super) async fn resumes(
        url: &str,
        keys: &Keys,
        server: [u8; 32],
        payload: ClientPayload,
    ) -> Self {
        let mut line = Line::dialed(url).await;
        let ephemeral = ephemeral();
        let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, &WA_CONN_HEADER).unwrap();
        noise.authenticate(&server);
        noise.authenticate(&raw(&ephemeral));
        mix(&mut noise, &ephemeral, &server);
        let sealed_key = noise.encrypt(&raw(&keys.noise)).unwrap();
        mix(&mut noise, &keys.noise, &server);
        let sealed_payload = noise.encrypt(&payload.encode_to_vec()).unwrap();
        line.say_hello(ClientHello {
            ephemeral: Some(raw(&ephemeral).to_vec()),
            r#static: Some(sealed_key),
            payload: Some(sealed_payload),
            ..ClientHello::default()
        })
        .await;
        let answer = line.hear_hello().await;
        if answer.r#static.is_some() {
            let pattern = NOISE_PATTERN_XXFALLBACK;
            return finish(line, pattern, keys, &ephemeral, (answer, payload)).await;
        }
        let fresh = key(answer.ephemeral);
        noise.authenticate(&fresh);
        mix(&mut noise, &ephemeral, &fresh);
        mix(&mut noise, &keys.noise, &fresh);
        noise.decrypt(&answer.payload.unwrap()).unwrap();
        Self::shaken(line, noise)
    }

    pub(super) async fn logged_in(mock: &MockServer, keys: &Keys) -> Self {
        let leaf = mock.whatsapp().certificate().leaf;
        let url = mock.whatsapp().socket_url();
        let mut hand = Self::resumes(&url, keys, leaf, keys.login(1)).await;
        assert_eq!(hand.next().await.tag, "success");
        hand
    }

    /// Sends bytes that are no handshake, and waits for the end.
    pub(super) async fn says_raw(url: &str, bytes: &[u8]) {
        let mut line = Line::dialed(url).await;
        line.socket
            .send(Message::binary(bytes.to_vec()))
            .await
            .unwrap();
        assert_eq!(line.frame().await, None);
    }

    /// Text, where bytes are expected.
    pub(super) async fn says_text(&mut self) {
        let text = Message::text("hello");
        self.line.socket.send(text).await.unwrap();
    }

    fn shaken(line: Line, noise: NoiseHandshake) -> Self {
        let (write, read) = noise.finish().unwrap();
        Self {
            line,
            write,
            read,
            sent: 0,
            received: 0,
        }
    }

    /// Says that it takes what waits; returns what waited, up to the mark after it.
    pub(super) async fn activates(&mut self) -> Vec<Node> {
        let active = NodeBuilder::new("iq").attr("id", "0").attr("type", "set");
        let active = active.attr("xmlns", "passive").attr("to", "s.whatsapp.net");
        self.send(
            &active
                .children([NodeBuilder::new("active").build()])
                .build(),
        )
        .await;
        assert_eq!(self.next().await.tag, "iq");
        let mut waiting = Vec::new();
        loop {
            let node = self.next().await;
            let last = node.get_optional_child("offline").is_some();
            waiting.push(node);
            if last {
                return waiting;
            }
        }
    }

    pub(super) async fn send(&mut self, node: &Node) {
        let sealed = self
            .write
            .encrypt_with_counter(self.sent, &marshal(node).unwrap())
            .unwrap();
        self.sent += 1;
        self.line.write(&sealed, None).await;
    }

    pub(super) async fn next(&mut self) -> Node {
        self.maybe().await.expect("a stanza, not the end")
    }

    /// None at the end.
    pub(super) async fn maybe(&mut self) -> Option<Node> {
        let mut frame = self.line.frame().await?;
        self.read
            .decrypt_in_place_with_counter(self.received, &mut frame)
            .unwrap();
        self.received += 1;
        Some(unmarshal_ref(&unpack(&frame).unwrap()).unwrap().to_owned())
    }

    /// Whether nothing comes any more.
    pub(super) async fn ends(&mut self) -> bool {
        self.line.frame().await.is_none()
    }
}

/// The rest of a full handshake.
async fn finish(
    mut line: Line,
    pattern: &str,
    keys: &Keys,
    ephemeral: &KeyPair,
    (answer, payload): (ServerHello, ClientPayload),
) -> Hand {
    let mut noise = NoiseHandshake::new(pattern, &WA_CONN_HEADER).unwrap();
    noise.authenticate(&raw(ephemeral));
    let fresh = key(answer.ephemeral);
    noise.authenticate(&fresh);
    mix(&mut noise, ephemeral, &fresh);
    let server = key(Some(noise.decrypt(&answer.r#static.unwrap()).unwrap()));
    mix(&mut noise, ephemeral, &server);
    noise.decrypt(&answer.payload.unwrap()).unwrap();
    let sealed_key = noise.encrypt(&raw(&keys.noise)).unwrap();
    mix(&mut noise, &keys.noise, &fresh);
    let finish = ClientFinish {
        r#static: Some(sealed_key),
        payload: Some(noise.encrypt(&payload.encode_to_vec()).unwrap()),
        ..ClientFinish::default()
    };
    let message = HandshakeMessage {
        client_finish: MessageField::some(finish),
        ..HandshakeMessage::default()
    };
    line.write(&message.encode_to_vec(), None).await;
    Hand::shaken(line, noise)
}

fn ephemeral() -> KeyPair {
    KeyPair::generate(&mut Seed::of_scenario(1).of("ephemeral").randomness())
}

fn mix(noise: &mut NoiseHandshake, own: &KeyPair, other: &[u8; 32]) {
    noise
        .mix_shared_secret(own.private_key.serialize(), other)
        .unwrap();
}

fn key(bytes: Option<Vec<u8>>) -> [u8; 32] {
    bytes.unwrap().try_into().unwrap()
}

/// Frames over a WebSocket.
struct Line {
    socket: WebSocketStream<TcpStream>,
    decoder: FrameDecoder,
}

impl Line {
    async fn dialed(url: &str) -> Self {
        let address = url
            .strip_prefix("ws://")
            .unwrap()
            .strip_suffix("/ws/chat")
            .unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let builder = ClientBuilder::new().uri(url).unwrap();
        let (socket, _response) = builder.connect_on(stream).await.unwrap();
        Self {
            socket,
            decoder: FrameDecoder::new(),
        }
    }

    async fn say_hello(&mut self, hello: ClientHello) {
        let message = HandshakeMessage {
            client_hello: MessageField::some(hello),
            ..HandshakeMessage::default()
        };
        self.write(&message.encode_to_vec(), Some(&WA_CONN_HEADER))
            .await;
    }

    async fn hear_hello(&mut self) -> ServerHello {
        let frame = self.frame().await.expect("an answer, not the end");
        let message = HandshakeMessage::decode_from_slice(&frame).unwrap();
        message.server_hello.into_option().unwrap()
    }

    async fn write(&mut self, payload: &[u8], intro: Option<&[u8]>) {
        let frame = encode_frame(payload, intro).unwrap();
        self.socket.send(Message::binary(frame)).await.unwrap();
    }

    async fn frame(&mut self) -> Option<bytes::BytesMut> {
        loop {
            if let Some(frame) = self.decoder.decode_frame() {
                return Some(frame);
            }
            let message = timeout(PATIENCE, self.socket.next())
                .await
                .expect("an answer in time");
            match message {
                Some(Ok(message)) if message.is_binary() => self.decoder.feed(message.as_payload()),
                Some(Ok(message)) if !message.is_close() => {}
                Some(_) | None => return None,
            }
        }
    }
}
