//! What goes wrong at the moment: refused logins, held stanzas, a network that is away.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::whatsapp::controls::{CodeReason, CodeRefusal, Nacking, Reason, Refusal, Traffic};
use crate::whatsapp::pairing::Terms;

#[derive(Debug, Default)]
pub(super) struct Weather {
    refusal: Option<Refusal>,
    nacking: Option<Nacking>,
    code_refusal: Option<CodeRefusal>,
    held: BTreeSet<Traffic>,
    /// The network is away.
    pub(super) away: bool,
    /// Linking asks for a passkey.
    pub(super) passkey: bool,
    pub(super) delay: Duration,
    /// What whoever wants to be linked is offered.
    pub(super) terms: Terms,
}

impl Weather {
    pub(super) fn holds(&self, traffic: Traffic) -> bool {
        self.held.contains(&traffic)
    }

    pub(super) fn hold(&mut self, traffic: Traffic) {
        self.held.insert(traffic);
    }

    pub(super) fn let_go(&mut self, traffic: Traffic) {
        self.held.remove(&traffic);
    }

    pub(super) fn held(&self) -> impl Iterator<Item = &Traffic> {
        self.held.iter()
    }

    /// `times: 0` ends it.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.refusal = Some(refusal).filter(|refusal| refusal.times != Some(0));
    }

    /// What the login at hand gets instead of being let in.
    pub(super) fn refused(&mut self) -> Option<(u16, Option<u64>)> {
        let refusal = self.refusal.as_mut()?;
        let answer = (code(refusal.with), refusal.expire);
        if counts_down(&mut refusal.times) {
            self.refusal = None;
        }
        Some(answer)
    }

    /// `times: 0` ends it.
    pub(super) fn nack(&mut self, nacking: Nacking) {
        self.nacking = Some(nacking).filter(|nacking| nacking.times != Some(0));
    }

    /// The code that the message at hand gets instead of being delivered.
    pub(super) fn nacked(&mut self) -> Option<u16> {
        let nacking = self.nacking.as_mut()?;
        let code = nacking.code;
        if counts_down(&mut nacking.times) {
            self.nacking = None;
        }
        Some(code)
    }

    /// `times: 0` ends it.
    pub(super) fn refuse_code(&mut self, refusal: CodeRefusal) {
        self.code_refusal = Some(refusal).filter(|refusal| refusal.times != Some(0));
    }

    /// What the request for a code at hand gets instead of one.
    pub(super) fn refused_code(&mut self) -> Option<(u16, &'static str)> {
        let refusal = self.code_refusal.as_mut()?;
        let answer = words(refusal.with);
        if counts_down(&mut refusal.times) {
            self.code_refusal = None;
        }
        Some(answer)
    }
}

/// Whether this was the last time.
fn counts_down(times: &mut Option<u32>) -> bool {
    times.as_mut().is_some_and(|times| {
        *times -= 1;
        *times == 0
    })
}

fn words(reason: CodeReason) -> (u16, &'static str) {
    match reason {
        CodeReason::BadRequest => (400, "bad-request"),
        CodeReason::Forbidden => (403, "forbidden"),
        CodeReason::RateLimited => (429, "rate-overlimit"),
        CodeReason::NotAvailable => (452, "feature-not-available"),
        CodeReason::Internal => (500, "internal-server-error"),
    }
}

fn code(reason: Reason) -> u16 {
    match reason {
        Reason::LoggedOut => 401,
        Reason::TemporaryBan => 402,
        Reason::Locked => 403,
        Reason::Outdated => 405,
        Reason::Internal => 500,
        Reason::Unavailable => 503,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_holds_as_often_as_it_says() {
        let mut weather = Weather::default();
        let refusal = |times| Refusal {
            with: Reason::Unavailable,
            times,
            expire: None,
        };
        weather.refuse(refusal(Some(2)));
        assert_eq!(
            [weather.refused(), weather.refused()],
            [Some((503, None)); 2]
        );
        assert_eq!(weather.refused(), None);

        weather.refuse(refusal(None));
        assert!((0..9).all(|_| weather.refused().is_some()));
        weather.refuse(refusal(Some(0)));
        assert_eq!(weather.refused(), None);
    }
}
