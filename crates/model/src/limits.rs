//! Every limit and default of the system, named, with its unit. Code uses the names only.

use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A prompt, in bytes (API 1.8).
pub const PROMPT_MAX_BYTES: usize = MIB as usize;
/// A prompt of at least this many bytes reaches the agent on stdin instead of as an argument.
pub const PROMPT_ARG_MAX_BYTES: usize = 100_000;
/// A JSON body of most operations, in bytes (API 1.8).
pub const JSON_BODY_MAX_BYTES: usize = MIB as usize;
/// The body of `POST /v1/runs`, in bytes (API 1.8).
pub const RUN_BODY_MAX_BYTES: usize = 2 * MIB as usize;
/// The body of `POST …/upload`, in bytes: one million paths fit (API 1.8).
pub const UPLOAD_BODY_MAX_BYTES: usize = 256 * MIB as usize;
/// Nesting of a JSON or YAML body.
pub const NESTING_MAX: usize = 32;
/// The time in which a request's headers and body must arrive; of an object upload, the next part
/// of its body.
pub const REQUEST_READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections to the server at a time; more wait in the listener's queue.
pub const SERVER_CONNECTIONS_MAX: usize = 16_384;

/// The regular files of one version, in bytes (API 1.8).
pub const VERSION_MAX_BYTES: u64 = 4 * GIB;
/// Files and symlinks of one version (API 1.8).
pub const VERSION_MAX_ENTRIES: usize = 1_000_000;
/// A path inside a version, or a symlink target, in bytes (API 1.8).
pub const PATH_MAX_BYTES: usize = 4096;
/// An uploaded `manifest.json`, in bytes.
pub const MANIFEST_JSON_MAX_BYTES: u64 = 256 * MIB;
/// An encoded manifest, in bytes.
pub const MANIFEST_MAX_BYTES: u64 = 512 * MIB;
/// A saved conversation history, in bytes.
pub const HISTORY_MAX_BYTES: u64 = 256 * MIB;
/// Files of a saved conversation history.
pub const HISTORY_MAX_FILES: usize = 1_000;
/// A signed URL or an upload session is valid this long (API 1.8).
pub const UPLOAD_SESSION_TTL: Duration = Duration::from_secs(3600);
/// Finished archives that are kept for the next download, in bytes together.
pub const ARCHIVE_CACHE_MAX_BYTES: u64 = 8 * GIB;
/// Archives written to the cache at a time; others are streamed without being kept.
pub const ARCHIVE_BUILDS_MAX: usize = 4;
/// A commit or version message, in characters.
pub const MESSAGE_MAX_CHARS: usize = 1000;
/// A file of at least this many bytes is stored in content-defined chunks, of which none is longer.
pub const CHUNKING_MIN_BYTES: u64 = 4 * MIB;
/// A chunk of a file is at least this long, unless it is the last, in bytes.
pub const CHUNK_MIN_BYTES: u64 = 256 * KIB;
/// The chunks of one part of an upload, in bytes before compression.
pub const UPLOAD_PART_CONTENT_BYTES: u64 = 16 * MIB;
/// Chunks of one part of an upload.
pub const UPLOAD_PART_MAX_CHUNKS: usize = 16_384;
/// A part of an upload as it is sent, in bytes: what does not compress, and a frame for each chunk.
pub const UPLOAD_PART_MAX_BYTES: u64 = 18 * MIB;
/// An upload that was cut goes on in its session if that is valid for at least this long.
pub const UPLOAD_RESUME_MIN: Duration = Duration::from_secs(1800);
/// Parts of one upload that are verified at a time; each needs some 10 MiB of memory.
pub const UPLOAD_VERIFIERS_MAX: usize = 2;

/// What nothing refers to is kept this long before it is removed (CLI 2.6).
pub const GC_GRACE: Duration = Duration::from_secs(24 * 3600);
/// The server looks for what nothing refers to this often.
pub const GC_INTERVAL: Duration = Duration::from_secs(3600);
/// Objects condemned or removed at a time, while no commit is recorded.
pub const GC_BATCH: usize = 32;
/// Time for commits to be recorded between two batches.
pub const GC_PAUSE: Duration = Duration::from_millis(20);
/// A sweep waits this long for a moment in which no commit is being recorded.
pub const GC_LOCK_WAIT: Duration = Duration::from_secs(30);

