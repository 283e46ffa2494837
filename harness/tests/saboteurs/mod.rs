//! The suite proves itself: for each of these faults there is a saboteur, who breaks nanokimi in
//! that way, and there are scenarios that fail with it, and for that reason.

mod deeds;

use std::time::{Duration, Instant};

use harness::{Form, Outcome, Performance, Scenario, Snapshots, Verdict, load, told};
use libtest_mimic::{Failed, Trial};

use crate::limits::{self, Patience};
use crate::means::{performance, workspace};

pub(crate) use deeds::disguised;
use deeds::{Deed, Disguises};

/// Who breaks nanokimi in one way.
#[derive(Debug)]
struct Saboteur {
    /// What it does, in words with dashes between them.
    name: &'static str,
    deed: Deed,
    /// The scenarios that notice.
    caught_by: &'static [Caught],
}

/// A scenario that fails with a saboteur.
#[derive(Debug)]
struct Caught {
    scenario: &'static str,
    /// Words of its first failure that are said for this reason, and for no other.
    says: &'static str,
}

const fn by(scenario: &'static str, says: &'static str) -> Caught {
    Caught { scenario, says }
}

/// With nobody but this one at work every scenario passes as it does alone.
static IDLER: Saboteur = Saboteur {
    name: "does-nothing",
    deed: Deed::InTheStore(""),
    caught_by: &[],
};

const IN_THE_LOG: &str = "a secret stands in \"logs/nanokimi.log\"";

static SABOTEURS: [Saboteur; 10] = [
    Saboteur {
        name: "drops-each-reply",
        deed: Deed::InTheStore(
            "CREATE TRIGGER IF NOT EXISTS sabotage AFTER INSERT ON outbox
             BEGIN DELETE FROM outbox WHERE id = NEW.id; END",
        ),
        caught_by: &[
            by("chat/answer-to-a-message", "+ \"\""),
            by(
                "whatsapp/a-direct-message-is-answered",
                "; 0 of its kind came",
            ),
        ],
    },
    Saboteur {
        name: "answers-twice",
        // As what an agent sends on the way, which may be any number of texts. The beginning of
        // an id says on which channel it is good.
        deed: Deed::InTheStore(
            "CREATE TRIGGER IF NOT EXISTS sabotage AFTER INSERT ON outbox
             BEGIN
                INSERT INTO outbox (chat_jid, run_id, text, media_group, media_path, message_id,
                                    after_seq, state, created_at)
                VALUES (NEW.chat_jid, NEW.run_id, NEW.text, NEW.media_group, NEW.media_path,
                        substr(NEW.message_id, 1, 4) || hex(randomblob(9)),
                        NEW.after_seq, NEW.state, NEW.created_at);
             END",
        ),
        caught_by: &[
            by("persistence/an-answer-is-given-once", "- a list of 1\n"),
            by("whatsapp/delivered-twice-answered-once", "got: 2 times"),
        ],
    },
    Saboteur {
        name: "swaps-two-groups",
        deed: Deed::InTheStore(
            "CREATE TRIGGER IF NOT EXISTS sabotage AFTER INSERT ON outbox
             WHEN EXISTS (SELECT 1 FROM groups WHERE chat_jid = NEW.chat_jid AND is_main = 0)
             BEGIN
                UPDATE outbox SET chat_jid = coalesce(
                    (SELECT chat_jid FROM groups WHERE chat_jid <> NEW.chat_jid AND is_main = 0
                     ORDER BY folder LIMIT 1),
                    NEW.chat_jid)
                WHERE id = NEW.id;
             END",
        ),
        caught_by: &[by("whatsapp/a-backlog-comes-in-order", "+ \"Kai: Pasta.\"")],
    },
    Saboteur {
        name: "forgets-the-session",
        deed: Deed::InTheStore(
            "CREATE TRIGGER IF NOT EXISTS sabotage AFTER INSERT ON sessions
             BEGIN DELETE FROM sessions WHERE group_folder = NEW.group_folder; END",
        ),
        caught_by: &[
            by("sessions/the-conversation-goes-on", "- a list of 6\n"),
            by("sessions/resumed-after-a-kill", "no turn answers"),
        ],
    },
    Saboteur {
        name: "ignores-authorisation",
        // To nanokimi any number but zero says that a group is main; the index that allows only
        // one of them looks at ones.
        deed: Deed::InTheStore(
            "CREATE TRIGGER IF NOT EXISTS sabotage AFTER INSERT ON groups WHEN NEW.is_main = 0
             BEGIN UPDATE groups SET is_main = 2 WHERE folder = NEW.folder; END",
        ),
        caught_by: &[
            by(
                "ipc/messages-go-where-they-may",
                "`ipc.refused` where group is \"ada\", operation is \"message\" did not come",
            ),
            by(
                "ipc/groups-are-registered-by-main",
                "`ipc.refused` where group is \"ada\", operation is \"register_group\" did not come",
            ),
        ],
    },
    Saboteur {
        name: "loses-tasks-on-restart",
        deed: Deed::BeforeItServes("DELETE FROM tasks"),
        caught_by: &[
            by(
                "persistence/everything-survives-a-stop",
                "`db.tasks` did not come to be as expected",
            ),
            by(
                "scheduler/missed-runs-are-made-up-once",
                "\"Kai: Watered.\" did not come in time",
            ),
        ],
    },
    Saboteur {
        name: "leaks-an-agent",
        deed: Deed::LosesAnAgent,
        caught_by: &[by(
            "chat/answer-to-a-message",
            "a process of nanokimi outlived it",
        )],
    },
    Saboteur {
        name: "logs-a-secret",
        deed: Deed::Logs(".env"),
        caught_by: &[by("chat/answer-to-a-message", IN_THE_LOG)],
    },
    Saboteur {
        name: "logs-its-own-token",
        // It is there from the first start on, and so logged by the second.
        deed: Deed::Logs("data/api-token"),
        caught_by: &[by("sessions/resumed-after-a-kill", IN_THE_LOG)],
    },
    Saboteur {
        name: "prints-a-secret",
        deed: Deed::Prints(".env"),
        caught_by: &[by(
            "chat/answer-to-a-message",
            "a secret stands in what nanokimi has printed",
        )],
    },
];

