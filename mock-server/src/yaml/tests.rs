//! What an author sees, mistake by mistake.

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

use super::{At, Document, read};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Story {
    story: At<String>,
    #[serde(default)]
    count: u32,
    #[serde(default)]
    loud: bool,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    any: Value,
    #[serde(default)]
    chats: IndexMap<String, Chat>,
    steps: Vec<At<Step>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chat {
    folder: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    Ask { chat: String, text: String },
    Hear { chat: String },
    Settle(Option<()>),
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let shown = match read::<Story>("s.yaml", text) {
        Ok(story) => panic!("no mistake was found: {story:?}"),
        Err(mistakes) => mistakes.to_string(),
    };
    assert_eq!(shown, expected.trim_start_matches('\n'), "\n{shown}");
}

#[track_caller]
fn check_messages(text: &str, expected: &[&str]) {
    let mistakes = read::<Story>("s.yaml", text).unwrap_err();
    let told: Vec<String> = mistakes
        .list()
        .iter()
        .map(|one| format!("{} {}", mistakes.source().place(one.span), one.message))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn a_file_without_mistakes_is_read_with_its_places() {
    let text = "story: &s A cat\ncount: 2\nloud: true\ntags: [a]\nany: {b: 1.5}\nchats:\n  main:\nsteps:\n  - settle\n  - settle:\n  - ask: { chat: main, text: *s }\n";
    let story: Story = read("s.yaml", text).unwrap();
    assert_eq!(*story.story, "A cat");
    assert_eq!((story.story.span.start, story.story.span.end), (10, 15));
    assert_eq!((story.count, story.loud, story.tags.len()), (2, true, 1));
    assert_eq!(story.any, serde_json::json!({"b": 1.5}));
    assert!(story.chats["main"].folder.is_none());
    assert_eq!(story.steps[0].value, Step::Settle(None));
    assert_eq!(story.steps[1].value, Step::Settle(None));
    let text = "A cat".to_owned();
    let chat = "main".to_owned();
    assert_eq!(story.steps[2].value, Step::Ask { chat, text });
}

#[test]
fn an_unknown_key_is_shown_with_its_nearest() {
    check(
        "story: x\nsteps:\n  - heers: { chat: main }\n  - hear: { chta: main, chat: m }\n",
        "
error: `heers` is not known here
 --> s.yaml:3:5
  |
3 |   - heers: { chat: main }
  |     ^^^^^
help: did you mean `hear`?
error: unknown key `chta`
 --> s.yaml:4:13
  |
4 |   - hear: { chta: main, chat: m }
  |             ^^^^
help: did you mean `chat`?
",
    );
}

#[test]
fn all_mistakes_of_a_file_are_found_in_one_run() {
    check_messages(
        "stori: x\nstory: y\ncount: many\nloud: yes\ntags: [a, 5, {}]\nsteps:\n  - ask: { chat: main }\n  - ask: 5\n  - {ask: {chat: a, text: b}, hear: {chat: a}}\n  - hear: {chat: 7}\n",
        &[
            "1:1 unknown key `stori`",
            "3:8 expected a whole number, found `many`",
            "4:7 expected a boolean, found `yes`",
            "5:11 expected a text, found 5",
            "5:14 expected a text, found a map",
            "7:5 the key `text` is missing here",
            "8:10 expected a map, found 5",
            "9:31 `ask` and `hear` cannot stand together: there is exactly one key here",
            "10:18 expected a text, found 7",
        ],
    );
}

#[test]
fn a_key_written_twice_shows_both_places() {
    check(
        "story: x\nstory: y\nsteps: []\n",
        "
error: the key `story` is written twice
 --> s.yaml:2:1
  |
2 | story: y
  | ^^^^^
1 | story: x
  | ^^^^^ first written here
help: keep one of them
",
    );
}

#[test]
fn a_missing_key_is_told_where_it_belongs() {
    check_messages("story: x\n", &["1:1 the key `steps` is missing here"]);
    check_messages(
        "story: x\nsteps:\n  - hear:\n",
        &["3:5 the key `chat` is missing here"],
    );
}

#[test]
fn what_yaml_1_1_reads_otherwise_must_be_quoted_where_any_type_will_do() {
    check(
        "story: no\nany: [no]\nsteps: []\n",
        "
error: `no` without quotes is a boolean to YAML 1.1 and a text to YAML 1.2
 --> s.yaml:2:7
  |
2 | any: [no]
  |       ^^
help: write \"no\" for the text
",
    );
}

#[test]
fn broken_yaml_has_a_place_and_a_way_out() {
    check_messages(
        "story: x\nsteps:\n\t- settle\n",
        &["3:2 tabs disallowed within this context (block indentation)"],
    );
    check_messages("", &["1:1 the file is empty"]);
    check_messages(
        "a: 1\n---\nb: 2\n",
        &["3:1 a second document begins: one file holds one"],
    );
    check_messages("a: !x 1\n", &["1:7 the tag `!x` means nothing here"]);
    check_messages("a: *b\n", &["1:4 while parsing node, found unknown anchor"]);
}

#[test]
fn no_file_can_fill_or_hang_us() {
    let level = |n: usize| {
        let below = n - 1;
        format!("a{n}: &a{n} [*a{below}, *a{below}, *a{below}]\n")
    };
    let bomb = "a0: &a0 [x]\n".to_owned() + &(1..30).map(level).collect::<String>();
    let mistakes = Document::parse("s.yaml", &bomb).unwrap_err();
    assert!(
        mistakes.to_string().contains("more than 100000 values"),
        "{mistakes}"
    );
    let deep = "[".repeat(10_000);
    assert!(Document::parse("s.yaml", &deep).is_err());
    let cut = "story: \"x\nsteps: [";
    assert!(Document::parse("s.yaml", cut).is_err());
}

#[test]
fn no_text_makes_the_reader_panic() {
    let text = "story: é助\nchats: {main: , a: {folder: \"x\"}}\nsteps:\n  - ask: {chat: main, text: |\n      a\n  - [1, &a {b: *a}]\n? x\n: y\n";
    for end in 0..text.len() {
        if let Some(part) = text.get(..end) {
            let shown = read::<Story>("s.yaml", part).map_err(|mistakes| mistakes.to_string());
            assert!(shown.is_err() || end > 60, "{part}");
        }
    }
}
