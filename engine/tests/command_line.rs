//! The `ourtorrent` program as a user meets it: its messages, its exit statuses, and what it leaves behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

const LEN: usize = 300_007;

/// Runs the program in `folder` to its end.
fn run(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().expect("the program is built")
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ourtorrent"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with `data.bin` and its torrent `data.torrent`, of 32 KiB pieces.
fn shared() -> TempDir {
    shared_of(LEN)
}

/// The same, of `len` bytes.
fn shared_of(len: usize) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let content: Vec<u8> = (0..len).map(|index| (index % 251) as u8 ^ (index >> 10) as u8).collect();
    fs::write(folder.path().join("data.bin"), content).expect("written");
    let created =
        ["create", "data.bin", "-o", "data.torrent", "-t", "udp://127.0.0.1:1", "--piece-length", "32K"];
    let created = run(folder.path(), &created);
    assert_eq!(status(&created), 0, "{}", stderr(&created));
    folder
}

/// A seeder of `data.bin`; killed when dropped. Nobody reads what it prints, which must not end it.
struct Seeder {
    child: Child,
    addr: String,
}

impl Seeder {
    fn start(folder: &Path) -> Self {
        Self::of(folder, &["data.torrent"])
    }

    fn of(folder: &Path, torrents: &[&str]) -> Self {
        let (reader, unread) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut seed = command(folder, &["seed", "--data", ".", "--listen", "127.0.0.1:0"]);
        seed.args(torrents);
        let mut child = seed.stdout(unread).stderr(Stdio::piped()).spawn().expect("the program is built");
        let mut line = String::new();
        BufReader::new(child.stderr.take().expect("piped")).read_line(&mut line).expect("a line");
        let addr = line.trim().strip_prefix("listening at ").expect("its address").to_owned();
        Self { child, addr }
    }
}

impl Drop for Seeder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_one_seeds_another_downloads() {
    let folder = shared();
    let seeder = Seeder::start(folder.path());
    let download =
        ["download", "data.torrent", "-o", "out", "--listen", "127.0.0.1:0", "--peer", seeder.addr.as_str()];
    let downloaded = run(folder.path(), &download);
    assert_eq!(status(&downloaded), 0, "{}", stderr(&downloaded));
    let read = |name| fs::read(folder.path().join(name)).expect("a file");
    assert!(read("data.bin") == read("out/data.bin"));

    let verify = ["verify", "data.torrent", "--data", "out"];
    assert_eq!(status(&run(folder.path(), &verify)), 0);
    let cut = fs::File::options().write(true).open(folder.path().join("out/data.bin")).expect("there");
    cut.set_len(40_000).expect("cut");
    let missing = run(folder.path(), &verify);
    assert_eq!(status(&missing), 1);
    insta::assert_snapshot!("verify_missing", String::from_utf8_lossy(&missing.stdout));

    let again = run(folder.path(), &download);
    assert_eq!(status(&again), 0, "{}", stderr(&again));
    assert!(stderr(&again).contains("1 of 10 pieces are there"), "{}", stderr(&again));
    assert!(read("data.bin") == read("out/data.bin"));
}

/// The same folder with `more.bin` and `more.torrent` besides.
fn shared_twice() -> TempDir {
    let folder = shared();
    fs::write(folder.path().join("more.bin"), vec![7; 100_000]).expect("written");
    let create = ["create", "more.bin", "-o", "more.torrent", "-t", "udp://127.0.0.1:1"];
    assert_eq!(status(&run(folder.path(), &create)), 0);
    folder
}

#[test]
fn several_torrents_go_side_by_side_over_one_port() {
    let folder = shared_twice();
    let seeder = Seeder::of(folder.path(), &["data.torrent", "more.torrent"]);
    let mut download =
        vec!["download", "data.torrent", "more.torrent", "-o", "out", "--listen", "127.0.0.1:0"];
    download.extend(["--peer", &seeder.addr]);
    let downloaded = run(folder.path(), &download);
    let said = stderr(&downloaded);
    assert_eq!(status(&downloaded), 0, "{said}");
    for name in ["data.bin", "more.bin"] {
        let [from, to] =
            [name.to_owned(), format!("out/{name}")].map(|name| fs::read(folder.path().join(name)));
        assert!(from.expect("there") == to.expect("there"), "{name}");
        assert!(String::from_utf8_lossy(&downloaded.stdout).contains(&format!("{name} is complete")));
        assert!(said.contains(&format!("{name}: 0 of")), "whose news it is: {said}");
    }
    assert_eq!(said.matches("listening at").count(), 1, "{said}");
}

