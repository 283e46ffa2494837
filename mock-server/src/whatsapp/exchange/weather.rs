//! What goes wrong at the moment: refused logins, held stanzas, a network that is away.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::whatsapp::controls::{Nacking, Reason, Refusal, Traffic};

#[derive(Debug, Default)]
pub(super) struct Weather {
    refusal: Option<Refusal>,
    nacking: Option<Nacking>,
    held: BTreeSet<Traffic>,
    /// The network is away.
    pub(super) away: bool,
    /// Linking asks for a passkey.
    pub(super) passkey: bool,
    pub(super) delay: Duration,
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
        if is_last(&mut refusal.times) {
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
        if is_last(&mut nacking.times) {
            self.nacking = None;
        }
        Some(code)
    }
}

/// Counts down; what has no number goes on.
fn is_last(times: &mut Option<u32>) -> bool {
    let Some(left) = times else {
        return false;
    };
    *left = left.saturating_sub(1);
    *left == 0
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
