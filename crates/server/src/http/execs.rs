//! `/v1/runs/:id/exec` and the runner's end of it: two WebSockets with the messages of
//! `vm0_model::wire::exec`, and the pumps between them and the queues of the app.

use std::pin::pin;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::routing::get;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;
use vm0_model::wire::exec::{ExecControl, ExecEnd, ExecFault, ExecStart, ExecStream, SUBPROTOCOL};
use vm0_model::{ApiError, Epoch, limits};

use super::extract::{PathIds, QueryValues};
use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::{
    App, AppError, Caller, ClientSide, ExecInput, ExecOutput, ExecPlace, Phase, RunnerSide, run_id,
};

/// The code of a close without a fault.
const NORMAL: u16 = 1000;
/// The longest reason of a close (RFC 6455, 5.5), in bytes.
const REASON_MAX_BYTES: usize = 123;

type Sink = SplitSink<WebSocket, Message>;
type Source = SplitStream<WebSocket>;

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/runs/{id}/exec", get(run_exec)),
        route(
            Method::GET,
            "/api/runner/v1/runs/{id}/execs/{exec}",
            get(exec_answer),
        ),
    ]
}

/// How a connection ends.
#[derive(Debug)]
enum Ending {
    /// All has been said, or the other end has gone.
    Normal,
    /// Something went wrong.
    Fault(ExecFault, String),
}

impl Ending {
    fn fault(fault: ExecFault, reason: impl ToString) -> Self {
        Self::Fault(fault, reason.to_string())
    }
}

/// A request to become a WebSocket, looked at only after what it is about.
struct Upgrade(Result<WebSocketUpgrade, ApiError>);

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AppError> {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await;
        Ok(Self(upgrade.map_err(|rejection| {
            ApiError::invalid("Upgrade", rejection.body_text())
        })))
    }
}

impl Upgrade {
    fn accept(self) -> Result<WebSocketUpgrade, ApiError> {
        let upgrade = self
            .0?
            .protocols([SUBPROTOCOL])
            .max_message_size(limits::EXEC_MESSAGE_MAX_BYTES)
            .max_frame_size(limits::EXEC_MESSAGE_MAX_BYTES);
        match upgrade.selected_protocol() {
            Some(_) => Ok(upgrade),
            None => {
                let message = format!("Sec-WebSocket-Protocol must name {SUBPROTOCOL}");
                Err(ApiError::invalid("Sec-WebSocket-Protocol", message))
            }
        }
    }
}

async fn run_exec(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
    upgrade: Upgrade,
) -> HttpResult {
    let place = app.run_exec(&caller, ids.first()).await?;
    let upgrade = upgrade.accept()?;
    Ok(upgrade.on_upgrade(move |socket| serve_client(app, place, socket)))
}

async fn exec_answer(
    State(app): State<App>,
    ids: PathIds,
    query: QueryValues,
    upgrade: Upgrade,
) -> HttpResult {
    let fault = || ApiError::invalid("epoch", "epoch must be an integer");
    let epoch = query
        .get("epoch")
        .and_then(|text| text.parse().ok())
        .ok_or_else(fault)?;
    let exec = ids.second();
    let exec = exec
        .parse()
        .map_err(|_| ApiError::not_found("exec", exec))?;
    let upgrade = upgrade.accept()?;
    let side = app
        .exec_take(run_id(ids.first())?, Epoch(epoch), exec)
        .await?;
    Ok(upgrade.on_upgrade(move |socket| serve_runner(app, side, socket)))
}

async fn serve_client(app: App, place: ExecPlace, socket: WebSocket) {
    let (mut sink, mut source) = socket.split();
    let ending = match read_start(&mut source).await {
        Ok(start) => relay(&app, &place, start, &mut sink, &mut source).await,
        Err(ending) => ending,
    };
    drop(place);
    say_goodbye(sink, source, ending).await;
}

