//! OpenAI's own client for Python.

use super::cases::{
    BREAKS_OFF, Case, EMBEDS, IS_THROTTLED, IS_UNAUTHORIZED, IS_UNSCRIPTED, LISTS_MODELS, RESPONDS,
    RESPONDS_WITH_TOOLS, SAYS, STREAMS, STREAMS_RESPONSES, STREAMS_RESPONSES_WITH_TOOLS,
    STREAMS_TOOLS, TRIES_AGAIN, USES_TOOLS,
};
use super::guest::Guest;
use super::stage::Stage;

async fn check(case: &Case) {
    let text = include_str!("guests/openai_guest.py");
    let Some(guest) = Guest::python("openai_guest.py", text).await else {
        return;
    };
    let stage = Stage::set(case).await;
    guest.plays(case.name, &stage.url(), || stage.story()).await;
    stage.ends_as(case).await;
}

#[tokio::test]
async fn a_text_is_read_with_its_usage() {
    check(&SAYS).await;
}

#[tokio::test]
async fn a_text_is_read_from_a_stream() {
    check(&STREAMS).await;
}

#[tokio::test]
async fn tools_are_called_and_their_results_answered() {
    check(&USES_TOOLS).await;
}

#[tokio::test]
async fn tools_are_called_from_a_stream() {
    check(&STREAMS_TOOLS).await;
}

#[tokio::test]
async fn models_are_listed() {
    check(&LISTS_MODELS).await;
}

#[tokio::test]
async fn an_unscripted_request_is_an_error_of_its_own() {
    check(&IS_UNSCRIPTED).await;
}

#[tokio::test]
async fn too_many_requests_are_an_error_that_says_for_how_long() {
    check(&IS_THROTTLED).await;
}

#[tokio::test]
async fn too_many_requests_are_tried_again() {
    check(&TRIES_AGAIN).await;
}

#[tokio::test]
async fn a_wrong_key_is_an_error_of_its_own() {
    check(&IS_UNAUTHORIZED).await;
}

#[tokio::test]
async fn a_stream_that_is_cut_is_not_taken_for_whole() {
    check(&BREAKS_OFF).await;
}

#[tokio::test]
async fn a_response_is_read() {
    check(&RESPONDS).await;
}

#[tokio::test]
async fn a_response_is_read_from_a_stream() {
    check(&STREAMS_RESPONSES).await;
}

#[tokio::test]
async fn tools_are_called_in_a_response() {
    check(&RESPONDS_WITH_TOOLS).await;
}

#[tokio::test]
async fn tools_are_called_in_a_streamed_response() {
    check(&STREAMS_RESPONSES_WITH_TOOLS).await;
}

#[tokio::test]
async fn texts_are_embedded() {
    check(&EMBEDS).await;
}
