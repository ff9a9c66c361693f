//! `WWW-Authenticate`: how a registry wants to be told who asks (RFC 9110, 11.6.1).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password.
    Basic,
    /// A token of the server at `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// The first that is understood; a token before a password.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter();
        let mut found: Vec<Self> = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(challenges)
            .collect();
        found.sort_by_key(|challenge| *challenge == Self::Basic);
        found.into_iter().next()
    }

    fn new(scheme: &str, parameters: &[(String, String)]) -> Option<Self> {
        let parameter = |wanted: &str| {
            let mut all = parameters.iter();
            let found = all.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.clone())
        };
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => Some(Self::Basic),
            "bearer" => Some(Self::Bearer {
                realm: parameter("realm")?,
                service: parameter("service"),
                scope: parameter("scope"),
            }),
            _ => None,
        }
    }
}

/// The challenges of one header: `SCHEME NAME=VALUE, NAME="VALUE", SCHEME …`.
fn challenges(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut scheme = String::new();
    let mut parameters = Vec::new();
    for item in items(header) {
        let (before, value) = match item.split_once('=') {
            Some((before, value)) => (before.trim(), Some(value.trim())),
            None => (item.as_str(), None),
        };
        let name = match before.split_once(' ') {
            Some((next, name)) => {
                found.extend(Challenge::new(&scheme, &parameters));
                next.clone_into(&mut scheme);
                parameters.clear();
                name.trim()
            }
            None if value.is_none() => {
                found.extend(Challenge::new(&scheme, &parameters));
                before.clone_into(&mut scheme);
                parameters.clear();
                continue;
            }
            None => before,
        };
        if let Some(value) = value {
            parameters.push((name.to_owned(), unquoted(value)));
        }
    }
    found.extend(Challenge::new(&scheme, &parameters));
    found
}

/// What stands between the commas that no quotes enclose.
fn items(header: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in header.chars() {
        match c {
            ',' if !quoted => {
                items.push(String::new());
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = c == '\\' && quoted && !escaped;
        items.last_mut().expect("there is one").push(c);
    }
    let items = items.into_iter().map(|item| item.trim().to_owned());
    items.filter(|item| !item.is_empty()).collect()
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|it| it.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn a_token_is_preferred_and_what_is_unknown_left_out() {
        for (header, expected) in [
            (r#"Basic realm="a, b""#, Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull,push""#,
                Some(bearer(
                    "https://auth.example/token",
                    Some("r.example"),
                    Some("repository:a/b:pull,push"),
                )),
            ),
            (
                r#"Basic realm="x", bearer realm=y , service="\"q\"""#,
                Some(bearer("y", Some("\"q\""), None)),
            ),
            (r#"Bearer service="no realm""#, None),
            ("Negotiate", None),
            (r#"Digest nonce="x"#, None),
            (",,=,\"", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(WWW_AUTHENTICATE, header.parse().unwrap());
            assert_eq!(Challenge::of(&headers), expected, "{header}");
        }
        assert_eq!(Challenge::of(&HeaderMap::new()), None);
    }
}
