//! Configurations that break one rule each, and what is said of them.

use crate::good::{agent_file, volumes_file};

/// A broken file.
pub(crate) struct Bad {
    pub(crate) text: String,
    /// `LINE:COLUMN: PATH: TEXT`.
    pub(crate) says: String,
    /// Whether a schema can see it.
    pub(crate) schema_sees: bool,
}

/// Fields of an agent, each with what is said of line 4 and on; the path begins behind
/// `agents.demo.`.
const AGENTS: &[(&str, &str)] = &[
    // Unknown keys.
    (
        "framwork: shell",
        "4:5: framwork: unknown key 'framwork'; did you mean 'framework'?",
    ),
    (
        "provider: x",
        "4:5: provider: unknown key 'provider'; did you mean 'framework'?",
    ),
    (
        "apps: [x]",
        "4:5: apps: unknown key 'apps'; put the tools into the image",
    ),
    (
        "timeout_second: 5",
        "4:5: timeout_second: unknown key 'timeout_second'; did you mean 'timeout_seconds'?",
    ),
    (
        "foo: 1",
        "4:5: foo: unknown key 'foo'; allowed: framework, description, instructions, skills, environment, volumes, image, working_dir, timeout_seconds, resources, budget, network, secrets, command, resume_command, history, bundle, experimental_firewall, experimental_runner",
    ),
    (
        "resources: { cpu: 1 }",
        "4:18: resources.cpu: unknown key 'cpu'; did you mean 'cpus'?",
    ),
    (
        "budget: { max_token: 1 }",
        "4:15: budget.max_token: unknown key 'max_token'; did you mean 'max_tokens'?",
    ),
    (
        "network: { modes: x }",
        "4:16: network.modes: unknown key 'modes'; did you mean 'mode'?",
    ),
    (
        "network: { rules: [{ ip: 192.0.2.1, action: deny, port: [1] }] }",
        "4:55: network.rules.0.port: unknown key 'port'; did you mean 'ports'?",
    ),
    (
        "secrets: { A: { host: [a.example], hosts: [a.example] } }",
        "4:21: secrets.A.host: unknown key 'host'; did you mean 'hosts'?",
    ),
    (
        "experimental_runner: { grp: a }",
        "4:28: experimental_runner.grp: unknown key 'grp'; allowed: group",
    ),
    (
        "experimental_firewall: { enable: true }",
        "4:30: experimental_firewall.enable: unknown key 'enable'; did you mean 'enabled'?",
    ),
    // Types.
    (
        "framework: 7",
        "4:5: framework: must be a string, not a number",
    ),
    (
        "description: [a]",
        "4:5: description: must be a string, not a list",
    ),
    (
        "instructions: true",
        "4:5: instructions: must be a string, not a boolean",
    ),
    ("skills: a", "4:5: skills: must be a list, not a string"),
    (
        "skills: [{}]",
        "4:14: skills.0: must be a string, not a map",
    ),
    (
        "environment: [A]",
        "4:5: environment: must be a map, not a list",
    ),
    (
        "environment: { PORT: 8080 }",
        "4:20: environment.PORT: must be a string; put the value in quotes",
    ),
    (
        "environment: { DEBUG: true }",
        "4:20: environment.DEBUG: must be a string; put the value in quotes",
    ),
    (
        "environment: { EMPTY: }",
        "4:20: environment.EMPTY: must be a string; put the value in quotes",
    ),
    (
        "volumes: { data: /data }",
        "4:5: volumes: must be a list, not a map",
    ),
    ("image: null", "4:5: image: must be a string, not null"),
    (
        "working_dir: 1",
        "4:5: working_dir: must be a string, not a number",
    ),
    (
        "timeout_seconds: \"60\"",
        "4:5: timeout_seconds: must be an integer, not a string",
    ),
    (
        "timeout_seconds: 1.5",
        "4:5: timeout_seconds: must be an integer, not a number",
    ),
    (
        "resources: 4",
        "4:5: resources: must be a map, not a number",
    ),
    ("budget: 5", "4:5: budget: must be a map, not a number"),
    (
        "budget: { max_tokens: 1.5 }",
        "4:15: budget.max_tokens: must be an integer, not a number",
    ),
    (
        "budget: { max_duration: [1] }",
        "4:15: budget.max_duration: must be a string or an integer, not a list",
    ),
    (
        "resources: { cpus: \"2\" }",
        "4:18: resources.cpus: must be a number, not a string",
    ),
    (
        "network: public",
        "4:5: network: must be a map, not a string",
    ),
    (
        "network: { inspect: yes }",
        "4:16: network.inspect: must be a boolean, not a string",
    ),
    (
        "network: { rules: {} }",
        "4:16: network.rules: must be a list, not a map",
    ),
    ("secrets: [A]", "4:5: secrets: must be a map, not a list"),
    (
        "secrets: { A: true }",
        "4:16: secrets.A: must be a map, not a boolean",
    ),
    (
        "secrets: { A: { hosts: a.example } }",
        "4:21: secrets.A.hosts: must be a list, not a string",
    ),
    (
        "framework: custom\ncommand: run",
        "5:5: command: must be a list, not a string",
    ),
    ("bundle: 7", "4:5: bundle: must be a string, not a number"),
    (
        "experimental_firewall: true",
        "4:5: experimental_firewall: must be a map, not a boolean",
    ),
    (
        "experimental_runner: big",
        "4:5: experimental_runner: must be a map, not a string",
    ),
    // Required.
    ("framework: custom", "3:3: command: is required"),
    ("secrets: { A: {} }", "4:16: secrets.A.hosts: is required"),
    (
        "network: { rules: [{ domain: a.example }] }",
        "4:24: network.rules.0.action: is required",
    ),
    (
        "network: { rules: [{ action: deny }] }",
        "4:24: network.rules.0: exactly one of domain, ip, cidr is required",
    ),
    // Words and ranges.
    (
        "framework: claude",
        "4:5: framework: invalid value 'claude'; allowed: claude-code, codex, gemini-cli, opencode, shell, custom",
    ),
    (
        "network: { mode: open }",
        "4:16: network.mode: invalid value 'open'; allowed: public, allowlist, none",
    ),
    (
        "network: { rules: [{ domain: a.example, action: ALLOW }] }",
        "4:45: network.rules.0.action: invalid value 'ALLOW'; allowed: allow, deny",
    ),
    (
        "experimental_firewall: { rules: [{ domain: a.example, action: allow }] }",
        "4:59: experimental_firewall.rules.0.action: invalid value 'allow'; allowed: ALLOW, DENY",
    ),
    (
        "secrets: { A: { hosts: [a.example], inject: cookie } }",
        "4:41: secrets.A.inject: invalid value 'cookie'; allowed: bearer, header:<name>, basic, query:<name>",
    ),
    (
        "timeout_seconds: 0",
        "4:5: timeout_seconds: must be between 1 and 86400",
    ),
    (
        "timeout_seconds: 86401",
        "4:5: timeout_seconds: must be between 1 and 86400",
    ),
    (
        "timeout_seconds: -1",
        "4:5: timeout_seconds: must be between 1 and 86400",
    ),
    (
        "resources: { cpus: 0.05 }",
        "4:18: resources.cpus: must be between 0.1 and 256",
    ),
    (
        "resources: { cpus: 257 }",
        "4:18: resources.cpus: must be between 0.1 and 256",
    ),
    (
        "resources: { memory_mb: 63 }",
        "4:18: resources.memory_mb: must be between 64 and 1048576",
    ),
    (
        "resources: { disk_mb: 10485761 }",
        "4:18: resources.disk_mb: must be between 64 and 10485760",
    ),
    (
        "resources: { pids: 15 }",
        "4:18: resources.pids: must be between 16 and 65536",
    ),
    (
        "budget: { max_tokens: 0 }",
        "4:15: budget.max_tokens: must be between 1 and 1000000000",
    ),
    (
        "budget: { max_cost_usd: 0 }",
        "4:15: budget.max_cost_usd: must be between 0.0001 and 1000000",
    ),
    (
        "budget: { max_turns: 100001 }",
        "4:15: budget.max_turns: must be between 1 and 100000",
    ),
    (
        "budget: { max_duration: 86401 }",
        "4:15: budget.max_duration: must be between 1 and 86400",
    ),
    (
        "budget: { max_duration: 0s }",
        "4:15: budget.max_duration: must be between 1s and 86400s",
    ),
    (
        "budget: { max_duration: 1d }",
        "4:15: budget.max_duration: must be a number of seconds, or a text such as 90s, 30m or 2h",
    ),
    (
        "network: { rules: [{ ip: 192.0.2.1, ports: [0], action: deny }] }",
        "4:49: network.rules.0.ports.0: must be between 1 and 65535",
    ),
    (
        "network: { rules: [{ ip: 192.0.2.1, ports: [\"80\"], action: deny }] }",
        "4:49: network.rules.0.ports.0: must be an integer between 1 and 65535, or a string \"from-to\"",
    ),
    (
        "network: { rules: [{ ip: 192.0.2.1, ports: [], action: deny }] }",
        "4:41: network.rules.0.ports: must not be empty",
    ),
    (
        "secrets: { A: { hosts: [] } }",
        "4:21: secrets.A.hosts: must not be empty",
    ),
    (
        "framework: custom\ncommand: []",
        "5:5: command: must not be empty",
    ),
    // Paths, names, texts.
    (
        "instructions: /etc/passwd",
        "4:5: instructions: must be a relative path without '..', or a text of several lines",
    ),
    (
        "instructions: a/../../b",
        "4:5: instructions: must be a relative path without '..', or a text of several lines",
    ),
    (
        "instructions: \"\"",
        "4:5: instructions: must be a relative path without '..', or a text of several lines",
    ),
    (
        "skills: [/abs]",
        "4:14: skills.0: must be a relative path without '..'",
    ),
    (
        "skills: [../up]",
        "4:14: skills.0: must be a relative path without '..'",
    ),
    (
        "skills: [skills/.hidden]",
        "4:14: skills.0: invalid skill name '.hidden': use 1-64 letters, digits, '.', '_' or '-', beginning with a letter or digit",
    ),
    (
        "skills: [\"https://gitlab.com/a/b/tree/main/c\"]",
        "4:14: skills.0: must be a directory or https://github.com/OWNER/REPO/tree/REF/PATH",
    ),
    (
        "skills: [\"https://github.com/a/b/tree/main\"]",
        "4:14: skills.0: must be a directory or https://github.com/OWNER/REPO/tree/REF/PATH",
    ),
    (
        "skills: [\"https://github.com/a/b/tree/main/../c\"]",
        "4:14: skills.0: must be a directory or https://github.com/OWNER/REPO/tree/REF/PATH",
    ),
    (
        "environment: { 1A: x }",
        "4:20: environment.1A: invalid name '1A': use letters, digits or '_', not beginning with a digit",
    ),
    (
        "environment: { A-B: x }",
        "4:20: environment.A-B: invalid name 'A-B': use letters, digits or '_', not beginning with a digit",
    ),
    (
        "environment: { VM0_X: x }",
        "4:20: environment.VM0_X: names beginning with VM0_ are reserved",
    ),
    (
        "environment: { A: \"\\0\" }",
        "4:20: environment.A: must not contain NUL",
    ),
    (
        "volumes: [data]",
        "4:15: volumes.0: must have the form key:/absolute/path",
    ),
    (
        "volumes: [\"data:relative\"]",
        "4:15: volumes.0: must have the form key:/absolute/path",
    ),
    (
        "volumes: [\":/data\"]",
        "4:15: volumes.0: must have the form key:/absolute/path",
    ),
    (
        "volumes: [\"data:/a/../b\"]",
        "4:15: volumes.0: must be an absolute path without '.', '..' or '//'",
    ),
    (
        "volumes: [\"data:/a//b\"]",
        "4:15: volumes.0: must be an absolute path without '.', '..' or '//'",
    ),
    (
        "volumes: [\"data:/a/\"]",
        "4:15: volumes.0: must be an absolute path without '.', '..' or '//'",
    ),
    (
        "volumes: [\"data:/proc/1\"]",
        "4:15: volumes.0: may not be at or below /proc",
    ),
    (
        "volumes: [\"data:/home/user\"]",
        "4:15: volumes.0: may not be /home/user",
    ),
    (
        "image: \"a b\"",
        "4:5: image: must have the form NAME, NAME:TAG or NAME@sha256:HEX",
    ),
    (
        "working_dir: work",
        "4:5: working_dir: must be an absolute path without '.', '..' or '//'",
    ),
    ("working_dir: /", "4:5: working_dir: may not be /"),
    ("working_dir: /tmp", "4:5: working_dir: may not be /tmp"),
    (
        "working_dir: /vm0/x",
        "4:5: working_dir: may not be at or below /vm0",
    ),
    (
        "network: { rules: [{ domain: \"https://a\", action: deny }] }",
        "4:26: network.rules.0.domain: must be a host name, or *. and a host name",
    ),
    (
        "network: { rules: [{ ip: localhost, action: deny }] }",
        "4:26: network.rules.0.ip: must be an IPv4 or IPv6 address",
    ),
    (
        "network: { rules: [{ cidr: 10.0.0.0, action: deny }] }",
        "4:26: network.rules.0.cidr: must be a network without host bits, for example 10.1.0.0/16",
    ),
    (
        "network: { rules: [{ domain: a.example, methods: [get], action: deny }] }",
        "4:55: network.rules.0.methods.0: must be an HTTP method in upper case",
    ),
    (
        "network: { rules: [{ domain: a.example, paths: [a], action: deny }] }",
        "4:53: network.rules.0.paths.0: must begin with /",
    ),
    (
        "secrets: { 1A: { hosts: [a.example] } }",
        "4:16: secrets.1A: invalid name '1A': use letters, digits or '_', not beginning with a digit",
    ),
    (
        "secrets: { A: { hosts: [\"https://a\"] } }",
        "4:29: secrets.A.hosts.0: must be a host name, or *. and a host name, with :port if it is not 443",
    ),
    (
        "secrets: { A: { hosts: [a.example], inject: \"header:a b\" } }",
        "4:41: secrets.A.inject: invalid value 'header:a b'; allowed: bearer, header:<name>, basic, query:<name>",
    ),
    (
        "framework: custom\ncommand: [run]",
        "5:5: command: must contain {prompt} or {prompt_file}",
    ),
    (
        "framework: custom\ncommand: [run, \"{prompt}\"]\nresume_command: [run]",
        "6:5: resume_command: must contain {prompt} or {prompt_file}",
    ),
    (
        "framework: custom\ncommand: [run, \"{prompt}\"]\nhistory: [../x]",
        "6:15: history.0: must be a path relative to HOME without '..'",
    ),
    ("bundle: abc", "4:5: bundle: must be 64 hex digits"),
    // What excludes each other.
    (
        "framework: shell\ncommand: [run, \"{prompt}\"]",
        "5:5: command: command is only allowed with framework custom",
    ),
    (
        "resume_command: [run, \"{prompt}\"]",
        "4:5: resume_command: resume_command is only allowed with framework custom",
    ),
    (
        "history: [x]",
        "4:5: history: history is only allowed with framework custom",
    ),
    (
        "network: {}\nexperimental_firewall: {}",
        "5:5: experimental_firewall: use network or experimental_firewall, not both",
    ),
    (
        "network: { mode: none, rules: [{ ip: 192.0.2.1, action: deny }] }",
        "4:28: network.rules: must be empty with mode none",
    ),
    (
        "network: { rules: [{ domain: a.example, ip: 192.0.2.1, action: deny }] }",
        "4:24: network.rules.0: exactly one of domain, ip, cidr is required",
    ),
    (
        "network: { rules: [{ ip: 192.0.2.1, methods: [GET], action: deny }] }",
        "4:41: network.rules.0.methods: methods is only allowed with domain",
    ),
    (
        "network: { rules: [{ ip: 192.0.2.1, paths: [/a], action: deny }] }",
        "4:41: network.rules.0.paths: paths is only allowed with domain",
    ),
    (
        "secrets: { A: { expose: true, hosts: [a.example] } }",
        "4:35: secrets.A.hosts: may not be used together with expose",
    ),
    (
        "secrets: { A: { expose: true, inject: bearer } }",
        "4:35: secrets.A.inject: may not be used together with expose",
    ),
    (
        "experimental_firewall: { experimental_seal_secrets: true }",
        "4:30: experimental_firewall.experimental_seal_secrets: requires experimental_mitm",
    ),
    (
        "experimental_firewall: { rules: [{ action: ALLOW }] }",
        "4:38: experimental_firewall.rules.0: exactly one of domain, ip, final is required",
    ),
    // Templates outside their places.
    (
        "description: \"${{ vars.A }}\"",
        "4:5: description: templates are not allowed here",
    ),
    (
        "instructions: \"${{ vars.A }}\"",
        "4:5: instructions: templates are not allowed here",
    ),
    (
        "skills: [\"${{ vars.A }}\"]",
        "4:14: skills.0: templates are not allowed here",
    ),
    (
        "image: \"${{vars.A}}\"",
        "4:5: image: templates are not allowed here",
    ),
    (
        "working_dir: \"/${{ vars.A }}\"",
        "4:5: working_dir: templates are not allowed here",
    ),
    (
        "volumes: [\"data:/${{ vars.A }}\"]",
        "4:15: volumes.0: templates are not allowed here",
    ),
    (
        "framework: custom\ncommand: [run, \"{prompt}\", \"${{ secrets.A }}\"]",
        "5:32: command.2: templates are not allowed here",
    ),
    (
        "secrets: { A: { hosts: [\"${{ vars.A }}\"] } }",
        "4:29: secrets.A.hosts.0: templates are not allowed here",
    ),
];

