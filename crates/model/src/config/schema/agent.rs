//! The form of one agent.

use serde_json::{Value, json};

use super::forms::{
    INSIDE, NAME, TEMPLATE, VOLUME_KEY, boolean, choice, has, integer, is, list, map_of, object,
    plain_pattern, plain_text, sandbox_path, with_default, without,
};
use super::network;
use crate::config::agent::Resources;
use crate::config::agent_fields::{
    CPUS, DEFAULT_FRAMEWORK, DEFAULT_WORKING_DIR, DESCRIPTION_MAX_CHARS, DISK_MB, KEYS, MEMORY_MB,
    PIDS, RESOURCES_KEYS, RUNNER_KEYS, SKILLS_MAX,
};
use crate::config::budget_fields::{self, COST_USD, SECONDS, TOKENS, TURNS};
use crate::config::custom::HISTORY_MAX;
use crate::config::mount_fields::MOUNTS_MAX;
use crate::config::secret_fields;
use crate::framework;
use crate::limits::{RUN_TIMEOUT_DEFAULT_SECONDS, RUN_TIMEOUT_MAX_SECONDS};

const SKILL_NAME: &str = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}";

/// The form of the value of `agents.<name>`.
pub(super) fn form() -> Value {
    let mut form = object(&KEYS, &[], key);
    form["description"] = json!("One agent.");
    form["allOf"] = json!([
        {
            "if": is("framework", "custom"),
            "then": { "required": ["command"] },
            "else": without(&["command", "resume_command", "history"]),
        },
        { "not": { "required": ["network", "experimental_firewall"] } },
    ]);
    form
}

fn key(key: &str) -> Value {
    match key {
        "framework" => {
            let words = framework::all().iter().map(|spec| spec.name.as_str());
            choice("The agent program.", words, Some(DEFAULT_FRAMEWORK))
        }
        "description" => {
            let mut form = plain_text("For people; shown in lists.");
            form["maxLength"] = json!(DESCRIPTION_MAX_CHARS);
            form
        }
        "instructions" => instructions(),
        "skills" => skills(),
        "environment" => environment(),
        "volumes" => mounts(),
        "image" => plain_pattern(
            "Image that the sandbox starts from: NAME, NAME:TAG or NAME@sha256:HEX of the \
             runner's images, or host.",
            "^[A-Za-z0-9_][A-Za-z0-9._/:@-]*$",
        ),
        "working_dir" => {
            let about = "Where the agent works; the artifact is there.";
            let mut form = plain_pattern(about, &format!("^{}", sandbox_path()));
            form["default"] = json!(DEFAULT_WORKING_DIR);
            form
        }
        "timeout_seconds" => integer(
            &(1..=RUN_TIMEOUT_MAX_SECONDS),
            Some(RUN_TIMEOUT_DEFAULT_SECONDS),
            "A run that takes longer is ended.",
        ),
        "resources" => resources(),
        "budget" => budget(),
        "network" => network::form(),
        "secrets" => secrets(),
        "command" => command(
            "The program and its arguments, only of the framework custom. {prompt}, \
             {prompt_file}, {session_id} and {working_dir} are replaced.",
        ),
        "resume_command" => {
            command("The same for going on with a conversation; command unless written.")
        }
        "history" => list(
            "Files and directories that are the conversation, relative to HOME; only of the \
             framework custom.",
            0..=HISTORY_MAX,
            plain_pattern("A path relative to HOME.", &format!("^{INSIDE}$")),
        ),
        "bundle" => plain_pattern(
            "Written by vm0 compose: the version of the volume agent-bundles with instructions \
             and skills.",
            "^[0-9A-Fa-f]{64}$",
        ),
        "experimental_firewall" => network::firewall(),
        "experimental_runner" => {
            let mut form = object(&RUNNER_KEYS, &[], |_| plain_text("Has no effect."));
            form["description"] = json!("Accepted without effect.");
            form
        }
        _ => unreachable!("every key of KEYS has a form"),
    }
}

fn instructions() -> Value {
    let about = "What the agent is told in every run: a path relative to this file, such as \
                 AGENTS.md, or the text itself if it has several lines.";
    let mut form = plain_text(about);
    form["anyOf"] = json!([has(r"[\n\r]"), has(&format!("^{INSIDE}$"))]);
    form
}