/// The first message of a client.
async fn read_start(source: &mut Source) -> Result<ExecStart, Ending> {
    let first = async {
        loop {
            match read(source).await? {
                Message::Text(text) => {
                    let start = ExecStart::parse(&text);
                    return start.map_err(|error| Ending::fault(ExecFault::BadMessage, error));
                }
                Message::Binary(_) => {
                    let reason = "the first message says what to start";
                    return Err(Ending::fault(ExecFault::BadMessage, reason));
                }
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) => {}
            }
        }
    };
    let late = |_| {
        let seconds = limits::EXEC_START_TIMEOUT.as_secs();
        let reason = format!("nothing was to be started within {seconds} s");
        Ending::Fault(ExecFault::BadMessage, reason)
    };
    timeout(limits::EXEC_START_TIMEOUT, first)
        .await
        .map_err(late)?
}

/// Serves a client until its command or anything that the command needs has ended.
async fn relay(
    app: &App,
    place: &ExecPlace,
    start: ExecStart,
    sink: &mut Sink,
    source: &mut Source,
) -> Ending {
    let ClientSide {
        input,
        output,
        taken,
    } = place.begin(start);
    let mut show = pin!(show(sink, output));
    let listen = pin!(listen(source, input));
    let not_taken = pin!(async {
        if timeout(limits::EXEC_PICKUP_TIMEOUT, taken).await.is_ok() {
            std::future::pending::<()>().await;
        }
    });
    tokio::select! {
        biased;
        ending = &mut show => ending,
        ending = listen => ending,
        () = app.reached(Phase::Stopped) => {
            Ending::fault(ExecFault::Stopping, "the server is stopping")
        }
        () = not_taken => {
            Ending::fault(ExecFault::RunnerLost, "the runner has not connected")
        }
        () = app.run_over(place.run()) => {
            let ended = |_| Ending::fault(ExecFault::RunEnded, "the run has ended");
            timeout(limits::EXEC_GOODBYE_TIMEOUT, show)
                .await
                .unwrap_or_else(ended)
        }
    }
}

/// Sends a client what its runner says.
async fn show(sink: &mut Sink, mut output: mpsc::Receiver<ExecOutput>) -> Ending {
    let mut beats = heartbeat();
    loop {
        let message = tokio::select! {
            said = output.recv() => match said {
                Some(ExecOutput::Piece(bytes)) => Message::Binary(bytes),
                Some(ExecOutput::End(end)) => {
                    // A client that has gone needs no answer.
                    let _ = sink.send(text(&end)).await;
                    return Ending::Normal;
                }
                Some(ExecOutput::Fault(fault, reason)) => return Ending::Fault(fault, reason),
                None => {
                    let reason = "the connection to the runner broke";
                    return Ending::fault(ExecFault::RunnerLost, reason);
                }
            },
            _ = beats.tick() => Message::Ping(Default::default()),
        };
        if sink.send(message).await.is_err() {
            return Ending::Normal;
        }
    }
}

/// Takes what a client says, until it leaves or says what it may not.
async fn listen(source: &mut Source, input: mpsc::Sender<ExecInput>) -> Ending {
    loop {
        let said = match read(source).await {
            Ok(Message::Binary(bytes)) => ExecInput::Stdin(bytes),
            Ok(Message::Text(text)) => match ExecControl::parse(&text) {
                Ok(control) => ExecInput::Control(control),
                Err(error) => return Ending::fault(ExecFault::BadMessage, error),
            },
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => continue,
            Err(ending) => return ending,
        };
        if input.send(said).await.is_err() {
            // The runner has gone, which the other direction tells.
            std::future::pending::<()>().await;
        }
    }
}

async fn serve_runner(app: App, side: RunnerSide, socket: WebSocket) {
    let RunnerSide {
        start,
        input,
        output,
    } = side;
    let (mut sink, mut source) = socket.split();
    let ending = {
        let ask = pin!(ask(&mut sink, &start, input));
        let hear = pin!(hear(&mut source, output));
        tokio::select! {
            ending = hear => ending,
            ending = ask => ending,
            () = app.reached(Phase::Stopped) => {
                Ending::fault(ExecFault::Stopping, "the server is stopping")
            }
        }
    };
    say_goodbye(sink, source, ending).await;
}