/// The same, of faults that a schema cannot see.
const UNSEEN_AGENTS: &[(&str, &str)] = &[
    (
        "timeout_seconds: 5.0",
        "4:5: timeout_seconds: must be an integer, not a number",
    ),
    (
        "skills: [a/x, b/x]",
        "4:19: skills.1: skill 'x' is listed twice",
    ),
    (
        "volumes: [\"nothing:/x\"]",
        "4:15: volumes.0: volume 'nothing' is not defined under volumes",
    ),
    (
        "volumes: [\"data:/home/user/workspace\"]",
        "4:15: volumes.0: /home/user/workspace is mounted twice",
    ),
    (
        "working_dir: /work\nvolumes: [\"data:/work\"]",
        "5:15: volumes.0: /work is mounted twice",
    ),
    (
        "skills: [skills/x]\nvolumes: [\"data:/home/user/.claude/skills/x\"]",
        "5:15: volumes.0: /home/user/.claude/skills/x is mounted twice",
    ),
    (
        "image: \"a@sha256:0a\"",
        "4:5: image: must have the form NAME, NAME:TAG or NAME@sha256:HEX",
    ),
    (
        "network: { rules: [{ cidr: 10.0.0.1/8, action: deny }] }",
        "4:26: network.rules.0.cidr: must be a network without host bits, for example 10.1.0.0/16",
    ),
    (
        "network: { rules: [{ ip: 192.0.2.1, ports: [\"9-1\"], action: deny }] }",
        "4:49: network.rules.0.ports.0: must be an integer between 1 and 65535, or a string \"from-to\"",
    ),
    (
        "secrets: { A: { hosts: [a.example, a.example] } }",
        "4:40: secrets.A.hosts.1: is listed twice",
    ),
    (
        "secrets: { A: { hosts: [a.example] }, B: { hosts: [a.example] } }",
        "4:43: secrets.B: host 'a.example' has 'A' at the same place already",
    ),
    (
        "network: { mode: none }\nsecrets: { A: { hosts: [a.example] } }",
        "5:5: secrets: a secret with hosts may not be used with network mode none",
    ),
    (
        "experimental_firewall: { rules: [{ final: DENY }, { final: ALLOW }] }",
        "4:38: experimental_firewall.rules.0: final must be the last rule",
    ),
    (
        "experimental_firewall: { rules: [{ final: DENY, action: DENY }] }",
        "4:53: experimental_firewall.rules.0.action: may not be used together with final",
    ),
    (
        "budget: { max_duration: 25h }",
        "4:15: budget.max_duration: must be between 1s and 86400s",
    ),
];

