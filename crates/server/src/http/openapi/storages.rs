//! Volumes and artifacts (API 8): the same operations for both kinds.

use axum::http::Method;
use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use vm0_model::wire::storages::{
    ArtifactFields, CommitCreate, Storage, StorageCreate, StorageDetail, StorageVersion,
    UploadCreate, UploadManifest, UploadSession,
};
use vm0_model::{ErrorCode, StorageId, StorageKind};

use super::agents::page;
use super::body::Body;
use super::form;
use super::operation::Described;

const STORAGE_ID: &str = "019bbc6f-c440-72d7-a6b1-211d627650e2";
const VERSION: &str = "fecf3b842560e310bc59fdf947a715e750ec491ebc8fd2157764ff48520927e8";
const HASH: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

pub(super) fn operations() -> Vec<Described> {
    let volumes = Paths {
        kind: StorageKind::Volume,
        all: "/v1/volumes",
        one: "/v1/volumes/{id}",
        versions: "/v1/volumes/{id}/versions",
        upload: "/v1/volumes/{id}/upload",
        commit: "/v1/volumes/{id}/commit",
        download: "/v1/volumes/{id}/download",
    };
    let artifacts = Paths {
        kind: StorageKind::Artifact,
        all: "/v1/artifacts",
        one: "/v1/artifacts/{id}",
        versions: "/v1/artifacts/{id}/versions",
        upload: "/v1/artifacts/{id}/upload",
        commit: "/v1/artifacts/{id}/commit",
        download: "/v1/artifacts/{id}/download",
    };
    [volumes, artifacts]
        .iter()
        .flat_map(|paths| {
            let mut operations = paths.reading();
            operations.extend(paths.writing());
            operations
        })
        .collect()
}

/// The paths of one kind.
struct Paths {
    kind: StorageKind,
    all: &'static str,
    one: &'static str,
    versions: &'static str,
    upload: &'static str,
    commit: &'static str,
    download: &'static str,
}

const UPLOAD: &str = "A version is saved in three steps: declare the files here, `PUT` two objects, \
    commit. `PUT <upload_url>` needs no authentication, takes any content type, answers 2xx, 403 \
    or 413, and replaces what was put before. `archive.tar.gz` is a gzip'd tar of the declared \
    entries; of their modes only the owner's execute bit counts. It may be left out if `files` is \
    empty. `manifest.json` is an `UploadManifest`, of which only `files` is read: the declared \
    entries, perhaps with hashes that the declaration left out. If content is declared without \
    its hash or execute bit, the version id in the session id is provisional. With `parts`, only \
    what the head of this storage lacks is sent: the answer names, for each part, the chunks that it \
    holds and where to `PUT` it, and neither archive nor manifest is put. A part is 16 bytes \
    (`vm0pack`, a zero byte, the number 1 and the number 0 in 32 bits, little-endian) and one zstd \
    frame with its content size for each chunk. Asked again with the same body, an upload that was \
    cut goes on: parts that have arrived are not named again.";

const COMMIT: &str = "Checks the uploaded objects against the declaration, stores them as a version \
    and makes it the head. After a fault nothing is stored and the session stays usable until it \
    expires. A version that exists already is returned as it is.";

const DELETE: &str = "Its versions are gone and its name is free; running runs keep what they \
    mounted.";

const DOWNLOAD: &str = "Redirects to a signed URL that answers a gzip'd tar of the version's \
    entries. A version reference is a 64-hex id or a prefix of at least 8 digits; by default the \
    head. A version without files is `resource_not_found`.";

impl Paths {
    fn reading(&self) -> Vec<Described> {
        let (kind, versions) = (self.kind, version(self.kind).page());
        vec![
            self.operation("list", Method::GET, self.all)
                .text(&format!("List {kind}s"), "")
                .query(
                    "name",
                    form::text(),
                    "Only the one of this name, compared in lower case.",
                )
                .paged()
                .answer(200, "A page.", Body::of::<Storage>().page(), page(item())),
            self.operation("view", Method::GET, self.one)
                .text(&format!("Get the {kind}"), "")
                .id::<StorageId>(&self.of_id())
                .answer(200, &format!("The {kind}."), detail(kind), view(kind)),
            self.operation("version_list", Method::GET, self.versions)
                .text(&format!("List the versions of the {kind}"), "Newest first.")
                .id::<StorageId>(&self.of_id())
                .paged()
                .answer(
                    200,
                    "A page of versions.",
                    versions,
                    page(version_example(kind)),
                ),
            self.operation("download", Method::GET, self.download)
                .text(&format!("Download a version of the {kind}"), DOWNLOAD)
                .id::<StorageId>(&self.of_id())
                .query("version_id", form::text(), "Version reference.")
                .no_content(302, "Where the archive is.", &["Location"]),
        ]
    }