/// Variables and secrets of one agent after expansion, in bytes (API 1.8).
pub const ENVIRONMENT_MAX_BYTES: usize = 128 * KIB as usize;
/// The value of a stored secret or variable, in bytes (API 1.8).
pub const STORED_VALUE_MAX_BYTES: usize = 64 * KIB as usize;
/// An agent file, in bytes.
pub const CONFIG_MAX_BYTES: usize = MIB as usize;
/// A file of instructions, in bytes (agents 1.6).
pub const INSTRUCTIONS_FILE_MAX_BYTES: u64 = 256 * KIB;
/// The files of one skill, in bytes together (agents 1.6).
pub const SKILL_MAX_BYTES: u64 = 16 * MIB;
/// Files and links of one skill (agents 1.6).
pub const SKILL_MAX_FILES: usize = 1_000;
/// What git may write on the client's disk to fetch skills from one repository, in bytes.
pub const SKILL_REPOSITORY_MAX_BYTES: u64 = 512 * MIB;
/// Time for one call of git while skills are fetched.
pub const SKILL_FETCH_TIMEOUT: Duration = Duration::from_secs(300);

/// An event, in bytes of JSON; longer strings are cut and marked.
pub const EVENT_MAX_BYTES: usize = MIB as usize;
/// A line of agent output that is still parsed as an event, in bytes.
pub const LINE_MAX_BYTES: usize = 16 * MIB as usize;
/// Events of one run; later ones are dropped with a warning.
pub const EVENTS_MAX_PER_RUN: u64 = 1_000_000;
/// A line of the system log, in bytes.
pub const LOG_LINE_MAX_BYTES: usize = 64 * KIB as usize;
/// The final text of a run, in bytes.
pub const OUTPUT_MAX_BYTES: usize = MIB as usize;
/// The error of a run when it is the agent's stderr, in characters.
pub const ERROR_MAX_CHARS: usize = 4096;
/// A batch of events on the runner API, in bytes.
pub const EVENT_BATCH_MAX_BYTES: usize = 4 * MIB as usize;
/// Log entries and samples of a run are gathered this long into one batch; they reach the server
/// within a second (agent reference 4.8).
pub const LOG_GATHER: Duration = Duration::from_millis(200);
/// A batch of events on the runner API, in events.
pub const EVENT_BATCH_MAX: usize = 500;
/// Events of one run waiting on the runner's disk, in bytes; a full spool stops the agent's output.
pub const SPOOL_MAX_BYTES: u64 = 256 * MIB;

/// Secrets shorter than this many characters are not masked.
pub const MASK_MIN_CHARS: usize = 5;

/// A lease not renewed for this long ends its run as `timeout`.
pub const LEASE_TTL: Duration = Duration::from_secs(120);
/// A runner renews its leases this often.
pub const LEASE_RENEW_INTERVAL: Duration = Duration::from_secs(10);
/// A claim waits this long for a run before it answers with none.
pub const CLAIM_WAIT: Duration = Duration::from_secs(20);
/// Heartbeats of an event stream.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// From SIGTERM to SIGKILL.
pub const GRACE: Duration = Duration::from_secs(10);
/// Time for the phase `prepare`.
pub const PREPARE_TIMEOUT: Duration = Duration::from_secs(600);
/// Time for the phase `boot`.
pub const BOOT_TIMEOUT: Duration = Duration::from_secs(120);
/// Time for the phase `checkpoint`.
pub const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(600);
/// Metric samples are taken this often.
pub const METRICS_INTERVAL: Duration = Duration::from_secs(5);

