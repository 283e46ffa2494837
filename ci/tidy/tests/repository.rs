//! This checkout, held against every rule.

#![cfg(test)]

use std::fmt::Write;

use tidy::{Breach, Graph, Policy, Repository, TextFile};

/// Fails with every breach, one to a line.
#[track_caller]
fn check(breaches: impl IntoIterator<Item = Breach>) {
    let mut told = String::new();
    for breach in breaches {
        writeln!(told, "  {breach}").unwrap();
    }
    assert!(told.is_empty(), "\n{told}");
}

fn rust_files() -> Vec<TextFile> {
    let files = Repository::here().ending(".rs").unwrap();
    assert!(
        !files.is_empty(),
        "no source was found, so nothing is checked"
    );
    files
}

/// The manifests of the packages, without the root's.
fn packages() -> Vec<TextFile> {
    Repository::here().ending("/Cargo.toml").unwrap()
}

fn policy() -> Policy {
    Policy::read(&Repository::here().text("deny.toml").unwrap()).unwrap()
}

fn graph() -> Graph {
    Graph::read(Repository::here().root(), &policy()).unwrap()
}

#[test]
fn packages_depend_only_along_the_arrows() {
    check(graph().strays());
}

#[test]
fn every_licence_may_be_passed_on() {
    check(graph().unlicensed(&policy()));
}

#[test]
fn no_safeguard_is_switched_off_in_what_everybody_builds() {
    check(graph().dangers());
}

#[test]
fn whatsapp_can_be_left_out_with_all_it_brings() {
    for package in ["orchestrator", "mock-server"] {
        let left = tidy::lean_build(Repository::here().root(), package).unwrap();
        assert!(left.iter().any(|name| name == package), "{left:?}");
        for bound in ["wacore-libsignal", "wacore", "waproto", "whatsapp-rust"] {
            assert!(
                !left.iter().any(|name| name == bound),
                "{package} still brings {bound}"
            );
        }
    }
}

#[test]
fn no_banned_package_comes_in() {
    check(graph().banned(&policy()));
}

#[test]
fn every_dependency_is_argued() {
    check(tidy::argued(
        &Repository::here().text("Cargo.toml").unwrap(),
    ));
}

#[test]
fn every_dependency_is_listed_once_and_used() {
    let root = Repository::here().text("Cargo.toml").unwrap();
    check(tidy::used(&root, &packages()).unwrap());
}

#[test]
fn every_package_takes_the_lints() {
    check(
        packages()
            .iter()
            .filter_map(|package| tidy::lints_inherited(package).unwrap()),
    );
}

#[test]
fn every_source_says_what_it_is_for() {
    check(rust_files().iter().filter_map(tidy::door));
}

#[test]
fn no_source_is_too_long_to_read() {
    check(rust_files().iter().filter_map(tidy::length));
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    check(
        Repository::here()
            .texts()
            .unwrap()
            .iter()
            .flat_map(tidy::machine_paths),
    );
}

#[test]
fn the_root_holds_what_a_newcomer_is_told_about() {
    check(tidy::root_listing(
        &Repository::here().root_names().unwrap(),
    ));
}

#[test]
fn every_script_runs() {
    let repository = Repository::here();
    for folder in ["ci", ".ci"] {
        check(tidy::scripts_run(&repository.entries(folder).unwrap()));
    }
}

#[test]
fn the_overview_is_short_and_names_every_package_and_only_what_is_here() {
    let repository = Repository::here();
    let readme = repository.text("README.md").unwrap();
    check(tidy::short_enough(&readme));
    check(tidy::names_packages(&readme, &graph().names()));
    let folders = repository.root_names().unwrap();
    check(tidy::named_paths(&readme, &folders, |path| {
        repository.holds(path)
    }));
}

#[test]
fn every_scenario_tells_a_story_of_its_own() {
    let mut files = Repository::here().texts().unwrap();
    files.retain(|file| file.path.starts_with("scenarios/"));
    check(tidy::stories(&files));
    check(tidy::unique(&files));
    check(tidy::exclusions(&files));
}

#[test]
fn what_went_wrong_elsewhere_is_shown_here_where_it_is_said_to_be() {
    let repository = Repository::here();
    let table = repository.text("scenarios/COVERAGE.md").unwrap();
    check(tidy::coverage(&table, &repository.texts().unwrap()));
}
