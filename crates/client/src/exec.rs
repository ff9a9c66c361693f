//! Commands in the sandbox of a running run (`vm0_model::wire::exec`), from both ends: that of the
//! client who starts one, and that of the runner who executes it.

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use reqwest::{Method, Upgraded};
use serde::Serialize;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use vm0_model::id::{ExecId, RunId};
use vm0_model::lease::Epoch;
use vm0_model::limits::{EXEC_GOODBYE_TIMEOUT, EXEC_MESSAGE_MAX_BYTES};
use vm0_model::wire::exec::{
    ExecControl, ExecEnd, ExecFault, ExecMessageError, ExecStart, ExecStream, SUBPROTOCOL,
};

use crate::client::Client;
use crate::error::ClientError;
use crate::http::{Call, Http};
use crate::runner::RunnerClient;

const PROTOCOL: &str = "sec-websocket-protocol";
const KEY: &str = "sec-websocket-key";
const ACCEPT: &str = "sec-websocket-accept";

type Socket = WebSocketStream<Upgraded>;

/// A connection of a command did not last to the command's end.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The other side says why.
    #[error("{reason}")]
    Closed {
        /// What went wrong, if it is one of the faults that there are.
        fault: Option<ExecFault>,
        /// For people.
        reason: String,
    },
    /// The connection broke.
    #[error("keep the connection of the command: {0}")]
    Broken(#[from] tungstenite::Error),
    /// The other side says what it may not.
    #[error("understand what is said about the command: {0}")]
    Message(#[from] ExecMessageError),
}

/// What a server says to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecOutput {
    /// A piece of an output.
    Piece(ExecStream, Bytes),
    /// The command's end; nothing follows.
    End(ExecEnd),
}

/// What a client says to a runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecInput {
    /// What to start: the first message.
    Start(ExecStart),
    /// A piece of the input.
    Stdin(Bytes),
    /// Something else.
    Control(ExecControl),
}

/// What is sent about a command.
#[derive(Debug)]
pub struct ExecSender {
    sink: SplitSink<Socket, Message>,
}

/// What arrives about a command.
#[derive(Debug)]
pub struct ExecReceiver {
    source: SplitStream<Socket>,
    started: bool,
}

/// A message that is about the command, not about the connection.
enum Said {
    Text(String),
    Bytes(Bytes),
}

impl Client {
    /// Starts a command in the sandbox of a running run. Not repeated.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn run_exec(
        &self,
        run: RunId,
        start: &ExecStart,
    ) -> Result<(ExecSender, ExecReceiver), ClientError> {
        let path = ["v1", "runs", &run.to_string(), "exec"];
        let call = self.http.call(Method::GET, &path);
        let (mut sender, receiver) = connect(&self.http, call).await?;
        let started = sender.text(start).await;
        started.map_err(|source| ClientError::Unreachable {
            server: self.server().to_string(),
            source: source.into(),
        })?;
        Ok((sender, receiver))
    }
}

impl RunnerClient {
    /// Takes a command that waits for this runner.
    ///
    /// # Errors
    /// Any of [`ClientError`]; 404 if its client has left.
    pub async fn exec_answer(
        &self,
        run: RunId,
        epoch: Epoch,
        exec: ExecId,
    ) -> Result<(ExecSender, ExecReceiver), ClientError> {
        let call = self
            .run_call(Method::GET, run, &["execs", &exec.to_string()])
            .query("epoch", Some(epoch));
        connect(&self.http, call).await
    }
}

async fn connect(http: &Http, call: Call) -> Result<(ExecSender, ExecReceiver), ClientError> {
    let key = generate_key();
    let call = call
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header(KEY, &key)
        .header(PROTOCOL, SUBPROTOCOL);
    let (headers, upgraded) = http.upgrade(&call).await?;
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|said| said == value);
    if !says(ACCEPT, &derive_accept_key(key.as_bytes())) || !says(PROTOCOL, SUBPROTOCOL) {
        let text = "it is not a WebSocket of this protocol";
        return Err(call.protocol(std::io::Error::other(text)));
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(EXEC_MESSAGE_MAX_BYTES))
        .max_frame_size(Some(EXEC_MESSAGE_MAX_BYTES));
    let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
    let (sink, source) = socket.split();
    let receiver = ExecReceiver {
        source,
        started: false,
    };
    Ok((ExecSender { sink }, receiver))
}