fn skills() -> Value {
    let segment = r"(?!\.{1,2}(/|$))[^/?#%]+";
    let local = format!("^(?![^\\u0000]*://)(?={INSIDE}$)([^\\u0000]*/)?{SKILL_NAME}/*$");
    let url =
        format!("^https://github\\.com/{segment}/{segment}/tree(/{segment})+/{SKILL_NAME}/*$");
    let item = json!({
        "type": "string",
        "anyOf": [has(&local), has(&url)],
        "not": has(TEMPLATE),
    });
    let about = "Directories with a SKILL.md, relative to this file, or \
                 https://github.com/OWNER/REPO/tree/REF/PATH.";
    let mut form = list(about, 0..=SKILLS_MAX, item);
    form["uniqueItems"] = json!(true);
    form
}

fn environment() -> Value {
    let value = json!({ "type": "string", "pattern": r"^[^\u0000]*$" });
    map_of(
        "Environment of the agent. ${{ vars.NAME }} and ${{ secrets.NAME }} are expanded for \
         each run.",
        &format!("^(?!VM0_){NAME}$"),
        value,
    )
}

fn mounts() -> Value {
    let item = plain_pattern(
        "key:/absolute/path",
        &format!("^{VOLUME_KEY}:{}", sandbox_path()),
    );
    let about = "What is mounted where: key:/absolute/path, the key being one of the volumes at \
                 the end of this file.";
    let mut form = list(about, 0..=MOUNTS_MAX, item);
    form["uniqueItems"] = json!(true);
    form
}

fn resources() -> Value {
    let default = Resources::default();
    let form = |key: &str| match key {
        "cpus" => {
            let cpus = f64::from(default.cpu_millis) / 1000.0;
            let about = with_default("CPUs.", cpus);
            json!({ "description": about, "type": "number", "minimum": CPUS.start(), "maximum": CPUS.end() })
        }
        "memory_mb" => integer(&MEMORY_MB, Some(default.memory_mb), "Memory in MiB."),
        "disk_mb" => integer(
            &DISK_MB,
            Some(default.disk_mb),
            "All writable space of the run together, in MiB.",
        ),
        "pids" => integer(&PIDS, Some(default.pids), "Processes and threads."),
        _ => unreachable!("every key of RESOURCES_KEYS has a form"),
    };
    let mut resources = object(&RESOURCES_KEYS, &[], form);
    resources["description"] = json!("What a run may use.");
    resources
}

fn budget() -> Value {
    let form = |key: &str| match key {
        "max_tokens" => integer(&TOKENS, None, "Tokens read and written together."),
        "max_cost_usd" => json!({
            "description": "Cost in US dollars.",
            "type": "number",
            "minimum": COST_USD.start(),
            "maximum": COST_USD.end(),
        }),
        "max_turns" => integer(&TURNS, None, "Model requests that are answered."),
        "max_duration" => json!({
            "description": "Time from the start of the agent: seconds, or a text such as 90s, 30m or 2h.",
            "anyOf": [
                { "type": "integer", "minimum": SECONDS.start(), "maximum": SECONDS.end() },
                { "type": "string", "pattern": "^0*[1-9][0-9]{0,4}[smh]$" },
            ],
        }),
        _ => unreachable!("every key of a budget has a form"),
    };
    let mut budget = object(&budget_fields::KEYS, &[], form);
    budget["description"] =
        json!("What a run may consume; one that exceeds it is stopped and fails.");
    budget
}

fn secrets() -> Value {
    let mut secret = object(&secret_fields::KEYS, &[], secret_key);
    secret["if"] = is("expose", true);
    secret["then"] = without(&["hosts", "inject"]);
    secret["else"] = json!({ "required": ["hosts"] });
    map_of(
        "Secrets that the gateway puts into requests to the hosts they are for, so that they are \
         never in the sandbox.",
        &format!("^{NAME}$"),
        secret,
    )
}

fn secret_key(key: &str) -> Value {
    match key {
        "hosts" => {
            let item = plain_pattern(
                "A host name, or *. and one; with :PORT if it is not 443.",
                r"^(\*\.)?[^/:@ \t\n\r*]+(:[0-9]+)?$",
            );
            let count = 1..=secret_fields::HOSTS_MAX;
            list("Where the value goes.", count, item)
        }
        "inject" => {
            let about = "At which place of a request: bearer, basic, header:NAME or query:NAME.";
            let pattern = "^(bearer|basic|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+|query:[^&=#?]+)$";
            let mut form = plain_pattern(about, pattern);
            form["default"] = json!("bearer");
            form
        }
        "expose" => boolean(false, "The real value enters the sandbox instead."),
        _ => unreachable!("every key of a secret has a form"),
    }
}

fn command(about: &str) -> Value {
    let item = plain_pattern("An argument.", r"^[^\u0000]*$");
    let mut form = list(about, 1..=usize::MAX, item);
    form["contains"] = has(r"\{prompt(_file)?\}");
    form
}
