//! Who is logged in: tokens and devices, and what becomes of them.
//!
//! Plain code without a clock or a socket. Times are seconds since 1970.

use std::collections::VecDeque;

use crate::llm::oauth::refusal::NoToken;
use crate::llm::oauth::script::{OAuthAct, Poll, ScriptedOAuth, ScriptedTokens};
use crate::llm::score::ids;

/// All logins at Kimi.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    terms: ScriptedOAuth,
    /// Whether anybody has logged in or been scripted; before, keys are enough.
    pub(crate) is_kept: bool,
    pairs: Vec<Pair>,
    devices: Vec<Device>,
}

/// An access token, and the refresh token that came with it.
#[derive(Debug)]
struct Pair {
    access: String,
    refresh: String,
    expires: i64,
    refreshing: Refreshing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refreshing {
    Fresh,
    Used,
    Revoked,
}

/// A device that wants to be let in.
#[derive(Debug)]
struct Device {
    code: String,
    expires: i64,
    polls: VecDeque<Poll>,
    verdict: Poll,
}

/// Tokens as they are handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) expires_in: u32,
    /// How the journal calls the refresh token.
    pub(crate) label: String,
}

/// What a device is told at the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) device_code: String,
    pub(crate) user_code: String,
    pub(crate) expires_in: u32,
    pub(crate) interval: u32,
    pub(crate) label: String,
}

impl Ledger {
    /// Takes over what a script says, behind what is there.
    pub(crate) fn add(&mut self, script: ScriptedOAuth, now: i64) {
        self.is_kept = true;
        self.terms = script;
        for tokens in std::mem::take(&mut self.terms.tokens) {
            self.keep(tokens, now);
        }
    }

    /// The secrets that must not be written down.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let pairs = self.pairs.iter();
        let tokens = pairs.flat_map(|pair| [pair.access.as_str(), pair.refresh.as_str()]);
        tokens.chain(self.devices.iter().map(|device| device.code.as_str()))
    }

    fn keep(&mut self, tokens: ScriptedTokens, now: i64) {
        let expires_in = tokens.expires_in.unwrap_or(self.terms.expires_in.get());
        self.pairs.push(Pair {
            access: tokens.access,
            refresh: tokens.refresh,
            expires: now.saturating_add(expires_in.into()),
            refreshing: Refreshing::Fresh,
        });
    }

    fn issue(&mut self, seed: u64, now: i64) -> Issued {
        let number = self.pairs.len() + 1;
        let letters = |what: &str| ids::letters(seed, &[what, &number.to_string()]);
        let tokens = ScriptedTokens {
            access: format!("at-{}", letters("access")),
            refresh: format!("rt-{}", letters("refresh")),
            expires_in: None,
        };
        let issued = Issued {
            access: tokens.access.clone(),
            refresh: tokens.refresh.clone(),
            expires_in: self.terms.expires_in.get(),
            label: label(number),
        };
        self.keep(tokens, now);
        issued
    }

    /// Whether the access token opens anything now.
    pub(crate) fn opens(&self, access: &str, now: i64) -> bool {
        self.pairs.iter().any(|pair| {
            pair.access == access && now < pair.expires && pair.refreshing != Refreshing::Revoked
        })
    }

    /// How the journal calls a refresh token.
    pub(crate) fn label(&self, refresh: &str) -> String {
        let place = self.pairs.iter().position(|pair| pair.refresh == refresh);
        place.map_or_else(|| "[unknown]".to_owned(), |place| label(place + 1))
    }

    /// Each refresh token is good for one new pair.
    pub(crate) fn refresh(&mut self, token: &str, seed: u64, now: i64) -> Result<Issued, NoToken> {
        let pair = self.pairs.iter_mut().find(|pair| pair.refresh == token);
        let pair = pair.ok_or(NoToken::InvalidGrant)?;
        match pair.refreshing {
            Refreshing::Used => Err(NoToken::InvalidGrant),
            Refreshing::Revoked => Err(NoToken::Revoked),
            Refreshing::Fresh => {
                pair.refreshing = Refreshing::Used;
                Ok(self.issue(seed, now))
            }
        }
    }

    /// A device asks to be let in.
    pub(crate) fn begin(&mut self, seed: u64, now: i64) -> Begun {
        self.is_kept = true;
        let number = (self.devices.len() + 1).to_string();
        let letters = ids::letters(seed, &["device", &number]);
        let terms = &self.terms.device;
        let (expires_in, interval) = (terms.expires_in, terms.interval);
        self.devices.push(Device {
            code: format!("dc-{letters}"),
            expires: now.saturating_add(expires_in.into()),
            polls: terms.polls.iter().copied().collect(),
            verdict: Poll::Pending,
        });
        Begun {
            device_code: format!("dc-{letters}"),
            user_code: user_code(&letters),
            expires_in,
            interval,
            label: format!("[device-{number}]"),
        }
    }

    /// The device asks whether the user has answered.
    pub(crate) fn poll(&mut self, code: &str, seed: u64, now: i64) -> Result<Issued, NoToken> {
        let device = self.devices.iter_mut().find(|device| device.code == code);
        let device = device.ok_or(NoToken::InvalidGrant)?;
        let scripted = device.polls.pop_front();
        let heard = match (device.verdict, scripted) {
            (Poll::Pending, Some(scripted)) => scripted,
            (verdict, _) => verdict,
        };
        match heard {
            _late if now >= device.expires => Err(NoToken::Expired),
            Poll::Pending => Err(NoToken::Pending),
            Poll::SlowDown => Err(NoToken::SlowDown),
            Poll::Deny => Err(NoToken::Denied),
            Poll::Expire => Err(NoToken::Expired),
            Poll::Approve => {
                // A code is good for one pair.
                device.verdict = Poll::Expire;
                Ok(self.issue(seed, now))
            }
        }
    }

    /// The user acts; returns how many devices or tokens that changes.
    pub(crate) fn act(&mut self, act: OAuthAct, now: i64) -> usize {
        let verdict = match act {
            OAuthAct::Approve => Poll::Approve,
            OAuthAct::Deny => Poll::Deny,
            OAuthAct::Expire | OAuthAct::Revoke => Poll::Expire,
        };
        let waiting =
            |device: &&mut Device| device.verdict == Poll::Pending && now < device.expires;
        let devices = self.devices.iter_mut().filter(waiting);
        let judged = devices.map(|device| device.verdict = verdict).count();
        judged + self.touch_tokens(act, now)
    }

    fn touch_tokens(&mut self, act: OAuthAct, now: i64) -> usize {
        let live = |pair: &&mut Pair| match act {
            OAuthAct::Approve | OAuthAct::Deny => false,
            OAuthAct::Expire => now < pair.expires,
            OAuthAct::Revoke => pair.refreshing != Refreshing::Revoked,
        };
        let pairs = self.pairs.iter_mut().filter(live);
        pairs
            .map(|pair| {
                pair.expires = pair.expires.min(now);
                if act == OAuthAct::Revoke {
                    pair.refreshing = Refreshing::Revoked;
                }
            })
            .count()
    }
}

