//! The pages for signing in (CLI 2.1).

use reqwest::Method;
use vm0_server::{
    RunningServer, Server, ServerConfig, TokenFor, TokenRequest, endpoints, token_create,
};

use crate::harness::{Answer, Harness};
use crate::visitor::Visitor;

/// A server that nobody has signed in to.
struct Empty {
    server: RunningServer,
    directory: tempfile::TempDir,
}

impl Empty {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let mut config = ServerConfig::new(directory.path().join("data"), listen);
        config.first_user_name = "proposed".to_owned();
        let server = Server::start(config).await.unwrap();
        Self { server, directory }
    }

    /// The path of a fresh link.
    async fn link(&self) -> String {
        let link = self.server.first_link().await.unwrap().unwrap();
        let path = link.strip_prefix(&self.server.url()).unwrap().to_owned();
        assert!(
            path.starts_with("/sign-in/") && path.len() == 9 + 64,
            "{path}"
        );
        path
    }

    fn visitor(&self) -> Visitor {
        Visitor::new(self.server.url())
    }
}

fn shows(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.text.contains(text), "{text}: {}", answer.text);
}

#[tokio::test]
async fn the_first_link_makes_the_first_user_once() {
    let empty = Empty::start().await;
    let link = empty.link().await;
    let mut ada = empty.visitor();
    for _ in 0..2 {
        let page = ada.get(&link).await;
        shows(&page, 200, "value=\"proposed\"");
    }
    for name in ["", "a b", "-a", "\"><b>"] {
        let page = ada.post(&link, &[("name", name)]).await;
        shows(&page, 400, "That is not a user name.");
        assert!(!page.text.contains("<b>"), "{}", page.text);
    }
    let answer = ada.post(&link, &[("name", " ada ")]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("../"))
    );
    let cookie = answer.header("set-cookie").unwrap();
    let port = empty.server.address().port();
    assert!(
        cookie.starts_with(&format!("vm0_session_{port}=")),
        "{cookie}"
    );
    assert!(
        cookie.ends_with("; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    shows(&ada.get("/").await, 200, "<h1>Signed in as ada</h1>");
    let mut other = empty.visitor();
    let again = other.post(&link, &[("name", "bob")]).await;
    shows(&again, 410, "This link was used already");
    assert_eq!(other.cookie, None);
    shows(&other.get(&link).await, 410, "This link was used already");
    assert_eq!(empty.server.first_link().await.unwrap(), None);
}

#[tokio::test]
async fn a_link_is_void_when_there_is_a_newer_one_or_a_user() {
    let empty = Empty::start().await;
    let (old, new) = (empty.link().await, empty.link().await);
    let mut visitor = empty.visitor();
    for link in [
        old.as_str(),
        "/sign-in/x",
        &new.to_uppercase().replace("/SIGN-IN", "/sign-in"),
    ] {
        shows(&visitor.get(link).await, 404, "This link is not valid");
        let used = visitor.post(link, &[("name", "ada")]).await;
        shows(&used, 404, "This link is not valid");
    }
    let request = TokenRequest {
        owner: TokenFor::User("pavel".to_owned()),
        label: "test".to_owned(),
        expires_in_days: 1,
    };
    let data_dir = empty.directory.path().join("data");
    token_create(&data_dir, request).await.unwrap();
    shows(
        &visitor.get(&new).await,
        410,
        "There is a first user already",
    );
    let used = visitor.post(&new, &[("name", "ada")]).await;
    shows(&used, 410, "There is a first user already");
    assert_eq!(visitor.cookie, None);
}

#[tokio::test]
async fn a_token_signs_in_until_it_is_deleted() {
    let harness = Harness::start().await;
    let mut visitor = Visitor::new(harness.server.url());
    let answer = visitor.get("/").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("sign-in"))
    );
    shows(&visitor.get("/sign-in").await, 200, "API token");
    for token in ["", "x", &harness.runner_token, &harness.token[..72]] {
        let page = visitor.post("/sign-in", &[("token", token)]).await;
        shows(&page, 401, "That token is not valid.");
    }
    let token = format!(" {}\n", harness.token);
    let answer = visitor.post("/sign-in", &[("token", &token)]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("./"))
    );
    let lives = answer.header("set-cookie").unwrap();
    let (_, lives) = lives.split_once("Max-Age=").unwrap();
    let lives: u64 = lives.split(';').next().unwrap().parse().unwrap();
    assert!(lives <= 24 * 3600, "not longer than the token: {lives}");
    shows(&visitor.get("/").await, 200, "<h1>Signed in as ada</h1>");
    assert_eq!(visitor.get("/sign-in").await.status, 303);
    let tokens = harness.get("/v1/tokens").await.json();
    let path = format!("/v1/tokens/{}", tokens["data"][0]["id"].as_str().unwrap());
    assert_eq!(harness.delete(&path).await.status, 204);
    assert_eq!(visitor.get("/").await.header("location"), Some("sign-in"));
}

