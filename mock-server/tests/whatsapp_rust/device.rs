//! A device that was linked before: its store, and what the server knows of it.

use std::sync::Arc;

use mock_server::whatsapp::{Base64, LinkedAccount, ShownCertificate, SignedPrekey};
use wacore::store::device::{CachedNoiseCert, CachedServerCertChain};
use wacore::store::traits::DeviceStore as _;
use wacore::store::{Device, InMemoryBackend};
use whatsapp_rust::Jid;
use whatsapp_rust::waproto::whatsapp::ADVSignedDeviceIdentity;

const OWNER_PN: &str = "4915100000001";
const OWNER_LID: &str = "900000000000001";

pub(crate) struct LinkedDevice {
    pub(crate) store: Arc<InMemoryBackend>,
    pub(crate) account: LinkedAccount,
}

impl LinkedDevice {
    /// Device `number` of the owner. It has seen this certificate, so it comes by Noise IK.
    pub(crate) async fn new(number: u16, certificate: &ShownCertificate) -> Self {
        let mut device = Device::new();
        device.pn = Some(Jid::pn_device(OWNER_PN, number));
        device.lid = Some(Jid::lid_device(OWNER_LID, number));
        // Nobody on this wire asks whether the owner's phone signed it.
        device.account = Some(Arc::new(ADVSignedDeviceIdentity::default()));
        device.push_name = "Owner".to_owned();
        let cert = |key| CachedNoiseCert {
            key,
            not_before: certificate.valid.start.try_into().unwrap(),
            not_after: certificate.valid.end.try_into().unwrap(),
        };
        device.server_cert_chain = Some(CachedServerCertChain {
            intermediate: cert(certificate.intermediate),
            leaf: cert(certificate.leaf),
        });
        let account = account(number, &device);
        let store = Arc::new(InMemoryBackend::new());
        store.save(&device).await.unwrap();
        Self { store, account }
    }
}

fn account(number: u16, device: &Device) -> LinkedAccount {
    let public = |pair: &wacore_libsignal::protocol::KeyPair| {
        Base64(pair.public_key.public_key_bytes().to_vec())
    };
    LinkedAccount {
        device: number,
        registration_id: device.registration_id,
        noise_key: public(&device.noise_key),
        identity_key: public(&device.identity_key),
        signed_prekey: SignedPrekey {
            id: device.signed_pre_key_id,
            key: public(&device.signed_pre_key),
            signature: Base64(device.signed_pre_key_signature.to_vec()),
        },
        prekeys: Vec::new(),
        device_identity: Base64(Vec::new()),
        sessions: Vec::new(),
    }
}
