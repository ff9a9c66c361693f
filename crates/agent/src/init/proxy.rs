//! The proxy's address inside: every connection goes to the host as it is.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use vm0_guest::config::{MAX_FORWARDS, PROXY_PORT};
use vm0_guest::frame::{self, MAX_GUEST_FRAME};
use vm0_guest::{GuestHeader, Mux, STREAM_WINDOW};

/// What is held of each direction of a connection: a system call in gVisor costs as much as
/// copying tens of kilobytes, and what comes from the host is there by the window.
const UPLOAD_BYTES: usize = 64 * 1024;
const DOWNLOAD_BYTES: usize = STREAM_WINDOW;

/// Listens on the proxy's address; must exist before any program is started.
pub(crate) async fn listen() -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, PROXY_PORT)).await
}

/// Permits for connections to the host, whichever way they are made.
pub(crate) fn permits() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_FORWARDS))
}

/// Forwards connections until the channel ends.
pub(crate) async fn forward_all(listener: TcpListener, mux: Mux, permits: Arc<Semaphore>) {
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((connection, _)) => {
                let mux = mux.clone();
                tokio::task::spawn_local(async move {
                    let _ = forward(connection, &mux).await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn forward(mut connection: TcpStream, mux: &Mux) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let mut stream = mux.open().await.map_err(std::io::Error::other)?;
    frame::write(&mut stream, &GuestHeader::Forward, MAX_GUEST_FRAME)
        .await
        .map_err(std::io::Error::other)?;
    tokio::io::copy_bidirectional_with_sizes(
        &mut connection,
        &mut stream,
        UPLOAD_BYTES,
        DOWNLOAD_BYTES,
    )
    .await?;
    Ok(())
}
