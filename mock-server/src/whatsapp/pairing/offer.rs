//! What a client that wants to be linked is offered, and for how long each of it is good.
//!
//! As with WhatsApp, the server hangs up when nothing of it is good any more; a client that is
//! to be linked all the same must come again.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use crate::whatsapp::controls::LinkOffer;

/// So many QR codes are shown one after the other.
const CODES: u32 = 6;
const FIRST: Duration = Duration::from_secs(60);
const OTHERS: Duration = Duration::from_secs(20);
const TYPED: Duration = Duration::from_secs(180);
/// More would be another mistake than the one that is played.
const MOST_CODES: u32 = 100;

/// How many codes there are, and how long they are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::whatsapp) struct Terms {
    pub(in crate::whatsapp) codes: u32,
    first: Duration,
    others: Duration,
    typed: Duration,
}

/// Those of WhatsApp.
impl Default for Terms {
    fn default() -> Self {
        Self {
            codes: CODES,
            first: FIRST,
            others: OTHERS,
            typed: TYPED,
        }
    }
}

/// An offer that nobody could make.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(in crate::whatsapp) enum InvalidOffer {
    #[error("{0} codes are none of 0 to {MOST_CODES}")]
    Codes(u32),
    #[error("codes that last {0:#} are none")]
    Last(SignedDuration),
}

impl Terms {
    pub(in crate::whatsapp) fn of(offer: &LinkOffer) -> Result<Self, InvalidOffer> {
        let usual = Self::default();
        let codes = offer.codes.unwrap_or(usual.codes);
        if codes > MOST_CODES {
            return Err(InvalidOffer::Codes(codes));
        }
        let Some(last) = offer.last else {
            return Ok(Self { codes, ..usual });
        };
        let last = Duration::try_from(last).map_err(|_negative| InvalidOffer::Last(last))?;
        Ok(Self {
            codes,
            first: last,
            others: last,
            typed: last,
        })
    }

    /// What the QR codes begin with, each good until the next one's turn.
    pub(in crate::whatsapp) fn references(
        &self,
        texts: Vec<String>,
        now: Instant,
    ) -> Vec<Reference> {
        let lives = std::iter::once(self.first).chain(std::iter::repeat(self.others));
        let ends = lives.scan(now, |end, life| {
            *end += life;
            Some(*end)
        });
        let references = texts.into_iter().zip(ends);
        references
            .map(|(text, until)| Reference { text, until })
            .collect()
    }

    /// Until when a code that is asked for now can be typed in.
    pub(in crate::whatsapp) fn typed_until(&self, now: Instant) -> Instant {
        now + self.typed
    }
}

/// What a QR code begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::whatsapp) struct Reference {
    pub(in crate::whatsapp) text: String,
    /// From then on it is spent.
    pub(in crate::whatsapp) until: Instant,
}

/// Whether a code that begins so can be scanned now. None: it is none of these.
pub(in crate::whatsapp) fn is_good(
    references: &[Reference],
    text: &str,
    now: Instant,
) -> Option<bool> {
    let reference = references.iter().find(|one| one.text == text)?;
    Some(now < reference.until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_can_be_scanned_until_its_turn_is_over() {
        let now = Instant::now();
        let texts = ["one", "two"].map(str::to_owned).to_vec();
        let references = Terms::default().references(texts, now);
        let after = |seconds| now + Duration::from_secs(seconds);
        let good = |text, seconds| is_good(&references, text, after(seconds));
        assert_eq!(
            [good("one", 59), good("one", 60)],
            [Some(true), Some(false)]
        );
        assert_eq!([good("two", 0), good("two", 80)], [Some(true), Some(false)]);
        assert_eq!(good("three", 0), None);
    }

    fn lives(offer: &LinkOffer) -> Vec<u64> {
        let now = Instant::now();
        let terms = Terms::of(offer).unwrap();
        let texts = vec!["text".to_owned(); terms.codes as usize];
        let references = terms.references(texts, now);
        references
            .iter()
            .map(|one| (one.until - now).as_secs())
            .collect()
    }

    #[test]
    fn codes_are_good_one_after_the_other() {
        let usual = LinkOffer::default();
        assert_eq!(lives(&usual), [60, 80, 100, 120, 140, 160]);
        let offer = |codes, last| LinkOffer {
            codes: Some(codes),
            last: Some(SignedDuration::from_secs(last)),
        };
        assert_eq!(lives(&offer(2, 3)), [3, 6]);
        assert_eq!(lives(&offer(0, 3)), [0; 0]);
        assert_eq!(
            Terms::of(&offer(101, 1)),
            Err(InvalidOffer::Codes(101)),
            "nobody shows so many"
        );
        assert!(matches!(
            Terms::of(&offer(1, -1)),
            Err(InvalidOffer::Last(_))
        ));
    }
}
