//! `vm0 image pull` from a registry that is sometimes a bad one. What comes of it in a sandbox is in
//! `e2e/images.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use vm0_testkit::registry::{AskedOf, Fault, RegistryServer, SignIn, TestImage, config};
use vm0_testkit::{TestProcess, host};

const LIMIT: Duration = Duration::from_secs(60);
const PAIR: &str = "robot:pass-7f3a9c";

/// A data directory and a home without a login.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("home")).expect("a directory");
        Self { dir }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Puts a login file where docker has it.
    fn login(&self, logins: &Value) {
        let dir = self.path("home/.docker");
        fs::create_dir_all(&dir).expect("a directory");
        fs::write(dir.join("config.json"), logins.to_string()).expect("a file");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vm0"));
        command
            .args(args)
            .arg("--data-dir")
            .arg(self.path("data"))
            .env("HOME", self.path("home"))
            .env("VM0_LOG_LEVEL", "debug")
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("REGISTRY_AUTH_FILE")
            .env_remove("DOCKER_CONFIG");
        command
    }

    async fn run(&self, args: &[&str]) -> Done {
        self.end(self.command(args)).await
    }

    async fn end(&self, mut command: Command) -> Done {
        let output = tokio::task::spawn_blocking(move || command.output().expect("vm0 runs"));
        Done(output.await.expect("vm0 ends"))
    }

    async fn pull(&self, reference: &str) -> Done {
        self.run(&["image", "pull", reference]).await
    }

    /// Starts a pull and waits until a layer has been asked for and is stuck.
    async fn begin_stalled(
        &self,
        registry: &RegistryServer,
        image: &TestImage,
        reference: &str,
    ) -> TestProcess {
        let layer = image.layer_digest(0);
        registry.fault(&layer, Fault::Stalled(70_000));
        let pull = TestProcess::start(self.command(&["image", "pull", reference]));
        host::eventually(LIMIT, || async {
            let begun = self.works().iter().any(|work| {
                let blobs = fs::read_dir(work.join("blobs"));
                blobs
                    .into_iter()
                    .flatten()
                    .flatten()
                    .any(|blob| blob.metadata().is_ok_and(|meta| meta.len() > 0))
            });
            (begun && asked(registry, &layer) > 0).then_some(())
        })
        .await;
        pull
    }

    fn works(&self) -> Vec<std::path::PathBuf> {
        entries(&self.path("data/runner/images/work"))
    }

    async fn images(&self) -> Vec<Value> {
        let list = self.run(&["image", "list", "--json"]).await;
        list.assert(0);
        let list: Value = serde_json::from_slice(&list.0.stdout).expect("JSON");
        list["data"].as_array().expect("a list")[1..].to_vec()
    }

    /// There is nothing of an image.
    async fn assert_nothing(&self) {
        assert_eq!(self.images().await, Vec::<Value>::new());
        for place in ["names", "layers", "work"] {
            let left = entries(&self.path("data/runner/images").join(place));
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

struct Done(Output);

impl Done {
    #[track_caller]
    fn assert(&self, code: i32) {
        assert_eq!(self.0.status.code(), Some(code), "{}", self.text());
    }

    /// The exit code, a piece of the message, and no word of a secret.
    #[track_caller]
    fn assert_failed(&self, code: i32, message: &str) {
        self.assert(code);
        let text = self.text();
        assert!(text.contains(message), "{text}");
        assert!(self.0.stdout.is_empty(), "{text}");
    }

    /// Everything that was printed.
    fn text(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let all = format!("{}{}", text(&self.0.stdout), text(&self.0.stderr));
        for secret in [
            "pass-7f3a9c",
            &STANDARD.encode(PAIR),
            "token-of-the-registry",
        ] {
            assert!(!all.contains(secret), "a secret is printed: {all}");
        }
        all
    }
}

fn entries(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn asked(registry: &RegistryServer, what: &str) -> usize {
    let requests = registry.requests();
    requests.iter().filter(|it| it.path.contains(what)).count()
}

fn layer(path: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append_data(&mut header, path, content)
        .expect("memory takes it");
    builder.into_inner().expect("memory takes the end")
}

/// Bytes that no compression makes less of.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> 56).expect("eight bits")
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn image() -> TestImage {
    let layers = [
        layer("bin/tool", &noise(200_000)),
        layer("usr/share/words", b"words"),
    ];
    TestImage::new(&config("FLAVOUR=sweet"), &layers)
}

async fn registry(sign_in: SignIn) -> (RegistryServer, TestImage, String) {
    let registry = RegistryServer::start(sign_in).await;
    let image = image();
    let reference = registry.add("team/tools", "1", &image);
    (registry, image, reference)
}

fn auths(registry: &RegistryServer, pair: &str) -> Value {
    json!({ "auths": { registry.host(): { "auth": STANDARD.encode(pair) } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_gives_the_image_for_this_machine_and_what_is_here_is_not_fetched_again() {
    let registry = RegistryServer::start(SignIn::None).await;
    let mut foreign = config("FLAVOUR=bitter");
    foreign["architecture"] = json!("s390x");
    let foreign = TestImage::new(&foreign, &[layer("bin/tool", b"foreign")]);
    let own = image();
    let (reference, digest) = registry.add_index("team/tools", "1", &[&foreign, &own]);
    let machine = Machine::new();
    let pulled = machine.run(&["-q", "image", "pull", &reference]).await;
    pulled.assert(0);
    let stdout = String::from_utf8_lossy(&pulled.0.stdout).into_owned();
    assert_eq!(stdout, format!("✓ {reference}\n  {digest}\n"));
    assert_eq!(asked(&registry, &own.layer_digest(0)), 1);
    assert_eq!(asked(&registry, &foreign.layer_digest(0)), 0);
    let again = machine
        .run(&["image", "pull", &reference, "--as", "mine", "--json"])
        .await;
    again.assert(0);
    let again: Value = serde_json::from_slice(&again.0.stdout).expect("JSON");
    assert_eq!(
        (&again["name"], &again["digest"]),
        (&json!("mine:latest"), &json!(digest))
    );
    assert_eq!(
        asked(&registry, &own.layer_digest(0)),
        1,
        "the layers are here"
    );
    let names: Vec<Value> = machine
        .images()
        .await
        .iter()
        .map(|it| it["name"].clone())
        .collect();
    assert_eq!(names, [json!(reference), json!("mine:latest")]);
    let single = machine
        .run(&["image", "pull", &registry.add("team/other", "1", &foreign)])
        .await;
    single.assert_failed(1, "it is not for linux/");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_names_exactly_one_image() {
    let (registry, image, _) = registry(SignIn::None).await;
    let machine = Machine::new();
    let pinned = format!("{}/team/tools@{}", registry.host(), image.digest());
    machine.pull(&pinned).await.assert(0);
    assert_eq!(machine.images().await[0]["name"], json!(pinned));
    // The registry gives another manifest under this name.
    let other = TestImage::new(&config("A=b"), &[layer("bin/tool", b"other")]);
    registry.add("team/tools", &image.digest(), &other);
    let fresh = Machine::new();
    let refused = fresh.pull(&pinned).await;
    refused.assert_failed(1, "its content differs from its digest");
    fresh.assert_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_docker_or_podman_is_used_and_shown_nowhere() {
    for sign_in in [
        SignIn::Basic(PAIR.to_owned()),
        SignIn::Token(PAIR.to_owned()),
    ] {
        let (registry, _, reference) = registry(sign_in).await;
        let machine = Machine::new();
        let denied = machine.pull(&reference).await;
        denied.assert_failed(3, "only to those who sign in");
        let hint = format!("Sign in: docker login {}", registry.host());
        assert!(denied.text().contains(&hint), "{}", denied.text());
        machine.login(&auths(&registry, "robot:wrong"));
        machine
            .pull(&reference)
            .await
            .assert_failed(3, "refuses the login that is stored");
        machine.assert_nothing().await;
        machine.login(&auths(&registry, PAIR));
        machine.pull(&reference).await.assert(0);

        let podman = Machine::new();
        fs::create_dir_all(podman.path("run/containers")).expect("a directory");
        let file = podman.path("run/containers/auth.json");
        fs::write(file, auths(&registry, PAIR).to_string()).expect("a file");
        let mut command = podman.command(&["image", "pull", &reference]);
        command.env("XDG_RUNTIME_DIR", podman.path("run"));
        podman.end(command).await.assert(0);

        let named = Machine::new();
        fs::write(named.path("auth.json"), auths(&registry, PAIR).to_string()).expect("a file");
        let mut command = named.command(&["image", "pull", &reference]);
        command.env("REGISTRY_AUTH_FILE", named.path("auth.json"));
        named.end(command).await.assert(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_for_everybody_where_the_registry_says_so() {
    let (registry, _, reference) = registry(SignIn::OpenToken).await;
    Machine::new().pull(&reference).await.assert(0);
    assert_eq!(asked(&registry, "/token?"), 1, "one token for all requests");
    registry.fault("token", Fault::Endless);
    Machine::new()
        .pull(&reference)
        .await
        .assert_failed(1, "more than 65536 bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_helper_is_asked_and_may_know_a_token() {
    let (registry, _, reference) = registry(SignIn::Token(PAIR.to_owned())).await;
    let machine = Machine::new();
    let helper = machine.path("docker-credential-test");
    let search = format!("{}:/usr/bin:/bin", machine.dir.path().display());
    let pull = async |logins: &Value, answer: &str| {
        let host = registry.host();
        let script = format!(
            "#!/bin/sh\nread -r key || :\n[ \"$1 $key\" = 'get {host}' ] || exit 9\n{answer}\n"
        );
        fs::write(&helper, script).expect("a file");
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).expect("a mode");
        machine.login(logins);
        let mut command = machine.command(&["image", "pull", &reference]);
        command.env("PATH", &search);
        machine.end(command).await
    };
    let store = json!({ "credsStore": "test", "auths": { registry.host(): {} } });
    let one = json!({ "credHelpers": { registry.host(): "test" } });
    let (user, password) = PAIR.split_once(':').expect("a pair");
    let login = format!("echo '{{\"Username\":\"{user}\",\"Secret\":\"{password}\"}}'");
    pull(&store, &login).await.assert(0);
    pull(&one, &login).await.assert(0);
    let token = format!("echo '{{\"Username\":\"<token>\",\"Secret\":\"{PAIR}\"}}'");
    pull(&one, &token).await.assert(0);
    let unknown = "echo 'credentials not found in native keychain'; exit 1";
    pull(&store, unknown)
        .await
        .assert_failed(3, "only to those who sign in");
    let broken = format!("echo '{PAIR}'; exit 2");
    pull(&store, &broken)
        .await
        .assert_failed(1, "docker-credential-test");
    pull(&store, &format!("echo '{PAIR}'"))
        .await
        .assert_failed(1, "no Username and Secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_takes_no_credentials_to_another_host() {
    for sign_in in [
        SignIn::Basic(PAIR.to_owned()),
        SignIn::Token(PAIR.to_owned()),
    ] {
        let (registry, image, reference) = registry(sign_in).await;
        registry.redirect();
        let machine = Machine::new();
        machine.login(&auths(&registry, PAIR));
        machine.pull(&reference).await.assert(0);
        let requests = registry.requests();
        let (own, elsewhere): (Vec<_>, Vec<_>) =
            requests.iter().partition(|it| it.of == AskedOf::Registry);
        let layer = format!("/{}", image.layer_digest(0));
        assert!(elsewhere.iter().any(|it| it.path == layer), "{elsewhere:?}");
        assert!(
            elsewhere.iter().all(|it| it.authorization.is_none()),
            "{elsewhere:?}"
        );
        assert!(
            own.iter().any(|it| it.authorization.is_some()),
            "the control"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_from_its_digest_is_refused_and_nothing_is_left() {
    let (registry, image, reference) = registry(SignIn::None).await;
    let (index, _) = registry.add_index("team/index", "1", &[&image]);
    for (reference, changed, what) in [
        (
            &reference,
            image.layer_digest(0),
            "verify the layer sha256:",
        ),
        (
            &reference,
            image.layer_digest(1),
            "verify the layer sha256:",
        ),
        (
            &reference,
            image.config_digest(),
            "verify the configuration sha256:",
        ),
        (&index, image.digest(), "verify the manifest sha256:"),
        (
            &reference,
            "1".to_owned(),
            "its content differs from its digest",
        ),
    ] {
        registry.fault(&changed, Fault::Changed);
        let machine = Machine::new();
        let refused = machine.pull(reference).await;
        refused.assert_failed(1, what);
        machine.assert_nothing().await;
        registry.mend();
        machine.pull(reference).await.assert(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_a_largest_size() {
    let (registry, image, reference) = registry(SignIn::None).await;
    let described = "it has more than 4194304 bytes";
    let size = image.layer(0).len();
    let declared = format!("it has more than {size} bytes");
    for (of, fault, message) in [
        ("1".to_owned(), Fault::Endless, described),
        ("1".to_owned(), Fault::Longer(4 << 20), described),
        (image.config_digest(), Fault::Endless, described),
        (image.layer_digest(0), Fault::Endless, &declared),
        (image.layer_digest(0), Fault::Longer(1), &declared),
    ] {
        registry.fault(&of, fault);
        let machine = Machine::new();
        machine.pull(&reference).await.assert_failed(1, message);
        machine.assert_nothing().await;
        registry.mend();
    }
    let manifest: Value = serde_json::from_slice(&image.manifest).expect("JSON");
    let mut huge = manifest.clone();
    huge["layers"][0]["size"] = json!(33_u64 << 30);
    registry.add_manifest(
        "team/huge",
        "1",
        "application/json",
        huge.to_string().into_bytes(),
    );
    let machine = Machine::new();
    let refused = machine
        .pull(&format!("{}/team/huge:1", registry.host()))
        .await;
    refused.assert_failed(1, "over the limit of 34359738368 bytes");
    assert_eq!(
        asked(&registry, &format!("huge/blobs/{}", image.layer_digest(0))),
        0
    );
    machine.assert_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_is_resumed_and_one_that_breaks_for_ever_is_not() {
    let (registry, image, reference) = registry(SignIn::None).await;
    let first = image.layer_digest(0);
    registry.fault(
        &first,
        Fault::Cut {
            after: 70_000,
            times: 2,
        },
    );
    let machine = Machine::new();
    machine.pull(&reference).await.assert(0);
    let ranges: Vec<_> = registry
        .requests()
        .into_iter()
        .filter_map(|it| it.range)
        .collect();
    assert_eq!(ranges, ["bytes=70000-", "bytes=140000-"]);
    registry.fault(
        &first,
        Fault::Cut {
            after: 0,
            times: usize::MAX,
        },
    );
    let machine = Machine::new();
    machine
        .pull(&reference)
        .await
        .assert_failed(8, "reach the registry 127.0.0.1:");
    machine.assert_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_has_the_exit_code_of_its_kind() {
    let (registry, _, _) = registry(SignIn::None).await;
    let machine = Machine::new();
    let host = registry.host();
    let missing = format!("{host}/team/none:1");
    let found = format!("find {missing}: {host} has none");
    machine.pull(&missing).await.assert_failed(4, &found);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    let unreachable = machine.pull(&format!("127.0.0.1:{port}/a")).await;
    unreachable.assert_failed(8, &format!("reach the registry 127.0.0.1:{port}"));
    for (reference, message) in [
        ("https://ghcr.io/a", "leave out what is before //"),
        ("Team/Tools", "lower-case"),
        ("a@sha256:12", "digest"),
    ] {
        machine.pull(reference).await.assert_failed(2, message);
    }
    registry.add_manifest("team/text", "1", "text/plain", b"hello".to_vec());
    let text = machine.pull(&format!("{host}/team/text:1")).await;
    text.assert_failed(1, "read the manifest of the image");
    let host_image = machine.pull("host").await;
    host_image.assert_failed(1, "image name 'host:latest'");
    fs::create_dir(machine.path("home/.docker")).expect("a directory");
    fs::write(machine.path("home/.docker/config.json"), PAIR).expect("a file");
    let unread = machine.pull(&missing).await;
    unread.assert_failed(1, "config.json: it is no JSON of a login file");
    machine.assert_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_leads_out_of_the_image_is_refused() {
    let registry = RegistryServer::start(SignIn::None).await;
    let mut hostile = layer("aa/outside", b"x");
    hostile[..2].copy_from_slice(b"..");
    let mut header = tar::Header::from_byte_slice(&hostile[..512]).clone();
    header.set_cksum();
    hostile[..512].copy_from_slice(header.as_bytes());
    let image = TestImage::new(&config("A=b"), &[hostile]);
    let machine = Machine::new();
    let refused = machine
        .pull(&registry.add("team/hostile", "1", &image))
        .await;
    refused.assert_failed(1, "it leads out of the image");
    machine.assert_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_leaves_nothing() {
    let (registry, image, reference) = registry(SignIn::None).await;
    let machine = Machine::new();
    let mut pull = machine.begin_stalled(&registry, &image, &reference).await;
    pull.signal("INT");
    let code = pull.wait(LIMIT).code();
    let said = pull.stderr_rest();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.ends_with("\n✗ Interrupted\n"), "{said}");
    machine.assert_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_pull_leaves_no_image_and_the_next_one_clears_up() {
    let (registry, image, reference) = registry(SignIn::None).await;
    let machine = Machine::new();
    let mut pull = machine.begin_stalled(&registry, &image, &reference).await;
    pull.kill();
    let left = machine.works();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(machine.images().await, Vec::<Value>::new());
    let doctor = machine.run(&["doctor", "--json"]).await.text();
    assert!(!doctor.contains("team/tools"), "{doctor}");
    let gc = machine.run(&["gc", "--dry-run"]).await;
    gc.assert(0);
    registry.mend();
    machine.pull(&reference).await.assert(0);
    assert_eq!(machine.works(), Vec::<std::path::PathBuf>::new());
    assert_eq!(machine.images().await[0]["name"], json!(reference));
    assert_eq!(entries(&machine.path("data/runner/images/layers")).len(), 1);
}
