//! Downloads: parts, heads, kept archives (API 8.6).

use hmac::{Hmac, Mac};
use reqwest::header::RANGE;
use reqwest::{Method, Response};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::harness::{Answer, Harness};
use crate::storages::{archive, upload, volume};

const CONTENT: &[u8] = b"what is downloaded in parts is the same as what is downloaded whole";

/// A committed volume with one file; the signed URL of its archive.
async fn signed(harness: &Harness) -> String {
    let volume = volume(harness, "v").await;
    let hash = hex::encode(Sha256::digest(CONTENT));
    let files = json!([{ "path": "a.txt", "size": CONTENT.len(), "hash": hash }]);
    let session = upload(harness, &volume, &files, archive(&[("a.txt", CONTENT)])).await;
    let body = json!({ "upload_session_id": session });
    assert_eq!(
        harness.post(&format!("{volume}/commit"), body).await.status,
        200
    );
    let redirect = harness.get(&format!("{volume}/download")).await;
    redirect.header("location").unwrap().to_owned()
}

async fn ranged(harness: &Harness, url: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = harness.http.get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

#[tokio::test]
async fn parts_of_an_archive_are_those_of_the_whole() {
    let harness = Harness::start().await;
    let url = signed(&harness).await;
    // The first request for a part waits until the archive is made.
    let first = ranged(&harness, &url, &[("Range", "bytes=0-9")]).await;
    assert_eq!(first.status(), 206);
    let start = first.bytes().await.unwrap();
    let whole = ranged(&harness, &url, &[]).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(header(&whole, "accept-ranges"), Some("bytes"));
    let etag = header(&whole, "etag").unwrap().to_owned();
    let length = whole.content_length().unwrap();
    let whole = whole.bytes().await.unwrap();
    assert_eq!((whole.len() as u64, &whole[..10]), (length, &start[..]));
    for (range, from, to) in [
        ("bytes=5-14".to_owned(), 5, 15),
        ("bytes=20-".to_owned(), 20, whole.len()),
        (format!("bytes=20-{}", u64::MAX), 20, whole.len()),
        ("bytes=-7".to_owned(), whole.len() - 7, whole.len()),
        ("bytes=-9999".to_owned(), 0, whole.len()),
    ] {
        let part = ranged(&harness, &url, &[("Range", &range), ("If-Range", &etag)]).await;
        assert_eq!(part.status(), 206, "{range}");
        let described = format!("bytes {from}-{}/{length}", to - 1);
        assert_eq!(header(&part, "content-range"), Some(described.as_str()));
        assert_eq!(header(&part, "content-type"), Some("application/gzip"));
        assert_eq!(part.content_length(), Some((to - from) as u64));
        assert_eq!(part.bytes().await.unwrap(), whole[from..to], "{range}");
    }
    for range in [format!("bytes={length}-"), "bytes=-0".to_owned()] {
        let refused = ranged(&harness, &url, &[("Range", &range)]).await;
        assert_eq!(refused.status(), 416, "{range}");
        let described = format!("bytes */{length}");
        assert_eq!(header(&refused, "content-range"), Some(described.as_str()));
        assert_eq!(header(&refused, "x-api-version"), Some("v1"));
    }
    for headers in [
        &[("Range", "bytes=0-1,4-5")][..],
        &[("Range", "lines=0-1")],
        &[("Range", "bytes=x")],
        &[("Range", "bytes=0-1"), ("If-Range", "\"other\"")],
    ] {
        let all = ranged(&harness, &url, headers).await;
        assert_eq!(all.status(), 200, "{headers:?}");
        assert_eq!(all.bytes().await.unwrap(), whole);
    }
    let head = harness
        .http
        .request(Method::HEAD, &url)
        .header(RANGE, "bytes=0-1");
    let head = head.send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(
        header(&head, "content-length"),
        Some(length.to_string().as_str())
    );
    assert_eq!(header(&head, "etag"), Some(etag.as_str()));
    assert!(head.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_kept_archive_needs_no_pack_and_a_head_makes_none() {
    let harness = Harness::start().await;
    let url = signed(&harness).await;
    let head = harness.http.head(&url).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), header(&head, "content-length")),
        (200, None)
    );
    let kept = harness.directory.path().join("data/archives/v1");
    assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 0);
    let part = ranged(&harness, &url, &[("Range", "bytes=0-")]).await;
    let whole = part.bytes().await.unwrap();
    assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 1);
    let packs = harness.directory.path().join("data/objects/packs");
    std::fs::remove_dir_all(packs).unwrap();
    let again = ranged(&harness, &url, &[]).await;
    assert_eq!(again.bytes().await.unwrap(), whole);
}

/// The URL as the server would have signed it to expire at this second.
fn signed_until(harness: &Harness, url: &str, expires: i64) -> String {
    let key = harness.directory.path().join("data/keys/sign.key");
    let key = hex::decode(std::fs::read_to_string(key).unwrap().trim()).unwrap();
    let (address, _) = url.split_once('?').unwrap();
    let path = address.strip_prefix(&harness.server.url()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("object url\nGET\n{path}\n{expires}").as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    format!("{address}?expires={expires}&signature={signature}")
}

#[tokio::test]
async fn an_altered_or_expired_url_is_refused_whatever_is_asked_of_it() {
    let harness = Harness::start().await;
    let url = signed(&harness).await;
    let future = signed_until(&harness, &url, 9_999_999_999);
    assert_eq!(ranged(&harness, &future, &[]).await.status(), 200);
    for refused in [
        url.replace("/archives/0", "/archives/1"),
        url.replace("expires=", "expires=0"),
        url.replace("expires=", "expires=%2B"),
        url.split_once('?').unwrap().0.to_owned(),
        signed_until(&harness, &url, 1_768_473_000),
        signed_until(&harness, &url, -1),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let request = harness.http.request(method.clone(), &refused);
            let answer = request.header(RANGE, "bytes=0-1").send().await.unwrap();
            assert_eq!(answer.status(), 403, "{refused}");
            if method == Method::GET {
                let answer = Answer::read(answer).await;
                answer.error(403, "invalid_signature", None);
            }
        }
    }
}
