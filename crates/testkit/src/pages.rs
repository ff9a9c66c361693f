//! The server's pages as a user of them: signed in, approving and denying codes.

use reqwest::header::{CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};

/// A user who is signed in on the pages.
#[derive(Debug, Clone)]
pub struct Pages {
    http: reqwest::Client,
    url: String,
    cookie: String,
}

const FORM: &str = "application/x-www-form-urlencoded";

impl Pages {
    /// Signs in by a token.
    pub async fn sign_in(url: &str, token: &str) -> Self {
        vm0_egress::install_crypto_provider();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        let http = http.build().expect("a client without special settings");
        let answer = http
            .post(format!("{url}/sign-in"))
            .header(ORIGIN, url)
            .header(CONTENT_TYPE, FORM)
            .body(format!("token={token}"));
        let answer = answer.send().await.expect("the server answers");
        let cookie = answer.headers()[SET_COOKIE].to_str().expect("text");
        let (cookie, _) = cookie.split_once(';').expect("a cookie has attributes");
        Self {
            cookie: cookie.to_owned(),
            url: url.to_owned(),
            http,
        }
    }

    /// Lets the program with this code sign in.
    pub async fn approve(&self, code: &str) {
        self.decide(code, "approve", "<h1>Approved</h1>").await;
    }

    /// Does not let the program with this code sign in.
    pub async fn deny(&self, code: &str) {
        self.decide(code, "deny", "<h1>Denied</h1>").await;
    }

    async fn decide(&self, code: &str, action: &str, expected: &str) {
        let url = format!("{}/device", self.url);
        let page = self.http.get(&url).header(COOKIE, &self.cookie);
        let page = page.send().await.expect("the server answers");
        let page = page.text().await.expect("a page is text");
        let start = "name=\"form_token\" value=\"";
        let (_, token) = page.split_once(start).expect("the page has a form");
        let (token, _) = token.split_once('"').expect("an attribute ends");
        let form = self
            .http
            .post(&url)
            .header(COOKIE, &self.cookie)
            .header(ORIGIN, &self.url)
            .header(CONTENT_TYPE, FORM)
            .body(format!(
                "form_token={token}&user_code={code}&action={action}"
            ));
        let page = form.send().await.expect("the server answers");
        let page = page.text().await.expect("a page is text");
        assert!(page.contains(expected), "{page}");
    }
}
