//! Serves the channel: one task for each stream that the host opens.

use std::io;
use std::os::fd::OwnedFd;

use tokio::net::unix::pipe;
use vm0_guest::frame::{self, MAX_GUEST_FRAME, MAX_HOST_FRAME};
use vm0_guest::{GuestConfig, Hello, HostHeader, Mux, MuxStream, Notice, PROTOCOL_VERSION, Side};

use super::exec::{Attachments, exec};
use super::proxy;
use super::reaper::Reaper;

/// Says hello and serves until the channel ends.
pub(crate) async fn serve(config: GuestConfig, input: OwnedFd, output: OwnedFd) -> io::Result<()> {
    let input = pipe::Receiver::from_owned_fd(input)?;
    let mut output = pipe::Sender::from_owned_fd(output)?;
    let reaper = Reaper::start()?;
    let listener = if config.proxy {
        Some(proxy::listen().await?)
    } else {
        None
    };
    let hello = Hello {
        protocol_version: PROTOCOL_VERSION,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    frame::write(&mut output, &hello, MAX_GUEST_FRAME)
        .await
        .map_err(io::Error::other)?;
    let (mux, mut incoming, run) = Mux::new(tokio::io::join(input, output), Side::Guest);
    let driver = tokio::spawn(run);
    if let Some(listener) = listener {
        tokio::task::spawn_local(proxy::forward_all(listener, mux.clone()));
    }
    let attachments = Attachments::default();
    while let Some(stream) = incoming.next().await {
        tokio::task::spawn_local(dispatch(stream, attachments.clone(), reaper.clone()));
    }
    let _ = driver.await;
    Ok(())
}

async fn dispatch(mut stream: MuxStream, attachments: Attachments, reaper: Reaper) {
    match frame::read::<HostHeader, _>(&mut stream, MAX_HOST_FRAME).await {
        Ok(HostHeader::Exec(header)) => exec(header, stream, attachments, reaper).await,
        Ok(HostHeader::Attach { process, channel }) => {
            attachments.arrived(process, channel, stream);
        }
        Ok(HostHeader::KillAll) => {
            reaper.kill_all().await;
            let _ = frame::write(&mut stream, &Notice::Killed, MAX_GUEST_FRAME).await;
        }
        Err(error) => eprintln!("vm0 agent: {error}"),
    }
}