/// Commands of `vm0 exec` in one run at a time.
pub const EXECS_MAX_PER_RUN: usize = 16;
/// A WebSocket message of a command, in bytes: what to start, or a piece of its input or output.
pub const EXEC_MESSAGE_MAX_BYTES: usize = 256 * KIB as usize;
/// A piece of a command's output, in bytes, without the byte before it.
pub const EXEC_PIECE_MAX_BYTES: usize = 64 * KIB as usize;
/// Messages of a command on their way through the server, in each direction.
pub const EXEC_QUEUE_MESSAGES: usize = 4;
/// A client says within this time what it wants to start.
pub const EXEC_START_TIMEOUT: Duration = Duration::from_secs(10);
/// A command waits this long for the sandbox of its run: as long as `prepare` and `boot` may last.
pub const EXEC_PICKUP_TIMEOUT: Duration =
    Duration::from_secs(PREPARE_TIMEOUT.as_secs() + BOOT_TIMEOUT.as_secs());
/// After a command's end its output ends too, or is over once none has come for this long:
/// children may hold it open.
pub const EXEC_OUTPUT_PATIENCE: Duration = Duration::from_secs(1);
/// The last words of a command's connection get this long.
pub const EXEC_GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection whose other end does not answer at all is taken for lost after this long.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Probes of a silent connection are this far apart.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Probes without an answer that end a silent connection.
pub const KEEPALIVE_PROBES: u32 = 3;

/// Default `timeout_seconds` of a run.
pub const RUN_TIMEOUT_DEFAULT_SECONDS: u32 = 7200;
/// Largest `timeout_seconds` of a run.
pub const RUN_TIMEOUT_MAX_SECONDS: u32 = 86_400;
/// Largest `max_tokens` of a budget.
pub const BUDGET_TOKENS_MAX: u32 = 1_000_000_000;
/// Largest `max_turns` of a budget.
pub const BUDGET_TURNS_MAX: u32 = 100_000;
/// Smallest `max_cost_usd` of a budget.
pub const BUDGET_COST_MIN_USD: f64 = 0.0001;
/// Largest `max_cost_usd` of a budget.
pub const BUDGET_COST_MAX_USD: f64 = 1_000_000.0;
/// Largest `max_duration` of a budget: no run may take longer anyway.
pub const BUDGET_DURATION_MAX_SECONDS: u32 = RUN_TIMEOUT_MAX_SECONDS;
/// Larger numbers of tokens in the answer to one model request mean nothing.
pub const MODEL_TOKENS_MAX: u64 = 1_000_000_000_000;
/// Connections of one run through the gateway at a time.
pub const CONNECTIONS_MAX_PER_RUN: usize = 256;
/// The head of an HTTP request or response at the gateway, in bytes.
pub const GATEWAY_HEAD_MAX_BYTES: usize = 64 * KIB as usize;
/// A secret in a query, in bytes as it is encoded there.
pub const GATEWAY_QUERY_SECRET_MAX_BYTES: usize = 16 * KIB as usize;
/// A TLS client hello that the gateway still reads, in bytes.
pub const GATEWAY_HELLO_MAX_BYTES: usize = 16 * KIB as usize;
/// What the gateway takes ahead of a reader on one HTTP/2 stream, and on one connection, in bytes.
pub const GATEWAY_HTTP2_WINDOW_BYTES: u32 = 1 << 20;
/// Requests at a time on one HTTP/2 connection to the gateway.
pub const GATEWAY_HTTP2_STREAMS_MAX: u32 = 100;
/// What the gateway holds of each direction of a connection whose bytes pass through, in bytes.
pub const GATEWAY_BUFFER_BYTES: usize = 64 * KIB as usize;
/// The gateway holds the end of a line that a server has begun for this long if nothing follows.
pub const GATEWAY_SILENCE: Duration = Duration::from_millis(20);
/// The gateway waits this long for one address of a destination to answer.
pub const GATEWAY_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The gateway waits this long for a name to resolve.
pub const GATEWAY_RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of one name that the gateway looks at.
pub const GATEWAY_ADDRESSES_MAX: usize = 16;
/// An idempotency key is remembered this long.
pub const IDEMPOTENCY_TTL: Duration = Duration::from_secs(24 * 3600);
/// Characters of an idempotency key.
pub const IDEMPOTENCY_KEY_MAX_CHARS: usize = 255;

