//! From inside a sandbox: every way out that an agent might try is refused.

use serde_json::json;
use vm0_testkit::Server;

use crate::sandboxes::server;

crate::on_each_sandbox!(
    the_host_is_out_of_sight,
    the_kernel_is_out_of_reach,
    privileges_cannot_be_gained,
    other_runs_are_out_of_sight,
    the_platform_inside_cannot_be_touched,
);

/// Runs each probe as a shell command of its own and gives the names of those that succeeded.
async fn succeeded(server: &Server, probes: &[(&str, String)]) -> Vec<String> {
    let api = server.api();
    api.shell_agent("prober").await;
    let script: String = probes
        .iter()
        .map(|(name, probe)| {
            format!("if ( {probe} ) >/dev/null 2>&1; then echo 'OPEN {name}'; fi\n")
        })
        .collect();
    let run = api
        .run_to_end(&json!({ "agent": "prober", "prompt": format!("{script}echo END") }))
        .await;
    let output = run["output"].as_str().unwrap_or_default();
    assert!(
        output.ends_with("END"),
        "the probes were not all run: {run}"
    );
    output
        .lines()
        .filter_map(|line| line.strip_prefix("OPEN "))
        .map(str::to_owned)
        .collect()
}

fn probe(name: &'static str, script: impl Into<String>) -> (&'static str, String) {
    (name, script.into())
}

async fn the_host_is_out_of_sight(kind: &str) {
    let server = server(kind);
    let secret = server.data_dir().join("host-secret");
    std::fs::write(&secret, "host").expect("the data directory is writable");
    let pid = std::process::id();
    let open = succeeded(
        &server,
        &[
            probe("control: an own file", "echo x > own && grep -q x own"),
            probe("file of the host", format!("cat {}", secret.display())),
            probe("home of root", "ls ~root/.ssh ~root/.cargo"),
            probe("shadow", "grep -q root /etc/shadow"),
            probe("passwd of the host", "[ $(wc -l < /etc/passwd) -gt 8 ]"),
            probe(
                "processes of the host",
                format!("kill -0 {pid} || [ -d /proc/{pid}/root/etc ]"),
            ),
            probe(
                "process list of the host",
                "grep -lsa '[s]erve' /proc/[0-9]*/cmdline | grep -q .",
            ),
            probe(
                "environment of PID 1",
                "tr '\\0' '\\n' < /proc/1/environ | grep -E . | grep -qvE '^(PATH|HOME)='",
            ),
            probe("root of PID 1", "ls /proc/1/root/"),
            probe(
                "kernel log of the host",
                "dmesg | grep -Eiq 'virtio|vda|systemd|ext4' || cat /dev/kmsg",
            ),
            probe(
                "kernel symbols",
                "grep -v '^0* ' /proc/kallsyms | grep -q .",
            ),
            probe(
                "kernel memory",
                "head -c 1 /proc/kcore || head -c 1 /dev/mem",
            ),
            probe(
                "disk of the host",
                "head -c 1 /dev/vda || head -c 1 /dev/sda || head -c 1 /dev/loop0",
            ),
            probe("docker socket", "ls /var/run/docker.sock"),
        ],
    )
    .await;
    assert_eq!(open, ["control: an own file"]);
}

async fn the_kernel_is_out_of_reach(kind: &str) {
    let server = server(kind);
    let python = |code: &str| format!("python3 -c '{code}'");
    let socket = |arguments: &str| python(&format!("import socket; socket.socket({arguments})"));
    let open = succeeded(&server, &[
        probe("control: python", python("import socket; socket.socket()")),
        probe("mount", "mount -t tmpfs none /tmp"),
        probe("bind mount", "mount --bind /etc /tmp"),
        probe("umount", "umount /proc || umount /home/user/workspace"),
        probe("mount in a user namespace", "unshare -Urm mount -t tmpfs none /mnt && false || unshare -Urm sh -c 'mount -t proc none /proc && cat /proc/sysrq-trigger'"),
        probe("raw socket", socket("socket.AF_INET, socket.SOCK_RAW, 1")),
        probe("packet socket", socket("socket.AF_PACKET, socket.SOCK_RAW")),
        probe("sysctl hostname", "echo x > /proc/sys/kernel/hostname"),
        probe("sysctl core_pattern", "echo '|/bin/sh' > /proc/sys/kernel/core_pattern"),
        probe("sysctl ip_forward", "echo 1 > /proc/sys/net/ipv4/ip_forward"),
        probe("sysrq", "echo b > /proc/sysrq-trigger"),
        probe("cgroup release agent", "find /sys/fs/cgroup -name release_agent -writable | grep -q ."),
        probe("device node", "mknod node b 8 0"),
        probe("character device node", "mknod node c 1 1"),
        probe("set the clock", "date -s 2001-01-01"),
        probe("host name", "hostname other"),
        probe("load a module", "modprobe dummy || insmod /dev/null"),
        probe("reboot", "reboot -f"),
    ])
    .await;
    assert_eq!(open, ["control: python"]);
    // gVisor has control groups of its own inside; none may appear on the host.
    let name = "vm0-escape-probe";
    let make = format!("mkdir /sys/fs/cgroup/{name}; mkdir /sys/fs/cgroup/*/{name}; true");
    let run = server
        .api()
        .run_to_end(&json!({ "agent": "prober", "prompt": make }))
        .await;
    assert_eq!(run["status"], "completed", "{run}");
    let found = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-name", name])
        .output();
    assert_eq!(found.expect("find runs").stdout, b"");
}

