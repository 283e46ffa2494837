//! The rules of the store, without a wire.

use bytes::Bytes;
use serde_json::json;

use super::*;

fn noon() -> Timestamp {
    "2026-01-05T12:00:00Z".parse().unwrap()
}

fn at(object: &str) -> Address {
    Address::new("attic", object).unwrap()
}

fn draft(object: &str) -> Draft {
    Draft {
        at: at(object),
        attributes: Attributes::default(),
        conditions: Conditions::default(),
    }
}

fn wanted(object: &str) -> Wanted {
    Wanted {
        at: at(object),
        generation: None,
        conditions: Conditions::default(),
    }
}

fn text(text: &'static str) -> Content {
    Content::of(Bytes::from_static(text.as_bytes()))
}

fn store(keeps_versions: bool) -> Store {
    let mut store = Store::new(0);
    let settings = json!({ "versioning": { "enabled": keeps_versions } });
    let settings = settings.as_object().unwrap().clone();
    store.create_bucket("attic", settings, noon()).unwrap();
    store
}

#[test]
fn a_refused_put_uses_up_no_generation() {
    let mut store = store(false);
    let first = store.put(draft("cat"), text("Miso"), noon()).unwrap();
    let mut strict = draft("cat");
    strict.conditions.generation = Some(0);
    let refused = store.put(strict, text("Lola"), noon()).unwrap_err();
    assert_eq!(refused.wrong, Wrong::Condition);
    let mut again = Generations::new(0);
    assert_eq!(again.next(noon()), first.generation);
    let second = store.put(draft("cat"), text("Lola"), noon()).unwrap();
    assert_eq!(again.next(noon()), second.generation);
}

#[test]
fn without_versions_an_overwritten_object_is_gone_and_with_them_it_is_not() {
    for keeps in [false, true] {
        let mut store = store(keeps);
        let first = store.put(draft("cat"), text("Miso"), noon()).unwrap();
        store.put(draft("cat"), text("Lola"), noon()).unwrap();
        let old = Wanted {
            generation: Some(first.generation),
            ..wanted("cat")
        };
        assert_eq!(store.get(&old).is_ok(), keeps);
        store.delete(&wanted("cat"), noon()).unwrap();
        let live = store.get(&wanted("cat")).unwrap_err();
        assert_eq!(live.wrong, Wrong::NoObject);
        let left = store.bucket("attic").unwrap().objects.len();
        assert_eq!(left, usize::from(keeps));
    }
}

#[test]
fn a_move_that_fails_leaves_both_ends_as_they_were() {
    let mut store = store(false);
    store.put(draft("cat"), text("Miso"), noon()).unwrap();
    store.put(draft("dog"), text("Rex"), noon()).unwrap();
    let mut strict = draft("dog");
    strict.conditions.generation = Some(0);
    store.rename(&wanted("cat"), strict, noon()).unwrap_err();
    store
        .rename(&wanted("cat"), draft("cat"), noon())
        .unwrap_err();
    let kept = |name| store.get(&wanted(name)).unwrap().content.bytes.clone();
    assert_eq!((kept("cat"), kept("dog")), ("Miso".into(), "Rex".into()));
}

#[test]
fn composing_what_was_composed_adds_up_the_components() {
    let mut store = store(false);
    store.put(draft("a"), text("1"), noon()).unwrap();
    let twice = [wanted("a"), wanted("a")];
    store.compose(draft("b"), &twice, noon()).unwrap();
    let more = [wanted("b"), wanted("a"), wanted("b")];
    let made = store.compose(draft("b"), &more, noon()).unwrap();
    assert_eq!(
        (made.components, &*made.content.bytes),
        (Some(5), &b"11111"[..])
    );
    assert_eq!(made.content.crc32c, text("11111").crc32c);
}

#[test]
fn folders_of_many_are_jumped_over_and_late_pages_begin_late() {
    let mut store = store(false);
    for number in 0..20_000 {
        let name = format!("{}/{number:06}", number / 10_000);
        store.put(draft(&name), text(""), noon()).unwrap();
    }
    let folders = Query {
        delimiter: Some("/".to_owned()),
        ..Query::default()
    };
    let page = store.list("attic", &folders).unwrap();
    assert_eq!(page.prefixes, ["0/", "1/"]);
    let late = Query {
        start: Some("1/019999".to_owned()),
        ..Query::default()
    };
    let page = store.list("attic", &late).unwrap();
    assert_eq!((page.objects.len(), page.next), (1, None));
}