#[tokio::test]
async fn who_must_sign_in_first_goes_on_where_it_was() {
    let harness = Harness::start().await;
    let mut visitor = Visitor::new(harness.server.url());
    let answer = visitor.get("/device").await;
    assert_eq!(answer.header("location"), Some("sign-in?next=device"));
    shows(
        &visitor.get("/sign-in?next=device").await,
        200,
        "value=\"device\"",
    );
    let page = visitor.get("/sign-in?next=//evil.example").await.text;
    assert!(!page.contains("evil"), "{page}");
    for (next, location) in [("device", "device"), ("//evil.example", "./")] {
        let fields = [("token", harness.token.as_str()), ("next", next)];
        let answer = visitor.post("/sign-in", &fields).await;
        assert_eq!(answer.header("location"), Some(location));
    }
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let harness = Harness::start().await;
    let mut visitor = Visitor::signed_in(harness.server.url(), &harness.token).await;
    let stolen = visitor.clone();
    let answer = visitor.post_signed("/sign-out", &[]).await;
    assert_eq!(answer.header("location"), Some("sign-in?signed_out"));
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(visitor.cookie, None);
    shows(
        &visitor.get("/sign-in?signed_out").await,
        200,
        "You are signed out.",
    );
    let mut stolen = stolen;
    assert_eq!(
        stolen.get("/").await.status,
        303,
        "the cookie is worth nothing"
    );
}

#[tokio::test]
async fn a_link_signs_in_on_another_device_once() {
    let harness = Harness::start().await;
    let mut laptop = Visitor::signed_in(harness.server.url(), &harness.token).await;
    let page = laptop.post_signed("/sign-in-link", &[]).await.text;
    let (_, link) = page
        .split_once(&format!("{}/sign-in/", harness.server.url()))
        .unwrap();
    let link = format!("/sign-in/{}", &link[..64]);
    let mut phone = Visitor::new(harness.server.url());
    shows(&phone.get(&link).await, 200, "<h1>Sign in as ada</h1>");
    assert_eq!(phone.post(&link, &[]).await.header("location"), Some("../"));
    shows(&phone.get("/").await, 200, "<h1>Signed in as ada</h1>");
    let again = Visitor::new(harness.server.url()).post(&link, &[]).await;
    shows(&again, 410, "This link was used already");
}

const FORMS: &[&str] = &["/sign-in-link", "/sign-out", "/device"];

#[tokio::test]
async fn a_form_of_another_site_is_refused() {
    let harness = Harness::start().await;
    let mut visitor = Visitor::signed_in(harness.server.url(), &harness.token).await;
    let token = visitor.form_token().await;
    let fields = [
        ("form_token", token.as_str()),
        ("token", &harness.token),
        ("user_code", "BBBB-BBBB"),
        ("action", "approve"),
    ];
    let link = format!("/sign-in/{}", "0".repeat(64));
    for path in [FORMS, &["/sign-in", &link]].concat() {
        for origin in ["", "null", "http://evil.example", "http://127.0.0.1:1"] {
            visitor.origin = origin.to_owned();
            let request = visitor.form(path, &fields);
            shows(&visitor.send(request).await, 403, "That did not work");
        }
        let mut request = visitor.form(path, &fields).build().unwrap();
        request.headers_mut().remove("Origin");
        let answer = harness.http.execute(request).await.unwrap();
        assert_eq!(answer.status(), 403, "{path}");
    }
    assert_eq!(visitor.get("/").await.status, 200, "still signed in");
}

