//! The page of a run, in a real browser: Debian's chromium without a screen.
//!
//! If it is not there, the tests say so and pass; with `OURTORRENT_INTEROP=require`, as in CI, that is a failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SCENARIO: &str = "# Four homes get a file </script><b> from one seeder, and one of them crashes.
version = 1
[torrent]
size = \"1 MiB\"
piece_length = \"64 KiB\"
[links.home]
up = \"2 Mbit/s\"
down = \"8 Mbit/s\"
latency = \"10 ms\"
queue = \"200 kB\"
[[peers]]
role = \"seeder\"
link = \"home\"
[[peers]]
role = \"leecher\"
count = 4
link = \"home\"
arrival = { uniform = \"2 s\" }
[[faults]]
at = \"4 s\"
crash = \"leecher-2\"
for = \"1 s\"
";

/// Moves the slider as a user does, and writes down what the page shows.
const PROBE: &str = "<script>
const slider = document.getElementById('slider');
const move = t => { slider.value = t; slider.dispatchEvent(new Event('input')); };
const colours = id => {
  const c = document.getElementById(id), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  const seen = new Set();
  for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);
  return seen.size;
};
addEventListener('load', () => setTimeout(() => {
  const seen = { colours: ['pieces', 'matrix', 'queues'].map(colours) };
  move(1);
  seen.first = document.getElementById('clock').textContent;
  const early = document.querySelectorAll('#log li:not(.later)').length;
  const before = document.getElementById('pieces').toDataURL();
  move(5.5);
  seen.second = document.getElementById('clock').textContent;
  seen.log = document.querySelectorAll('#log li:not(.later)').length > early;
  seen.line = document.getElementById('pieces').toDataURL() !== before;
  seen.legend = document.querySelector('#population .u-legend').textContent;
  seen.charts = document.querySelectorAll('.uplot canvas').length;
  seen.verdict = document.getElementById('verdict').textContent;
  seen.claim = document.getElementById('claim').textContent;
  seen.width = document.documentElement.scrollWidth - innerWidth;
  document.getElementById('theme').click();
  seen.dark = document.documentElement.classList.contains('dark');
  const out = document.createElement('pre');
  out.id = 'seen';
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
}, 200));
</script></body>";

struct Page {
    folder: tempfile::TempDir,
    text: String,
}

impl Page {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("four.toml"), SCENARIO).expect("written");
        let mut sim = Command::new(env!("CARGO_BIN_EXE_sim"));
        let output =
            sim.args(["four.toml", "--out", "out"]).current_dir(folder.path()).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let text = fs::read_to_string(folder.path().join("out/report.html")).expect("it was written");
        Self { folder, text }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the browser prints and complains of when it opens `text`.
    fn open(&self, chromium: &Path, text: &str, args: &[&str]) -> (String, String) {
        fs::write(self.path("page.html"), text).expect("written");
        let own = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--enable-logging=stderr".to_owned(),
            "--virtual-time-budget=5000".to_owned(),
            format!("--user-data-dir={}", self.path("profile").display()),
        ];
        let url = format!("file://{}", self.path("page.html").display());
        let output = Command::new(chromium).args(own).args(args).arg(url).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let errors = text(&output.stderr)
            .lines()
            .filter(|line| line.contains(":CONSOLE"))
            .collect::<Vec<_>>()
            .join("\n");
        (text(&output.stdout), errors)
    }
}

fn chromium() -> Option<PathBuf> {
    let path = PathBuf::from("/usr/bin/chromium");
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var("OURTORRENT_INTEROP").is_ok_and(|value| value == "require");
    assert!(!required, "chromium is missing: apt-get install chromium");
    eprintln!("chromium is missing, so the page is not opened: apt-get install chromium");
    None
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_no_text_ends_its_script() {
    let page = Page::new();
    let scripts = page.text.matches("<script").count();
    assert_eq!((scripts, page.text.matches("</script").count()), (3, 3));
    for outside in ["src=\"http", "href=\"http", "url(http", "@import", "fetch(", "XMLHttpRequest"] {
        assert!(!page.text.contains(outside), "{outside}");
    }
    assert!(page.text.contains("Permission is hereby granted"), "the charts' licence goes where they go");
}

#[test]
fn it_opens_without_a_complaint_and_its_slider_moves() {
    let Some(chromium) = chromium() else { return };
    let page = Page::new();
    let probed = page.text.replace("</body>", PROBE);
    for size in ["--window-size=1280,900", "--window-size=500,800"] {
        let (dom, errors) = page.open(&chromium, &probed, &["--dump-dom", size]);
        assert_eq!(errors, "");
        let seen = dom.split_once("<pre id=\"seen\">").and_then(|(_, rest)| rest.split_once("</pre>"));
        let (seen, _) = seen.unwrap_or_else(|| panic!("the probe ended: {dom}"));
        let seen: serde_json::Value =
            serde_json::from_str(&seen.replace("&lt;", "<").replace("&gt;", ">")).expect("JSON");
        assert_eq!((&seen["first"], &seen["second"]), (&"1.0 s".into(), &"5.5 s".into()));
        assert_eq!((&seen["log"], &seen["line"], &seen["charts"]), (&true.into(), &true.into(), &3.into()));
        let legend = seen["legend"].as_str().expect("a text");
        assert!(legend.contains("5.5 s") && !legend.contains('–'), "the legend follows the slider: {legend}");
        assert_eq!((&seen["verdict"], &seen["dark"]), (&"PASS".into(), &true.into()));
        let claim = "Four homes get a file </script><b> from one seeder, and one of them crashes.";
        assert_eq!(seen["claim"], claim);
        for colours in seen["colours"].as_array().expect("three maps") {
            assert!(colours.as_u64() >= Some(2), "a map is blank: {seen}");
        }
        assert!(seen["width"].as_i64() <= Some(0), "nothing sticks out to the side: {seen}");
    }
}

#[test]
fn a_broken_page_would_be_noticed() {
    let Some(chromium) = chromium() else { return };
    let page = Page::new();
    let broken = page.text.replace("const D = JSON.parse", "const D = JSON.pars");
    let (_, errors) = page.open(&chromium, &broken, &["--dump-dom"]);
    assert!(errors.contains("JSON.pars is not a function"), "{errors}");
}

#[test]
fn a_picture_of_it_is_not_blank() {
    let Some(chromium) = chromium() else { return };
    let page = Page::new();
    let picture = |text: &str, name: &str| {
        let path = page.path(name);
        let screenshot = format!("--screenshot={}", path.display());
        page.open(&chromium, text, &[&screenshot, "--window-size=1280,1600", "--hide-scrollbars"]);
        fs::read(path).expect("a picture")
    };
    let (light, dark) = (page.text.clone(), page.text.replace("setTheme(dark);", "setTheme(!dark);"));
    let (light, dark) = (picture(&light, "light.png"), picture(&dark, "dark.png"));
    let blank = picture("<body></body>", "blank.png");
    assert!(light.len() > 5 * blank.len() && dark.len() > 5 * blank.len(), "{} {}", light.len(), blank.len());
    assert_ne!(light, dark);
}