#[test]
fn torrents_that_would_overwrite_each_other_are_refused() {
    let folder = shared_twice();
    fs::create_dir(folder.path().join("other")).expect("made");
    fs::write(folder.path().join("other/data.bin"), vec![1; 40_000]).expect("written");
    let create = ["create", "other/data.bin", "-o", "other.torrent", "-t", "udp://127.0.0.1:1"];
    assert_eq!(status(&run(folder.path(), &create)), 0);
    let download =
        ["download", "data.torrent", "more.torrent", "other.torrent", "-o", "out", "--listen", "127.0.0.1:0"];
    let refused = run(folder.path(), &download);
    assert_eq!(status(&refused), 2);
    let said = stderr(&refused);
    assert!(said.contains("data.torrent and other.torrent would both be stored in out/data.bin"), "{said}");
    assert!(said.contains("into another folder"), "{said}");
    assert!(!folder.path().join("out/more.bin").exists(), "nothing has begun");
}

/// What one torrent lacks does not keep the others from being shared; the exit status tells.
#[cfg(unix)]
#[test]
fn a_torrent_that_fails_leaves_the_others_alone() {
    let folder = shared_twice();
    fs::remove_file(folder.path().join("more.bin")).expect("removed");
    let seed = ["seed", "more.torrent", "data.torrent", "--data", ".", "--listen", "127.0.0.1:0"];
    let mut child = command(folder.path(), &seed).stderr(Stdio::piped()).spawn().expect("built");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let (mut said, wanted) =
        (Vec::new(), ["more.bin failed: . holds 0 of the", "data.bin: 10 of 10 pieces are there"]);
    while !wanted.iter().all(|text| said.iter().any(|line: &String| line.contains(text))) {
        said.push(lines.next().unwrap_or_else(|| panic!("it ended: {said:?}")));
    }
    assert!(child.try_wait().expect("ours").is_none(), "one is still shared");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill").success());
    said.extend(lines);
    assert_eq!(child.wait().expect("ours").code(), Some(1), "{said:?}");
    assert!(said.iter().any(|line| line.contains("1 of 2 torrents failed")), "{said:?}");
}

#[test]
fn resume_data_lie_where_they_are_wanted_and_nowhere_else() {
    let folder = shared();
    let seeder = Seeder::start(folder.path());
    let download =
        ["download", "data.torrent", "-o", "out", "--listen", "127.0.0.1:0", "--resume-dir", "kept"];
    let first = run(folder.path(), &[download.as_slice(), &["--peer", &seeder.addr]].concat());
    assert_eq!(status(&first), 0, "{}", stderr(&first));
    let hidden = |name: &str| {
        let entries = fs::read_dir(folder.path().join(name)).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with('.')).collect::<Vec<_>>()
    };
    assert_eq!(hidden("out"), Vec::<String>::new());
    let kept = hidden("kept");
    assert!(matches!(kept.as_slice(), [name] if name.len() == 48 && name.ends_with(".resume")), "{kept:?}");
    // Nobody is left to ask: what is there suffices, believed or hashed.
    drop(seeder);
    for more in [[].as_slice(), &["--check"]] {
        let again = run(folder.path(), &[download.as_slice(), more].concat());
        assert_eq!(status(&again), 0, "{}", stderr(&again));
        assert!(stderr(&again).contains("10 of 10 pieces are there"), "{}", stderr(&again));
    }
}

