//! Prints the description of the public API: `cargo openapi` writes it to `openapi/vm0-v1.json`.

fn main() {
    print!("{}", vm0_server::openapi_json());
}
