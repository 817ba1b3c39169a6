//! Tests of the configuration: what is printed reads back, and what is wrong is shown.

use super::*;

fn refusal(text: &str) -> String {
    Settings::default().read("tracker.toml", text).expect_err("refused")
}

#[test]
fn the_printed_default_is_what_users_know() {
    insta::assert_snapshot!(Settings::default().to_toml());
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let mut odd = Settings::default();
    let text = "listen.bind = ['[::1]:1', '127.0.0.1:2']\nstore.db = 'a \"b\" \\\\ c.db'\n\
                rules.interval = '90.5 s'\nlimits.torrents = 7\nlog = { level = 'engine=debug', format = 'json' }";
    odd.read("odd.toml", text).expect("good");
    assert_ne!(odd, Settings::default());
    for settings in [Settings::default(), odd] {
        let mut again = Settings::default();
        assert_eq!(again.read("printed.toml", &settings.to_toml()), Ok(()));
        assert_eq!(again, settings);
    }
}

#[test]
fn what_is_wrong_is_shown_with_what_would_be_right() {
    let texts = [
        "[rules]\nintervall = '30 min'",
        "[rulez]\ninterval = '30 min'",
        "[rules]\ninterval = '30 minutes'",
        "[rules]\ninterval = '1 s'",
        "[limits]\ntorrents = -1",
        "[listen]\nbind = '0.0.0.0:6969'",
        "[listen]\nbind = ['0.0.0.0']",
        "[log]\nlevel = ''",
        "[log]\nlevel = 'inof'",
        "[log]\nformat = 'jsn'",
        "rules = 5",
        "[rules",
    ];
    insta::assert_snapshot!(texts.map(refusal).join("\n\n"));
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tracker.toml");
    let load = || Settings::load(Some(&path), &Flags::default()).map_err(|error| error.to_string());
    let missing = load().expect_err("there is none");
    assert!(missing.starts_with(&format!("cannot read {}: No such file", path.display())), "{missing}");
    fs::write(&path, " ".repeat(100_000)).expect("written");
    assert!(load().expect_err("too long").ends_with("100000 bytes are too many for a configuration"));
}

#[test]
fn who_lowers_one_bound_need_not_name_the_other() {
    let mut settings = Settings::default();
    settings.read("x", "rules.interval = '1 min'\nlimits.peers = 1000").expect("good");
    let registry = settings.tracker().expect("good").registry;
    assert_eq!((registry.min_interval, registry.max_members), (Duration::from_secs(60), 1000));
    settings.read("x", "access.deny_files = ['/no/such/list']").expect("good");
    let error = settings.tracker().expect_err("refused").to_string();
    assert!(error.starts_with("cannot read the list /no/such/list: No such file"), "{error}");
}

#[test]
fn a_reload_knows_what_needs_a_restart() {
    let mut changed = Settings::default();
    changed
        .read("x", "listen.bind = ['[::1]:1']\nrules.interval = '1 min'\nlog.format = 'json'")
        .expect("good");
    assert_eq!(changed.needing_restart(&Settings::default()), ["listen.bind", "log.format"]);
}

#[test]
fn every_key_has_its_own_name_and_flag_and_stands_in_a_known_section() {
    for (at, key) in KEYS.iter().enumerate() {
        assert!(SECTIONS.contains(&key.section), "{}", key.path());
        let twin = KEYS.iter().skip(at + 1).any(|other| other.flag == key.flag || other.path() == key.path());
        assert!(!twin, "{}", key.path());
    }
}
