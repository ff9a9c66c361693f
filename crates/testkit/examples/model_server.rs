//! The scripted model server on a fixed port, to try an agent by hand.

use vm0_testkit::ModelServer;

#[tokio::main]
async fn main() {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let server = ModelServer::start_on(&address).await;
    println!("listening on http://127.0.0.1:{}", server.port());
    let mut seen = 0;
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        for request in server.requests().iter().skip(seen) {
            println!("{} {}", request.path, request.body);
            seen += 1;
        }
    }
}
