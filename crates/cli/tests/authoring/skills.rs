//! Skills of GitHub: real git, led by its own settings to repositories of the test.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vm0_testkit::Server;

use crate::harness::{Project, server, write};

const TOKEN: &str = "ghp_0123456789abcdef";
const TOKEN_BASIC: &str = "eC1hY2Nlc3MtdG9rZW46Z2hwXzAxMjM0NTY3ODlhYmNkZWY=";

/// The repository `acme/skills` of a project's GitHub.
struct Origin {
    path: PathBuf,
}

impl Origin {
    fn make(project: &Project) -> Self {
        let path = project.beside().join("github/acme/skills");
        fs::create_dir_all(&path).expect("directories");
        let origin = Self { path };
        origin.git(&["init", "--quiet", "-b", "main"]);
        origin.git(&["config", "uploadpack.allowFilter", "true"]);
        write(&origin.path.join("README.md"), "not a skill\n");
        write(&origin.path.join("audit/SKILL.md"), "# Audit on main\n");
        write(&origin.path.join("audit/bin/check"), "#!/bin/sh\n");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(origin.path.join("audit/bin/check"), mode).expect("a mode");
        symlink("bin/check", origin.path.join("audit/link")).expect("a link");
        origin.commit();
        origin
    }

    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(args)
            .current_dir(&self.path)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.path)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([
                ("GIT_AUTHOR_NAME", "a"),
                ("GIT_AUTHOR_EMAIL", "a@a.example"),
                ("GIT_COMMITTER_NAME", "a"),
                ("GIT_COMMITTER_EMAIL", "a@a.example"),
            ])
            .output()
            .expect("git runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn commit(&self) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "--quiet", "-m", "c"]);
        self.git(&["rev-parse", "HEAD"])
    }
}

/// A project whose GitHub is a directory of this machine.
fn project(server: &Server) -> Project {
    let project = Project::on(server);
    let github = format!("file://{}/github/", project.beside().display());
    project
        .with("GIT_CONFIG_NOSYSTEM", "1")
        .with("GIT_CONFIG_COUNT", "1")
        .with("GIT_CONFIG_KEY_0", &format!("url.{github}.insteadOf"))
        .with("GIT_CONFIG_VALUE_0", "https://github.com/")
        .with("GIT_ALLOW_PROTOCOL", "file")
}

fn name_skills(project: &Project, skills: &[&str]) {
    let urls: Vec<_> = skills
        .iter()
        .map(|place| format!("\"https://github.com/{place}\""))
        .collect();
    let text = format!(
        "version: \"1.0\"\nagents:\n  demo:\n    framework: shell\n    skills: [{}]\n",
        urls.join(", ")
    );
    project.write("vm0.yaml", &text);
}

