//! How far a text of ours has come, as receipts tell: sent, delivered, read. Never back.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::rows::{instant, parsed};
use super::{Store, StoreError};
use crate::ids::ChatJid;

/// What a receipt tells. In a group the first member's counts for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Delivered,
    Read,
}

impl Store {
    /// Notes a receipt; returns the text's chat if that is news. A receipt also proves that a
    /// text was sent whose sending we did not live to note.
    pub(crate) async fn note_receipt(
        &self,
        message_id: String,
        delivery: Delivery,
        at: Timestamp,
    ) -> Result<Option<ChatJid>, StoreError> {
        let sql = match delivery {
            Delivery::Delivered => {
                "UPDATE outbox SET state = 'delivered', delivered_at = ?2, sent_at = coalesce(sent_at, ?2)
                 WHERE message_id = ?1 AND state IN ('pending', 'sent') RETURNING chat_jid"
            }
            Delivery::Read => {
                "UPDATE outbox SET state = 'read', read_at = ?2,
                        delivered_at = coalesce(delivered_at, ?2), sent_at = coalesce(sent_at, ?2)
                 WHERE message_id = ?1 AND state IN ('pending', 'sent', 'delivered') RETURNING chat_jid"
            }
        };
        self.call(move |tx| {
            let chat = tx
                .prepare_cached(sql)?
                .query_row(params![message_id, instant(at)], |row| {
                    parsed(row, "chat_jid")
                })
                .optional()?;
            Ok(chat)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{at, house};
    use crate::store::{MessageState, OutboxState};

    /// Notes what happens to a text, `sent`, `delivered` or `read`, and compares where it stands.
    async fn check(happens: &str, stands: &str, instants: [bool; 3]) {
        let house = house().await;
        house.write("m1", MessageState::Queued).await;
        let claim = house.claim().await.unwrap();
        house.say(&claim, 0).await;
        let head = house.store.unsent_heads().await.unwrap().remove(0);
        for event in happens.split_whitespace() {
            let delivery = match event {
                "delivered" => Delivery::Delivered,
                "read" => Delivery::Read,
                _sent => {
                    let sent = OutboxState::Sent;
                    let noted = house
                        .store
                        .note_attempt(head.id, sent, None, at("09:00:03"));
                    noted.await.unwrap();
                    continue;
                }
            };
            let id = head.message_id.clone();
            house
                .store
                .note_receipt(id, delivery, at("09:00:04"))
                .await
                .unwrap();
        }
        assert_eq!(
            house.store.status().await.unwrap().outbox[stands],
            1,
            "{happens}"
        );
        let noted = house.store.call(|tx| {
            let sql = "SELECT sent_at IS NOT NULL, delivered_at IS NOT NULL, read_at IS NOT NULL FROM outbox";
            Ok(tx.query_row(sql, [], |row| Ok([row.get::<_, bool>(0)?, row.get(1)?, row.get(2)?]))?)
        });
        assert_eq!(noted.await.unwrap(), instants, "{happens}");
    }

    #[tokio::test]
    async fn a_text_never_goes_back_whatever_order_receipts_come_in() {
        check("sent", "sent", [true, false, false]).await;
        check("sent delivered", "delivered", [true, true, false]).await;
        check("sent delivered read", "read", [true, true, true]).await;
        check("sent read delivered", "read", [true, true, true]).await;
        check("read sent", "read", [true, true, true]).await;
        // We were killed before we could note that it was sent.
        check("delivered", "delivered", [true, true, false]).await;
    }

    #[tokio::test]
    async fn a_receipt_for_what_is_not_ours_or_is_no_news_tells_nothing() {
        let house = house().await;
        let unknown = house
            .store
            .note_receipt("3EB0".to_owned(), Delivery::Read, at("09:00:04"));
        assert_eq!(unknown.await.unwrap(), None);
    }
}
