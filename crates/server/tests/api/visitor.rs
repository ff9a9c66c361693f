//! A browser, as far as the pages need one: it keeps a cookie, and says where a form comes from.

use reqwest::{Method, RequestBuilder};
use url::form_urlencoded;

use crate::harness::Answer;

#[derive(Clone)]
pub(crate) struct Visitor {
    http: reqwest::Client,
    url: String,
    pub(crate) origin: String,
    pub(crate) cookie: Option<String>,
}

impl Visitor {
    pub(crate) fn new(url: String) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        Self {
            http: http.build().unwrap(),
            origin: url.clone(),
            url,
            cookie: None,
        }
    }

    /// Signed in by a token.
    pub(crate) async fn signed_in(url: String, token: &str) -> Self {
        let mut visitor = Self::new(url);
        let answer = visitor.post("/sign-in", &[("token", token)]).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("./"))
        );
        visitor
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.cookie {
            Some(cookie) => request.header("Cookie", cookie),
            None => request,
        }
    }

    /// Sends it, and keeps the cookie that comes back.
    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Answer {
        let answer = Answer::read(request.send().await.unwrap()).await;
        if let Some(cookie) = answer.header("set-cookie") {
            let pair = cookie.split(';').next().unwrap();
            let kept = !pair.ends_with('=');
            self.cookie = kept.then(|| pair.to_owned());
        }
        answer
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let request = self.request(Method::GET, path);
        self.send(request).await
    }

    pub(crate) fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let mut body = form_urlencoded::Serializer::new(String::new());
        self.request(Method::POST, path)
            .header("Origin", &self.origin)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body.extend_pairs(fields).finish())
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.form(path, fields);
        self.send(request).await
    }

    /// Sends a form with the token that the page `/device` has.
    pub(crate) async fn post_signed(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.form_token().await;
        let fields = [fields, &[("form_token", token.as_str())][..]].concat();
        self.post(path, &fields).await
    }

    pub(crate) async fn form_token(&mut self) -> String {
        let page = self.get("/device").await.text;
        let (_, after) = page.split_once("name=\"form_token\" value=\"").unwrap();
        after.split_once('"').unwrap().0.to_owned()
    }
}