/// Entries of the top-level `volumes`, which begin in line 4.
const VOLUMES: &[(&str, &str)] = &[
    (
        "-x: { name: a }",
        "4:3: volumes.-x: invalid key '-x': use 1-64 letters, digits, '_' or '-', beginning with a letter or digit",
    ),
    ("a: {}", "4:3: volumes.a.name: is required"),
    ("a: books", "4:3: volumes.a: must be a map, not a string"),
    (
        "a: { name: 7 }",
        "4:8: volumes.a.name: must be a string, not a number",
    ),
    (
        "a: { name: Data }",
        "4:8: volumes.a.name: invalid name 'Data': use 1-64 lower-case letters, digits or '-', beginning and ending with a letter or digit",
    ),
    (
        "a: { name: a, version: 12345678 }",
        "4:17: volumes.a.version: must be a string; put the value in quotes",
    ),
    (
        "a: { name: a, version: abc }",
        "4:17: volumes.a.version: must be latest or at least 8 hex digits",
    ),
    (
        "a: { name: a, optional: \"no\" }",
        "4:17: volumes.a.optional: must be a boolean, not a string",
    ),
    (
        "a: { name: \"a-${{ secrets.S }}\" }",
        "4:8: volumes.a.name: secrets may not be used here; only vars",
    ),
    (
        "a: { name: a, version: \"${{ vars.A }}${{ secrets.S }}\" }",
        "4:17: volumes.a.version: secrets may not be used here; only vars",
    ),
    (
        "a: { name: a, path: /x }",
        "4:17: volumes.a.path: unknown key 'path'; allowed: name, version, optional",
    ),
    (
        "a: { nam: a, name: a }",
        "4:8: volumes.a.nam: unknown key 'nam'; did you mean 'name'?",
    ),
];

