//! The official clients of OpenAI and Anthropic: each plays the same cases, and then its own.

use super::cases::{
    BREAKS_OFF, COUNTS_TOKENS, Case, EMBEDS, GOES_ON, IS_THROTTLED, IS_UNAUTHORIZED, IS_UNSCRIPTED,
    LISTS_MODELS, RESPONDS, RESPONDS_WITH_TOOLS, SAYS, STREAMS, STREAMS_RESPONSES,
    STREAMS_RESPONSES_WITH_TOOLS, STREAMS_TOOLS, TRIES_AGAIN, USES_TOOLS,
};
use super::guest::Guest;
use super::stage::Stage;

const OF_ALL: [&Case; 9] = [
    &SAYS,
    &STREAMS,
    &USES_TOOLS,
    &STREAMS_TOOLS,
    &IS_UNSCRIPTED,
    &IS_THROTTLED,
    &TRIES_AGAIN,
    &IS_UNAUTHORIZED,
    &BREAKS_OFF,
];

/// Each case on a stage of its own; one that fails is named.
async fn check(guest: Option<Guest>, own: &[&Case]) {
    let Some(guest) = guest else {
        return;
    };
    for case in OF_ALL.iter().chain(own) {
        let stage = Stage::set(case).await;
        guest.plays(case.name, &stage.url(), || stage.story()).await;
        stage.ends_as(case).await;
    }
}

#[tokio::test]
async fn openai_for_python_gets_on_with_the_mock() {
    let text = include_str!("guests/openai_guest.py");
    let guest = Guest::python("openai_guest.py", text).await;
    let own = [
        &LISTS_MODELS,
        &RESPONDS,
        &STREAMS_RESPONSES,
        &RESPONDS_WITH_TOOLS,
        &STREAMS_RESPONSES_WITH_TOOLS,
        &GOES_ON,
        &EMBEDS,
    ];
    check(guest, &own).await;
}

#[tokio::test]
async fn openai_for_node_gets_on_with_the_mock() {
    let text = include_str!("guests/openai_guest.mjs");
    let guest = Guest::node("openai_guest.mjs", text).await;
    check(guest, &[&LISTS_MODELS]).await;
}

#[tokio::test]
async fn anthropic_for_python_gets_on_with_the_mock() {
    let text = include_str!("guests/anthropic_guest.py");
    let guest = Guest::python("anthropic_guest.py", text).await;
    check(guest, &[&COUNTS_TOKENS]).await;
}