/// The files of the bundle that a composed agent has.
fn bundle(project: &Project, composed: &Value) -> PathBuf {
    let version = composed["bundle"].as_str().expect("a bundle");
    let dest = format!("bundle-{}", &version[..8]);
    let clone = [
        "volume",
        "clone",
        "agent-bundles",
        &dest,
        "--version",
        version,
    ];
    project.ok(&clone);
    project.path().join(dest)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_skill_comes_as_it_is_in_the_repository() {
    let server = server();
    let project = project(&server);
    Origin::make(&project);
    name_skills(&project, &["acme/skills/tree/main/audit"]);
    let files = bundle(&project, &project.json(&["compose"]));
    assert_eq!(
        text(&files.join("skills/audit/SKILL.md")),
        "# Audit on main\n"
    );
    let check = fs::metadata(files.join("skills/audit/bin/check")).unwrap();
    assert_eq!(check.permissions().mode() & 0o111, 0o111);
    let link = fs::read_link(files.join("skills/audit/link")).unwrap();
    assert_eq!(link, Path::new("bin/check"));
    let again = project.ok(&["compose"]);
    assert!(again.starts_with("Bundle unchanged "), "{again}");
}

#[test]
fn a_server_that_cannot_leave_contents_out_serves_too() {
    let server = server();
    let project = project(&server);
    let origin = Origin::make(&project);
    origin.git(&["config", "uploadpack.allowFilter", "false"]);
    name_skills(&project, &["acme/skills/tree/main/audit"]);
    let files = bundle(&project, &project.json(&["compose"]));
    assert_eq!(
        text(&files.join("skills/audit/SKILL.md")),
        "# Audit on main\n"
    );
}

#[test]
fn the_longest_existing_ref_wins_and_a_commit_is_one() {
    let server = server();
    let project = project(&server);
    let origin = Origin::make(&project);
    let first = origin.git(&["rev-parse", "HEAD"]);
    write(&origin.path.join("x/audit/SKILL.md"), "# Tag feature\n");
    origin.commit();
    origin.git(&["tag", "-a", "-m", "t", "feature"]);
    origin.git(&["switch", "--quiet", "-c", "feature/x"]);
    write(&origin.path.join("audit/SKILL.md"), "# Branch feature/x\n");
    origin.commit();
    for (place, expected) in [
        ("feature/x/audit".to_owned(), "# Branch feature/x\n"),
        ("feature/audit".to_owned(), "# Audit on main\n"),
        (format!("{first}/audit"), "# Audit on main\n"),
        ("HEAD/x/audit".to_owned(), "# Tag feature\n"),
    ] {
        name_skills(&project, &[&format!("acme/skills/tree/{place}")]);
        let files = bundle(&project, &project.json(&["compose"]));
        assert_eq!(
            text(&files.join("skills/audit/SKILL.md")),
            expected,
            "{place}"
        );
        fs::remove_dir_all(files).unwrap();
    }
}

#[test]
fn what_is_not_there_is_said_of_its_skill() {
    let server = server();
    let project = project(&server);
    Origin::make(&project);
    name_skills(
        &project,
        &[
            "acme/skills/tree/main/nope",
            "acme/skills/tree/other/a",
            "acme/none/tree/main/b",
            "acme/skills/tree/main/README.md",
        ],
    );
    let (code, text) = project.refused(&["compose"]);
    assert_eq!(code, Some(1));
    let lines: Vec<_> = text.lines().collect();
    let prefix = "✗ vm0.yaml:5:";
    assert!(
        lines.iter().take(4).all(|line| line.starts_with(prefix)),
        "{text}"
    );
    let fault = |number: usize| {
        lines[number]
            .split_once(&format!("skills.{number}: "))
            .unwrap()
            .1
    };
    assert_eq!(fault(0), "the repository has no directory 'nope' at main");
    assert_eq!(
        fault(1),
        "the repository has no branch, tag or commit that 'other/a' begins with"
    );
    assert!(fault(2).starts_with("git ls-remote: fatal: "), "{text}");
    assert_eq!(
        fault(3),
        "the repository has no directory 'README.md' at main"
    );
}

#[test]
fn a_hostile_repository_changes_nothing_on_this_machine() {
    let server = server();
    let project = project(&server);
    let origin = Origin::make(&project);
    let marks = project.beside().join("marks");
    fs::create_dir(&marks).unwrap();
    let touch = format!("#!/bin/sh\ntouch {}/hook\n", marks.display());
    for hook in ["post-checkout", "post-merge", "reference-transaction"] {
        write(&origin.path.join("audit/hooks").join(hook), &touch);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(origin.path.join("audit/hooks").join(hook), mode).unwrap();
    }
    write(
        &origin.path.join(".gitattributes"),
        "* filter=evil export-ignore\n",
    );
    let modules = "[submodule \"audit/sub\"]\n\tpath = audit/sub\n\turl = file:///etc\n";
    write(&origin.path.join(".gitmodules"), modules);
    let head = origin.git(&["rev-parse", "HEAD"]);
    let link = format!("160000,{head},audit/sub");
    origin.git(&["add", "-A"]);
    origin.git(&["update-index", "--add", "--cacheinfo", &link]);
    origin.git(&["commit", "--quiet", "-m", "evil"]);
    let evil = format!("touch {}/filter", marks.display());
    let project = project
        .with("GIT_CONFIG_COUNT", "2")
        .with("GIT_CONFIG_KEY_1", "filter.evil.smudge")
        .with("GIT_CONFIG_VALUE_1", &evil);
    name_skills(&project, &["acme/skills/tree/main/audit"]);
    let files = bundle(&project, &project.json(&["compose"]));
    assert!(files.join("skills/audit/hooks/post-checkout").is_file());
    assert!(
        !files.join("skills/audit/sub").exists(),
        "submodules are left out"
    );
    assert_eq!(fs::read_dir(&marks).unwrap().count(), 0, "nothing was run");
    symlink("../../../../etc/passwd", origin.path.join("audit/out")).unwrap();
    origin.commit();
    let (_, text) = project.refused(&["compose"]);
    assert!(
        text.contains("skills.0: the link 'out' leads out of the skill"),
        "{text}"
    );
}

#[test]
fn a_skill_that_is_too_large_is_refused() {
    let server = server();
    let project = project(&server);
    let origin = Origin::make(&project);
    for number in 0..1000 {
        write(&origin.path.join(format!("many/f{number}")), "");
    }
    write(&origin.path.join("many/SKILL.md"), "");
    let file = fs::File::create(origin.path.join("audit/zeros")).unwrap();
    file.set_len((16 << 20) + 1).unwrap();
    origin.commit();
    name_skills(
        &project,
        &["acme/skills/tree/main/many", "acme/skills/tree/main/audit"],
    );
    let (code, text) = project.refused(&["compose"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("skills.0: the skill has more than 1000 files"),
        "{text}"
    );
    assert!(
        text.contains("skills.1: the skill is larger than 16 MiB"),
        "{text}"
    );
}

#[test]
fn a_token_reaches_git_and_nobody_else() {
    let server = server();
    let project = project(&server);
    Origin::make(&project);
    let bin = project.beside().join("bin");
    let log = project.beside().join("git.log");
    let wrapper = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$*\" >> {0}.args\nenv >> {0}.env\nexec /usr/bin/git \"$@\"\n",
        log.display()
    );
    write(&bin.join("git"), &wrapper);
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    let project = project
        .with("PATH", &format!("{}:/usr/bin:/bin", bin.display()))
        .with("GITHUB_TOKEN", TOKEN)
        .with("VM0_LOG_LEVEL", "debug");
    name_skills(
        &project,
        &["acme/skills/tree/main/audit", "acme/none/tree/main/b"],
    );
    let output = project.run(&["compose"]);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("skills.1: git ls-remote"), "{said}");
    let args = text(&log.with_extension("log.args"));
    assert!(args.contains("fetch --quiet --depth=1"), "{args}");
    for place in [&said, &args] {
        assert!(
            !place.contains(TOKEN) && !place.contains(TOKEN_BASIC),
            "{place}"
        );
    }
    let environment = text(&log.with_extension("log.env"));
    let header = format!("=Authorization: Basic {TOKEN_BASIC}\n");
    assert!(environment.contains(&header), "git is let in");
    assert!(environment.contains("=http.https://github.com/.extraHeader\n"));
}

#[test]
fn without_git_a_skill_of_github_says_what_is_missing() {
    let server = server();
    let project = project(&server).with("PATH", "/nowhere");
    name_skills(&project, &["acme/skills/tree/main/audit"]);
    let (code, text) = project.refused(&["compose"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("skills of GitHub need the program git, which is not installed"),
        "{text}"
    );
}