/// Whole files.
const FILES: &[(&str, &str, bool)] = &[
    ("[]", "1:1: must be a map, not a list", true),
    ("", "?: must be a map, not null", true),
    (
        "agents: { demo: {} }",
        "1:1: version: Missing config.version",
        true,
    ),
    (
        "version: \"1.0\"",
        "1:1: agents: Missing agents object in config",
        true,
    ),
    (
        "version: 1.0\nagents: { demo: {} }",
        "1:1: version: must be a string; write version: \"1.0\"",
        true,
    ),
    (
        "version: \"\"\nagents: { demo: {} }",
        "1:1: version: must be 1 to 32 characters long",
        true,
    ),
    (
        "version: \"1.0\"\nagents: {}",
        "2:1: agents: no agent defined; exactly one is required",
        true,
    ),
    (
        "version: \"1.0\"\nagents:\n",
        "2:1: agents: must be a map, not null",
        true,
    ),
    (
        "version: \"1.0\"\nagents: { abc: {}, def: {} }",
        "2:1: agents: Multiple agents not supported. Only one agent allowed: abc, def",
        true,
    ),
    (
        "version: \"1.0\"\nagents: { ab: {} }",
        "2:11: agents.ab: invalid name 'ab': use 3-64 letters, digits or '-', beginning and ending with a letter or digit",
        true,
    ),
    (
        "version: \"1.0\"\nagents: { my_agent: {} }",
        "2:11: agents.my_agent: invalid name 'my_agent': use 3-64 letters, digits or '-', beginning and ending with a letter or digit",
        true,
    ),
    (
        "version: \"1.0\"\nagent: {}\nagents: { demo: {} }",
        "2:1: agent: unknown key 'agent'; did you mean 'agents'?",
        true,
    ),
    (
        "version: \"1.0\"\nagents: { demo: {} }\nvolumes: []",
        "3:1: volumes: must be a map, not a list",
        true,
    ),
    // The rules of the file itself, which a value no longer shows.
    (
        "version: \"1.0\"\nagents: { demo: {} }\nagents: { demo: {} }",
        "3:1: duplicate key 'agents'",
        false,
    ),
    (
        "version: \"1.0\"\nagents: { demo: {}, 7: {} }",
        "2:21: agents: keys must be strings; put 7 in quotes",
        false,
    ),
    (
        "version: \"1.0\"\nagents: !x { demo: {} }",
        "2:9: agents: tags are not allowed",
        false,
    ),
    (
        "version: \"1.0\"\nagents:\n  demo:\n    <<: {}\n",
        "4:5: agents.demo: merge keys (<<) are not allowed",
        false,
    ),
    (
        "version: \"1.0\"\nagents: { demo: {} }\n---\na: b\n",
        "3:1: only one document is allowed",
        false,
    ),
];

fn below_agent(says: &str) -> String {
    let (at, rest) = says.split_once(": ").expect("a place and a text");
    format!("{at}: agents.demo.{rest}")
}

/// Every broken file.
pub(crate) fn all() -> Vec<Bad> {
    let agents = |table: &'static [(&str, &str)], schema_sees: bool| {
        table.iter().map(move |(fields, says)| Bad {
            text: agent_file(fields),
            says: below_agent(says),
            schema_sees,
        })
    };
    let volumes = VOLUMES.iter().map(|(entries, says)| Bad {
        text: volumes_file(entries),
        says: (*says).to_owned(),
        schema_sees: true,
    });
    let files = FILES.iter().map(|&(text, says, schema_sees)| Bad {
        text: text.to_owned(),
        says: says.to_owned(),
        schema_sees,
    });
    agents(AGENTS, true)
        .chain(agents(UNSEEN_AGENTS, false))
        .chain(volumes)
        .chain(files)
        .collect()
}
