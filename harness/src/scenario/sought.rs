//! What `expect` waits for and `never` must not see: an event, or a state.
//!
//! A state has its name as the key (`db.sessions: …`), so these are read by hand.

use std::borrow::Cow;
use std::fmt;

use mock_server::yaml::{At, one_of};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::matcher::Matcher;
use super::step::Hear;
use super::templates::{Names, UnknownName};
use mock_server::Lapse;

/// Something that happens or comes to be.
#[derive(Debug)]
pub(crate) enum Sought {
    /// An entry of the journal.
    Event {
        event: At<String>,
        fields: Option<At<Matcher>>,
    },
    /// Something that can be read at any time.
    State {
        state: StateName,
        matcher: At<Matcher>,
    },
    /// The assistant in a chat.
    Heard(Box<Hear>),
}

/// What must come within its time.
#[derive(Debug)]
pub(crate) struct Expect {
    pub(crate) sought: Sought,
    /// How often since the scenario began; once after the last match if it is not given.
    pub(crate) count: Option<At<Matcher>>,
    pub(crate) within: Option<Lapse>,
}

/// What must not come while the virtual clock moves on.
#[derive(Debug)]
pub(crate) struct Never {
    pub(crate) sought: Sought,
    pub(crate) lapse: Lapse,
}

/// A state and how to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StateName {
    /// The rows of a table of the store.
    Table(String),
    /// A file below the root folder; with `*`, the list of those that are there.
    Files(String),
    /// What lies in a bucket of the storage.
    Storage(String),
    /// The lines of the log.
    Log,
    /// What the container engine shows of nanokimi's agents.
    Containers,
}

impl StateName {
    #[must_use]
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let table = |name: &str| {
            let word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            (!name.is_empty() && name.bytes().all(word)).then(|| Self::Table(name.to_owned()))
        };
        match name.split_once('.') {
            Some(("db", name)) => table(name),
            Some(("files", glob)) if !glob.is_empty() => Some(Self::Files(glob.to_owned())),
            Some(("engine", "containers")) => Some(Self::Containers),
            Some(("storage", bucket)) if !bucket.is_empty() => {
                Some(Self::Storage(bucket.to_owned()))
            }
            Some(_) => None,
            None => (name == "log").then_some(Self::Log),
        }
    }
}

impl StateName {
    /// With values in the place of names: files may be named by what was captured.
    ///
    /// # Errors
    /// A name that has no value.
    pub(crate) fn filled(&self, names: &Names) -> Result<Self, UnknownName> {
        Ok(match self {
            Self::Files(glob) => Self::Files(names.fill_text(glob)?),
            Self::Table(_) | Self::Storage(_) | Self::Log | Self::Containers => self.clone(),
        })
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(name) => write!(f, "db.{name}"),
            Self::Files(glob) => write!(f, "files.{glob}"),
            Self::Storage(bucket) => write!(f, "storage.{bucket}"),
            Self::Log => f.write_str("log"),
            Self::Containers => f.write_str("engine.containers"),
        }
    }
}

/// All keys either step may have, before it is known which of them are there.
#[derive(Default)]
struct Given {
    event: Option<At<String>>,
    fields: Option<At<Matcher>>,
    state: Option<(StateName, At<Matcher>)>,
    heard: Option<Hear>,
    count: Option<At<Matcher>>,
    within: Option<Lapse>,
    lapse: Option<Lapse>,
}

impl Given {
    fn sought<E: Error>(&mut self) -> Result<Sought, E> {
        match (self.event.take(), self.state.take(), self.heard.take()) {
            (Some(event), None, None) => Ok(Sought::Event {
                event,
                fields: self.fields.take(),
            }),
            (None, Some((state, matcher)), None) if self.fields.is_none() => {
                Ok(Sought::State { state, matcher })
            }
            (None, None, Some(heard)) if self.fields.is_none() => {
                Ok(Sought::Heard(Box::new(heard)))
            }
            _ => Err(E::custom(
                "say one thing to look for\nhelp: write `event: …` (and `where: {…}`), or a state such as `db.sessions: …`",
            )),
        }
    }
}

enum Word {
    Event,
    Where,
    Hear,
    Count,
    Within,
    For,
    State(StateName),
}

/// The keys of `expect`, then those of `never`.
trait Vocabulary {
    const KEYS: &'static [&'static str];
}

