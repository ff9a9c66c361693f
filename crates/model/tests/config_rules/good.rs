//! Configurations that keep the rules, at their edges.

/// Fields of an agent, as they stand below its name, and the rest of the file.
pub(crate) const AGENTS: &[&str] = &[
    "{}",
    "framework: claude-code",
    "framework: codex",
    "framework: gemini-cli",
    "framework: opencode",
    "framework: shell",
    "description: \"${{ env.X }} is no template\"",
    "instructions: AGENTS.md",
    "instructions: docs/..md/a b",
    "instructions: |\n  Two\n  lines ../up",
    "skills: []",
    "skills: [skills/a, ./b/, c.d_e-f, \"https://github.com/acme/skills/tree/feature/x/audit\"]",
    "skills: [\"https://github.com/a.b/c_d/tree/0123456789abcdef0123456789abcdef01234567/x/y/\"]",
    "environment: { A: \"\", _b9: \"${{ secrets.A }}-${{vars.B}}\", C: \"line\\nline\" }",
    "volumes: [\"data:/data\", \"data:/home/user/x\", \"data:/tmp/x\", \"data:/usrlocal\", \"data:/..a\"]",
    "image: host",
    "image: \"localhost:5000/a/b:1.0\"",
    "image: \"ubuntu@sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\"",
    "working_dir: /home",
    "working_dir: /home/user/workspace/a b",
    "timeout_seconds: 1",
    "timeout_seconds: 86400",
    "resources: {}",
    "resources: { cpus: 0.1, memory_mb: 64, disk_mb: 64, pids: 16 }",
    "resources: { cpus: 256, memory_mb: 1048576, disk_mb: 10485760, pids: 65536 }",
    "budget: {}",
    "budget: { max_tokens: 1, max_cost_usd: 0.0001, max_turns: 1, max_duration: 1 }",
    "budget: { max_tokens: 1000000000, max_cost_usd: 1000000, max_turns: 100000, max_duration: 86400 }",
    "budget: { max_duration: 90s }",
    "budget: { max_duration: 1440m }",
    "budget: { max_duration: \"024h\" }",
    "network: {}",
    "network: { mode: none, rules: [] }",
    "network: { mode: allowlist, inspect: true, rules: [{ domain: \"*.Bücher.example\", action: allow, methods: [GET, M-SEARCH], paths: [/, \"/a/**\"], ports: [80, \"8000-8010\", \"1-65535\"] }, { ip: \"::1\", action: deny }, { ip: 192.0.2.1, action: deny }, { cidr: \"2001:db8::/32\", ports: [22], action: allow }] }",
    "secrets: {}",
    "secrets: { A: { hosts: [a.example, \"*.b.example:8443\"] }, _B: { hosts: [a.example], inject: \"header:X-Key\" }, c: { hosts: [a.example], inject: \"query:k.e-y\" }, D: { hosts: [a.example], inject: basic, expose: false }, E: { expose: true } }",
    "secrets: { A: { expose: true } }\nnetwork: { mode: none }",
    "framework: custom\ncommand: [python3, agent.py, \"--ask={prompt}\"]",
    "framework: custom\ncommand: [\"{prompt_file}\"]\nresume_command: [again, \"{session_id}\", \"{prompt}\"]\nhistory: [.agent/history, notes.md]",
    "bundle: 0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789",
    "experimental_firewall: {}",
    "experimental_firewall: { enabled: false, experimental_mitm: true, experimental_seal_secrets: true, rules: [{ domain: a.example, action: ALLOW }, { ip: 192.0.2.0/24, action: DENY }, { ip: 192.0.2.1, action: DENY }, { final: DENY }] }",
    "experimental_runner: { group: big }",
    "experimental_runner: {}",
];

/// Entries of the top-level `volumes`.
pub(crate) const VOLUMES: &[&str] = &[
    "a: { name: a }",
    "A9_-: { name: a-b9, version: latest, optional: true }",
    "a: { name: a, version: LATEST }",
    "a: { name: a, version: \"12345678\" }",
    "a: { name: a, version: 3FA9C07d }",
    "a: { name: \"books-${{ vars.CUSTOMER }}\", version: \"${{vars.V}}\" }",
];

/// The file of an agent with these fields; `data` is a volume.
pub(crate) fn agent_file(fields: &str) -> String {
    let fields = fields.replace('\n', "\n    ");
    format!(
        "version: \"1.0\"\nagents:\n  demo:\n    {fields}\nvolumes:\n  data: {{ name: data }}\n"
    )
}

/// The file of a small agent with these volumes.
pub(crate) fn volumes_file(volumes: &str) -> String {
    format!("version: \"1.0\"\nagents: {{ demo: {{}} }}\nvolumes:\n  {volumes}\n")
}

/// Whole files.
pub(crate) const FILES: &[&str] = &[
    "version: \"1.0\"\nagents: { a-9: {} }\n",
    "{\"version\": \"1\", \"agents\": {\"ABC\": {\"framework\": \"shell\"}}, \"volumes\": {}}",
    "# comment\nagents:\n  demo: &d\n    environment: {A: x}\nversion: '12345678901234567890123456789012'\n",
    include_str!("../fixtures/changelog-writer.yaml"),
    include_str!("../fixtures/ledger-check.yaml"),
    include_str!("../fixtures/pr-auditor.yaml"),
];

/// Every good file.
pub(crate) fn all() -> Vec<String> {
    let agents = AGENTS.iter().map(|fields| agent_file(fields));
    let volumes = VOLUMES.iter().map(|entries| volumes_file(entries));
    let files = FILES.iter().map(|&text| text.to_owned());
    agents.chain(volumes).chain(files).collect()
}
