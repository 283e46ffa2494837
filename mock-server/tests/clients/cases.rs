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

const ONCE: &[&str] = &["user: Say hello."];
const TWICE: &[&str] = &["user: Say hello.", "user: Say hello."];

pub(crate) const fn case(
    name: &'static str,
    script: &'static str,
    told: &'static [&'static str],
) -> Case {
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
    told: ONCE,
    unexpected: 1,
};
/// Too many requests: the client gives up and says for how long.
pub(crate) const IS_THROTTLED: Case =
    case("is_throttled", include_str!("scripts/throttled.yaml"), ONCE);
/// Too many requests once: the client tries again by itself.
pub(crate) const TRIES_AGAIN: Case = case(
    "tries_again",
    include_str!("scripts/throttled-once.yaml"),
    TWICE,
);
/// A key that the service does not know.
pub(crate) const IS_UNAUTHORIZED: Case = case(
    "is_unauthorized",
    include_str!("scripts/unauthorized.yaml"),
    ONCE,
);
/// A stream that is cut is no whole answer; the next one is.
pub(crate) const BREAKS_OFF: Case =
    case("breaks_off", include_str!("scripts/broken-off.yaml"), TWICE);
/// How many tokens a request has, without asking it.
pub(crate) const COUNTS_TOKENS: Case = case("counts_tokens", "[]", &[]);
/// OpenAI's responses: a text, whole and piece by piece.
pub(crate) const RESPONDS: Case = case("responds", include_str!("scripts/hello.yaml"), HELLO);
pub(crate) const STREAMS_RESPONSES: Case = case(
    "streams_responses",
    include_str!("scripts/hello.yaml"),
    HELLO,
);
/// And their loop over tools.
pub(crate) const RESPONDS_WITH_TOOLS: Case = case(
    "responds_with_tools",
    include_str!("scripts/weather.yaml"),
    WEATHER,
);
pub(crate) const STREAMS_RESPONSES_WITH_TOOLS: Case = case(
    "streams_responses_with_tools",
    include_str!("scripts/weather.yaml"),
    WEATHER,
);
/// A conversation that goes on from an answer's id: the model is told all that was said before.
/// Last of all from an answer that nobody gave, which is an error.
pub(crate) const GOES_ON: Case = Case {
    name: "goes_on_from_an_answer",
    script: include_str!("scripts/going-on.yaml"),
    told: &[
        "user: My name is Ada.",
        "user: My name is Ada. / assistant: Hello, Ada. / user: What is my name?",
        "user: My name is Ada. / assistant: Hello, Ada. / user: What is my name? \
         / assistant: Your name is Ada. / user: Spell it.",
    ],
    unexpected: 1,
};
/// Vectors of texts; nothing is said.
pub(crate) const EMBEDS: Case = case("embeds", "[]", &[]);