/// Schedules of one user.
pub const SCHEDULES_MAX_PER_USER: u32 = 1000;
/// Bytes of a cron expression.
pub const SCHEDULE_CRON_MAX_BYTES: usize = 256;
/// Bytes of the name of a time zone.
pub const SCHEDULE_TIMEZONE_MAX_BYTES: usize = 64;
/// A schedule's occurrence that the server slept through is run if it is not older than this.
pub const SCHEDULE_CATCH_UP: Duration = Duration::from_secs(3600);
/// Schedules that are looked at together.
pub const SCHEDULE_BATCH: u32 = 100;

/// Characters of the name of a token (API 12).
pub const TOKEN_NAME_MAX_CHARS: usize = 100;
/// Default `expires_in_days` of a token (API 12).
pub const TOKEN_EXPIRES_DEFAULT_DAYS: u32 = 90;
/// Largest `expires_in_days` of a token (API 12).
pub const TOKEN_EXPIRES_MAX_DAYS: u32 = 365;
/// `last_used_at` of a token is written at most this often.
pub const TOKEN_USE_INTERVAL: Duration = Duration::from_secs(60);

/// A device code and its user code are valid this long (CLI 9).
pub const DEVICE_CODE_TTL: Duration = Duration::from_secs(900);
/// A device code is polled at most this often (CLI 9).
pub const DEVICE_POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Device codes that wait for a decision at a time.
pub const DEVICE_CODES_MAX: u32 = 10_000;
/// Device codes that one address may begin in [`DEVICE_STARTS_WINDOW`].
pub const DEVICE_STARTS_MAX: u32 = 60;
/// The time for [`DEVICE_STARTS_MAX`].
pub const DEVICE_STARTS_WINDOW: Duration = Duration::from_secs(60);
/// Wrong user codes that a user may enter in [`USER_CODE_TRIES_WINDOW`].
pub const USER_CODE_TRIES_MAX: u32 = 10;
/// The time for [`USER_CODE_TRIES_MAX`].
pub const USER_CODE_TRIES_WINDOW: Duration = Duration::from_secs(900);
/// Users or addresses whose tries are counted at a time; further ones are refused.
pub const TRIES_KEYS_MAX: usize = 10_000;
/// Failures to prove who one is of an address, or of an IPv6 network of 64 bits, in
/// [`AUTH_FAILURES_WINDOW`]; further tries are not looked at.
pub const AUTH_FAILURES_MAX: u32 = 20;
/// The time for [`AUTH_FAILURES_MAX`].
pub const AUTH_FAILURES_WINDOW: Duration = Duration::from_secs(60);
/// Tokens that were valid lately, which are looked at whatever else comes from their address; one
/// more forgets them all.
pub const AUTH_TOKENS_REMEMBERED: usize = 4096;
/// A file with a certificate or its key, in bytes.
pub const TLS_FILE_MAX_BYTES: u64 = 1 << 20;
/// A connection has this long to become one of TLS.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a server looks whether its certificate was replaced.
pub const TLS_RELOAD_INTERVAL: Duration = Duration::from_secs(10);
/// A page of the server keeps its user signed in this long.
pub const PAGE_SESSION_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// Page sessions of one user; of more, the oldest end.
pub const PAGE_SESSIONS_MAX: u32 = 50;
/// The link by which the first user signs in is valid this long.
pub const FIRST_LINK_TTL: Duration = Duration::from_secs(24 * 3600);
/// A link by which a user signs in on another device is valid this long.
pub const SIGN_IN_LINK_TTL: Duration = Duration::from_secs(600);
/// Sign-in links of one user; of more, the oldest end.
pub const SIGN_IN_LINKS_MAX: u32 = 10;
/// Device codes, links and page sessions are known this much longer than they are valid, so that a
/// page can say that one has expired.
pub const EXPIRED_KEPT: Duration = Duration::from_secs(3600);
/// The form of a page, in bytes.
pub const FORM_MAX_BYTES: usize = 8 * KIB as usize;
/// What a program says of itself when it begins to sign in, in characters.
pub const CLIENT_NAME_MAX_CHARS: usize = 100;

/// Default page size of a list.
pub const PAGE_DEFAULT: u32 = 20;
/// Largest page size of a list.
pub const PAGE_MAX: u32 = 100;
