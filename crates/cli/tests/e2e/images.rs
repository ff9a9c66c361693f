//! Images that an operator imports: each form of archive becomes the root of a sandbox.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use vm0_testkit::archive::{gzip, sha256_hex};
use vm0_testkit::registry::{RegistryServer, SignIn, TestImage, config};
use vm0_testkit::{Server, host};

use crate::sandboxes::{server, vm0};

crate::on_each_sandbox!(
    a_root_file_system_becomes_the_root_of_a_run,
    a_docker_archive_becomes_the_root_of_a_run,
    an_oci_layout_becomes_the_root_of_a_run,
    a_pulled_image_becomes_the_root_of_a_run,
    an_image_that_is_in_use_is_not_removed,
    a_broken_archive_leaves_nothing,
);

const LIMIT: Duration = Duration::from_secs(60);

/// A member of an archive: path, mode, content.
type Member = (String, u32, Vec<u8>);

fn file(path: &str, content: impl Into<Vec<u8>>) -> Member {
    (path.to_owned(), 0o644, content.into())
}

fn tar(members: &[Member]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, mode, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        builder
            .append_data(&mut header, path, content.as_slice())
            .expect("memory takes every file");
    }
    builder.into_inner().expect("memory takes the end")
}

/// A root file system with a shell and nothing else: this host's `/bin/sh` and its libraries.
fn shell_root() -> Vec<Member> {
    let linked = Command::new("ldd")
        .arg("/bin/sh")
        .output()
        .expect("ldd runs");
    let linked = String::from_utf8(linked.stdout).expect("text");
    let libraries = linked
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    ["/bin/sh"]
        .into_iter()
        .chain(libraries)
        .map(|path| {
            let content = std::fs::read(path).expect("the host has it");
            (path.trim_start_matches('/').to_owned(), 0o755, content)
        })
        .collect()
}

fn import(server: &Server, archive: &[u8], name: &str) {
    let path = server.data_dir().join("image.tar");
    std::fs::write(&path, archive).expect("the directory is writable");
    vm0(
        server.data_dir(),
        &[
            "image",
            "import",
            path.to_str().expect("text"),
            "--as",
            name,
        ],
    );
}

/// Runs `prompt` in an image and gives its output.
async fn run_in(server: &Server, image: &str, prompt: &str) -> Value {
    let api = server.api();
    let config = json!({ "version": "1.0", "agents": { "guest": { "framework": "shell",
        "image": image } } });
    api.agent(&config).await;
    let run = api
        .run_to_end(&json!({ "agent": "guest", "prompt": prompt }))
        .await;
    assert_eq!(run["status"], "completed", "{run}");
    run["output"].clone()
}

async fn a_root_file_system_becomes_the_root_of_a_run(kind: &str) {
    let server = server(kind);
    let mut members = shell_root();
    members.push(file("usr/share/marker", "from a tarball\n"));
    import(&server, &gzip(&tar(&members)), "test/root:1");
    let prompt =
        "read -r line < /usr/share/marker; echo \"$line\"; [ -e /usr/bin/env ] || echo alone";
    let output = run_in(&server, "test/root:1", prompt).await;
    assert_eq!(output, "from a tarball\nalone");
}

/// Two layers, of which the second replaces one file of the first and takes another away.
fn layers() -> [Vec<u8>; 2] {
    let mut first = shell_root();
    first.push(file("usr/share/marker", "first"));
    first.push(file("usr/share/gone", "first"));
    let second = [
        file("usr/share/marker", "second\n"),
        file("usr/share/.wh.gone", ""),
    ];
    [tar(&first), tar(&second)]
}

const LAYERED: &str = "read -r line < /usr/share/marker; echo \"$line $FLAVOUR\"; \
                       [ -e /usr/share/gone ] || echo gone";
const LAYERED_OUTPUT: &str = "second sweet\ngone";

async fn a_docker_archive_becomes_the_root_of_a_run(kind: &str) {
    let server = server(kind);
    let [first, second] = layers();
    let config = json!({ "config": { "Env": ["FLAVOUR=sweet"] } }).to_string();
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["x:1"],
        "Layers": ["a/layer.tar", "b/layer.tar"] }]);
    let archive = tar(&[
        file("manifest.json", manifest.to_string()),
        file("config.json", config),
        file("a/layer.tar", first),
        file("b/layer.tar", second),
    ]);
    import(&server, &archive, "test/docker:1");
    let output = run_in(&server, "test/docker:1", LAYERED).await;
    assert_eq!(output, LAYERED_OUTPUT);
}

