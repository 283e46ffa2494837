//! The server's side of the Noise handshake, in the three forms a client may ask for: XX from a
//! new one, IK from one that knows our key, and XX-fallback for one that knows a wrong key.
//!
//! The messages are WhatsApp Web's `HandshakeMessage`; no sockets here.

use buffa::{Message as _, MessageField};
use wacore_binary::consts::{
    NOISE_PATTERN_IK, NOISE_PATTERN_XX, NOISE_PATTERN_XXFALLBACK, WA_CONN_HEADER,
};
use wacore_libsignal::protocol::{CurveError, KeyPair};
use wacore_noise::{HandshakeError, NoiseCipher, NoiseHandshake};
use waproto::whatsapp::HandshakeMessage;
use waproto::whatsapp::handshake_message::{ClientHello, ServerHello};

use super::certificate::{Certificate, raw};

/// How the hands were shaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Xx,
    Ik,
    XxFallback,
}

impl Pattern {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Xx => "XX",
            Self::Ik => "IK",
            Self::XxFallback => "XXfallback",
        }
    }
}

/// What a handshake leaves behind.
pub(crate) struct Shaken {
    pub(crate) read: NoiseCipher,
    pub(crate) write: NoiseCipher,
    pub(crate) client_key: [u8; 32],
    /// `ClientPayload`, encoded.
    pub(crate) payload: Vec<u8>,
    pub(crate) pattern: Pattern,
}

/// The answer to a client's first message, and what comes then.
pub(crate) struct Answer {
    pub(crate) hello: Vec<u8>,
    pub(crate) next: Next,
}

pub(crate) enum Next {
    /// IK: both sides are done.
    Shaken(Box<Shaken>),
    /// XX: the client's last message is to come.
    Finish(Box<AwaitingFinish>),
}

/// A handshake half done.
pub(crate) struct AwaitingFinish {
    noise: NoiseHandshake,
    ephemeral: KeyPair,
    pattern: Pattern,
}

/// The client does not shake hands as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeFault {
    #[error("it is no handshake message")]
    Proto(#[from] buffa::DecodeError),
    #[error("the handshake message lacks its {0}")]
    Lacks(&'static str),
    #[error("the {0} is not 32 bytes")]
    NotAKey(&'static str),
    #[error("the cipher refuses")]
    Noise(#[from] HandshakeError),
    #[error("the curve refuses")]
    Curve(#[from] CurveError),
}

/// Answers a client's first message with `ephemeral`, which must be fresh for each connection.
pub(crate) fn answer(
    certificate: &Certificate,
    ephemeral: KeyPair,
    message: &[u8],
) -> Result<Answer, HandshakeFault> {
    let message = HandshakeMessage::decode_from_slice(message)?;
    let hello = message.client_hello.into_option();
    let hello = hello.ok_or(HandshakeFault::Lacks("client hello"))?;
    let client_ephemeral = key(hello.ephemeral.as_ref(), "client's ephemeral key")?;
    if hello.r#static.is_none() {
        return offer(certificate, ephemeral, &client_ephemeral, Pattern::Xx);
    }
    // Who knows another server's key cannot be understood; it is offered ours.
    match resume(certificate, &ephemeral, &hello) {
        Err(HandshakeFault::Noise(_)) => offer(
            certificate,
            ephemeral,
            &client_ephemeral,
            Pattern::XxFallback,
        ),
        resumed => resumed,
    }
}

fn resume(
    certificate: &Certificate,
    ephemeral: &KeyPair,
    hello: &ClientHello,
) -> Result<Answer, HandshakeFault> {
    let server = certificate.server.private_key.serialize();
    let client_ephemeral = key(hello.ephemeral.as_ref(), "client's ephemeral key")?;
    let sealed_key = hello.r#static.as_ref();
    let sealed_key = sealed_key.ok_or(HandshakeFault::Lacks("static key"))?;
    let sealed_payload = hello.payload.as_ref();
    let sealed_payload = sealed_payload.ok_or(HandshakeFault::Lacks("payload"))?;

    let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, &WA_CONN_HEADER)?;
    noise.authenticate(&raw(&certificate.server));
    noise.authenticate(&client_ephemeral);
    noise.mix_shared_secret(server, &client_ephemeral)?;
    let client_key = key(Some(&noise.decrypt(sealed_key)?), "client's static key")?;
    noise.mix_shared_secret(server, &client_key)?;
    let payload = noise.decrypt(sealed_payload)?;

    noise.authenticate(&raw(ephemeral));
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_ephemeral)?;
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_key)?;
    let chain = noise.encrypt(&certificate.chain)?;
    let hello = server_hello(ephemeral, None, chain);
    let (read, write) = noise.finish()?;
    let next = Next::Shaken(Box::new(Shaken {
        read,
        write,
        client_key,
        payload,
        pattern: Pattern::Ik,
    }));
    Ok(Answer { hello, next })
}

