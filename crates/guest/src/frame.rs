//! Length-prefixed, versioned frames: one byte version, three bytes length (big endian), JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Version of the channel; host and guest come from one build, so there is no negotiation.
pub const PROTOCOL_VERSION: u8 = 2;
/// The largest frame a guest may send.
pub const MAX_GUEST_FRAME: usize = 16 * 1024;
/// The largest frame a host may send: it holds arguments and environment of a program.
pub const MAX_HOST_FRAME: usize = 4 * 1024 * 1024;

const PREFIX: usize = 4;

/// Why a frame could not be read or written.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The stream ended or failed.
    #[error("transfer a frame: {0}")]
    Io(#[from] std::io::Error),
    /// The peer speaks another version.
    #[error("understand protocol version {0} (this is {PROTOCOL_VERSION})")]
    Version(u8),
    /// The frame is larger than its limit.
    #[error("accept a frame of {len} bytes (limit {limit})")]
    TooLarge {
        /// Its length.
        len: usize,
        /// The most that is accepted.
        limit: usize,
    },
    /// The content is not what was expected.
    #[error("understand a frame: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// A value as a frame.
///
/// # Errors
/// If it is larger than `limit`.
pub fn encode<T: Serialize>(value: &T, limit: usize) -> Result<Vec<u8>, FrameError> {
    let body = serde_json::to_vec(value)?;
    if body.len() > limit || body.len() >= 1 << 24 {
        return Err(FrameError::TooLarge {
            len: body.len(),
            limit,
        });
    }
    let mut frame = Vec::with_capacity(PREFIX + body.len());
    let len = u32::try_from(body.len()).expect("checked to be below 2^24");
    frame.push(PROTOCOL_VERSION);
    frame.extend_from_slice(&len.to_be_bytes()[1..]);
    frame.extend_from_slice(&body);
    Ok(frame)
}

/// The length of the content that follows a prefix.
///
/// # Errors
/// If version or length is not acceptable.
pub fn decode_prefix(prefix: [u8; PREFIX], limit: usize) -> Result<usize, FrameError> {
    let [version, a, b, c] = prefix;
    if version != PROTOCOL_VERSION {
        return Err(FrameError::Version(version));
    }
    let len = u32::from_be_bytes([0, a, b, c]) as usize;
    if len > limit {
        return Err(FrameError::TooLarge { len, limit });
    }
    Ok(len)
}

/// Reads one frame.
///
/// # Errors
/// If the stream ends, or the frame is not acceptable.
pub async fn read<T, R>(reader: &mut R, limit: usize) -> Result<T, FrameError>
where
    T: DeserializeOwned,
    R: AsyncRead + Unpin,
{
    let mut prefix = [0; PREFIX];
    reader.read_exact(&mut prefix).await?;
    let mut body = vec![0; decode_prefix(prefix, limit)?];
    reader.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// Writes one frame and flushes.
///
/// # Errors
/// If the stream fails or the value is larger than `limit`.
pub async fn write<T, W>(writer: &mut W, value: &T, limit: usize) -> Result<(), FrameError>
where
    T: Serialize,
    W: AsyncWrite + Unpin,
{
    writer.write_all(&encode(value, limit)?).await?;
    writer.flush().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{
        ExecHeader, GuestHeader, Hello, HostHeader, Input, Notice, Request, TerminalSize,
    };
    use proptest::prelude::*;

    #[tokio::test]
    async fn a_frame_is_read_back_as_written() {
        let header = HostHeader::Exec(ExecHeader {
            process: 7,
            argv: vec!["sh".into(), "-c".into(), "echo ü".into()],
            env: [("A".to_owned(), "b".to_owned())].into(),
            cwd: "/".into(),
            stdin: Input::File("/vm0/prompt".into()),
            terminal: Some(TerminalSize { rows: 24, cols: 80 }),
        });
        let bytes = encode(&header, MAX_HOST_FRAME).unwrap();
        let back: HostHeader = read(&mut bytes.as_slice(), MAX_HOST_FRAME).await.unwrap();
        assert_eq!(back, header);
    }

    /// Both ends come from one build, but what is on the wire changes only with its version.
    #[test]
    fn a_version_of_the_protocol_has_one_form() {
        let start = HostHeader::Exec(ExecHeader {
            process: 1,
            argv: vec!["sh".into()],
            env: [("A".to_owned(), "b".to_owned())].into(),
            cwd: "/".into(),
            stdin: Input::Pipe,
            terminal: Some(TerminalSize { rows: 24, cols: 80 }),
        });
        let resize = Request::Resize(TerminalSize {
            rows: 50,
            cols: 132,
        });
        let start = encode(&start, MAX_HOST_FRAME).unwrap();
        let resize = encode(&resize, MAX_HOST_FRAME).unwrap();
        assert_eq!(
            start,
            include_bytes!("../../../fuzz/seeds/guest/exec-terminal")
        );
        assert_eq!(resize, include_bytes!("../../../fuzz/seeds/guest/resize"));
    }

    #[tokio::test]
    async fn another_version_and_too_large_a_frame_are_refused() {
        let mut bytes = encode(&GuestHeader::Forward, 100).unwrap();
        let read_back = read::<GuestHeader, _>(&mut bytes.as_slice(), 3).await;
        assert!(matches!(read_back, Err(FrameError::TooLarge { .. })));
        bytes[0] = 9;
        let read_back = read::<GuestHeader, _>(&mut bytes.as_slice(), 100).await;
        assert!(matches!(read_back, Err(FrameError::Version(9))));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), versioned: bool) {
            let mut bytes = bytes;
            if versioned && bytes.len() > 4 {
                bytes[0] = PROTOCOL_VERSION;
                bytes[1] = 0;
                bytes[2] = 0;
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let _ = read::<Hello, _>(&mut bytes.as_slice(), MAX_GUEST_FRAME).await;
                let _ = read::<Notice, _>(&mut bytes.as_slice(), MAX_GUEST_FRAME).await;
                let _ = read::<GuestHeader, _>(&mut bytes.as_slice(), MAX_GUEST_FRAME).await;
                let _ = read::<HostHeader, _>(&mut bytes.as_slice(), MAX_HOST_FRAME).await;
                let _ = read::<Request, _>(&mut bytes.as_slice(), MAX_HOST_FRAME).await;
            });
        }
    }
}
