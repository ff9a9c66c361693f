//! Serves the channel: one task for each stream that the host opens.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::net::unix::pipe;
use vm0_guest::frame::{self, MAX_GUEST_FRAME, MAX_HOST_FRAME};
use vm0_guest::{Hello, HostHeader, Mux, MuxStream, Notice, PROTOCOL_VERSION, Side, Transparent};

use super::exec::{Attachments, exec};
use super::proxy;
use super::reaper::Reaper;
use crate::net;

/// The ways to the host that programs have.
pub(crate) struct Network {
    /// The address that the proxy variables name.
    pub(crate) proxy: bool,
    /// The interface.
    pub(crate) device: Option<net::Opened>,
    /// What the host is told of the interface.
    pub(crate) transparent: Transparent,
}

/// Says hello and serves until the channel ends.
pub(crate) async fn serve(network: Network, input: OwnedFd, output: OwnedFd) -> io::Result<()> {
    let input = pipe::Receiver::from_owned_fd(input)?;
    let mut output = pipe::Sender::from_owned_fd(output)?;
    let reaper = Reaper::start()?;
    let listener = if network.proxy {
        Some(proxy::listen().await?)
    } else {
        None
    };
    let tun = network.device.map(net::Opened::register).transpose()?;
    let hello = Hello {
        protocol_version: PROTOCOL_VERSION,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        transparent: network.transparent,
    };
    frame::write(&mut output, &hello, MAX_GUEST_FRAME)
        .await
        .map_err(io::Error::other)?;
    let (mux, mut incoming, run) = Mux::new(tokio::io::join(input, output), Side::Guest);
    let driver = tokio::spawn(run);
    let permits = proxy::permits();
    if let Some(tun) = tun {
        tokio::task::spawn_local(net::serve(tun, mux.clone(), Arc::clone(&permits)));
    }
    if let Some(listener) = listener {
        tokio::task::spawn_local(proxy::forward_all(listener, mux.clone(), permits));
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