/// Whoever is called so.
fn known(name: &str) -> Option<&'static Saboteur> {
    let mut all = SABOTEURS.iter().chain([&IDLER]);
    all.find(|saboteur| saboteur.name == name)
}

/// One test for each.
pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    SABOTEURS
        .iter()
        .map(|saboteur| Trial::test(saboteur.test(), move || saboteur.is_caught()))
}

/// nextest lets each of these tests come to its own end.
pub(crate) fn suffices(patience: &Patience) -> Result<(), Failed> {
    for saboteur in &SABOTEURS {
        let mut longest = Duration::ZERO;
        for caught in saboteur.caught_by {
            longest = longest.max(limits::longest(&caught.rows()?, Form::Process));
        }
        patience.suffices(&saboteur.test(), limits::rows(Form::Process) + longest)?;
    }
    Ok(())
}

impl Saboteur {
    fn test(&self) -> String {
        format!("saboteurs::{}", self.name)
    }

    /// Its scenarios fail with it, for the right reason, and pass where its place is taken by
    /// one who does nothing.
    fn is_caught(&self) -> Result<(), Failed> {
        self.is_told()?;
        let traces = workspace().join("target/harness/saboteurs").join(self.name);
        let usual = performance(traces, &[], Form::Process)?;
        let disguises = Disguises::make(&usual.means.binaries.nanokimi)?;
        let with = |saboteur: &Self| -> Result<Performance, Failed> {
            let mut performance = Performance {
                trace_all: false,
                // What is shown now must never be taken for right.
                snapshots: Snapshots::Compare,
                ..usual.clone()
            };
            performance.means.binaries.nanokimi = disguises.of(saboteur.name)?;
            Ok(performance)
        };
        let (idle, spoilt) = (with(&IDLER)?, with(self)?);
        let began = Instant::now();
        let play = |performance: &Performance, scenario: &Scenario| -> Result<Outcome, Failed> {
            if began.elapsed() > limits::rows(Form::Process) {
                let why = "was not played: those before took too long";
                return Err(format!("{} {why}", scenario.name()).into());
            }
            Ok(performance.play(scenario)?)
        };
        for caught in self.caught_by {
            for scenario in caught.rows()? {
                passes(&play(&idle, &scenario)?)?;
                caught.fails(&play(&spoilt, &scenario)?)?;
            }
        }
        Ok(())
    }

    /// COVERAGE.md names the same scenarios.
    fn is_told(&self) -> Result<(), Failed> {
        let table = fs_err::read_to_string(workspace().join("scenarios/COVERAGE.md"))?;
        let title = self.name.replace('-', " ");
        let is_ours = |row: &&str| {
            let first = row.split('|').nth(1).map_or("", str::trim);
            first.split_once(' ').is_some_and(|(_, name)| name == title)
        };
        let row = table.lines().find(is_ours);
        let row = row.ok_or_else(|| format!("scenarios/COVERAGE.md has no row `{title}`"))?;
        let links = row.split("](").skip(1);
        let named: Vec<&str> = links
            .filter_map(|rest| Some(rest.split_once(".yaml)")?.0))
            .collect();
        let held = self.caught_by.iter().map(|caught| caught.scenario);
        let held: Vec<&str> = held.collect();
        if named == held {
            return Ok(());
        }
        let message = format!(
            "scenarios/COVERAGE.md says that `{title}` is caught by {named:?}, and it is by {held:?}"
        );
        Err(message.into())
    }
}

impl Caught {
    fn rows(&self) -> Result<Vec<Scenario>, Failed> {
        let file = workspace().join(format!("scenarios/{}.yaml", self.scenario));
        Ok(load(&file)?)
    }

    fn fails(&self, outcome: &Outcome) -> Result<(), Failed> {
        let first = match &outcome.verdict {
            Verdict::Failed(failures) => failures.first(),
            Verdict::Passed | Verdict::Broke(_) => None,
        };
        let Some(first) = first else {
            let story = told(outcome);
            return Err(format!("the sabotage was not noticed:\n{story}").into());
        };
        let notes = first.notes.iter().map(String::as_str);
        let said: Vec<&str> = [first.headline.as_str()].into_iter().chain(notes).collect();
        if said.join("\n").contains(self.says) {
            return Ok(());
        }
        let (says, story) = (self.says, told(outcome));
        Err(format!("it failed, but its first failure does not say `{says}`:\n{story}").into())
    }
}

/// Otherwise its failure with a saboteur would prove nothing.
fn passes(outcome: &Outcome) -> Result<(), Failed> {
    match outcome.verdict {
        Verdict::Passed => Ok(()),
        Verdict::Failed(_) | Verdict::Broke(_) => {
            let story = told(outcome);
            Err(format!("it fails although nobody has spoilt anything:\n{story}").into())
        }
    }
}