impl ExecSender {
    /// Sends a piece of the input.
    ///
    /// # Errors
    /// If the connection is at its end.
    pub async fn stdin(&mut self, piece: Bytes) -> Result<(), ExecError> {
        Ok(self.sink.send(Message::Binary(piece)).await?)
    }

    /// Asks something of the command.
    ///
    /// # Errors
    /// If the connection is at its end.
    pub async fn control(&mut self, control: ExecControl) -> Result<(), ExecError> {
        self.text(&control).await
    }

    /// Sends a piece of an output.
    ///
    /// # Errors
    /// If the connection is at its end.
    pub async fn output(&mut self, stream: ExecStream, piece: &[u8]) -> Result<(), ExecError> {
        let message = stream.message(piece);
        Ok(self.sink.send(Message::Binary(message.into())).await?)
    }

    /// Sends the command's end.
    ///
    /// # Errors
    /// If the connection is at its end.
    pub async fn end(&mut self, end: ExecEnd) -> Result<(), ExecError> {
        self.text(&end).await
    }

    /// Shows the other side, and what is between, that this one is there.
    ///
    /// # Errors
    /// If the connection is at its end.
    pub async fn heartbeat(&mut self) -> Result<(), ExecError> {
        Ok(self.sink.send(Message::Ping(Bytes::new())).await?)
    }

    /// Closes the connection, with why there is no end if there is none. What the other side still
    /// says is taken and dropped for a while: if it were left unread, the system would reset the
    /// connection, and what was said last would be lost on its way.
    pub async fn close(mut self, mut receiver: ExecReceiver, fault: Option<(ExecFault, &str)>) {
        let frame = fault.map(|(fault, reason)| CloseFrame {
            code: CloseCode::from(fault.code()),
            reason: reason[..reason.floor_char_boundary(REASON_MAX_BYTES)].into(),
        });
        let last = async {
            // The other side may have gone before.
            if self.sink.send(Message::Close(frame)).await.is_ok() {
                while let Some(Ok(_)) = receiver.source.next().await {}
            }
        };
        let _ = tokio::time::timeout(EXEC_GOODBYE_TIMEOUT, last).await;
    }

    async fn text(&mut self, message: &impl Serialize) -> Result<(), ExecError> {
        let text = serde_json::to_string(message).expect("plain structures are JSON");
        Ok(self.sink.send(Message::Text(text.into())).await?)
    }
}

/// The longest reason of a close (RFC 6455, 5.5), in bytes.
const REASON_MAX_BYTES: usize = 123;

impl ExecReceiver {
    /// What the server says to a client. Cancel-safe.
    ///
    /// # Errors
    /// If the connection ends before the command.
    pub async fn output(&mut self) -> Result<ExecOutput, ExecError> {
        match self.said().await? {
            Said::Text(text) => Ok(ExecOutput::End(ExecEnd::parse(&text)?)),
            Said::Bytes(bytes) => match ExecStream::of(&bytes) {
                Some(stream) => Ok(ExecOutput::Piece(stream, bytes.slice(1..))),
                None => Err(unknown_output()),
            },
        }
    }

    /// What the client says to a runner. Cancel-safe.
    ///
    /// # Errors
    /// If the connection ends, which it does when the client has gone.
    pub async fn input(&mut self) -> Result<ExecInput, ExecError> {
        match self.said().await? {
            Said::Bytes(bytes) => Ok(ExecInput::Stdin(bytes)),
            Said::Text(text) if self.started => Ok(ExecInput::Control(ExecControl::parse(&text)?)),
            Said::Text(text) => {
                let start = ExecStart::parse(&text)?;
                self.started = true;
                Ok(ExecInput::Start(start))
            }
        }
    }

    async fn said(&mut self) -> Result<Said, ExecError> {
        loop {
            match self.source.next().await {
                Some(Ok(Message::Text(text))) => return Ok(Said::Text(text.to_string())),
                Some(Ok(Message::Binary(bytes))) => return Ok(Said::Bytes(bytes)),
                Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(closed(None)),
            }
        }
    }
}

fn unknown_output() -> ExecError {
    ExecMessageError::Form("a piece of no output".to_owned()).into()
}

fn closed(frame: Option<CloseFrame>) -> ExecError {
    let fault = frame
        .as_ref()
        .and_then(|frame| ExecFault::of(u16::from(frame.code)));
    let reason = frame
        .map(|frame| frame.reason.to_string())
        .unwrap_or_default();
    ExecError::Closed { fault, reason }
}
