//! A gateway, a client on its other side, and servers on loopback.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use vm0_egress::{BrokeredSecret, Gateway, GatewayConfig, ImpliedHost, Outside, Resolver};
use vm0_model::event::{LogEntry, LogKind};
use vm0_model::limits;
use vm0_model::network::{
    NetworkMode, NetworkPolicy, NetworkRule, PrivateAllowance, RuleAction, RuleTarget,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Gives each name its answers in turn; the last one stays.
#[derive(Default)]
pub(crate) struct Scripted {
    answers: Mutex<HashMap<String, Vec<IpAddr>>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Scripted {
    pub(crate) fn new(answers: &[(&str, &[&str])]) -> Arc<Self> {
        let answers = answers.iter().map(|(name, addresses)| {
            let addresses = addresses
                .iter()
                .map(|address| address.parse().unwrap())
                .collect();
            ((*name).to_owned(), addresses)
        });
        Arc::new(Self {
            answers: Mutex::new(answers.collect()),
            asked: Mutex::default(),
        })
    }
}

#[async_trait]
impl Resolver for Scripted {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let addresses = answers.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let answer = if addresses.len() > 1 {
            addresses.remove(0)
        } else {
            addresses[0]
        };
        Ok(vec![answer])
    }
}

pub(crate) struct Bench {
    pub(crate) gateway: Gateway,
    pub(crate) resolver: Arc<Scripted>,
    log: mpsc::Receiver<LogEntry>,
}

/// A gateway with `rules` in front of all of 127.0.0.1.
pub(crate) fn bench(mode: NetworkMode, rules: Vec<NetworkRule>, resolver: Arc<Scripted>) -> Bench {
    bench_of(
        config(mode, rules),
        resolver,
        limits::CONNECTIONS_MAX_PER_RUN,
    )
}

pub(crate) fn config(mode: NetworkMode, rules: Vec<NetworkRule>) -> GatewayConfig {
    let loopback = PrivateAllowance {
        network: "127.0.0.1/32".parse().unwrap(),
        port: None,
    };
    GatewayConfig {
        policy: NetworkPolicy {
            mode,
            inspect: false,
            rules,
        },
        implied: Vec::new(),
        allow_private: vec![loopback],
        secrets: Vec::new(),
        transcript_hosts: Vec::new(),
        model_hosts: Vec::new(),
        decrypt_models: false,
        outside: Outside::untrusting().unwrap(),
    }
}

/// A gateway in front of all of 127.0.0.1.
pub(crate) fn bench_of(config: GatewayConfig, resolver: Arc<Scripted>, room: usize) -> Bench {
    let (sender, log) = mpsc::channel(room);
    let gateway = Gateway::new(config, Arc::clone(&resolver) as Arc<dyn Resolver>, sender);
    Bench {
        gateway: gateway.unwrap(),
        resolver,
        log,
    }
}

/// A gateway that allows `names`, all of which are 127.0.0.1.
pub(crate) fn allowing(names: &[&str]) -> Bench {
    allowing_with_room(names, limits::CONNECTIONS_MAX_PER_RUN)
}

/// The same, with room for that many lines in its log.
pub(crate) fn allowing_with_room(names: &[&str], room: usize) -> Bench {
    let config = config(NetworkMode::Allowlist, allow_all(names));
    bench_of(config, loopback(names), room)
}

/// The same, with models there.
pub(crate) fn allowing_models(names: &[&str], models: Vec<ImpliedHost>) -> Bench {
    let mut config = config(NetworkMode::Allowlist, allow_all(names));
    config.model_hosts = models;
    bench_of(config, loopback(names), limits::CONNECTIONS_MAX_PER_RUN)
}

/// The same, with secrets and hosts that get the transcript.
pub(crate) fn allowing_with_secrets(
    names: &[&str],
    secrets: Vec<BrokeredSecret>,
    transcript_hosts: Vec<ImpliedHost>,
) -> Bench {
    let mut config = config(NetworkMode::Allowlist, allow_all(names));
    config.secrets = secrets;
    config.transcript_hosts = transcript_hosts;
    bench_of(config, loopback(names), limits::CONNECTIONS_MAX_PER_RUN)
}

fn allow_all(names: &[&str]) -> Vec<NetworkRule> {
    names.iter().map(|name| allow(name)).collect()
}

/// Every one of `names` is 127.0.0.1.
pub(crate) fn loopback(names: &[&str]) -> Arc<Scripted> {
    let answers: Vec<(&str, &[&str])> = names
        .iter()
        .map(|name| (*name, &["127.0.0.1"][..]))
        .collect();
    Scripted::new(&answers)
}

pub(crate) fn allow(target: &str) -> NetworkRule {
    let target = match target.parse() {
        Ok(network) => RuleTarget::Network(network),
        Err(_) => RuleTarget::Domain(target.to_owned()),
    };
    let (ports, methods, paths) = (Vec::new(), Vec::new(), Vec::new());
    NetworkRule {
        target,
        ports,
        methods,
        paths,
        action: RuleAction::Allow,
    }
}

impl Bench {
    pub(crate) fn connect(&self) -> Client {
        let (near, far) = duplex(64 * 1024);
        let gateway = self.gateway.clone();
        let served = tokio::spawn(async move { gateway.serve(far).await });
        Client {
            stream: near,
            served,
        }
    }

    pub(crate) async fn entry(&mut self) -> LogEntry {
        let entry = timeout(PATIENCE, self.log.recv())
            .await
            .expect("no log line")
            .unwrap();
        assert_eq!(entry.kind, LogKind::Network);
        entry
    }

    pub(crate) async fn line(&mut self) -> String {
        self.entry().await.message
    }

    pub(crate) fn quiet(&mut self) -> bool {
        self.log.try_recv().is_err()
    }
}

/// A program in the sandbox that talks to its proxy.
pub(crate) struct Client {
    pub(crate) stream: DuplexStream,
    pub(crate) served: JoinHandle<()>,
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref()))
            .await
            .unwrap()
            .unwrap();
    }

    pub(crate) async fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        timeout(PATIENCE, self.stream.read_exact(&mut bytes))
            .await
            .expect("too few bytes")
            .unwrap();
        bytes
    }

    /// Reads to the end of `mark`.
    pub(crate) async fn until(&mut self, mark: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(mark.as_bytes()) {
            text.extend(self.exactly(1).await);
        }
        String::from_utf8(text).unwrap()
    }

    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        timeout(PATIENCE, self.stream.read_to_end(&mut bytes))
            .await
            .expect("no end")
            .unwrap();
        bytes
    }

    /// Opens a tunnel by SOCKS5 and returns the reply.
    pub(crate) async fn socks(&mut self, host: &str, port: u16) -> u8 {
        self.send([5, 1, 0]).await;
        assert_eq!(self.exactly(2).await, [5, 0]);
        let length = u8::try_from(host.len()).unwrap();
        let [high, low] = port.to_be_bytes();
        self.send([&[5, 1, 0, 3, length], host.as_bytes(), &[high, low]].concat())
            .await;
        self.exactly(10).await[1]
    }

    pub(crate) async fn connect(&mut self, authority: &str) -> String {
        self.send(format!(
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"
        ))
        .await;
        self.until("\r\n\r\n").await
    }
}

