//! The ways out of a sandbox: all of them end in `accept`.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vm0_sandbox::{ByteStream, Transparent};

use crate::contract::world::{World, finish, on_every_backend, on_real_backends, run, script};

const SUCCESS: &[u8] = b"\x05\0\x05\0\0\x01\0\0\0\0\0\0";
const REFUSAL: &[u8] = b"\x05\0\x05\x02\0\x01\0\0\0\0\0\0";

/// What a program says that connects without a proxy.
fn talk(host: &str) -> String {
    format!("exec 3<>/dev/tcp/{host}/77 && echo hello >&3 && cat <&3")
}

async fn request(stream: &mut ByteStream) -> Vec<u8> {
    let mut bytes = vec![0; 7];
    stream.read_exact(&mut bytes).await.unwrap();
    let rest = if bytes[6] == 1 {
        4
    } else {
        usize::from(stream.read_u8().await.unwrap())
    };
    let mut host = vec![0; rest + 2];
    stream.read_exact(&mut host).await.unwrap();
    host
}

on_every_backend! {
    async fn without_a_network_nobody_is_served(world) {
        let mut spec = world.spec();
        spec.network = false;
        let sandbox = world.backend.create(spec).await.unwrap();
        assert_eq!(*sandbox.transparent(), Transparent::Off);
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }
}

on_real_backends! {
    async fn a_program_that_knows_no_proxy_is_connected_by_name(world) {
        let sandbox = world.start().await;
        assert_eq!(*sandbox.transparent(), Transparent::On);
        let spec = script(&format!("exec bash -c '{}'", talk("Some.Name")));
        let program = sandbox.exec(spec).await.unwrap();
        let mut stream = sandbox.accept().await.unwrap();
        assert_eq!(request(&mut stream).await, b"some.name\0\x4d");
        stream.write_all(SUCCESS).await.unwrap();
        let mut line = [0; 6];
        stream.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"hello\n");
        stream.write_all(b"bye").await.unwrap();
        stream.shutdown().await.unwrap();
        let output = finish(program).await;
        assert_eq!((output.stdout.as_str(), output.exit.code), ("bye", 0));
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn a_connection_that_is_refused_outside_is_refused_inside(world) {
        let sandbox = world.start().await;
        let spec = script(&format!("exec bash -c '{}'", talk("9.8.7.6")));
        let program = sandbox.exec(spec).await.unwrap();
        let mut stream = sandbox.accept().await.unwrap();
        assert_eq!(request(&mut stream).await, [9, 8, 7, 6, 0, 77]);
        stream.write_all(REFUSAL).await.unwrap();
        let output = finish(program).await;
        assert!(output.stderr.contains("Connection refused"), "{}", output.stderr);
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn pid_1_keeps_no_power_over_the_network(world) {
        let sandbox = world.start().await;
        let capabilities = "sed -n 's/^CapPrm:.*\\(....\\)$/\\1/p' /proc/1/status";
        let output = run(&*sandbox, script(capabilities)).await;
        let low = u16::from_str_radix(output.stdout.trim(), 16).unwrap();
        // CAP_NET_ADMIN; CAP_SETUID as a control.
        assert_eq!((low >> 12 & 1, low >> 7 & 1), (0, 1), "{}", output.stdout);
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }
}
