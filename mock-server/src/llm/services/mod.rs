//! What the services have beside the model: accounts, logins, lists, files and the web.
//!
//! State and rules; the HTTP is in `routes`. What the model says is none of its business.

pub(crate) mod account;
pub(crate) mod admission;
pub(crate) mod catalogue;
mod files;
mod gate;
mod generations;
mod letterhead;
mod routes;
pub(crate) mod routing;
mod scripted;
mod upload;
pub(crate) mod web;

pub use account::{Account, Balance, KeyOnRecord, Quota};
pub use admission::{Agents, Keys};
pub use catalogue::{ListedModel, Price};
pub use scripted::ScriptedServices;
pub use web::{Finding, ScriptedPage, ScriptedSearch};

pub(crate) use gate::{Door, admit};
pub(crate) use letterhead::{device, wants_metadata};
pub(crate) use routes::side_routes;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::journal::Journal;
use crate::llm::dialect::Dialect;
use crate::llm::oauth::OAuthAct;
use crate::llm::oauth::ledger::{Begun, Issued, Ledger};
use crate::llm::oauth::refusal::NoToken;
use crate::llm::score::lines::Reply;
use crate::llm::services::catalogue::Catalogue;
use crate::llm::services::files::Files;
use crate::llm::services::generations::Generations;
use crate::llm::services::routing::{NoProvider, Order, Route};
use crate::llm::services::web::Web;

/// All of it. Locked for moments, and never for a question to OpenAI.
#[derive(Debug)]
pub(crate) struct Services {
    journal: Journal,
    seed: u64,
    /// Looked at by every request, changed by scripts.
    doors: RwLock<Arc<Doors>>,
    state: Mutex<State>,
}

/// Who is let in.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    keys: Option<Keys>,
    agents: Agents,
}

#[derive(Debug)]
struct State {
    catalogue: Catalogue,
    account: Account,
    ledger: Ledger,
    web: Web,
    files: Files,
    generations: Generations,
}

impl Default for State {
    fn default() -> Self {
        Self {
            catalogue: Catalogue::of(None),
            account: Account::default(),
            ledger: Ledger::default(),
            web: Web::default(),
            files: Files::default(),
            generations: Generations::default(),
        }
    }
}

impl Services {
    pub(crate) fn new(journal: Journal, seed: u64) -> Self {
        Self {
            journal,
            seed,
            doors: RwLock::default(),
            state: Mutex::default(),
        }
    }

    /// Takes over what a script says.
    pub(crate) fn add(&self, script: ScriptedServices) {
        if script.keys.is_some() || script.agents.is_some() {
            let mut doors = self.doors.write().unwrap_or_else(PoisonError::into_inner);
            *doors = Arc::new(Doors {
                keys: script.keys.or_else(|| doors.keys.clone()),
                agents: script.agents.unwrap_or_else(|| doors.agents.clone()),
            });
        }
        let mut state = self.state();
        if script.models.is_some() {
            state.catalogue = Catalogue::of(script.models);
        }
        if let Some(account) = script.account {
            state.account = account;
        }
        if let Some(oauth) = script.oauth {
            state.ledger.add(oauth, self.now());
        }
        state.web.searches.extend(script.search);
        state.web.pages.extend(script.pages);
        self.hide_secrets(&state);
    }

    /// Forgets what scripts said and what clients did.
    pub(crate) fn reset(&self) {
        *self.doors.write().unwrap_or_else(PoisonError::into_inner) = Arc::default();
        *self.state() = State::default();
    }

    pub(crate) fn doors(&self) -> Arc<Doors> {
        let doors = self.doors.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&doors)
    }

    /// How many tokens the service's model of that name can hold, if it is listed.
    pub(crate) fn context_of(&self, dialect: Dialect, model: &str) -> Option<u64> {
        let state = self.state();
        let listed = state.catalogue.find(dialect, model);
        listed.map(|listed| listed.context_length)
    }

    /// What every model that is listed can hold.
    pub(crate) fn shortest_context(&self) -> u64 {
        self.state().catalogue.shortest_context()
    }

    /// The way of an answer of OpenRouter's.
    pub(crate) fn route(&self, order: &Order<'_>) -> Result<Route, NoProvider> {
        Route::find(&self.state().catalogue, order)
    }

    /// An answer came to its end.
    pub(crate) fn delivered(&self, reply: &Reply) {
        if let Some(route) = &reply.route {
            let mut state = self.state();
            let after = i64::try_from(state.account.told_after.length().as_secs());
            let from = self.now().saturating_add(after.unwrap_or(i64::MAX));
            state.generations.give(reply, route, from);
        }
    }

    pub(crate) fn begin_login(&self) -> Begun {
        let mut state = self.state();
        let begun = state.ledger.begin(self.seed, self.now());
        self.hide_secrets(&state);
        begun
    }

    pub(crate) fn poll(&self, code: &str) -> Result<Issued, NoToken> {
        let mut state = self.state();
        let issued = state.ledger.poll(code, self.seed, self.now());
        self.hide_secrets(&state);
        issued
    }

    /// What the journal calls the token, and what came of it.
    pub(crate) fn refresh(&self, token: &str) -> (String, Result<Issued, NoToken>) {
        let mut state = self.state();
        let label = state.ledger.label(token);
        let issued = state.ledger.refresh(token, self.seed, self.now());
        self.hide_secrets(&state);
        (label, issued)
    }

    pub(crate) fn act(&self, act: OAuthAct) -> usize {
        self.state().ledger.act(act, self.now())
    }

    fn hide_secrets(&self, state: &State) {
        for secret in state.ledger.secrets() {
            self.journal.hide(secret);
        }
    }

    /// The scenario's time if it has one, in seconds since 1970.
    fn now(&self) -> i64 {
        let now = self.journal.now().unwrap_or_else(jiff::Timestamp::now);
        now.as_second()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