/// A server on loopback that runs `behave` for each connection; returns its port.
pub(crate) async fn server<F, Served>(behave: F) -> u16
where
    F: Fn(TcpStream) -> Served + Send + 'static,
    Served: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behave(stream));
        }
    });
    port
}

/// An HTTP server that answers each request with its own head as the body.
pub(crate) async fn mirror() -> u16 {
    server(|mut stream| async move {
        let head = read_head(&mut stream).await;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nKeep-Alive: timeout=5\r\n\r\n{head}",
            head.len()
        );
        let _sent = stream.write_all(answer.as_bytes()).await;
    })
    .await
}

/// A server that sends back what it gets.
pub(crate) async fn echo() -> u16 {
    server(|stream| async move {
        let (mut read, mut write) = stream.into_split();
        let _copied = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// The hello of a TLS client that asks for `name`.
pub(crate) fn client_hello(name: &str) -> Vec<u8> {
    let vector = |content: &[u8]| {
        [
            &u16::try_from(content.len()).unwrap().to_be_bytes(),
            content,
        ]
        .concat()
    };
    let entry = [&[0][..], &vector(name.as_bytes())].concat();
    let extension = [&[0, 0][..], &vector(&vector(&entry))].concat();
    let fixed = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    let body = [fixed, vector(&extension)].concat();
    [
        &[0x16, 3, 1][..],
        &vector(&[&[1, 0][..], &vector(&body)].concat()),
    ]
    .concat()
}
