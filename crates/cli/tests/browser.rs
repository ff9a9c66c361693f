//! The pages of the server in a real Chromium, without scripts: from the first start of a server to
//! a terminal that is signed in.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vm0_testkit::{Browser, TestProcess};

const VM0: &str = env!("CARGO_BIN_EXE_vm0");
const LIMIT: Duration = Duration::from_secs(60);

/// A directory for pictures of the pages, if somebody wants to look at them.
const PICTURES: &str = "VM0_TEST_PICTURES";

/// Keeps the present page as four pictures: window and phone, light and dark; nothing is wider than
/// the screen of a phone.
async fn look(browser: &Browser, name: &str) {
    browser.as_phone(true).await;
    let wide: u32 = browser
        .property("html", "scrollWidth")
        .await
        .parse()
        .expect("a number");
    assert!(wide <= 360, "{name}: {wide}");
    browser.as_phone(false).await;
    let Some(directory) = std::env::var_os(PICTURES) else {
        return;
    };
    for scheme in ["light", "dark"] {
        browser.prefers(scheme).await;
        for phone in [false, true] {
            browser.as_phone(phone).await;
            let screen = if phone { "phone" } else { "window" };
            let file = Path::new(&directory).join(format!("{name}-{screen}-{scheme}.png"));
            std::fs::write(file, browser.picture().await).expect("the directory is there");
        }
    }
    browser.as_phone(false).await;
}

/// A new server, its address and its link for the first user.
fn serve(data: &Path) -> (TestProcess, String, String) {
    let mut command = Command::new(VM0);
    command
        .args([
            "serve",
            "--no-runner",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(data)
        .env("USER", "ada")
        .env_remove("SUDO_USER");
    let mut process = TestProcess::start(command);
    let line = process.stdout_line();
    let url = line.strip_prefix("listening on ").expect("it listens");
    let link = after(&process, &format!("{url}/sign-in/"));
    (process, url.to_owned(), format!("{url}/sign-in/{link}"))
}

/// What follows `text` in what a process says, to the end of the line.
fn after(process: &TestProcess, text: &str) -> String {
    let started = Instant::now();
    loop {
        let said = process.stderr();
        let rest = said.split_once(text).map(|(_, rest)| rest);
        if let Some((line, _)) = rest.and_then(|rest| rest.split_once('\n')) {
            return line.to_owned();
        }
        assert!(started.elapsed() < LIMIT, "no {text:?} in {said}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn login(home: &Path, url: &str) -> (TestProcess, String) {
    let mut command = Command::new(VM0);
    command
        .args(["auth", "login", "--api-url", url])
        .env_clear()
        .env("HOME", home)
        .stdin(Stdio::null());
    let process = TestProcess::start(command);
    let code = after(&process, "Code:        ");
    (process, code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_ends_with_a_terminal_that_is_signed_in() {
    if !Browser::is_installed() {
        assert!(
            std::env::var_os("CI").is_none(),
            "chromium is not installed: run 'make setup'"
        );
        eprintln!("skipped: chromium is not installed; 'make setup' installs it");
        return;
    }
    let (data, home) = (tempfile::tempdir(), tempfile::tempdir());
    let (data, home) = (data.expect("a directory"), home.expect("a directory"));
    let (server, url, link) = serve(data.path());
    let browser = Browser::start().await;
    browser.without_scripts().await;

    browser.open(&link).await;
    look(&browser, "first-user").await;
    assert_eq!(browser.property("#name", "value").await, "ada");
    browser.fill("#name", "maria").await;
    browser.click("main button").await;
    assert_eq!(browser.url().await, format!("{url}/"));
    assert_eq!(browser.text("h1").await, "Signed in as maria");
    look(&browser, "home").await;

    let (mut process, code) = login(home.path(), &url);
    browser.click("a.button").await;
    look(&browser, "code").await;
    browser.fill("#code", "bbbb bbbb").await;
    browser.click("main button").await;
    assert!(
        browser
            .text(".notice")
            .await
            .starts_with("No program has this code")
    );
    look(&browser, "code-wrong").await;
    browser.fill("#code", &code.to_lowercase()).await;
    browser.click("main button").await;
    assert_eq!(browser.text("#user-code").await, code);
    look(&browser, "approve").await;
    browser.click("#approve").await;
    assert_eq!(browser.text("h1").await, "Approved");
    look(&browser, "approved").await;
    assert_eq!(process.stdout_rest(), format!("✓ Signed in to {url}\n"));
    assert_eq!(process.wait(LIMIT).code(), Some(0), "{}", process.stderr());

    let (mut denied, code) = login(home.path(), &url);
    browser.open(&format!("{url}/device")).await;
    browser.fill("#code", &code).await;
    browser.click("main button").await;
    browser.click("#deny").await;
    assert_eq!(browser.text("h1").await, "Denied");
    look(&browser, "denied").await;
    assert_eq!(denied.wait(LIMIT).code(), Some(1));

    browser.open(&url).await;
    browser.click("#make-link").await;
    look(&browser, "link").await;
    let other = browser.text("#link").await;
    browser.click("#sign-out").await;
    assert_eq!(browser.url().await, format!("{url}/sign-in?signed_out"));
    look(&browser, "signed-out").await;
    browser.open(&other).await;
    look(&browser, "sign-in-by-link").await;
    browser.click("main button").await;
    assert_eq!(browser.text("h1").await, "Signed in as maria");
    browser.open(&link).await;
    assert_eq!(browser.text("h1").await, "This link was used already");
    look(&browser, "link-used").await;
    assert!(!server.stderr().contains(&other), "no link is in the log");
}
