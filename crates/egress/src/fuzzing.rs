//! Ways in for the fuzz targets below `fuzz/`, built only with them.

use crate::host::{Host, Target};
use crate::{hello, opening, path, socks};

/// What the first bytes of a tunnel are.
pub fn opening(bytes: &[u8]) {
    let _any = hello::server_name(bytes);
    let _any = opening::classify(bytes);
}

/// A SOCKS request.
pub fn socks(bytes: &[u8]) {
    let mut rest = bytes;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let read = runtime.map(|runtime| runtime.block_on(socks::read_request(&mut rest)));
    if let Ok(Ok(target)) = read {
        named(&target.to_string());
    }
}

/// The destination and the path that an HTTP request names.
pub fn named(text: &str) {
    if let Ok(target) = Target::parse(text, Some(80)) {
        let again = Target::parse(&target.to_string(), None);
        assert_eq!(
            again.ok(),
            Some(target),
            "a destination is shown as it is read"
        );
    }
    let _any = Host::parse(text).map(|host| host.matches("*.example.com"));
    let normal = path::normal(text);
    let _any = path::matches("/a/*", &normal);
}
