//! Decodes a tree of nodes into types, as a `serde` deserializer whose errors have a place.
//!
//! Nodes that are found in `left_out` are passed over as if they were not written.

use std::collections::HashSet;

use serde::de::value::{StrDeserializer, U64Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Number;

use super::at::AT;
use super::fault::{Fault, Kind};
use super::node::{Content, Key, Node};
use super::scalar;
use super::source::Span;

/// Decodes one node.
#[derive(Clone, Copy)]
pub(super) struct Decoder<'a> {
    pub(super) node: &'a Node,
    pub(super) left_out: &'a HashSet<u32>,
    /// The key whose value this is: where to say that something is missing.
    pub(super) key: Option<&'a Key>,
}

impl<'a> Decoder<'a> {
    fn at(self, node: &'a Node, key: Option<&'a Key>) -> Self {
        Self {
            node,
            key,
            left_out: self.left_out,
        }
    }

    fn placed(self, fault: Fault) -> Fault {
        let span = match (&fault.kind, &self.node.content) {
            (Kind::Missing(_), _) => self.naming_span(),
            (_, Content::Map(_) | Content::List(_)) => self.naming_span(),
            (_, _) => self.node.span,
        };
        fault.at(span, self.node.id)
    }

    /// A map over many lines is pointed at by its name, or else its first key.
    fn naming_span(self) -> Span {
        match (&self.node.content, self.key) {
            (_, Some(key)) => key.span,
            (Content::Map(entries), None) => {
                entries.first().map_or(self.node.span, |(key, _)| key.span)
            }
            (_, None) => self.node.span,
        }
    }

    fn any<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.content {
            Content::Null => visitor.visit_unit(),
            Content::Bool(value) => visitor.visit_bool(*value),
            Content::Number(number) => visit_number(number, visitor),
            Content::Text { text, plain } => {
                let other = scalar::ambiguity(text).filter(|_| *plain);
                other.map_or_else(
                    || visitor.visit_str(text),
                    |other| Err(doubtful(text, other)),
                )
            }
            Content::List(items) => visitor.visit_seq(Items {
                decoder: self,
                rest: items.iter(),
            }),
            Content::Map(entries) => self.map(entries, visitor),
        }
    }

    fn map<'de, V: Visitor<'de>>(
        self,
        entries: &'a [(Key, Node)],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_map(Entries {
            decoder: self,
            rest: entries.iter(),
            value: None,
        })
    }

    fn kept(self, entries: &'a [(Key, Node)]) -> Vec<&'a (Key, Node)> {
        let left_out = self.left_out;
        entries
            .iter()
            .filter(|(_, value)| !left_out.contains(&value.id))
            .collect()
    }
}

fn visit_number<'de, V: Visitor<'de>>(number: &Number, visitor: V) -> Result<V::Value, Fault> {
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(number), _, _) => visitor.visit_u64(number),
        (None, Some(number), _) => visitor.visit_i64(number),
        (None, None, Some(number)) => visitor.visit_f64(number),
        (None, None, None) => Err(Fault::custom("a number that is too large")),
    }
}

fn doubtful(text: &str, other: &str) -> Fault {
    Fault::custom(format_args!(
        "`{text}` without quotes is {other} to YAML 1.1 and a text to YAML 1.2\nhelp: write \"{text}\" for the text"
    ))
}

