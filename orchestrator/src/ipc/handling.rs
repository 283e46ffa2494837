//! One dropped file's way, from its folder to its end.
//!
//! Every file ends deleted (done, or refused) or in `data/ipc/errors/` (not understood), and
//! is told of when it has. One that cannot be removed has its receipt, so it is handled once;
//! one that cannot be moved to `errors/` has had no effect, and is not told of before it is.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::IpcDesk;
use super::faults::Faults;
use super::inbox::{Drop, DropKind, Pass};
use super::operations::{Handled, News, Operations, Order};
use super::refreshing::AskedBy;
use super::snapshots::republish;
use crate::events::Event;
use crate::ids::GroupFolder;
use crate::safe_dir::LISTED;
use crate::store::{Receipt, StoreError};

/// Handles dropped files.
#[derive(Debug)]
pub(super) struct Handling {
    operations: Operations,
    /// Files that stayed in their folder after the last look at them.
    left: BTreeMap<(GroupFolder, DropKind), BTreeSet<String>>,
    faults: Faults,
}

/// What a look at a folder came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// There is more that can be handled at once.
    pub(super) more: bool,
    /// There is a file that is not whole yet.
    pub(super) not_yet: bool,
    /// Files, gone by now, that ask for the groups to be read anew.
    pub(super) refreshes: Vec<AskedBy>,
}

/// Where a file is after it was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Gone,
    NotYet,
}

/// Why a file is still where it was.
#[derive(Debug, thiserror::Error)]
enum Stays {
    #[error("it stays until the store works again")]
    Store(#[from] StoreError),
    #[error("its folder belongs to no group any more")]
    Orphaned,
    #[error("it is handled and cannot be removed")]
    Removing(#[source] io::Error),
    #[error("it is malformed and cannot be moved to data/ipc/errors")]
    Quarantining(#[source] io::Error),
}

/// What is to be done when a pass is over.
#[derive(Default)]
struct Afterwards {
    /// These groups have something new to know.
    news: BTreeSet<GroupFolder>,
    events: Vec<Event>,
    /// Files that ask for the groups to be read anew.
    refreshes: Vec<AskedBy>,
}

impl Handling {
    pub(super) fn new(desk: IpcDesk) -> Self {
        Self {
            operations: Operations::new(desk),
            left: BTreeMap::new(),
            faults: Faults::default(),
        }
    }

    pub(super) fn desk(&self) -> &IpcDesk {
        self.operations.desk()
    }

    /// Takes one pass over one folder of a group.
    pub(super) async fn look(&mut self, group: &GroupFolder, kind: DropKind) -> io::Result<Looked> {
        let left = self.left.entry((group.clone(), kind)).or_default();
        let inbox = &self.operations.desk().inbox;
        let Pass { drops, more } = inbox.pass(group.as_str(), kind, left)?;
        if !more {
            left.clear();
        }
        let mut afterwards = Afterwards::default();
        let mut moved = false;
        let mut looked = Looked::default();
        for dropped in &drops {
            let place = format!("{group}/{}", dropped.shown());
            let ended = self.handle(group, dropped, &mut afterwards).await;
            let ended = ended.map_err(|stays| crate::chain(&stays));
            match self.faults.note(&place, ended) {
                Some(End::Gone) => {
                    moved = true;
                    self.leave(group, dropped, false);
                }
                Some(End::NotYet) => {
                    looked.not_yet = true;
                    self.leave(group, dropped, true);
                }
                None => self.leave(group, dropped, true),
            }
        }
        looked.refreshes = std::mem::take(&mut afterwards.refreshes);
        self.finish(afterwards).await;
        // A pass that moved nothing would find the same again.
        looked.more = more && moved;
        Ok(looked)
    }

    fn leave(&mut self, group: &GroupFolder, dropped: &Drop, stays: bool) {
        let left = self.left.entry((group.clone(), dropped.kind)).or_default();
        // More than can be listed are not there any more.
        if !stays || left.len() >= LISTED {
            left.remove(&dropped.shown());
        } else {
            left.insert(dropped.shown());
        }
    }

    async fn handle(
        &self,
        group: &GroupFolder,
        dropped: &Drop,
        afterwards: &mut Afterwards,
    ) -> Result<End, Stays> {
        let house = &self.desk().house;
        let sender = house.store.group_of_folder(group.clone()).await?;
        let sender = sender.ok_or(Stays::Orphaned)?;
        let receipt = Receipt {
            group: group.clone(),
            file: dropped.shown(),
        };
        if house.store.has_receipt(receipt.clone()).await? {
            // Handled before, by us or the process before us, and still here.
            return self.remove(dropped, receipt).await;
        }
        let order = Order {
            sender: &sender,
            receipt: receipt.clone(),
        };
        let (operation, handled) = self.operations.carry_out(dropped, &order).await?;
        match handled {
            Handled::NotYet => Ok(End::NotYet),
            Handled::Malformed(reason) => {
                let inbox = &self.desk().inbox;
                inbox.quarantine(dropped).map_err(Stays::Quarantining)?;
                afterwards.events.push(quarantined(dropped, reason));
                Ok(End::Gone)
            }
            Handled::Refused(reason) => {
                let now = house.clock.now();
                house.store.keep_receipt(receipt.clone(), now).await?;
                afterwards.events.push(refused(dropped, operation, reason));
                self.remove(dropped, receipt).await
            }
            Handled::Refresh => {
                afterwards
                    .refreshes
                    .push((dropped.folder.clone(), dropped.shown()));
                self.remove(dropped, receipt).await
            }
            Handled::Done(news) => {
                afterwards.note(news);
                afterwards.events.push(Event::IpcDone {
                    group: dropped.folder.clone(),
                    file: dropped.shown(),
                    operation,
                });
                self.remove(dropped, receipt).await
            }
        }
    }

    /// Removes a file that has its receipt. If that fails the receipt stays, so that the file
    /// is not handled again.
    async fn remove(&self, dropped: &Drop, receipt: Receipt) -> Result<End, Stays> {
        let desk = self.desk();
        desk.inbox.remove(dropped).map_err(Stays::Removing)?;
        desk.house.store.drop_receipt(receipt).await?;
        Ok(End::Gone)
    }

    /// Whoever hears that a file is done finds it gone, and its effect in the snapshots.
    async fn finish(&self, afterwards: Afterwards) {
        republish(self.desk(), afterwards.news).await;
        for event in afterwards.events {
            self.desk().house.events.tell(event);
        }
    }
}

impl Afterwards {
    fn note(&mut self, news: News) {
        match news {
            News::Nothing => return,
            News::Tasks(group) => self.news.insert(group),
            News::Groups => true,
        };
        // Main sees everybody's tasks.
        self.news.insert(GroupFolder::main());
    }
}

fn refused(dropped: &Drop, operation: &'static str, reason: String) -> Event {
    let (group, file) = (dropped.folder.clone(), dropped.shown());
    tracing::warn!(group, file, operation, "IPC refused: {reason}");
    Event::IpcRefused {
        group,
        file,
        operation,
        reason,
    }
}

fn quarantined(dropped: &Drop, reason: String) -> Event {
    let (group, file) = (dropped.folder.clone(), dropped.shown());
    tracing::warn!(group, file, "IPC file moved to data/ipc/errors: {reason}");
    Event::IpcQuarantined {
        group,
        file,
        reason,
    }
}