/// XX and XX-fallback differ in their name only.
fn offer(
    certificate: &Certificate,
    ephemeral: KeyPair,
    client_ephemeral: &[u8; 32],
    pattern: Pattern,
) -> Result<Answer, HandshakeFault> {
    let name = match pattern {
        Pattern::Xx => NOISE_PATTERN_XX,
        Pattern::Ik => NOISE_PATTERN_IK,
        Pattern::XxFallback => NOISE_PATTERN_XXFALLBACK,
    };
    let mut noise = NoiseHandshake::new(name, &WA_CONN_HEADER)?;
    noise.authenticate(client_ephemeral);
    noise.authenticate(&raw(&ephemeral));
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    let sealed_key = noise.encrypt(&raw(&certificate.server))?;
    noise.mix_shared_secret(certificate.server.private_key.serialize(), client_ephemeral)?;
    let chain = noise.encrypt(&certificate.chain)?;
    Ok(Answer {
        hello: server_hello(&ephemeral, Some(sealed_key), chain),
        next: Next::Finish(Box::new(AwaitingFinish {
            noise,
            ephemeral,
            pattern,
        })),
    })
}

impl AwaitingFinish {
    /// Reads the client's last message.
    pub(crate) fn finish(self, message: &[u8]) -> Result<Shaken, HandshakeFault> {
        let mut noise = self.noise;
        let message = HandshakeMessage::decode_from_slice(message)?;
        let finish = message.client_finish.into_option();
        let finish = finish.ok_or(HandshakeFault::Lacks("client finish"))?;
        let sealed_key = finish.r#static.ok_or(HandshakeFault::Lacks("static key"))?;
        let client_key = key(Some(&noise.decrypt(&sealed_key)?), "client's static key")?;
        noise.mix_shared_secret(self.ephemeral.private_key.serialize(), &client_key)?;
        let sealed_payload = finish.payload.ok_or(HandshakeFault::Lacks("payload"))?;
        let payload = noise.decrypt(&sealed_payload)?;
        let (read, write) = noise.finish()?;
        Ok(Shaken {
            read,
            write,
            client_key,
            payload,
            pattern: self.pattern,
        })
    }
}

fn server_hello(ephemeral: &KeyPair, sealed_key: Option<Vec<u8>>, payload: Vec<u8>) -> Vec<u8> {
    let hello = ServerHello {
        ephemeral: Some(raw(ephemeral).to_vec()),
        r#static: sealed_key,
        payload: Some(payload),
        ..ServerHello::default()
    };
    let message = HandshakeMessage {
        server_hello: MessageField::some(hello),
        ..HandshakeMessage::default()
    };
    message.encode_to_vec()
}

fn key(bytes: Option<&Vec<u8>>, what: &'static str) -> Result<[u8; 32], HandshakeFault> {
    let bytes = bytes.ok_or(HandshakeFault::Lacks(what))?;
    bytes
        .as_slice()
        .try_into()
        .map_err(|_length| HandshakeFault::NotAKey(what))
}