impl<'de> Deserializer<'de> for Decoder<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.any(visitor).map_err(|fault| self.placed(fault))
    }

    /// A text was asked for, so a plain `no` or `12:30` is not in doubt.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.content {
            Content::Text { text, .. } => {
                visitor.visit_str(text).map_err(|fault| self.placed(fault))
            }
            Content::Null
            | Content::Bool(_)
            | Content::Number(_)
            | Content::List(_)
            | Content::Map(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.content {
            Content::Null => visitor.visit_none(),
            Content::Bool(_)
            | Content::Number(_)
            | Content::Text { .. }
            | Content::List(_)
            | Content::Map(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.content {
            Content::Text { text, plain: true } if scalar::ambiguity(text) == Some("a boolean") => {
                let fault = Fault::custom(format_args!(
                    "expected a boolean, found `{text}`\nhelp: only YAML 1.1 reads `{text}` so; write `true` or `false`"
                ));
                Err(self.placed(fault))
            }
            Content::Null
            | Content::Bool(_)
            | Content::Number(_)
            | Content::Text { .. }
            | Content::List(_)
            | Content::Map(_) => self.deserialize_any(visitor),
        }
    }

    /// `key:` with nothing behind it is an empty map where a struct is asked for.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.content {
            Content::Null => self.map(&[], visitor).map_err(|fault| self.placed(fault)),
            // Fields have names; `serde` would also take them by their places.
            Content::List(_) => {
                let fault = Fault::new(Kind::Unexpected("a map".to_owned()));
                Err(self.placed(fault))
            }
            Content::Bool(_) | Content::Number(_) | Content::Text { .. } | Content::Map(_) => {
                self.deserialize_any(visitor)
            }
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == AT {
            let placed = Placed {
                decoder: self,
                part: 0,
            };
            return visitor.visit_seq(placed);
        }
        visitor
            .visit_newtype_struct(self)
            .map_err(|fault| self.placed(fault))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.variant(variants, visitor)
            .map_err(|fault| self.placed(fault))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'a> Decoder<'a> {
    fn variant<'de, V: Visitor<'de>>(
        self,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.content {
            Content::Text { text, .. } => visitor.visit_enum(Variant {
                name: text,
                name_span: self.node.span,
                victim: self.node.id,
                decoder: self,
                value: None,
            }),
            Content::Map(entries) => {
                let (key, value) = self.only_entry(entries, variants)?;
                visitor.visit_enum(Variant {
                    name: &key.name,
                    name_span: key.span,
                    victim: self.node.id,
                    decoder: self.at(value, Some(key)),
                    value: Some(value),
                })
            }
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::List(_) => {
                let known = variants.join(", ");
                Err(Fault::new(Kind::Unexpected(format!("one of: {known}"))))
            }
        }
    }

    fn only_entry(
        self,
        entries: &'a [(Key, Node)],
        variants: &[&str],
    ) -> Result<(&'a Key, &'a Node), Fault> {
        match self.kept(entries).as_slice() {
            [(key, value)] => Ok((key, value)),
            [] => Err(Fault::custom(format_args!(
                "nothing is written here\nhelp: use one of: {}",
                variants.join(", ")
            ))),
            [(first, _), (second, value), ..] => Err(Fault::custom(format_args!(
                "`{}` and `{}` cannot stand together: there is exactly one key here\nhelp: check the indentation, or begin a new `- ` item",
                first.name, second.name
            ))
            .at(second.span, value.id)),
        }
    }
}

struct Items<'a, I> {
    decoder: Decoder<'a>,
    rest: I,
}

impl<'a, 'de, I: Iterator<Item = &'a Node>> SeqAccess<'de> for Items<'a, I> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let left_out = self.decoder.left_out;
        let item = self.rest.find(|item| !left_out.contains(&item.id));
        item.map(|item| seed.deserialize(self.decoder.at(item, None)))
            .transpose()
    }
}

struct Entries<'a, I> {
    decoder: Decoder<'a>,
    rest: I,
    value: Option<(&'a Key, &'a Node)>,
}

impl<'a, 'de, I: Iterator<Item = &'a (Key, Node)>> MapAccess<'de> for Entries<'a, I> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let left_out = self.decoder.left_out;
        let Some((key, value)) = self.rest.find(|(_, value)| !left_out.contains(&value.id)) else {
            return Ok(None);
        };
        self.value = Some((key, value));
        let name: StrDeserializer<'_, Fault> = key.name.as_str().into_deserializer();
        seed.deserialize(name)
            .map(Some)
            .map_err(|fault| fault.at(key.span, value.id))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        match self.value.take() {
            Some((key, value)) => seed
                .deserialize(self.decoder.at(value, Some(key)))
                // A reader that buffers values fails after the value's own decoder is gone.
                .map_err(|fault| fault.at(value.span, value.id)),
            None => Err(Fault::custom("a value was asked for before its key")),
        }
    }
}

struct Placed<'a> {
    decoder: Decoder<'a>,
    part: u8,
}

impl<'de> SeqAccess<'de> for Placed<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        self.part += 1;
        let Span { start, end } = self.decoder.node.span;
        let number = |bytes| U64Deserializer::<Fault>::new(bytes);
        match self.part {
            1 => seed.deserialize(number(start as u64)),
            2 => seed.deserialize(number(end as u64)),
            _ => seed.deserialize(self.decoder),
        }
        .map(Some)
    }
}

struct Variant<'a> {
    name: &'a str,
    name_span: Span,
    victim: u32,
    decoder: Decoder<'a>,
    value: Option<&'a Node>,
}

impl<'a, 'de> EnumAccess<'de> for Variant<'a> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.name.into_deserializer();
        let known = seed
            .deserialize(name)
            .map_err(|fault| fault.at(self.name_span, self.victim))?;
        Ok((known, self))
    }
}

impl Variant<'_> {
    /// `- settle` is `- settle:` with nothing behind it.
    fn nothing(&self) -> Node {
        Node {
            id: self.victim,
            span: self.name_span,
            content: Content::Null,
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.value.map(|value| &value.content) {
            None | Some(Content::Null) => Ok(()),
            Some(_) => {
                let fault = Fault::custom(format_args!("`{}` takes no value", self.name));
                Err(fault.at(self.name_span, self.victim))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        match self.value {
            Some(_) => seed.deserialize(self.decoder),
            None => seed.deserialize(self.decoder.at(&self.nothing(), None)),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Fault> {
        self.decoder.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.value {
            Some(_) => self.decoder.deserialize_struct("", fields, visitor),
            None => {
                let nothing = self.nothing();
                let decoder = self.decoder.at(&nothing, None);
                decoder.deserialize_struct("", fields, visitor)
            }
        }
    }
}
