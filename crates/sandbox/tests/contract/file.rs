//! Files that go in and come out through the guest.

use std::time::Duration;

use vm0_sandbox::{FileLimits, GuestFile, Sandbox, SandboxError};

use crate::contract::world::{World, on_every_backend, run, script};

const LIMITS: FileLimits = FileLimits {
    files: 10,
    bytes: 10_000,
    timeout: Duration::from_secs(20),
};

fn file(path: &str, text: &str) -> GuestFile {
    GuestFile {
        path: path.to_owned(),
        bytes: text.as_bytes().to_vec(),
    }
}

async fn get(sandbox: &dyn Sandbox, pattern: &str) -> Result<Vec<GuestFile>, SandboxError> {
    sandbox
        .get_files("/home/user", &[pattern.to_owned()], LIMITS)
        .await
}

on_every_backend! {
    async fn files_go_in_and_come_out(world) {
        let sandbox = world.start().await;
        let files = vec![file("a/b/one.jsonl", "1"), file("a/two.txt", "2")];
        sandbox.put_files("/home/user", files).await.unwrap();
        let output = run(&*sandbox, script("cat /home/user/a/two.txt")).await;
        assert_eq!(output.stdout, "2");
        let found = get(&*sandbox, "a/**/*.jsonl").await.unwrap();
        assert_eq!(found, [file("a/b/one.jsonl", "1")]);
        assert_eq!(get(&*sandbox, "no/such/*").await.unwrap(), []);
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn files_beyond_a_limit_do_not_come_out(world) {
        let sandbox = world.start().await;
        let text = "x".repeat(6000);
        let files = vec![file("big/1", &text), file("big/2", &text)];
        sandbox.put_files("/home/user", files).await.unwrap();
        assert!(matches!(get(&*sandbox, "big/*").await, Err(SandboxError::TooLarge { .. })));
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn an_authority_is_trusted_beside_those_of_the_image(world) {
        let mut spec = world.spec();
        spec.authority = Some("-----BEGIN CERTIFICATE-----\nours\n".into());
        let sandbox = world.backend.create(spec).await.unwrap();
        let output = run(&*sandbox, script("cat /vm0/authorities.pem")).await;
        assert!(output.stdout.ends_with("\nours\n"), "{}", output.stdout);
        if world.backend.kind() != "fake" {
            let bundles = "cmp /vm0/authorities.pem /etc/ssl/certs/ca-certificates.crt \
                           && grep -c BEGIN /vm0/authorities.pem";
            let output = run(&*sandbox, script(bundles)).await;
            assert!(output.stdout.trim().parse::<u32>().unwrap() > 50, "{}", output.stdout);
        }
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn a_platform_file_can_be_read_and_not_changed(world) {
        let sandbox = world.start().await;
        sandbox.put_platform_file("note", b"text").await.unwrap();
        let output = run(&*sandbox, script("cat /vm0/note; echo x > /vm0/note")).await;
        assert_eq!(output.stdout, "text");
        assert_ne!(output.exit.code, 0);
        assert!(sandbox.put_platform_file("agent", b"x").await.is_err());
        assert!(sandbox.put_platform_file("../x", b"x").await.is_err());
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }
}