/// Sends a runner what its client says.
async fn ask(sink: &mut Sink, start: &ExecStart, mut input: mpsc::Receiver<ExecInput>) -> Ending {
    let mut beats = heartbeat();
    let mut message = text(start);
    loop {
        if sink.send(message).await.is_err() {
            // The runner has said its last, which the other direction may still be reading.
            std::future::pending::<()>().await;
        }
        message = tokio::select! {
            said = input.recv() => match said {
                Some(ExecInput::Stdin(bytes)) => Message::Binary(bytes),
                Some(ExecInput::Control(control)) => text(&control),
                None => return Ending::Normal,
            },
            _ = beats.tick() => Message::Ping(Default::default()),
        };
    }
}

/// Takes what a runner says, until all is said.
async fn hear(source: &mut Source, output: mpsc::Sender<ExecOutput>) -> Ending {
    loop {
        let (said, last) = match read(source).await {
            Ok(Message::Binary(bytes)) if ExecStream::of(&bytes).is_some() => {
                (ExecOutput::Piece(bytes), false)
            }
            Ok(Message::Binary(_)) => {
                return Ending::fault(ExecFault::BadMessage, "a piece of no output");
            }
            Ok(Message::Text(text)) => match ExecEnd::parse(&text) {
                Ok(end) => (ExecOutput::End(end), true),
                Err(error) => return Ending::fault(ExecFault::BadMessage, error),
            },
            Ok(Message::Close(Some(CloseFrame { code, reason }))) => {
                let Some(fault) = ExecFault::of(code) else {
                    return Ending::Normal;
                };
                (ExecOutput::Fault(fault, reason.to_string()), true)
            }
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(None)) => continue,
            Err(ending) => return ending,
        };
        if output.send(said).await.is_err() || last {
            return Ending::Normal;
        }
    }
}

/// The next message; the end of the connection is an ending of its own.
async fn read(source: &mut Source) -> Result<Message, Ending> {
    match source.next().await {
        None => Err(Ending::Normal),
        Some(Ok(message)) => Ok(message),
        Some(Err(error)) => Err(broken(error)),
    }
}

fn broken(error: axum::Error) -> Ending {
    let error = error.into_inner();
    match error.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(error)) => Ending::fault(ExecFault::TooLarge, error),
        Some(tungstenite::Error::Protocol(error)) => Ending::fault(ExecFault::BadMessage, error),
        Some(tungstenite::Error::Utf8(error)) => Ending::fault(ExecFault::BadMessage, error),
        _ => Ending::Normal,
    }
}

/// Closes a connection, and gives the other end a moment to take what was said last.
async fn say_goodbye(mut sink: Sink, mut source: Source, ending: Ending) {
    let (code, reason) = match ending {
        Ending::Normal => (NORMAL, String::new()),
        Ending::Fault(fault, reason) => (fault.code(), reason),
    };
    let end = reason.floor_char_boundary(REASON_MAX_BYTES);
    let frame = CloseFrame {
        code,
        reason: reason[..end].into(),
    };
    let last = async {
        // An error says that the other end has gone.
        if sink.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = source.next().await {}
        }
    };
    // The connection ends in any case.
    let _ = timeout(limits::EXEC_GOODBYE_TIMEOUT, last).await;
}

fn text(message: &impl serde::Serialize) -> Message {
    let text = serde_json::to_string(message).expect("plain structures are JSON");
    Message::Text(text.into())
}

fn heartbeat() -> tokio::time::Interval {
    let first = tokio::time::Instant::now() + limits::HEARTBEAT_INTERVAL;
    tokio::time::interval_at(first, limits::HEARTBEAT_INTERVAL)
}
