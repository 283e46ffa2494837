//! What the exchange makes of tidings whose order no test could bring about over a socket.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Directory, Exchange, Opening, Request};
use crate::journal::Journal;
use crate::whatsapp::connection::{ConnectionId, Opened, Order, Tidings};
use crate::whatsapp::controls::Control;
use crate::whatsapp::introduction::{Introduction, Login};
use crate::whatsapp::media::MediaLibrary;
use crate::whatsapp::noise::Pattern;
use crate::whatsapp::phone::Seed;
use crate::whatsapp::{Base64, LinkedAccount, SignedPrekey};

const LINE: ConnectionId = ConnectionId(1);
const KEY: [u8; 32] = [1; 32];

/// With one device, logged in; what its connection is ordered to do.
async fn logged_in(journal: &Journal) -> (Exchange, mpsc::Receiver<Order>) {
    let seed = Seed::of_scenario(1);
    let opening = Opening {
        journal: journal.clone(),
        seed,
        directory: Arc::new(Mutex::new(Directory::default())),
        media: MediaLibrary::new(&seed),
    };
    let mut exchange = Exchange::open(opening).unwrap();
    let key = || Base64(KEY.to_vec());
    let account = LinkedAccount {
        device: 1,
        registration_id: 1,
        noise_key: key(),
        identity_key: key(),
        signed_prekey: SignedPrekey {
            id: 1,
            key: key(),
            signature: Base64(vec![1; 64]),
        },
        prekeys: Vec::new(),
        device_identity: Base64(Vec::new()),
        sessions: Vec::new(),
    };
    let (reply, _) = tokio::sync::oneshot::channel();
    exchange
        .serve(Request::Link(Box::new(account), reply))
        .await;
    let (orders, ordered) = mpsc::channel(8);
    let login = Login {
        user: exchange.owner.pn().user_base().to_owned(),
        device: 1,
    };
    let opened = Opened {
        orders,
        introduction: Introduction::Login(login),
        client_key: KEY,
        pattern: Pattern::Ik,
    };
    exchange.hear(LINE, Tidings::Opened(Box::new(opened))).await;
    (exchange, ordered)
}

fn ping() -> Node {
    NodeBuilder::new("iq")
        .attr("id", "1")
        .attr("type", "get")
        .attr("to", "s.whatsapp.net")
        .attr("xmlns", "w:p")
        .children([NodeBuilder::new("ping").build()])
        .build()
}

#[tokio::test]
async fn what_was_read_before_a_line_went_dead_is_lost_with_it() {
    let journal = Journal::open();
    let (mut exchange, mut ordered) = logged_in(&journal).await;
    exchange.hear(LINE, Tidings::Came(ping())).await;
    exchange.act(Control::HalfOpen {}).await.unwrap();
    let told = journal.last();
    exchange.hear(LINE, Tidings::Came(ping())).await;

    assert_eq!(journal.last(), told);
    let mut kinds = Vec::new();
    loop {
        match ordered.try_recv() {
            Ok(Order::Send(node)) => kinds.push(node.tag.to_string()),
            Ok(other) => kinds.push(format!("{other:?}")),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
        }
    }
    assert_eq!(kinds, ["Delay(0ns)", "success", "iq", "Freeze"]);
}
