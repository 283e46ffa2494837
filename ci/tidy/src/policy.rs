//! What may come into the build: the lists of `deny.toml`, which cargo-deny reads as well.

use toml::{Table, Value};

use crate::licence;
use crate::repository::TextFile;

/// Which platforms, licences and packages we take.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) platforms: Vec<String>,
    licences: Vec<String>,
    banned: Vec<Ban>,
    /// What a package is really under, whatever its manifest says.
    clarified: Vec<Clarification>,
    /// Licences taken for one package alone.
    excepted: Vec<Exception>,
}

#[derive(Clone, Debug)]
struct Clarification {
    package: String,
    expression: String,
}

#[derive(Clone, Debug)]
struct Exception {
    package: String,
    licences: Vec<String>,
}

#[derive(Clone, Debug)]
struct Ban {
    name: String,
    reason: String,
}

/// `deny.toml` does not say what we need to know.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("deny.toml is not TOML")]
    Syntax(#[from] toml::de::Error),
    #[error("deny.toml: `{0}` is missing or is not the list it should be")]
    Missing(&'static str),
}

impl Policy {
    pub fn read(deny: &TextFile) -> Result<Self, PolicyError> {
        let table: Table = deny.text.parse()?;
        Ok(Self {
            platforms: list(&table, "graph.targets", text)?,
            licences: list(&table, "licenses.allow", text)?,
            banned: list(&table, "bans.deny", ban)?,
            clarified: list_or_none(&table, "licenses.clarify", clarification)?,
            excepted: list_or_none(&table, "licenses.exceptions", exception)?,
        })
    }

    /// What the package is really under, if its manifest does not tell.
    pub(crate) fn clarified(&self, package: &str) -> Option<&str> {
        let mut known = self.clarified.iter();
        let known = known.find(|known| known.package == package)?;
        Some(&known.expression)
    }

    /// Whether the expression can be met with the licences that we take of this package.
    pub(crate) fn allows(&self, package: &str, expression: &str) -> bool {
        let excepted = self.excepted.iter().filter(|only| only.package == package);
        let excepted: Vec<&String> = excepted.flat_map(|only| &only.licences).collect();
        licence::met(expression, &|licence| {
            let mut taken = self.licences.iter().chain(excepted.iter().copied());
            taken.any(|taken| taken == licence)
        })
    }

    /// What to do instead of taking this package; none if it may be taken.
    pub(crate) fn instead_of(&self, name: &str) -> Option<&str> {
        let ban = self.banned.iter().find(|ban| ban.name == name)?;
        Some(&ban.reason)
    }
}

fn list<T>(
    table: &Table,
    key: &'static str,
    item: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, PolicyError> {
    let mut parts = key.split('.');
    let section = parts.next().and_then(|name| table.get(name));
    let found = parts.next().and_then(|name| section?.get(name)?.as_array());
    let items = found.and_then(|items| items.iter().map(item).collect::<Option<Vec<T>>>());
    match items {
        Some(items) if !items.is_empty() => Ok(items),
        Some(_) | None => Err(PolicyError::Missing(key)),
    }
}

/// As [`list`], for a list that may be left out.
fn list_or_none<T>(
    table: &Table,
    key: &'static str,
    item: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, PolicyError> {
    let (section, name) = key.split_once('.').unwrap_or((key, ""));
    match table.get(section).and_then(|section| section.get(name)) {
        Some(_) => list(table, key, item),
        None => Ok(Vec::new()),
    }
}

/// `name`, or `name@=1.2.3`: the lock file pins the version already.
fn package(value: &Value) -> Option<String> {
    let spec = value.get("crate")?.as_str()?;
    Some(spec.split('@').next()?.to_owned())
}

fn clarification(value: &Value) -> Option<Clarification> {
    Some(Clarification {
        package: package(value)?,
        expression: text(value.get("expression")?)?,
    })
}

fn exception(value: &Value) -> Option<Exception> {
    let licences = value.get("allow")?.as_array()?;
    Some(Exception {
        package: package(value)?,
        licences: licences.iter().map(text).collect::<Option<_>>()?,
    })
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn ban(value: &Value) -> Option<Ban> {
    Some(Ban {
        name: text(value.get("crate")?)?,
        reason: text(value.get("reason")?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(deny: &str, expected: &str) {
        let deny = TextFile {
            path: "deny.toml".to_owned(),
            text: deny.to_owned(),
        };
        assert_eq!(Policy::read(&deny).unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_policy_that_says_nothing_is_refused() {
        check_error("[graph", "deny.toml is not TOML");
        check_error(
            "",
            "deny.toml: `graph.targets` is missing or is not the list it should be",
        );
        let graph = "[graph]\ntargets = [\"x\"]\n";
        let licences = "deny.toml: `licenses.allow` is missing or is not the list it should be";
        check_error(&format!("{graph}[licenses]\nallow = []"), licences);
        check_error(&format!("{graph}[licenses]\nallow = [1]"), licences);
    }

    #[test]
    fn a_ban_gives_its_reason() {
        let unreasoned = "[graph]\ntargets = [\"x\"]\n[licenses]\nallow = [\"MIT\"]\n[bans]\ndeny = [{ crate = \"a\" }]";
        check_error(
            unreasoned,
            "deny.toml: `bans.deny` is missing or is not the list it should be",
        );
    }
}