fn oci_archive(layers: &[Vec<u8>]) -> Vec<u8> {
    let mut members = vec![file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)];
    let mut blob = |content: Vec<u8>| {
        let hex = sha256_hex(&content);
        let descriptor = json!({ "digest": format!("sha256:{hex}"), "size": content.len() });
        members.push(file(&format!("blobs/sha256/{hex}"), content));
        descriptor
    };
    let layers: Vec<Value> = layers.iter().map(|layer| blob(gzip(layer))).collect();
    let config = json!({ "config": { "Env": ["FLAVOUR=sweet"] } });
    let config = blob(config.to_string().into_bytes());
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
    let manifest = blob(manifest.to_string().into_bytes());
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    members.push(file("index.json", index.to_string()));
    tar(&members)
}

async fn an_oci_layout_becomes_the_root_of_a_run(kind: &str) {
    let server = server(kind);
    import(&server, &oci_archive(&layers()), "test/oci:1");
    let output = run_in(&server, "test/oci:1", LAYERED).await;
    assert_eq!(output, LAYERED_OUTPUT);
}

async fn a_pulled_image_becomes_the_root_of_a_run(kind: &str) {
    let server = server(kind);
    let registry = RegistryServer::start(SignIn::OpenToken).await;
    let image = TestImage::new(&config("FLAVOUR=sweet"), &layers());
    let (reference, digest) = registry.add_index("team/tools", "1", &[&image]);
    let api = server.api();
    let agent = json!({ "version": "1.0", "agents": { "guest": { "framework": "shell",
        "image": reference } } });
    api.agent(&agent).await;
    let run = json!({ "agent": "guest", "prompt": LAYERED });
    let missing = api.run_to_end(&run).await;
    let error = missing["error"].as_str().expect("an error").to_owned();
    let (said, command) = error.split_once("run: vm0 ").expect("a command");
    let expected = format!("[prepare] image '{reference}' is not on this runner; ");
    assert_eq!(said, expected);
    // The command, as it is said.
    let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
    let data_dir = server.data_dir().to_owned();
    let pull = tokio::task::spawn_blocking(move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        vm0(&data_dir, &words)
    });
    let pulled = pull.await.expect("no panic");
    assert_eq!(pulled, format!("✓ {reference}\n  {digest}\n"));
    let done = api.run_to_end(&run).await;
    assert_eq!(
        (&done["status"], &done["output"]),
        (&json!("completed"), &json!(LAYERED_OUTPUT))
    );
    let pinned = format!("{}/team/tools@{digest}", registry.host());
    assert_eq!(run_in(&server, &pinned, LAYERED).await, LAYERED_OUTPUT);
}

async fn an_image_that_is_in_use_is_not_removed(kind: &str) {
    let server = server(kind);
    let api = server.api();
    import(&server, &tar(&shell_root()), "test/used:1");
    api.agent(
        &json!({ "version": "1.0", "agents": { "guest": { "framework": "shell",
        "image": "test/used:1" } } }),
    )
    .await;
    let prompt = "echo ready; while :; do :; done";
    let id = api
        .run(&json!({ "agent": "guest", "prompt": prompt }))
        .await;
    api.run_event(&id, |event| event["text"] == "ready").await;
    let refused = remove(server.data_dir(), "test/used:1");
    assert!(!refused.status.success());
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("a run uses it"), "{text}");
    api.post(&format!("/v1/runs/{id}/cancel"), &json!({}))
        .await
        .expect(200);
    host::eventually(LIMIT, || async {
        let removed = remove(server.data_dir(), "test/used:1");
        removed.status.success().then_some(())
    })
    .await;
    let list = vm0(server.data_dir(), &["image", "list", "--json"]);
    assert!(!list.contains("test/used"), "{list}");
}

fn remove(data_dir: &Path, name: &str) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_vm0"))
        .args(["image", "rm", "-f", name, "--data-dir"])
        .arg(data_dir)
        .output()
        .expect("vm0 runs")
}

async fn a_broken_archive_leaves_nothing(kind: &str) {
    let server = server(kind);
    let mut archive = oci_archive(&layers());
    // A byte of the first layer, which the digest in its name no longer fits.
    let middle = archive.len() / 2;
    archive[middle] ^= 1;
    let path = server.data_dir().join("image.tar");
    std::fs::write(&path, &archive).expect("the directory is writable");
    let output = Command::new(env!("CARGO_BIN_EXE_vm0"))
        .args(["image", "import", "--as", "test/broken:1"])
        .arg(&path)
        .arg("--data-dir")
        .arg(server.data_dir())
        .output()
        .expect("vm0 runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let list = vm0(server.data_dir(), &["image", "list", "--json"]);
    assert!(!list.contains("test/broken"), "{list}");
    for directory in ["layers", "work"] {
        let path = server.data_dir().join("runner/images").join(directory);
        let entries = std::fs::read_dir(&path).into_iter().flatten().count();
        assert_eq!(entries, 0, "something is left in {}", path.display());
    }
}
