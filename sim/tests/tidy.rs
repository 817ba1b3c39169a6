//! Style as a test: what the design asks for and a compiler does not check.

use std::fs;
use std::path::{Path, PathBuf};

/// A file that one can read in a sitting. Tests in the file count.
const MAX_LINES: usize = 400;

/// The same for a file of nothing but tests.
const MAX_TEST_LINES: usize = 600;

/// What may not stand in the source, and why.
const BANNED: &[(&str, &str)] = &[
    ("todo!(", "nothing is left for later"),
    ("unimplemented!(", "nothing is left for later"),
    ("dbg!(", "a trace of debugging"),
    ("#[ignore", "a test that is not run proves nothing"),
    ("allow(dead_code)", "dead code goes"),
    ("thread_rng", "seeds are passed in"),
    ("SystemTime::now", "time comes from the Clock"),
    ("chunk ", "the word is block"),
    ("subpiece", "the word is block"),
    ("cfg(feature = \"sim", "nothing asks whether it is simulated"),
];

/// Where a banned call is the point.
const EXEMPT: &[(&str, &str)] = &[("engine/src/clock.rs", "SystemTime::now"), ("sim/tests/tidy.rs", "")];

/// What the pure core may depend on.
const CORE_MAY_USE: &[&str] =
    &["bytes", "rand_chacha", "serde", "serde_bencode", "serde_bytes", "sha1", "siphasher", "thiserror"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sim lies in the workspace").to_owned()
}

/// Every Rust file of ours, by its path from the root.
fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    for dir in ["engine", "sim", "benches"] {
        walk(&root().join(dir), &mut files);
    }
    files.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
        (name, fs::read_to_string(&path).expect("text"))
    };
    files.into_iter().map(read).collect()
}

#[test]
fn every_file_says_what_it_is_and_can_be_read_in_a_sitting() {
    for (name, text) in sources() {
        assert!(text.starts_with("//!"), "{name} opens without saying what it is");
        let lines = text.lines().count();
        let limit = if name.contains("/tests/") { MAX_TEST_LINES } else { MAX_LINES };
        assert!(lines <= limit, "{name} has {lines} lines; split it by concept (at most {limit})");
    }
}

#[test]
fn nothing_banned_stands_in_the_source() {
    for (name, text) in sources() {
        for (call, reason) in BANNED {
            let exempt = EXEMPT.iter().any(|(file, what)| *file == name && (what.is_empty() || what == call));
            let line = text.lines().position(|line| line.contains(call)).map(|line| line + 1);
            assert!(exempt || line.is_none(), "{name}:{}: `{call}`: {reason}", line.unwrap_or_default());
        }
    }
}

#[test]
fn the_core_is_pure() {
    let manifest = fs::read_to_string(root().join("engine/proto/Cargo.toml")).expect("readable");
    let dependencies = manifest
        .split("[dependencies]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .expect("a list of dependencies");
    for line in dependencies.lines().filter(|line| line.contains('=')) {
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        assert!(
            CORE_MAY_USE.contains(&name),
            "proto depends on {name}, which is not on the list of pure crates"
        );
    }
    for (name, text) in sources().iter().filter(|(name, _)| name.starts_with("engine/proto/src")) {
        for layer in
            ["tokio::", "std::fs", "std::net::Tcp", "std::net::Udp", "std::thread", "engine::", "sim::"]
        {
            assert!(!text.contains(layer), "{name} uses {layer}");
        }
    }
}

#[test]
fn the_engine_does_not_know_the_simulator() {
    for (name, text) in sources().iter().filter(|(name, _)| name.starts_with("engine/src")) {
        for word in ["turmoil_net", "sim::"] {
            assert!(!text.contains(word), "{name} names {word}");
        }
    }
}

#[test]
fn paths_in_the_documents_exist() {
    for document in ["README.md", "engine/ARCHITECTURE.md", "CONTRIBUTING.md", "benches/README.md"] {
        let text = fs::read_to_string(root().join(document)).expect(document);
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = quoted.contains('/')
                && ["engine/", "sim/", "scenarios/", "benches/", "fixtures/", ".ci/", ".github/"]
                    .iter()
                    .any(|top| quoted.starts_with(top))
                && !quoted.contains([' ', '*', '<', '{', '…']);
            assert!(
                !is_path || root().join(quoted).exists(),
                "{document} names {quoted}, which is not there"
            );
        }
    }
}

#[test]
fn every_fixture_has_its_provenance() {
    let readme = fs::read_to_string(root().join("fixtures/README.md")).expect("fixtures/README.md");
    for entry in fs::read_dir(root().join("fixtures")).expect("readable").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(name == "README.md" || readme.contains(&name), "fixtures/{name} has no provenance");
    }
}

#[test]
fn every_scenario_states_its_claim_first() {
    for entry in fs::read_dir(root().join("scenarios")).expect("readable").flatten() {
        if entry.path().extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = fs::read_to_string(entry.path()).expect("text");
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.len() > 20 && first.starts_with("# "),
            "{:?} does not open with its claim",
            entry.path()
        );
    }
}
