//! A real Chromium without a window, driven by its WebDriver.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::process::TestProcess;

/// The browser does what it is told within this time.
const LIMIT: Duration = Duration::from_secs(60);
const DRIVER: &str = "chromedriver";
/// Nothing is asked of any server but the one under test.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-dev-shm-usage",
    "--window-size=1000,760",
];
/// How an element is named in the answers of a WebDriver.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with an empty profile; gone when dropped.
#[derive(Debug)]
pub struct Browser {
    http: reqwest::Client,
    session: String,
    profile: tempfile::TempDir,
    _driver: TestProcess,
}

impl Browser {
    /// Whether Debian's `chromium` and `chromium-driver`, or their like, are installed.
    pub fn is_installed() -> bool {
        [DRIVER, "chromium"].iter().all(|program| {
            let version = Command::new(program).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        })
    }

    /// Starts one.
    pub async fn start() -> Self {
        vm0_egress::install_crypto_provider();
        let profile = tempfile::Builder::new().prefix("vm0-browser-").tempdir();
        let profile = profile.expect("a temporary directory");
        let mut command = Command::new(DRIVER);
        command.arg("--port=0").env("HOME", profile.path());
        let mut driver = TestProcess::start(command);
        let port = loop {
            let line = driver.stdout_line();
            assert!(!line.is_empty(), "no chromedriver: {}", driver.stderr());
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let http = reqwest::Client::builder().no_proxy().build();
        let mut browser = Self {
            http: http.expect("a client without special settings"),
            session: format!("http://127.0.0.1:{port}/session"),
            profile,
            _driver: driver,
        };
        let data = format!("--user-data-dir={}", browser.profile.path().display());
        let flags: Vec<_> = FLAGS.iter().copied().chain([data.as_str()]).collect();
        let options = json!({ "args": flags });
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options });
        let body = json!({ "capabilities": { "alwaysMatch": wanted } });
        let made = browser.call(Method::POST, "", &body).await;
        let id = made["sessionId"].as_str().expect("a session has an id");
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let answer = self.answer(method, path, body).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn answer(&self, method: Method, path: &str, body: &Value) -> Result<Value, Value> {
        let request = self
            .http
            .request(method.clone(), format!("{}{path}", self.session))
            .timeout(LIMIT);
        let request = match method {
            Method::POST => request.json(body),
            _ => request,
        };
        let answer = request.send().await.expect("the driver answers");
        let status = answer.status();
        let bytes = answer.bytes().await.expect("the answer arrives");
        let mut answer: Value = serde_json::from_slice(&bytes).expect("an answer is JSON");
        let value = answer["value"].take();
        if status.is_success() {
            Ok(value)
        } else {
            Err(value)
        }
    }

    /// A command of the protocol of Chromium's developer tools.
    async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.call(Method::POST, "/goog/cdp/execute", &body).await;
    }

    /// From now on no script of a page is executed.
    pub async fn without_scripts(&self) {
        let parameters = json!({ "value": true });
        self.devtools("Emulation.setScriptExecutionDisabled", parameters)
            .await;
    }

    /// From now on pages are shown as on a phone, or as in a window again.
    pub async fn as_phone(&self, phone: bool) {
        if phone {
            let screen =
                json!({ "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true });
            self.devtools("Emulation.setDeviceMetricsOverride", screen)
                .await;
        } else {
            self.devtools("Emulation.clearDeviceMetricsOverride", json!({}))
                .await;
        }
    }

    /// From now on the user prefers this colour scheme: `dark` or `light`.
    pub async fn prefers(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        let parameters = json!({ "features": [feature] });
        self.devtools("Emulation.setEmulatedMedia", parameters)
            .await;
    }

    /// Opens an address and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        self.call(Method::POST, "/url", &json!({ "url": url }))
            .await;
    }

    /// The present address.
    pub async fn url(&self) -> String {
        let url = self.call(Method::GET, "/url", &Value::Null).await;
        url.as_str().expect("an address is text").to_owned()
    }

    /// An element, once it is there.
    async fn element(&self, selector: &str) -> String {
        let body = json!({ "using": "css selector", "value": selector });
        let started = Instant::now();
        let found = loop {
            match self.answer(Method::POST, "/element", &body).await {
                Ok(found) => break found,
                Err(error) => assert!(started.elapsed() < LIMIT, "{selector}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let id = found[ELEMENT].as_str().expect("an element has an id");
        format!("/element/{id}")
    }

    /// The text of an element, as it is shown.
    pub async fn text(&self, selector: &str) -> String {
        let path = format!("{}/text", self.element(selector).await);
        let text = self.call(Method::GET, &path, &Value::Null).await;
        text.as_str().expect("text").to_owned()
    }

    /// A property of an element, as text.
    pub async fn property(&self, selector: &str, name: &str) -> String {
        let path = format!("{}/property/{name}", self.element(selector).await);
        let value = self.call(Method::GET, &path, &Value::Null).await;
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    }

    /// Clicks an element and waits for the page that this leads to.
    pub async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        let path = format!("{element}/click");
        self.call(Method::POST, &path, &json!({})).await;
        // The click may be answered before the page goes; the element is then still there.
        let started = Instant::now();
        let name = format!("{element}/name");
        while self.answer(Method::GET, &name, &Value::Null).await.is_ok() {
            assert!(started.elapsed() < LIMIT, "{selector} leads nowhere");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Types into a field, in the place of what it holds.
    pub async fn fill(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.call(Method::POST, &format!("{element}/clear"), &json!({}))
            .await;
        let body = json!({ "text": text });
        self.call(Method::POST, &format!("{element}/value"), &body)
            .await;
    }

    /// The present page as a PNG picture.
    pub async fn picture(&self) -> Vec<u8> {
        let picture = self.call(Method::GET, "/screenshot", &Value::Null).await;
        let text = picture.as_str().expect("a picture is text");
        STANDARD.decode(text).expect("a picture is base64")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its processes outlive a driver that is killed; all of them name the profile.
        for process in processes_of(self.profile.path()) {
            let _ = Command::new("kill").args(["-s", "KILL", &process]).status();
        }
    }
}

fn processes_of(profile: &Path) -> Vec<String> {
    let profile = profile.to_string_lossy();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.map(|process| process.file_name().to_string_lossy().into_owned());
    let of_profile = |process: &String| {
        let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&*profile)
    };
    let is_number = |name: &String| name.parse::<u32>().is_ok();
    names.filter(is_number).filter(of_profile).collect()
}