#[test]
fn show_prints_what_create_made() {
    let folder = shared();
    let shown = run(folder.path(), &["show", "data.torrent"]);
    insta::assert_snapshot!("show", String::from_utf8_lossy(&shown.stdout));
    let shown = run(folder.path(), &["show", "data.torrent", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(value["files"][0]["len"], LEN);
}

#[test]
fn a_truncated_torrent_is_one_clear_message() {
    let folder = shared();
    let whole = fs::read(folder.path().join("data.torrent")).expect("created");
    fs::write(folder.path().join("cut.torrent"), &whole[..whole.len() / 2]).expect("written");
    for args in [["show", "cut.torrent"].as_slice(), &["download", "cut.torrent", "-o", "out"]] {
        let output = run(folder.path(), args);
        assert_eq!(status(&output), 3);
        assert!(stderr(&output).contains("cut.torrent: not a valid torrent file"), "{}", stderr(&output));
        assert!(stderr(&output).contains("truncated"), "{}", stderr(&output));
    }
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_path_out_of_the_folder_is_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    let pieces = "x".repeat(20);
    let info = format!(
        "d5:filesld6:lengthi5e4:pathl2:..4:evileee4:name3:set12:piece lengthi16384e6:pieces20:{pieces}e"
    );
    let torrent = format!("d8:announce17:udp://127.0.0.1:14:info{info}e");
    fs::write(folder.path().join("evil.torrent"), torrent).expect("written");
    let output = run(folder.path(), &["download", "evil.torrent", "-o", "out"]);
    assert_eq!(status(&output), 3, "{}", stderr(&output));
    assert!(stderr(&output).contains("`..` would leave the download folder"), "{}", stderr(&output));
    assert!(!folder.path().join("evil").exists() && !folder.path().join("out").exists());
}

#[test]
fn a_tracker_that_cannot_be_found_is_named() {
    let folder = shared();
    let url = "udp://no-such-tracker.invalid:6969";
    assert_eq!(status(&run(folder.path(), &["create", "data.bin", "-o", "lost.torrent", "-t", url])), 0);
    let output = run(folder.path(), &["download", "lost.torrent", "-o", "out", "--listen", "127.0.0.1:0"]);
    assert_eq!(status(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("no tracker answers"), "{}", stderr(&output));
    assert!(stderr(&output).contains("no-such-tracker.invalid"), "{}", stderr(&output));
}

#[test]
fn an_incomplete_seed_says_what_to_do() {
    let folder = shared();
    fs::write(folder.path().join("data.bin"), b"nothing").expect("written");
    let output = run(folder.path(), &["seed", "data.torrent", "--data", ".", "--listen", "127.0.0.1:0"]);
    assert_eq!(status(&output), 1);
    assert!(stderr(&output).contains("holds 0 of the 10 pieces of data.bin"), "{}", stderr(&output));
}

#[test]
fn wrong_usage_and_missing_files_have_their_own_statuses() {
    let folder = TempDir::new().expect("a temporary folder");
    assert_eq!(status(&run(folder.path(), &["download"])), 2);
    assert_eq!(status(&run(folder.path(), &["show", "nothing.torrent"])), 3);
    let created = run(folder.path(), &["create", "nothing", "-o", "x.torrent", "-t", "udp://127.0.0.1:1"]);
    assert_eq!(status(&created), 4);
    assert!(stderr(&created).contains("cannot read nothing"), "{}", stderr(&created));
}

#[test]
fn the_manual_page_has_every_subcommand() {
    let folder = TempDir::new().expect("a temporary folder");
    let page = String::from_utf8(run(folder.path(), &["man"]).stdout).expect("text");
    for name in ["create", "show", "download", "seed", "verify"] {
        assert!(page.contains(name), "{name}");
    }
}

/// A file size limit stands for a full disk: it needs no rights to set and fails the same write.
#[cfg(unix)]
#[test]
fn a_disk_that_takes_no_more_loses_nothing() {
    let folder = shared();
    let seeder = Seeder::start(folder.path());
    let program = env!("CARGO_BIN_EXE_ourtorrent");
    let args = format!("download data.torrent -o out --listen 127.0.0.1:0 --peer {}", seeder.addr);
    // Blocks of 512 bytes: room for four of the ten pieces.
    let script = format!("trap '' XFSZ; ulimit -f 256; exec {program} {args}");
    let full = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().expect("a shell");
    assert_eq!(status(&full), 4, "{}", stderr(&full));
    assert!(stderr(&full).contains("cannot write out/data.bin"), "{}", stderr(&full));
    assert!(stderr(&full).contains("run the same command again"), "{}", stderr(&full));

    let again = run(folder.path(), &args.split(' ').collect::<Vec<_>>());
    assert_eq!(status(&again), 0, "{}", stderr(&again));
    let read = |name| fs::read(folder.path().join(name)).expect("a file");
    assert!(read("data.bin") == read("out/data.bin"));
}

/// The script of [`a_full_disk_that_gets_room_fetches_no_finished_piece_again`], in a mount namespace of its own:
/// nobody else sees the disk, and it goes with the last process. Each life leaves what it said, and its status.
#[cfg(target_os = "linux")]
const LIVES: &str = r#"
mkdir out && mount -t tmpfs -o size=4m tmpfs out || exit 99
dd if=/dev/zero of=out/filler bs=64k count=24 status=none || exit 99
life() { "$program" download data.torrent -o out --json --listen 127.0.0.1:0 --peer "$seeder" >$1.json 2>$1.err; echo $? >$1.status; }
life 1
rm out/filler
life 2
mount -o remount,size=16m out || exit 99
life 3
cmp data.bin out/data.bin
"#;

/// How this machine lets us mount: as root, or as everybody's own root in a namespace. Where it does not, the test
/// that asks is left out; with `OURTORRENT_MOUNT=require`, as in CI wherever it can be done, that is a failure.
#[cfg(target_os = "linux")]
fn mounting() -> Option<Command> {
    for args in [&["--mount"][..], &["--mount", "--map-root-user"]] {
        let unshare = || {
            let mut command = Command::new("unshare");
            command.args(args);
            command
        };
        if unshare().arg("true").output().is_ok_and(|tried| tried.status.success()) {
            return Some(unshare());
        }
    }
    let required = std::env::var_os("OURTORRENT_MOUNT").is_some_and(|value| value == "require");
    assert!(!required, "`unshare --mount` is refused here, and OURTORRENT_MOUNT=require");
    println!("left out: `unshare --mount` is refused here");
    None
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_that_gets_room_fetches_no_finished_piece_again() {
    const PIECE: u64 = 32 * 1024;
    const PIECES: u64 = 192;
    let Some(mut lives) = mounting() else { return };
    let folder = shared_of((PIECES * PIECE) as usize);
    let seeder = Seeder::start(folder.path());
    lives.args(["sh", "-c", LIVES]).current_dir(folder.path());
    lives.env("program", env!("CARGO_BIN_EXE_ourtorrent")).env("seeder", &seeder.addr);
    let lived = lives.output().expect("it ran before");
    assert_eq!(status(&lived), 0, "{}", stderr(&lived));

    let mut finished = 0;
    for (life, wanted) in [(1, "4"), (2, "4"), (3, "0")] {
        let read = |what: &str| {
            fs::read_to_string(folder.path().join(format!("{life}.{what}"))).expect("it is kept")
        };
        let errors = read("err");
        assert_eq!(read("status").trim(), wanted, "life {life}: {errors}");
        let advised =
            errors.contains("cannot write out/data.bin") && errors.contains("run the same command again");
        assert_eq!(advised, wanted == "4", "life {life}: {errors}");

        let said = read("json");
        let number = |event: &str, field: &str| {
            let mut objects = said.lines().map(|line| serde_json::from_str(line).expect("JSON"));
            let object = objects.find(|object: &serde_json::Value| object["event"] == event);
            object.and_then(|object| object[field].as_u64()).expect("it is said")
        };
        // Writes that were under way when the disk was full may have ended after the last word was said.
        let have = number("checked", "have");
        assert!(have >= finished, "life {life} finds what was finished before: {have} of {finished}");
        let left = (PIECES - have) * PIECE;
        assert!(number("summary", "downloaded") <= left, "life {life} fetches no more than was left");
        assert!(number("summary", "pieces") > have, "life {life} uses what room there is");
        finished = number("summary", "pieces");
    }
    assert_eq!(finished, PIECES);
}

/// Ctrl-C while nothing comes in: said once, with a status of its own, and within the five seconds of `stopped`.
#[cfg(unix)]
#[test]
fn an_interrupted_download_says_how_to_go_on() {
    let folder = shared();
    let download =
        ["download", "data.torrent", "-o", "out", "--listen", "127.0.0.1:0", "--peer", "127.0.0.1:1"];
    let mut child = command(folder.path(), &download).stderr(Stdio::piped()).spawn().expect("built");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    // By the second line the program hears signals.
    assert!(lines.by_ref().take(2).all(|line| line.is_ok()));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("ours").code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("run the same command again")), "{rest:?}");
}

/// A folder `set` of three files in pieces of 32 KiB and its torrent `data.torrent`.
fn shared_folder(further: &[&str]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    fs::create_dir_all(folder.path().join("set/subs")).expect("made");
    for (name, len) in [("a.mkv", 100_000_u32), ("subs/a.srt", 5_000), ("subs/b.srt", 70_000)] {
        let content: Vec<u8> = (0..len).map(|index| (index % 241) as u8 ^ (len >> 8) as u8).collect();
        fs::write(folder.path().join("set").join(name), content).expect("written");
    }
    let mut create =
        vec!["create", "set", "-o", "data.torrent", "-t", "udp://127.0.0.1:1", "--piece-length", "32K"];
    create.extend(further);
    let created = run(folder.path(), &create);
    assert_eq!(status(&created), 0, "{}", stderr(&created));
    folder
}

/// The names below a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn chosen_files_come_alone_and_the_rest_later() {
    let folder = shared_folder(&[]);
    let seeder = Seeder::start(folder.path());
    let download = |further: &[&str]| {
        let mut args = vec!["download", "data.torrent", "-o", "got", "--listen", "127.0.0.1:0"];
        args.extend(["--peer", &seeder.addr]);
        args.extend(further);
        run(folder.path(), &args)
    };
    let unknown = download(&["--select", "*.avi"]);
    assert_eq!(status(&unknown), 2);
    assert!(stderr(&unknown).contains("no file of set is called `*.avi`"), "{}", stderr(&unknown));
    assert!(!folder.path().join("got").exists());

    let some = download(&["--select", "a.srt", "--allocate", "full"]);
    assert_eq!(status(&some), 0, "{}", stderr(&some));
    assert!(String::from_utf8_lossy(&some.stdout).contains("what is wanted of set is complete"));
    assert_eq!(names(&folder.path().join("got/set")), ["subs"]);
    assert_eq!(names(&folder.path().join("got/set/subs")), ["a.srt"]);
    let all = download(&["--priority", "high=subs"]);
    assert_eq!(status(&all), 0, "{}", stderr(&all));
    for name in ["a.mkv", "subs/a.srt", "subs/b.srt"] {
        let [from, to] = ["set", "got/set"].map(|below| fs::read(folder.path().join(below).join(name)));
        assert!(from.expect("there") == to.expect("there"), "{name}");
    }
    assert!(!names(&folder.path().join("got")).iter().any(|name| name.contains(".parts")), "all moved out");
}

#[test]
fn a_padded_torrent_is_downloaded_without_its_padding() {
    let folder = shared_folder(&["--pad"]);
    let shown = run(folder.path(), &["show", "data.torrent"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("files       3") && !shown.contains(".pad"), "{shown}");
    let seeder = Seeder::start(folder.path());
    let mut args = vec!["download", "data.torrent", "-o", "got", "--listen", "127.0.0.1:0"];
    args.extend(["--peer", &seeder.addr, "--select", "b.srt"]);
    let got = run(folder.path(), &args);
    assert_eq!(status(&got), 0, "{}", stderr(&got));
    assert_eq!(names(&folder.path().join("got/set")), ["subs"]);
    let verified = run(folder.path(), &["verify", "data.torrent", "--data", "."]);
    assert_eq!(status(&verified), 0, "{}", stderr(&verified));
}
