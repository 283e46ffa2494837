//! Where values come from, layer over layer, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;

use super::table::{SETTINGS, Setting};
use super::{dotenv, file};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    /// `line:column` in `nanokimi.toml`.
    File(String),
    /// A line of `.env`.
    DotEnv(usize),
    /// A variable of the environment.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => write!(f, "nanokimi.toml:{place}"),
            Self::DotEnv(line) => write!(f, ".env:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
        }
    }
}

/// One setting in force, as it is shown.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SettingLine {
    pub key: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// A secret is masked; one that is not set is empty.
    pub value: String,
    pub origin: String,
}

/// The values so far.
#[derive(Debug, Default)]
pub(super) struct Sources {
    given: BTreeMap<&'static str, (String, Origin)>,
    pub(super) problems: Vec<String>,
}

impl Sources {
    pub(super) fn add_file(&mut self, root: &Path) {
        let Some(text) = self.text_of(root, "nanokimi.toml") else {
            return;
        };
        match file::parse(&text) {
            Ok(entries) => {
                for entry in entries {
                    self.add_entry(entry);
                }
            }
            Err((place, message)) => {
                let message = message.trim().replace('\n', ": ");
                self.problems
                    .push(format!("nanokimi.toml:{place}: {message}"));
            }
        }
    }

    fn add_entry(&mut self, entry: file::Entry) {
        let place = &entry.key_at;
        let problem = match (Setting::of_key(&entry.key), entry.value) {
            (None, _) => Some(format!(
                "nanokimi.toml:{place}: there is no setting `{}`; {}",
                entry.key,
                nearest(&entry.key)
            )),
            (Some(setting), _) if setting.secret => Some(format!(
                "nanokimi.toml:{place}: `{}` is a secret: put {} into .env or the environment",
                entry.key,
                setting.aliases.first().unwrap_or(&setting.key)
            )),
            (Some(_), Err(found)) => Some(format!(
                "nanokimi.toml:{}: {}: expected a text, a number or true or false, found {found}",
                entry.value_at, entry.key
            )),
            (Some(setting), Ok(value)) => {
                let origin = Origin::File(entry.value_at);
                self.given.insert(setting.key, (value, origin));
                None
            }
        };
        self.problems.extend(problem);
    }

    pub(super) fn add_dotenv(&mut self, root: &Path) {
        let Some(text) = self.text_of(root, ".env") else {
            return;
        };
        let (entries, broken) = dotenv::parse(&text);
        for line in broken {
            self.problems
                .push(format!(".env:{line}: expected KEY=VALUE, without `export`"));
        }
        let lines = entries
            .into_iter()
            .map(|entry| (entry.key, (entry.value, Origin::DotEnv(entry.line))))
            .collect();
        self.add_named(&lines);
    }

    pub(super) fn add_environment(&mut self, environment: &BTreeMap<String, String>) {
        let variables = environment
            .iter()
            .map(|(name, value)| {
                let origin = Origin::Environment(name.clone());
                (name.clone(), (value.clone(), origin))
            })
            .collect();
        self.add_named(&variables);
    }

    /// Takes what is in the table and leaves the rest: it is none of our business.
    fn add_named(&mut self, named: &BTreeMap<String, (String, Origin)>) {
        for setting in SETTINGS {
            let given = setting
                .names()
                .filter_map(|name| named.get(&name))
                .find(|(value, _)| !value.is_empty());
            if let Some(given) = given {
                self.given.insert(setting.key, given.clone());
            }
        }
    }

