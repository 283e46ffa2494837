//! What every guest plays: a script of the model, and what the model is told meanwhile.

/// One case of a suite. The guest knows it by its name.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) script: &'static str,
    /// For each request the conversation, see `stage.rs`.
    pub(crate) told: &'static [&'static str],
    /// How many requests the mock must not have expected.
    pub(crate) unexpected: usize,
}

const HELLO: &[&str] = &["system: Be brief. / user: Say hello."];
const WEATHER: &[&str] = &[
    "user: How is the weather in Paris and Oslo?",
    "user: How is the weather in Paris and Oslo? \
     / assistant: I look. weather{\"city\":\"Paris\"} weather{\"city\":\"Oslo\"} \
     / tool: Paris: 18 degrees / tool: Oslo: 9 degrees",
];

const fn case(name: &'static str, script: &'static str, told: &'static [&'static str]) -> Case {
    Case {
        name,
        script,
        told,
        unexpected: 0,
    }
}

/// A text as one document, with its usage.
pub(crate) const SAYS: Case = case("says", include_str!("scripts/hello.yaml"), HELLO);
/// The same, piece by piece.
pub(crate) const STREAMS: Case = case("streams", include_str!("scripts/hello.yaml"), HELLO);
/// Two calls at once, their results, and the answer made of them.
pub(crate) const USES_TOOLS: Case =
    case("uses_tools", include_str!("scripts/weather.yaml"), WEATHER);
/// The same, with the calls' arguments in fragments.
pub(crate) const STREAMS_TOOLS: Case = case(
    "streams_tools",
    include_str!("scripts/weather.yaml"),
    WEATHER,
);
/// The list of models.
pub(crate) const LISTS_MODELS: Case = case("lists_models", "[]", &[]);
/// A request that nobody has scripted: an error that no client tries again.
pub(crate) const IS_UNSCRIPTED: Case = Case {
    name: "is_unscripted",
    script: "[{ optional: true, match: Goodbye, response: { content: Bye. } }]",
    told: &["user: Say hello."],
    unexpected: 1,
};
