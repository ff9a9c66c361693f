//! Mounts: initial content, and what was written to them.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown};

use vm0_sandbox::{MountSpec, ids};

use crate::contract::world::{World, on_every_backend, on_real_backends, run, script};

on_every_backend! {
    async fn a_layer_holds_what_was_written_and_the_lower_tree_stays(world) {
        let lower = world.path("lower");
        fs::create_dir_all(lower.join("sub")).unwrap();
        for name in ["kept", "gone", "sub/old"] {
            fs::write(lower.join(name), "lower").unwrap();
            chown(lower.join(name), Some(ids::USER), Some(ids::USER)).unwrap();
        }
        for name in ["", "sub"] {
            chown(lower.join(name), Some(ids::USER), Some(ids::USER)).unwrap();
        }
        let mut spec = world.spec();
        spec.mounts[0].lower = Some(lower.clone());
        let sandbox = world.backend.create(spec).await.unwrap();
        let output = run(&*sandbox, script("cat kept && rm gone && echo new > made")).await;
        assert_eq!((output.stdout.as_str(), output.exit.code), ("lower", 0), "{}", output.stderr);
        let stopped = sandbox.stop().await.unwrap();
        let layer = stopped.layer("/home/user/workspace").unwrap();
        assert!(stopped.layer("/elsewhere").is_none());
        assert_eq!(fs::read_to_string(layer.join("made")).unwrap(), "new\n");
        assert!(!layer.join("kept").exists());
        let whiteout = fs::symlink_metadata(layer.join("gone")).unwrap();
        assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
        assert_eq!(fs::read_to_string(lower.join("gone")).unwrap(), "lower");
        stopped.remove().await.unwrap();
    }

    async fn mounts_keep_what_is_written_apart(world) {
        let mut spec = world.spec();
        spec.mounts.push(MountSpec { target: "/data/deep".into(), lower: None });
        let sandbox = world.backend.create(spec).await.unwrap();
        let output = run(&*sandbox, script("echo a > one; echo b > /data/deep/two")).await;
        assert_eq!(output.exit.code, 0, "{}", output.stderr);
        let stopped = sandbox.stop().await.unwrap();
        let (work, data) =
            (stopped.layer("/home/user/workspace").unwrap(), stopped.layer("/data/deep").unwrap());
        assert!(work.join("one").exists() && !work.join("two").exists());
        assert!(data.join("two").exists() && !data.join("one").exists());
        stopped.remove().await.unwrap();
    }
}

on_real_backends! {
    async fn a_mount_inside_a_mount_and_one_above_home_work(world) {
        let mut spec = world.spec();
        spec.mounts.push(MountSpec { target: "/home".into(), lower: None });
        spec.mounts.push(MountSpec { target: "/home/other/in".into(), lower: None });
        let sandbox = world.backend.create(spec).await.unwrap();
        let text = "echo a > one; echo b > /home/two; echo c > /home/other/in/three; \
                    echo d > ~/four; touch /home/other/x; ls -A ~";
        let output = run(&*sandbox, script(text)).await;
        assert_eq!(output.exit.code, 0, "{}", output.stderr);
        assert_eq!(output.stdout, "four\nworkspace\n");
        let stopped = sandbox.stop().await.unwrap();
        assert!(stopped.layer("/home/user/workspace").unwrap().join("one").exists());
        assert!(stopped.layer("/home").unwrap().join("two").exists());
        assert!(stopped.layer("/home/other/in").unwrap().join("three").exists());
        stopped.remove().await.unwrap();
    }

    async fn a_mount_point_that_is_a_link_is_refused(world) {
        let lower = world.path("lower");
        fs::create_dir_all(&lower).unwrap();
        std::os::unix::fs::symlink("/etc", lower.join("link")).unwrap();
        let mut spec = world.spec();
        spec.mounts[0].lower = Some(lower);
        spec.mounts.push(MountSpec { target: "/home/user/workspace/link/x".into(), lower: None });
        let dir = spec.dir.clone();
        assert!(world.backend.create(spec).await.is_err());
        assert!(!dir.exists());
        assert!(!std::path::Path::new("/etc/x").exists());
    }

    async fn the_image_is_not_changed_and_the_host_is_not_seen(world) {
        let sandbox = world.start().await;
        let text = "touch /usr/x 2>/dev/null && echo usr; touch /etc/x 2>/dev/null && echo etc; \
                    ls /root /work /etc/shadow 2>/dev/null; echo y > /tmp/y && cat /tmp/y; \
                    ls -l /bin/sh >/dev/null && echo ls; git --version >/dev/null && echo git";
        let output = run(&*sandbox, script(text)).await;
        assert_eq!(output.stdout, "y\nls\ngit\n", "{}", output.stderr);
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }
}
