//! User ids on the host: each sandbox has its own, and the disk has the common ones.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use vm0_sandbox::ids;

use crate::contract::world::{World, on_real_backends, run, script};

/// The processes on the host that a sandbox consists of.
fn processes(id: &str) -> Vec<u32> {
    let groups = ["vm0", "pids/vm0", "memory/vm0"];
    let pids: BTreeSet<u32> = groups
        .into_iter()
        .filter_map(|parent| {
            let group = Path::new("/sys/fs/cgroup").join(parent).join(id);
            fs::read_to_string(group.join("cgroup.procs")).ok()
        })
        .flat_map(|text| {
            text.lines()
                .filter_map(|line| line.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(!pids.is_empty(), "{id} has no processes");
    pids.into_iter().collect()
}

fn effective_uid(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The first host id of the range that the processes of a sandbox have; all of them are in it.
fn range(id: &str) -> u32 {
    let mut firsts = BTreeSet::new();
    for pid in processes(id) {
        let Ok(map) = fs::read_to_string(format!("/proc/{pid}/uid_map")) else {
            continue;
        };
        let fields: Vec<u32> = map
            .split_whitespace()
            .filter_map(|n| n.parse().ok())
            .collect();
        assert_eq!(
            (fields[0], fields[2], fields.len()),
            (0, ids::COUNT, 3),
            "{map}"
        );
        let uid = effective_uid(pid).expect("it runs");
        let within = (fields[1]..fields[1] + ids::COUNT).contains(&uid);
        assert!(
            within,
            "process {pid} of {id} has uid {uid}, which is not of {map}"
        );
        firsts.insert(fields[1]);
    }
    assert_eq!(firsts.len(), 1, "{id} has several ranges: {firsts:?}");
    firsts.into_iter().next().expect("one")
}

/// Whether a program of the host that runs as `uid` may do something.
fn may(uid: u32, what: &str) -> bool {
    Command::new("/bin/sh")
        .args(["-c", what])
        .uid(uid)
        .gid(uid)
        .output()
        .expect("sh runs")
        .status
        .success()
}

on_real_backends! {
    async fn two_sandboxes_have_nothing_in_common_but_the_ids_of_the_disk(world) {
        let (one, two) = (world.spec(), world.spec());
        let (name, other) = (one.id.clone(), two.id.clone());
        let one = world.backend.create(one).await.unwrap();
        let two = world.backend.create(two).await.unwrap();
        let text = "sleep 600 > /dev/null 2>&1 & echo mine > file; stat -c '%u %g' . file";
        for sandbox in [&one, &two] {
            let output = run(&**sandbox, script(text)).await;
            assert_eq!(output.stdout, "1000 1000\n1000 1000\n", "{}", output.stderr);
        }
        let (mine, others) = (range(&name), range(&other));
        assert!(mine.abs_diff(others) >= ids::COUNT, "{mine} and {others}");
        assert!(mine >= ids::first(0) && others >= ids::first(0));

        // Whoever got out of everything else would still be another user.
        let victim = |id: &str| processes(id).into_iter().next().expect("one");
        let (own, foreign) = (victim(&name), victim(&other));
        let uid = effective_uid(own).expect("it runs");
        let signal = |pid| format!("kill -0 {pid}");
        assert!(may(uid, &signal(own)), "the control: what is one's own can be signalled");
        assert!(!may(uid, &signal(foreign)));
        for what in ["environ", "maps", "root/", "fd/"] {
            let look = |pid| format!("ls /proc/{pid}/{what} && head -c 1 /proc/{pid}/{what}");
            assert!(!may(uid, &look(foreign)), "{what}");
        }

        for sandbox in [one, two] {
            let stopped = sandbox.stop().await.unwrap();
            let layer = stopped.layer("/home/user/workspace").unwrap();
            let file = fs::symlink_metadata(layer.join("file")).unwrap();
            assert_eq!((file.uid(), file.gid()), (ids::USER, ids::USER));
            stopped.remove().await.unwrap();
        }
    }
}
