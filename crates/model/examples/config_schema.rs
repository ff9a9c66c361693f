//! Prints the JSON schema of `vm0.yaml`, which is checked in as `schema/vm0.yaml.json`.

fn main() {
    print!("{}", vm0_model::config::config_schema_json());
}
