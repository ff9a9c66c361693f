//! `vm0 logs --follow`.

use std::time::Duration;

use vm0_client::{Client, LogQuery, PageQuery, RunEventBody};
use vm0_model::event::LogKind;
use vm0_model::id::RunId;
use vm0_model::wire::runs::LogLine;

use super::command::{Wanted, Window};
use super::entries::read;
use super::lines::{agent_lines, lines_of};
use crate::commands::run::Feed;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::events::{EventView, terminal_width};
use crate::exit::Exit;

/// Logs without a stream are asked for this often.
const POLL: Duration = Duration::from_secs(1);

pub(super) async fn execute(
    context: &Context,
    client: &Client,
    run: RunId,
    wanted: &Wanted,
) -> CommandResult {
    let follow = Follow {
        context,
        client,
        run,
        wanted,
        view: EventView::new(wanted.verbose, terminal_width()),
    };
    tokio::select! {
        result = follow.run() => result,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

struct Follow<'a> {
    context: &'a Context,
    client: &'a Client,
    run: RunId,
    wanted: &'a Wanted,
    view: EventView,
}

impl Follow<'_> {
    async fn run(mut self) -> CommandResult {
        if self.wanted.kind == LogKind::Agent {
            self.agent().await?;
        } else {
            self.polled().await?;
        }
        let run = self.client.run_view(self.run).await?;
        Ok(Exit::of_run(run.run.status))
    }

    /// What the agent says is a stream.
    async fn agent(&mut self) -> Result<(), Failure> {
        let mut after = 0;
        let from_start = self.wanted.window == Window::All && self.wanted.since.is_none();
        if !from_start {
            let (entries, _) = read(self.client, self.run, self.wanted).await?;
            for entry in &entries {
                self.print(entry)?;
            }
            let last = entries.last().and_then(|entry| entry.metadata.as_ref());
            after = last
                .and_then(|m| m["sequenceNumber"].as_u64())
                .unwrap_or_default();
        }
        let mut feed = Feed::open(self.client, self.run, after);
        while let Some(event) = feed.next().await {
            let event = event?;
            let RunEventBody::Output(output) = &event.body else {
                continue;
            };
            if self
                .wanted
                .since
                .is_some_and(|since| output.timestamp < since)
            {
                continue;
            }
            if self.context.output.is_json() {
                self.context.output.json(output)?;
                continue;
            }
            let data = serde_json::from_str(output.data.get()).unwrap_or_default();
            let lines = agent_lines(&mut self.view, output.timestamp, &output.kind, &data);
            for line in lines {
                self.context.output.line(&line)?;
            }
        }
        for line in self.view.flush() {
            self.context.output.line(&line)?;
        }
        Ok(())
    }

    /// The other logs are read page by page; after the run's end once more.
    async fn polled(&mut self) -> Result<(), Failure> {
        let mut seen = 0;
        let mut since = self.wanted.since;
        if let Window::Tail(_) = self.wanted.window {
            let (entries, _) = read(self.client, self.run, self.wanted).await?;
            for entry in &entries {
                self.print(entry)?;
            }
            since = entries.last().map(|entry| entry.timestamp).or(since);
            seen = entries
                .iter()
                .rev()
                .take_while(|e| Some(e.timestamp) == since)
                .count();
        }
        let query = LogQuery {
            kind: Some(self.wanted.kind),
            level: self.wanted.level,
            ..LogQuery::default()
        };
        loop {
            let ended = self
                .client
                .run_view(self.run)
                .await?
                .run
                .status
                .is_terminal();
            let query = LogQuery {
                since,
                ..query.clone()
            };
            let entries = vm0_client::collect_pages(None, async |page: PageQuery| {
                self.client.run_logs(self.run, &query, &page).await
            });
            let entries = entries.await?;
            for entry in entries.iter().skip(seen) {
                self.print(entry)?;
            }
            // The next question includes the entries of the last time stamp again.
            since = entries.last().map(|entry| entry.timestamp).or(since);
            seen = entries
                .iter()
                .rev()
                .take_while(|e| Some(e.timestamp) == since)
                .count();
            if ended {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn print(&mut self, entry: &LogLine) -> Result<(), Failure> {
        if self.context.output.is_json() {
            return Ok(self.context.output.json(entry)?);
        }
        for line in lines_of(&mut self.view, entry) {
            self.context.output.line(&line)?;
        }
        Ok(())
    }
}
