//! A line to the server that can break.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Passes bytes on between clients and one server.
pub(crate) struct Proxy {
    address: SocketAddr,
    line: Arc<Line>,
}

#[derive(Default)]
struct Line {
    server: Mutex<Option<SocketAddr>>,
    up: Direction,
    down: Direction,
}

/// One direction of the line.
pub(crate) struct Direction {
    /// Bytes that it still takes.
    left: AtomicI64,
    /// Bytes that it took.
    taken: AtomicU64,
    /// What happens when it takes no more.
    stalls: bool,
}

impl Default for Direction {
    fn default() -> Self {
        Self {
            left: i64::MAX.into(),
            taken: 0.into(),
            stalls: false,
        }
    }
}

impl Direction {
    /// Breaks every connection after so many bytes.
    pub(crate) fn cut_after(&self, bytes: i64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    /// Works again.
    pub(crate) fn mend(&self) {
        self.left.store(i64::MAX, Ordering::SeqCst);
    }

    /// Bytes that it still takes; below zero when something has been held back.
    pub(crate) fn left(&self) -> i64 {
        self.left.load(Ordering::SeqCst)
    }

    /// Bytes since the last time this was asked.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.swap(0, Ordering::SeqCst)
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 << 10];
        while let Ok(count) = from.read(&mut buffer) {
            let bytes = i64::try_from(count).expect("a buffer is small");
            if count == 0 {
                break;
            }
            if self.left.fetch_sub(bytes, Ordering::SeqCst) < bytes {
                while self.stalls && self.left.load(Ordering::SeqCst) < bytes {
                    std::thread::sleep(Duration::from_millis(10));
                }
                break;
            }
            self.taken.fetch_add(count as u64, Ordering::SeqCst);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        for end in [from, to] {
            // The other direction may have closed it already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Proxy {
    /// A line that breaks off.
    pub(crate) fn cutting() -> Self {
        Self::start(Line::default())
    }

    /// A line that goes silent instead.
    pub(crate) fn stalling() -> Self {
        let silent = || Direction {
            stalls: true,
            ..Direction::default()
        };
        Self::start(Line {
            up: silent(),
            down: silent(),
            ..Line::default()
        })
    }

    fn start(line: Line) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let line = Arc::new(line);
        let shared = Arc::clone(&line);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let line = Arc::clone(&shared);
                std::thread::spawn(move || connect(&line, client));
            }
        });
        Self { address, line }
    }

    /// Where clients connect to.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says where the server is now.
    pub(crate) fn lead_to(&self, url: &str) {
        let address = url.trim_start_matches("http://").parse();
        let mut server = self.line.server.lock().expect("nobody panics with it");
        *server = Some(address.expect("host and port"));
    }

    /// From clients to the server.
    pub(crate) fn up(&self) -> &Direction {
        &self.line.up
    }

    /// From the server to clients.
    pub(crate) fn down(&self) -> &Direction {
        &self.line.down
    }
}

fn connect(line: &Arc<Line>, client: TcpStream) {
    let server = *line.server.lock().expect("nobody panics with it");
    let server = server.expect("the server is known by now");
    let Ok(server) = TcpStream::connect(server) else {
        return;
    };
    let (client_too, server_too) = (client.try_clone(), server.try_clone());
    let (client_too, server_too) = (client_too.expect("a handle"), server_too.expect("a handle"));
    let down = Arc::clone(line);
    std::thread::spawn(move || down.down.pass(server_too, client_too));
    line.up.pass(client, server);
}