async fn privileges_cannot_be_gained(kind: &str) {
    let server = server(kind);
    let open = succeeded(
        &server,
        &[
            probe("control: uid 1000", "[ $(id -u) = 1000 ]"),
            probe("root", "[ $(id -u) = 0 ]"),
            probe("sudo", "sudo -n true"),
            probe("su", "su -c true </dev/null"),
            probe("setuid copy", "cp /usr/bin/id i; chmod u+s i; chown 0 i"),
            probe(
                "setuid program",
                "passwd -S root || mount -l | grep -q . && false",
            ),
            probe(
                "capabilities",
                "grep -E '^Cap(Eff|Prm|Bnd|Amb)' /proc/self/status | grep -qv '0000000000000000'",
            ),
            probe(
                "new privileges",
                "grep -q 'NoNewPrivs:.0' /proc/self/status",
            ),
            probe("setuid syscall", "python3 -c 'import os; os.setuid(0)'"),
            probe("setgid syscall", "python3 -c 'import os; os.setgid(0)'"),
            probe("supplementary groups", "[ \"$(id -G)\" != 1000 ]"),
            probe("write the image", "touch /usr/x /etc/x /bin/x /x"),
            probe("overwrite a program", "echo > /usr/bin/env"),
            probe("write passwd", "echo x >> /etc/passwd"),
        ],
    )
    .await;
    assert_eq!(open, ["control: uid 1000"]);
}

async fn other_runs_are_out_of_sight(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.shell_agent("neighbour").await;
    let prompt =
        "echo neighbour-secret > mine; exec -a neighbour-process sleep 600 & echo ready; wait";
    let neighbour = api
        .run(&json!({ "agent": "neighbour", "prompt": prompt }))
        .await;
    api.run_event(&neighbour, |event| event["text"] == "ready")
        .await;
    let open = succeeded(
        &server,
        &[
            probe(
                "control: an own process",
                "sleep 5 & pgrep -x sleep || grep -qs sleep /proc/[0-9]*/cmdline",
            ),
            probe(
                "process of another run",
                "grep -lsa '[n]eighbour-process' /proc/[0-9]*/cmdline | grep -q .",
            ),
            probe(
                "file of another run",
                "grep -rqs neighbour-secre[t] /home /tmp /srv /mnt /var /run",
            ),
            probe(
                "shared memory of another run",
                "ls /dev/shm/* || ipcs -m | grep -q 0x",
            ),
        ],
    )
    .await;
    assert_eq!(open, ["control: an own process"]);
    api.post(&format!("/v1/runs/{neighbour}/cancel"), &json!({}))
        .await
        .expect(200);
}

async fn the_platform_inside_cannot_be_touched(kind: &str) {
    let server = server(kind);
    let attach = "import ctypes; c = ctypes.CDLL(None, use_errno=True); \
                  raise SystemExit(0 if c.ptrace(16, 1, 0, 0) == 0 else 1)";
    let open = succeeded(
        &server,
        &[
            probe("control: the guest agent is there", "[ -x /vm0/agent ]"),
            probe("ptrace PID 1", format!("python3 -c '{attach}'")),
            probe(
                "kill PID 1",
                "kill -9 1; sleep 0.2; kill -0 1 && false; [ ! -d /proc/1 ]",
            ),
            probe("memory of PID 1", "head -c 1 /proc/1/mem"),
            probe(
                "channel of PID 1",
                "for fd in /proc/1/fd/*; do \
                     [ \"$(readlink $fd)\" = /dev/null ] && continue; \
                     if sh -c \": >> $fd\"; then exit 0; fi; \
                     if [ $fd != /proc/1/fd/2 ] && sh -c \": < $fd\"; then exit 0; fi; \
                 done; false",
            ),
            probe(
                "write /vm0",
                "touch /vm0/x || rm /vm0/agent || echo x > /vm0/agent",
            ),
            probe("rename below /vm0", "mv /vm0/agent /vm0/agent2"),
        ],
    )
    .await;
    assert_eq!(open, ["control: the guest agent is there"]);
}
