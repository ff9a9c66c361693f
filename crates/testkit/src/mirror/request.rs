//! A request as a mirror received it.

/// A request, byte for byte if it came by HTTP/1.1.
#[derive(Debug, Clone, Default)]
pub struct MirroredRequest {
    /// Request line and headers, without the empty line. What came by HTTP/2 is written as HTTP/1.1
    /// would be, with names in lower case.
    pub head: Vec<u8>,
    /// The body without its framing, and the trailers of HTTP/2.
    pub body: Vec<u8>,
}

impl MirroredRequest {
    /// Path and query.
    pub fn path(&self) -> String {
        let line = self.head.split(|byte| *byte == b'\n').next();
        let line = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
        line.split(' ').nth(1).unwrap_or("/").to_owned()
    }

    /// Names and values of the headers, as sent.
    pub fn headers(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        let lines = self.head.split(|byte| *byte == b'\n').skip(1);
        lines.filter_map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = String::from_utf8_lossy(&line[..colon]).into_owned();
            Some((name, line[colon + 1..].trim_ascii_start().to_vec()))
        })
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        let mut headers = self.headers();
        headers
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The parameter of the query with this name, as sent.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let path = self.path();
        let query = path.split_once('?')?.1;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.to_owned())
    }
}