/// What stands in the journal instead of the token that was handed out at this place.
fn label(number: usize) -> String {
    format!("[refresh-{number}]")
}

/// `ABCD-1234`, as a person types it.
fn user_code(letters: &str) -> String {
    let code: String = letters.to_ascii_uppercase().chars().take(8).collect();
    let (first, second) = code.split_at(4);
    format!("{first}-{second}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn ledger(script: &str) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.add(yaml::read("script.yaml", script).unwrap(), 0);
        ledger
    }

    #[test]
    fn a_refresh_token_is_good_once_and_the_new_pair_works() {
        let mut ledger = ledger("{ tokens: [{ access: a1, refresh: r1 }], expires_in: 10 }");
        assert!(ledger.opens("a1", 9));
        assert!(!ledger.opens("a1", 10));
        let second = ledger.refresh("r1", 0, 20).unwrap();
        assert_eq!(second.label, "[refresh-2]");
        assert!(ledger.opens(&second.access, 29));
        assert_eq!(ledger.refresh("r1", 0, 20), Err(NoToken::InvalidGrant));
        assert_eq!(ledger.refresh("r9", 0, 20), Err(NoToken::InvalidGrant));
        let third = ledger.refresh(&second.refresh, 0, 20).unwrap();
        assert_eq!(third.label, "[refresh-3]");
        assert_ne!(second.access, third.access);
    }

    #[test]
    fn who_is_logged_out_gets_nothing_any_more() {
        let mut ledger = ledger("{ tokens: [{ access: a1, refresh: r1 }] }");
        assert_eq!(ledger.act(OAuthAct::Approve, 0), 0);
        assert_eq!(ledger.act(OAuthAct::Revoke, 0), 1);
        assert!(!ledger.opens("a1", 0));
        assert_eq!(ledger.refresh("r1", 0, 0), Err(NoToken::Revoked));
    }

    #[track_caller]
    fn check(script: &str, act: Option<OAuthAct>, heard: &[Result<(), NoToken>]) {
        let mut ledger = ledger(script);
        let begun = ledger.begin(0, 0);
        act.into_iter()
            .for_each(|act| assert_eq!(ledger.act(act, 0), 1));
        let polls: Vec<_> = heard
            .iter()
            .map(|_| ledger.poll(&begun.device_code, 0, 1).map(drop))
            .collect();
        assert_eq!(polls, heard);
    }

    #[test]
    fn a_device_hears_what_the_script_or_the_user_says() {
        use NoToken::{Denied, Expired, Pending, SlowDown};
        check("{}", None, &[Err(Pending), Err(Pending)]);
        check("{}", Some(OAuthAct::Approve), &[Ok(()), Err(Expired)]);
        check("{}", Some(OAuthAct::Deny), &[Err(Denied), Err(Denied)]);
        check("{}", Some(OAuthAct::Expire), &[Err(Expired)]);
        check("{ device: { expires_in: 1 } }", None, &[Err(Expired)]);
        check(
            "{ device: { polls: [pending, slow_down, approve] } }",
            None,
            &[Err(Pending), Err(SlowDown), Ok(()), Err(Expired)],
        );
    }
}
