//! What every answer says of how it may be used.

use vm0_server::endpoints;

use crate::harness::Harness;

const ID: &str = "019bc134-7840-7cba-a551-2100f80b56fc";

#[tokio::test]
async fn every_answer_keeps_to_itself() {
    let harness = Harness::start().await;
    for endpoint in endpoints() {
        let path = endpoint.path.replace("{id}", ID).replace(['{', '}'], "");
        for request in [
            harness.request(endpoint.method.clone(), &path),
            harness.http.request(
                endpoint.method.clone(),
                format!("{}{path}", harness.server.url()),
            ),
        ] {
            if path.ends_with("/events") {
                continue;
            }
            let response = request.send().await.unwrap();
            let header = |name: &str| {
                let value = response.headers().get(name);
                value
                    .map(|value| value.to_str().unwrap())
                    .unwrap_or_default()
            };
            assert_eq!(header("x-content-type-options"), "nosniff", "{endpoint:?}");
            // The one thing that is the same for everybody, and no answer of anybody's data.
            let kept = match endpoint.path {
                "/schema/vm0.yaml.json" => "public, max-age=3600",
                _ => "no-store",
            };
            assert_eq!(header("cache-control"), kept, "{endpoint:?}");
            let policy = header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'"), "{endpoint:?}");
            assert!(policy.contains("frame-ancestors 'none'"), "{endpoint:?}");
            assert!(!policy.contains("unsafe"), "{endpoint:?}");
            let referrer = header("referrer-policy");
            assert!(
                ["no-referrer", "same-origin"].contains(&referrer),
                "{endpoint:?}"
            );
            assert_eq!(header("strict-transport-security"), "", "{endpoint:?}");
        }
    }
}