    fn writing(&self) -> Vec<Described> {
        let kind = self.kind;
        vec![
            self.operation("create", Method::POST, self.all)
                .text(&format!("Create the {kind}, without a version"), "")
                .body(
                    Body::of::<StorageCreate>(),
                    [("name", json!({ "name": "input-data" }))],
                )
                .errors(&[ErrorCode::ResourceAlreadyExists])
                .answer(201, &format!("The {kind}."), detail(kind), created()),
            self.operation("delete", Method::DELETE, self.one)
                .text(&format!("Delete the {kind}"), DELETE)
                .id::<StorageId>(&self.of_id())
                .no_content(204, "It is gone.", &[]),
            self.operation("upload", Method::POST, self.upload)
                .text("Declare the files of a version", UPLOAD)
                .id::<StorageId>(&self.of_id())
                .body(
                    Body::of::<UploadCreate>(),
                    [("file", upload()), ("parts", upload_parts())],
                )
                .also(Body::of::<UploadManifest>().into_request())
                .answer(
                    200,
                    "Where to put them.",
                    Body::of::<UploadSession>(),
                    session(),
                ),
            self.operation("commit", Method::POST, self.commit)
                .text("Make uploaded files a version", COMMIT)
                .id::<StorageId>(&self.of_id())
                .body(Body::of::<CommitCreate>(), [("commit", commit())])
                .errors(&[
                    ErrorCode::UploadIncomplete,
                    ErrorCode::UploadInvalid,
                    ErrorCode::VersionConflict,
                ])
                .answer(200, "The version.", version(kind), version_example(kind)),
        ]
    }

    fn operation(&self, what: &str, method: Method, path: &'static str) -> Described {
        let (name, tag) = (self.kind.as_str(), format!("{}s", self.kind.title()));
        Described::new(method, path, &format!("{name}_{what}"), &tag)
    }

    fn of_id(&self) -> String {
        format!("Id of the {}.", self.kind.as_str())
    }
}

/// A version as those of one kind are.
fn version(kind: StorageKind) -> Body {
    let mut object = Body::object::<StorageVersion>();
    let (own, other) = match kind {
        StorageKind::Volume => ("volume_id", "artifact_id"),
        StorageKind::Artifact => ("artifact_id", "volume_id"),
    };
    object.properties.shift_remove(other);
    form::narrow(&mut object, "created_by", ["user", "run"]);
    object.description = Some(format!("A version of the {}.", kind.as_str()));
    let id = Body::of::<StorageId>();
    object.properties.insert(own.to_owned(), id.reference());
    object.required.push(own.to_owned());
    if kind == StorageKind::Artifact {
        let more = Body::object::<ArtifactFields>();
        object.properties.extend(more.properties);
        object.required.extend(more.required);
    }
    let parts = [
        id,
        Body::of::<StorageVersion>().parts(),
        Body::of::<ArtifactFields>().parts(),
    ];
    Body::made(&format!("{}Version", kind.title()), object, parts)
}

/// A volume or artifact in full.
fn detail(kind: StorageKind) -> Body {
    let version = version(kind);
    let mut object = Body::object::<StorageDetail>();
    let null: RefOr<Schema> = ObjectBuilder::new().schema_type(Type::Null).into();
    let nullable = utoipa::openapi::OneOfBuilder::new()
        .description(Some("The head."))
        .item(null)
        .item(version.reference());
    object
        .properties
        .insert("current_version".to_owned(), nullable.into());
    object.description = Some(format!("The {} in full.", kind.as_str()));
    Body::made(&format!("{}Detail", kind.title()), object, [version])
}

fn item() -> Value {
    json!({
        "id": STORAGE_ID, "name": "input-data", "current_version_id": VERSION, "size": 6,
        "file_count": 1, "created_at": "2026-01-14T12:10:00.000Z",
        "updated_at": "2026-01-15T10:30:01.000Z",
    })
}

fn version_example(kind: StorageKind) -> Value {
    let mut version = json!({
        "id": VERSION, "size": 6, "file_count": 1, "message": "Initial upload",
        "created_by": "user", "created_at": "2026-01-15T10:30:01.000Z",
    });
    version[format!("{}_id", kind.as_str())] = json!(STORAGE_ID);
    if kind == StorageKind::Artifact {
        version["run_id"] = Value::Null;
        version["salvaged"] = json!(false);
    }
    version
}

fn view(kind: StorageKind) -> Value {
    let mut storage = item();
    storage["current_version"] = version_example(kind);
    storage
}

fn created() -> Value {
    json!({
        "id": STORAGE_ID, "name": "input-data", "current_version_id": null, "size": 0,
        "file_count": 0, "created_at": "2026-01-14T12:10:00.000Z",
        "updated_at": "2026-01-14T12:10:00.000Z", "current_version": null,
    })
}

fn upload() -> Value {
    json!({ "files": [{ "path": "a.txt", "size": 6, "hash": HASH }] })
}

fn upload_parts() -> Value {
    let file = json!({ "path": "a.txt", "size": 6, "hash": HASH, "executable": false });
    json!({ "files": [file], "parts": true })
}

fn session() -> Value {
    let target = |path: &str| {
        json!({
            "path": path,
            "upload_url": format!("https://vm0.example.com/objects/{path}"),
            "upload_id": "019bc134-7840-7cba-a551-2100f80b56fc",
        })
    };
    json!({
        "upload_session_id": format!("upload:{VERSION}:019bc134-7840-7cba-a551-2100f80b56fc"),
        "files": [target("archive.tar.gz"), target("manifest.json")],
        "expires_at": "2026-01-15T11:30:00.000Z",
    })
}

fn commit() -> Value {
    json!({
        "upload_session_id": format!("upload:{VERSION}:019bc134-7840-7cba-a551-2100f80b56fc"),
        "message": "Initial upload",
    })
}
