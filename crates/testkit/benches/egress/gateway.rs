//! The gateway in a process of its own, behind TCP ports.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use vm0_egress::{BrokeredSecret, Gateway, GatewayConfig, Outside, SystemResolver};
use vm0_model::broker::{Binding, Place, Transport};
use vm0_model::network::{
    NetworkMode, NetworkPolicy, NetworkRule, PrivateAllowance, RuleAction, RuleTarget,
};

use crate::client::Way;
use crate::server::{NAME, SECRET, Server};

const PLACEHOLDER: &str = "vm0_enc_00112233445566778899aabbccddeeff";
const LOG_ROOM: usize = 4096;

pub(crate) struct GatewayProcess {
    child: Child,
    passing: u16,
    intercepting: u16,
    authority: PathBuf,
}

impl GatewayProcess {
    pub(crate) fn start(server: &Server) -> Self {
        let this = std::env::current_exe().expect("this program");
        let mut child = Command::new(this)
            .args(["gateway", &server.port().to_string()])
            .arg(server.authority())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a started gateway");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let mut words = line.split_whitespace();
        let mut next = || words.next().expect("a word");
        Self {
            passing: next().parse().expect("a port"),
            intercepting: next().parse().expect("a port"),
            authority: next().into(),
            child,
        }
    }

    pub(crate) fn passing(&self, server: &Server) -> Way {
        Way::new(Some(self.passing), server, server.authority(), "nothing")
    }

    pub(crate) fn intercepting(&self, server: &Server) -> Way {
        Way::new(
            Some(self.intercepting),
            server,
            &self.authority,
            PLACEHOLDER,
        )
    }

    /// What the process has in memory.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kib.expect("a size") * 1024
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A gateway that lets agents reach the server on `port`; with `inject`, with the secret in it.
/// Its log goes nowhere.
pub(crate) fn gateway(port: u16, outside: Outside, inject: bool) -> Gateway {
    let secret = || {
        let binding = Binding {
            host: NAME.to_owned(),
            port,
            transport: Transport::Tls,
            place: Place::Header("x-key".to_owned()),
        };
        let value = SECRET.to_owned().into();
        BrokeredSecret::new("KEY".to_owned(), value, PLACEHOLDER, vec![binding])
            .expect("a secret that fits a header")
    };
    let rule = NetworkRule {
        target: RuleTarget::Domain(NAME.to_owned()),
        ports: vec![(port, port)],
        methods: Vec::new(),
        paths: Vec::new(),
        action: RuleAction::Allow,
    };
    let loopback = ["127.0.0.1/32", "::1/128"].map(|network| PrivateAllowance {
        network: network.parse().expect("a network"),
        port: Some(port),
    });
    let config = GatewayConfig {
        policy: NetworkPolicy {
            mode: NetworkMode::Allowlist,
            inspect: false,
            rules: vec![rule],
        },
        implied: Vec::new(),
        allow_private: loopback.to_vec(),
        secrets: inject.then(secret).into_iter().collect(),
        transcript_hosts: Vec::new(),
        model_hosts: Vec::new(),
        decrypt_models: false,
        outside,
    };
    let (log, mut entries) = mpsc::channel(LOG_ROOM);
    tokio::spawn(async move { while entries.recv().await.is_some() {} });
    Gateway::new(config, Arc::new(SystemResolver), log).expect("a gateway")
}

/// The process: two gateways behind ports that it prints, until it is killed.
pub(crate) async fn serve(port: &str, authority: &str) {
    let port = port.parse().expect("a port");
    let outside = Outside::new(&[authority.into()], None).expect("a way out");
    let mut words = Vec::new();
    let intercepting = gateway(port, outside.clone(), true);
    let certificate = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(certificate.path(), intercepting.certificate()).expect("a written file");
    for gateway in [gateway(port, outside, false), intercepting] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        words.push(
            listener
                .local_addr()
                .expect("an address")
                .port()
                .to_string(),
        );
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("a TCP option");
                let gateway = gateway.clone();
                tokio::spawn(async move { gateway.serve(stream).await });
            }
        });
    }
    words.push(certificate.path().display().to_string());
    println!("{}", words.join(" "));
    let gone = tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()));
    let _parent_ended = gone.await;
}