struct OfExpect;
struct OfNever;

impl Vocabulary for OfExpect {
    const KEYS: &'static [&'static str] = &[
        "event",
        "where",
        "count",
        "within",
        "db.<table>",
        "files.<glob>",
        "storage.<bucket>",
        "log",
        "engine.containers",
    ];
}

impl Vocabulary for OfNever {
    const KEYS: &'static [&'static str] = &[
        "event",
        "where",
        "hear",
        "for",
        "db.<table>",
        "files.<glob>",
        "storage.<bucket>",
        "log",
        "engine.containers",
    ];
}

struct Key<V> {
    word: Word,
    vocabulary: std::marker::PhantomData<V>,
}

impl<'de, V: Vocabulary> Deserialize<'de> for Key<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let listed = V::KEYS.contains(&name.as_str());
        let word = match (name.as_str(), StateName::parse(&name)) {
            (_, Some(state)) => Word::State(state),
            ("event", None) => Word::Event,
            ("where", None) => Word::Where,
            ("hear", None) if listed => Word::Hear,
            ("count", None) if listed => Word::Count,
            ("within", None) if listed => Word::Within,
            ("for", None) if listed => Word::For,
            (unknown, None) => {
                let help = one_of(unknown, V::KEYS.iter().copied());
                let message = format_args!("unknown key `{unknown}`\nhelp: {help}");
                return Err(D::Error::custom(message));
            }
        };
        Ok(Self {
            word,
            vocabulary: std::marker::PhantomData,
        })
    }
}

struct Reader<V>(std::marker::PhantomData<V>);

impl<'de, V: Vocabulary> Visitor<'de> for Reader<V> {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a map of {}", V::KEYS.join(", "))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Given, A::Error> {
        let mut given = Given::default();
        while let Some(key) = entries.next_key::<Key<V>>()? {
            match key.word {
                Word::Event => given.event = Some(entries.next_value()?),
                Word::Where => given.fields = Some(entries.next_value()?),
                Word::Hear => given.heard = Some(entries.next_value()?),
                Word::Count => given.count = Some(entries.next_value()?),
                Word::Within => given.within = Some(entries.next_value()?),
                Word::For => given.lapse = Some(entries.next_value()?),
                Word::State(state) => given.state = Some((state, entries.next_value()?)),
            }
        }
        Ok(given)
    }
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reader = Reader::<OfExpect>(std::marker::PhantomData);
        let mut given = deserializer.deserialize_map(reader)?;
        Ok(Self {
            sought: given.sought()?,
            count: given.count,
            within: given.within,
        })
    }
}

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reader = Reader::<OfNever>(std::marker::PhantomData);
        let mut given = deserializer.deserialize_map(reader)?;
        Ok(Self {
            sought: given.sought()?,
            lapse: given.lapse.ok_or_else(|| D::Error::missing_field("for"))?,
        })
    }
}

fn described(generator: &mut SchemaGenerator, own: &serde_json::Value) -> Schema {
    let matcher = generator.subschema_for::<Matcher>();
    let mut properties = json_schema!({
        "event": { "type": "string", "description": "The name of an event." },
        "where": matcher,
        "log": matcher,
        "engine.containers": matcher,
    });
    if let (Some(all), Some(own)) = (properties.as_object_mut(), own.as_object()) {
        all.extend(own.clone());
    }
    json_schema!({
        "type": "object",
        "properties": properties,
        "patternProperties": { r"^(db\.[a-z_]+|files\..+)$": matcher },
        "additionalProperties": false,
    })
}

impl JsonSchema for Expect {
    fn schema_name() -> Cow<'static, str> {
        "Expect".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let lapse = generator.subschema_for::<Lapse>();
        let count = generator.subschema_for::<Matcher>();
        let own = serde_json::json!({ "within": lapse, "count": count });
        described(generator, &own)
    }
}

impl JsonSchema for Never {
    fn schema_name() -> Cow<'static, str> {
        "Never".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let lapse = generator.subschema_for::<Lapse>();
        let hear = generator.subschema_for::<Hear>();
        let own = serde_json::json!({ "for": lapse, "hear": hear });
        let mut schema = described(generator, &own);
        schema.insert("required".to_owned(), serde_json::json!(["for"]));
        schema
    }
}