    fn text_of(&mut self, root: &Path, name: &str) -> Option<String> {
        match fs_err::read_to_string(root.join(name)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.problems.push(error.to_string());
                None
            }
        }
    }

    /// Reads a value by `parse`; `expected` says what would have been one.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let default = Setting::of_key(key).and_then(|setting| setting.default);
        let (text, origin) = match self.given.get(key) {
            Some((text, origin)) => (text.as_str(), origin.clone()),
            None => (default?, Origin::Default),
        };
        let value = parse(text);
        if value.is_none() {
            let problem = format!("{origin}: {key}: expected {expected}, found `{text}`");
            self.problems.push(problem);
        }
        value
    }

    /// Objects to a value that is well formed.
    pub(super) fn object(&mut self, key: &str, why: &str) {
        let given = self.given.get(key);
        let origin = given.map_or(Origin::Default, |(_, origin)| origin.clone());
        self.problems.push(format!("{origin}: {key}: {why}"));
    }

    /// Reads a value that may be missing: none inside, none outside if it is wrong.
    #[expect(clippy::option_option, reason = "missing is not the same as wrong")]
    pub(super) fn read_optional<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.given.contains_key(key) {
            self.read(key, expected, parse).map(Some)
        } else {
            Some(None)
        }
    }

    /// The first of these secrets that is given, with the name agents know it by.
    pub(super) fn secret(&self, keys: &[&'static str]) -> Option<(&'static str, String)> {
        keys.iter().find_map(|key| {
            let name = Setting::of_key(key)?.aliases.first()?;
            let (value, _) = self.given.get(key)?;
            Some((*name, value.clone()))
        })
    }

    /// Every setting; `resolved` are those whose value stands for another one.
    /// Every secret that is given, in use or not.
    pub(super) fn secrets(&self) -> Vec<String> {
        let secret = SETTINGS.iter().filter(|setting| setting.secret);
        secret
            .filter_map(|setting| self.given.get(setting.key))
            .map(|(value, _)| value.clone())
            .collect()
    }

    pub(super) fn lines(&self, resolved: &[(&str, String)]) -> Vec<SettingLine> {
        SETTINGS
            .iter()
            .map(|setting| {
                let given = self.given.get(setting.key);
                let resolved = resolved.iter().find(|(key, _)| *key == setting.key);
                let value = match (resolved, given) {
                    (Some((_, value)), _) => value,
                    (None, Some(_)) if setting.secret => "[secret]",
                    (None, Some((value, _))) => value,
                    (None, None) => setting.default.unwrap_or_default(),
                };
                let origin = match given {
                    Some((_, Origin::File(place))) => {
                        let line = place.split(':').next().unwrap_or(place);
                        Origin::File(line.to_owned())
                    }
                    Some((_, origin)) => origin.clone(),
                    None => Origin::Default,
                };
                SettingLine {
                    key: setting.key,
                    doc: setting.doc,
                    value: value.to_owned(),
                    origin: origin.to_string(),
                }
            })
            .collect()
    }
}

/// The variables of `.env` and the environment that look like settings and are none, each with
/// what may be meant.
pub(crate) fn unknown_names(
    root: &Path,
    environment: &BTreeMap<String, String>,
) -> Vec<(String, String)> {
    let of_file = match fs_err::read_to_string(root.join(".env")) {
        Ok(text) => dotenv::parse(&text).0,
        // That it cannot be read is told when it is loaded.
        Err(_unreadable) => Vec::new(),
    };
    let names = of_file.iter().map(|entry| &entry.key);
    let names: BTreeSet<&String> = names.chain(environment.keys()).collect();
    let is_ours = |name: &str| {
        let mut names = SETTINGS.iter().flat_map(Setting::names);
        names.any(|own| own == name)
    };
    names
        .into_iter()
        .filter(|name| !is_ours(name))
        .filter_map(|name| {
            let key = name.strip_prefix("NANOKIMI_")?.to_ascii_lowercase();
            Some((name.clone(), nearest(&key)))
        })
        .collect()
}

/// The key somebody may have meant: the one that shares most of its letters in order.
fn nearest(key: &str) -> String {
    let best = SETTINGS
        .iter()
        .filter(|setting| !setting.secret)
        .map(|setting| (strsim::jaro_winkler(key, setting.key), setting.key))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((likeness, best)) if likeness > 0.8 => format!("did you mean `{best}`?"),
        Some(_) | None => "`nanokimi config` lists them".to_owned(),
    }
}
