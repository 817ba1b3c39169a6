//! The recipes of `sim/sweeps`, run as their engines would run them: two shards of four seeds, and the merging.
//!
//! GNU parallel is a foreign program: if it is not there the test says so and passes; with `OURTORRENT_INTEROP=require`,
//! as in CI, that is a failure, and with `skip` it is left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use yaml_rust2::{Yaml, YamlLoader};

/// What stands where the recipes have their scenario.
const TINY: &str = "# One home gets a small file.
version = 1
[torrent]
size = \"64 KiB\"
piece_length = \"32 KiB\"
[[peers]]
role = \"seeder\"
link = \"cable\"
[[peers]]
role = \"leecher\"
link = \"cable\"
";

/// A folder in which `sim` is a command and `scenarios/churn.toml` a small scenario.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir(site.0.path().join("scenarios")).expect("made");
        fs::write(site.0.path().join("scenarios/churn.toml"), TINY).expect("written");
        site
    }

    /// A shell that runs `script`.
    fn sh(&self, script: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new("sh");
        let sim = Path::new(env!("CARGO_BIN_EXE_sim")).parent().expect("it lies in a folder").display();
        let path = format!("{sim}:{}", std::env::var("PATH").unwrap_or_default());
        command.args(["-c", script]).current_dir(self.0.path()).env("PATH", path);
        command.envs(variables.iter().copied()).output().expect("it runs")
    }

    /// The shards' results are whole, and each seed was run once.
    fn merges(&self, merge: &str) {
        let output = self.sh(merge, &[]);
        assert!(output.status.success(), "{merge}: {}", text(&output.stderr));
        let all = fs::read_to_string(self.0.path().join("all.jsonl")).expect("it was written");
        let seed = |line: &str| {
            serde_json::from_str::<serde_json::Value>(line).expect("JSON")["seed"].as_u64().expect("a number")
        };
        assert_eq!(all.lines().map(seed).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn recipe(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sweeps").join(name);
    fs::read_to_string(path).expect("it is there")
}

fn yaml(text: &str) -> Yaml {
    let mut documents = YamlLoader::load_from_str(text).expect("valid YAML");
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// What a recipe says to run in the end, in a comment.
fn merging(recipe: &str) -> String {
    let line = recipe.lines().find_map(|line| line.trim_start_matches(['#', ' ']).strip_prefix("sim merge "));
    format!("sim merge {}", line.expect("it says how to merge"))
        .replace("1..10001", "1..5")
        .replace("/results/", "")
}

#[test]
fn slurm() {
    let (site, recipe) = (Site::new(), recipe("slurm.sh"));
    assert!(recipe.contains("#SBATCH --array=1-64"), "shards count from one, as tasks do");
    let script = recipe.replace("1..10001", "1..5");
    for task in ["1", "2"] {
        let variables =
            [("SLURM_ARRAY_TASK_ID", task), ("SLURM_ARRAY_TASK_COUNT", "2"), ("SLURM_CPUS_PER_TASK", "2")];
        let output = site.sh(&script, &variables);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    site.merges(&merging(&recipe));
}

#[test]
fn kubernetes() {
    let (site, recipe) = (Site::new(), recipe("kubernetes.yaml"));
    let job = yaml(&recipe);
    let spec = &job["spec"];
    assert_eq!((job["kind"].as_str(), spec["completionMode"].as_str()), (Some("Job"), Some("Indexed")));
    let container = &spec["template"]["spec"]["containers"][0];
    let (command, script) = (container["command"].as_vec(), container["args"][0].as_str().expect("a script"));
    let words: Vec<_> = command.expect("a command").iter().filter_map(Yaml::as_str).collect();
    assert_eq!(words, ["sh", "-c"]);
    let shards = spec["completions"].as_i64().expect("a number");
    assert!(script.contains(&format!("/{shards}\"")), "as many shards as pods: {script}");
    assert_eq!(spec["maxFailedIndexes"].as_i64(), Some(shards), "no failure stops the others");
    let codes = spec["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"].as_vec().expect("a list");
    // What a run can end with (`sim --help`), but for bad usage, which another attempt would not mend either.
    assert_eq!(codes.iter().filter_map(Yaml::as_i64).collect::<Vec<_>>(), [1, 3, 4, 5]);
    let script =
        script.replace(&format!("/{shards}\""), "/2\"").replace("1..10001", "1..5").replace("/results/", "");
    for index in ["0", "1"] {
        let output = site.sh(&script, &[("JOB_COMPLETION_INDEX", index)]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    site.merges(&merging(&recipe));
}

#[test]
fn github() {
    let (site, recipe) = (Site::new(), recipe("github-matrix.yml"));
    let jobs = yaml(&recipe)["jobs"].clone();
    let shards = jobs["shard"]["strategy"]["matrix"]["shard"].as_vec().expect("a list").clone();
    let numbers: Vec<_> = shards.iter().filter_map(Yaml::as_i64).collect();
    assert!(numbers.iter().zip(1..).all(|(number, place)| *number == place), "{numbers:?}");
    let of = format!("/{}", numbers.len());
    let run = |job: &str, word: &str| {
        let steps = jobs[job]["steps"].as_vec().expect("steps");
        let lines = steps.iter().filter_map(|step| step["run"].as_str());
        lines
            .map(|line| line.replace("target/release/sim", "sim"))
            .find(|line| line.contains(word))
            .expect("a step")
    };
    for shard in ["1", "2"] {
        let script = run("shard", "--shard");
        assert!(script.contains(&of), "as many shards as runners: {script}");
        let script = script.replace("${{ matrix.shard }}", shard).replace(&of, "/2");
        let script = format!(
            "mkdir -p shard-{shard} && {}",
            script.replace("shard.jsonl", &format!("shard-{shard}/shard.jsonl"))
        );
        let output = site.sh(&script, &[("SCENARIO", "churn"), ("SEEDS", "1..5")]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    site.merges(&run("merge", "sim merge").replace("$SEEDS", "1..5"));
}

#[test]
fn gnu_parallel() {
    let wish = std::env::var("OURTORRENT_INTEROP").unwrap_or_default();
    let is_there = Path::new("/usr/bin/parallel").exists();
    assert!(is_there || wish != "require", "GNU parallel is missing: apt-get install parallel");
    if !is_there || wish == "skip" {
        eprintln!("the recipe for GNU parallel is not run: apt-get install parallel");
        return;
    }
    let site = Site::new();
    fs::write(site.0.path().join("gnu-parallel.sh"), recipe("gnu-parallel.sh")).expect("written");
    let home = site.0.path().to_string_lossy().into_owned();
    // It asks once in a lifetime to be cited; this is a new one each time.
    let script = "mkdir -p .parallel && touch .parallel/will-cite && sh gnu-parallel.sh churn 1..5 2";
    let output = site.sh(script, &[("HOME", &home)]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    site.merges("sim merge shard-*.jsonl --into all.jsonl --seeds 1..5");
}

#[test]
fn a_failed_run_is_the_recipes_status() {
    let site = Site::new();
    let failing = format!("{TINY}[expect]\ntime = \"<= 1 ms\"\n");
    fs::write(site.0.path().join("scenarios/churn.toml"), failing).expect("written");
    let script = recipe("slurm.sh").replace("1..10001", "1..5");
    let variables =
        [("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_ARRAY_TASK_COUNT", "1"), ("SLURM_CPUS_PER_TASK", "1")];
    let output = site.sh(&script, &variables);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("replay: "), "{}", text(&output.stderr));
}