#[tokio::test]
async fn a_form_needs_the_token_of_its_session() {
    let harness = Harness::start().await;
    let mut ada = Visitor::signed_in(harness.server.url(), &harness.token).await;
    let mut again = Visitor::signed_in(harness.server.url(), &harness.token).await;
    let others = again.form_token().await;
    for path in FORMS {
        for token in ["", "x", &others] {
            let page = ada.post(path, &[("form_token", token)]).await;
            shows(&page, 403, "That did not work");
        }
        let answer = Visitor::new(harness.server.url()).post(path, &[]).await;
        assert_eq!(answer.header("location"), Some("sign-in"), "{path}");
    }
    assert_eq!(ada.get("/").await.status, 200, "still signed in");
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let harness = Harness::start().await;
    let mut visitor = Visitor::new(harness.server.url());
    let big = visitor
        .post("/sign-in", &[("token", &"x".repeat(9000))])
        .await;
    shows(&big, 413, "That did not work");
    let request = visitor
        .form("/sign-in", &[])
        .header("Content-Type", "text/plain");
    let mut request = request.build().unwrap();
    let plain = "text/plain".parse().unwrap();
    request.headers_mut().insert("Content-Type", plain);
    assert_eq!(harness.http.execute(request).await.unwrap().status(), 400);
    assert_eq!(visitor.post("/sign-in", &[]).await.status, 400);
    let mut ada = Visitor::signed_in(harness.server.url(), &harness.token).await;
    let page = ada
        .post_signed("/device", &[("user_code", "BBBB-BBBB")])
        .await;
    shows(&page, 400, "The form was not complete.");
}

#[tokio::test]
async fn every_page_keeps_others_out() {
    let harness = Harness::start().await;
    let mut visitor = Visitor::signed_in(harness.server.url(), &harness.token).await;
    let is_page = |path: &str| path == "/" || path == "/device" || path.starts_with("/sign-in");
    let pages = endpoints()
        .into_iter()
        .filter(|e| is_page(e.path) && e.method == Method::GET);
    let paths: Vec<_> = pages.map(|page| page.path).collect();
    assert_eq!(paths, ["/", "/sign-in", "/sign-in/{link}", "/device"]);
    for path in paths {
        for answer in [
            visitor.get(path).await,
            Visitor::new(harness.server.url()).get(path).await,
        ] {
            let policy = answer.header("content-security-policy").unwrap();
            for part in [
                "default-src 'none'",
                "frame-ancestors 'none'",
                "form-action 'self'",
            ] {
                assert!(policy.contains(part), "{policy}");
            }
            assert!(
                !policy.contains("script") && !policy.contains("unsafe"),
                "{policy}"
            );
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("referrer-policy", "same-origin"),
                ("cache-control", "no-store"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{path}");
            }
            let text = &answer.text;
            assert!(!text.contains("<script") && !text.contains("{{"), "{text}");
        }
    }
}

#[tokio::test]
async fn with_tls_the_cookie_is_for_this_host_only() {
    let public = |config: &mut ServerConfig| {
        config.public_url = Some("https://vm0.example.com/base".to_owned());
    };
    let harness = Harness::start_with(public).await;
    let mut visitor = Visitor::new(harness.server.url());
    visitor.origin = "https://vm0.example.com".to_owned();
    let answer = visitor.post("/sign-in", &[("token", &harness.token)]).await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-vm0_session="), "{cookie}");
    assert!(
        cookie.contains("; Path=/;") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
    let page = visitor.post_signed("/sign-in-link", &[]).await;
    shows(&page, 200, "https://vm0.example.com/base/sign-in/");
}
