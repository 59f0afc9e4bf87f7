//! Every bound that is not in the config, unit last in the name.

use std::time::Duration;

/// A longer text is cut here: what a person reads in a notification is a few lines, and 64 KiB is the Go scanner's own limit.
pub const TEXT_BYTES: usize = 64 * 1024;
/// A longer NDJSON line is skipped to its end and answered with an error.
pub const NDJSON_LINE_BYTES: usize = 1024 * 1024;
/// Deeper JSON is refused before it can cost stack.
pub const JSON_DEPTH: usize = 64;
/// Labels on one message; more are an error for that message.
pub const LABELS: usize = 64;
/// A label's name.
pub const LABEL_NAME_BYTES: usize = 128;
/// A label's value.
pub const LABEL_VALUE_BYTES: usize = 4 * 1024;
/// A kind or a source; they are words, not texts.
pub const WORD_BYTES: usize = 1024;
/// The id of a message.
pub const ID_BYTES: usize = 256;
/// The largest `count` of one NDJSON message.
pub const MESSAGE_COUNT: u64 = 1_000_000_000;

/// One read of a connection: large enough that a storm costs one system call per thousands of lines.
pub const READ_BUFFER_BYTES: usize = 128 * 1024;
/// How long a connection may go on merging while bytes are already waiting.
pub const MERGE_MILLIS: u64 = 5;
/// Different messages one connection merges before it sends them on: bounds its memory in a storm of different texts.
pub const MERGE_ENTRIES: usize = 16 * 1024;
/// Different messages, known ones included, that one connection merges before it sends them on.
pub const MERGE_COUNTS: usize = 64 * 1024;
/// What it takes, about, to know that a peer is another one, beside its address.
pub const PEER_BYTES: usize = 64;
/// Messages with an id that one connection sends on together.
pub const MERGE_IDS: usize = 1024;
/// Messages with an id that may be undecided, or refused without the client knowing, before its connection reads on.
pub const OPEN_IDS: usize = 4 * MERGE_IDS;
/// Bytes of different messages one connection merges before it sends them on.
pub const MERGE_BYTES: usize = 4 * 1024 * 1024;
/// What a different message takes beside its text and labels, about.
pub const MERGE_ENTRY_BYTES: usize = 200;
/// What every connection may keep while it waits for its client, uncounted.
pub const FREE_BYTES: usize = 4 * 1024;
/// Bytes looked at to tell the protocols apart; white space beyond this is classic.
pub const DETECT_BYTES: usize = 64;
/// A classic command; a longer line is no command, and the reply quotes this much of it.
pub const COMMAND_BYTES: usize = 1024;
/// A syslog message with its header; RELP's own limit. Of a longer one this much is read and the rest goes by.
pub const SYSLOG_FRAME_BYTES: usize = 128 * 1024;
/// What the system is asked to keep of datagrams that are not read yet; it may keep less.
pub const DATAGRAM_SOCKET_BYTES: usize = 8 * 1024 * 1024;
/// Senders of datagrams whose messages are merged at a time.
pub const DATAGRAM_PEERS: usize = 256;
/// Chunks of one GELF message in datagrams; the format's own limit.
pub const GELF_CHUNKS: u8 = 128;
/// How long they may be in coming; the format's own limit too.
pub const GELF_CHUNK_MILLIS: u64 = 5_000;
/// Messages of which chunks are missing; beyond that the oldest is given up.
pub const GELF_OPEN: usize = 1_000;
/// What their chunks may take together.
pub const GELF_OPEN_BYTES: usize = 8 * 1024 * 1024;
/// One entry of Fluent Forward; a larger one ends the connection.
pub const FORWARD_ENTRY_BYTES: usize = NDJSON_LINE_BYTES - 1024;
/// The options of a chunk.
pub const FORWARD_OPTION_BYTES: usize = 16 * 1024;
/// What a client says to show that it has a shared key.
pub const FORWARD_GREETING_BYTES: usize = 4 * 1024;
/// A compressed chunk when it is inflated: what Fluentd writes into one file.
pub const FORWARD_INFLATED_BYTES: usize = 256 * 1024 * 1024;
/// Replies that wait for a client to take them; when there are more, that client's messages are not read on.
pub const REPLY_BYTES: usize = 64 * 1024;
/// What comes before the first byte of a protocol: the PROXY header and the TLS handshake.
pub const HANDSHAKE_SECONDS: u64 = 10;
/// How often a listener looks whether its certificate has changed; only when somebody connects.
pub const CERTIFICATE_LOOK_MILLIS: u64 = 1_000;
/// How long a handshake waits for such a look, once: the files may lie in a folder that does not answer.
pub const CERTIFICATE_WAIT_MILLIS: u64 = 1_000;
/// A certificate with its chain, its key, or the authorities of clients; what is longer is the wrong file.
pub const CERTIFICATE_BYTES: u64 = 1024 * 1024;
/// How long a file may take to be opened and read: longer than a disk takes to wake up…
pub const FILE_SECONDS: u64 = 10;
/// …with as much more as a long one takes from a slow disk…
pub const FILE_BYTES_PER_SECOND: u64 = 4 * 1024 * 1024;
/// …and how long while another one does not answer.
pub const FILE_NEXT_SECONDS: u64 = 1;
/// The head of an HTTP request, in all.
pub const HTTP_HEADER_BYTES: u32 = 16 * 1024;
/// What an HTTP/1.1 connection reads at a time; a head must fit in.
pub const HTTP_BUFFER_BYTES: usize = 16 * 1024;
/// Fields of its head.
pub const HTTP_HEADER_FIELDS: usize = 64;
/// How long a head may take from its first byte on.
pub const HTTP_HEAD_SECONDS: u64 = 10;
/// How long a connection may wait for its next request.
pub const HTTP_WAIT_SECONDS: u64 = 60;
/// Requests of one HTTP/2 connection at a time.
pub const HTTP_STREAMS: u32 = 100;
/// What each of them takes beside what its head says, about: its task, and what is written down of its stream.
pub const HTTP_STREAM_BYTES: usize = 8 * 1024;
/// What a field of a head takes beside its name and value, about.
pub const HTTP_FIELD_BYTES: usize = 200;
/// The body of a request as it comes.
pub const HTTP_BODY_BYTES: usize = 4 * 1024 * 1024;
/// How long it may take.
pub const HTTP_BODY_SECONDS: u64 = 60;
/// Slower ones are given up…
pub const HTTP_BODY_BYTES_PER_SECOND: u64 = 1024;
/// …after so long.
pub const HTTP_BODY_GRACE_SECONDS: u64 = 5;
/// A larger body, decompressed, is read beside all others, one at a time: it takes longer than others should wait.
pub const HTTP_SMALL_BYTES: usize = 256 * 1024;
/// Different messages of one request, with what each takes beside its text.
pub const HTTP_MERGED_BYTES: usize = 32 * 1024 * 1024;
/// Answers that their clients have not taken, of all connections; smaller ones are not counted.
pub const HTTP_ANSWER_BYTES: usize = 128 * 1024 * 1024;
/// A smaller answer than this.
pub const HTTP_FREE_ANSWER_BYTES: usize = 1024;
/// The body of a request when it is decompressed.
pub const HTTP_INFLATED_BYTES: usize = 16 * 1024 * 1024;
/// What the messages of a request may come to when what they share is written out for each: a few bytes of a record can
/// stand for all that its resource says.
pub const HTTP_EXPANDED_BYTES: usize = 64 * 1024 * 1024;
/// Mistakes of one request that are told one by one; the others are counted.
pub const HTTP_ERRORS: usize = 1_000;
/// Levels of a nested value that are shown: each is read once more for every level above it.
pub const VALUE_DEPTH: usize = 16;
/// What a label takes beside its name and value, about.
pub const MERGE_LABEL_BYTES: usize = 48;
/// The window of a zstd body, as a power of two: 8 MiB, what RFC 9659 asks of everybody.
pub const ZSTD_WINDOW_LOG: u32 = 23;
/// Bytes read and dropped after the last reply: closing with unread bytes would reset the connection and can lose it.
pub const LINGER_BYTES: usize = 64 * 1024;
/// How long such a connection is kept for them.
pub const LINGER_MILLIS: u64 = 1_000;
/// How long when mag stops; with reading and writing until then it must stay well under what a stop may take.
pub const STOP_LINGER_MILLIS: u64 = 250;
/// How long a line that is begun may bring no further byte.
pub const LINE_SECONDS: u64 = 30;
/// How long a stopping mag reads what has already arrived.
pub const STOP_READ_MILLIS: u64 = 1_000;
/// A connection that brought nothing for this long has brought all that had arrived.
pub const STOP_QUIET_MILLIS: u64 = 20;
/// How long a stopping mag waits for a client to take its last replies.
pub const STOP_WRITE_MILLIS: u64 = 2_000;
/// TCP keepalive of a connection: one that is silent for ever is fine, one whose peer is gone is not.
pub const KEEPALIVE_SECONDS: u64 = 60;
/// Read buffers kept for the next connection that has something to read; idle ones hold none.
pub const SPARE_BUFFERS: usize = 16;
/// Handles that connections may not take: the store's files, standard output, what a start opens.
pub const RESERVED_HANDLES: usize = 64;
/// Entries of one chunk of Forward that are none; one more ends the connection, for what follows a wrong length is no
/// Forward either.
pub const FORWARD_REFUSED: u32 = 1_000;
/// Between two log lines about connections that were turned away, each for its own reason.
pub const TURNED_AWAY_LOG_SECONDS: u64 = 60;
/// Between two log lines about refused connections.
pub const REFUSAL_LOG_SECONDS: u64 = 10;
/// How long accepting pauses when the system has no handle left.
pub const ACCEPT_PAUSE_MILLIS: u64 = 100;
/// Batches between connections and the engine; when it is full, reading stops.
pub const BATCH_QUEUE: usize = 64;

/// Samples kept of a group.
pub const SAMPLES: usize = 5;
/// Bytes of one sample.
pub const SAMPLE_BYTES: usize = 1024;
/// Windows that one transaction closes when a route's clock rings.
pub const SWEEP_WINDOWS: usize = 1_000;
/// The same on a full disk: what one transaction writes must fit into the room that is kept.
pub const FULL_SWEEP_WINDOWS: usize = 100;
/// Groups that one notification tells then: the others follow in the next.
pub const FULL_GROUPS: usize = 100;

/// Windows that closed by count and wait for the next commit; at this many the engine takes no more messages.
pub const PENDING_CLOSED: usize = 10_000;

/// A route that has counted this many messages counts each further entry once, so that no sum of them can be more than
/// SQLite's largest integer, also when fallbacks are told of them again.
pub const ROUTE_MESSAGES: u64 = 1 << 60;
/// Ids that wait for the next commit; at this many the engine takes no more messages.
pub const PENDING_IDS: usize = 100_000;
/// Batches that wait for the next commit to be acknowledged; at this many the engine takes no more messages.
pub const PENDING_ACKS: usize = 100_000;

/// What all alerts that fire may take in memory.
pub const ALERTS_BYTES: usize = 64 * 1024 * 1024;
/// Alerts that are over at one time and looked at together, so that nobody waits long for it.
pub const ALERTS_OVER: usize = 1_000;
/// An alert of a client that tells what is over, and then did not: longer than such a client waits before it repeats what
/// goes on.
pub const ALERT_TOLD: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Alerts in one request; more are refused. Prometheus posts 64 at a time.
pub const ALERTS_POSTED: usize = 10_000;
/// Alerts with equal labels that began at different times: one for each program that watches the same. One more takes the
/// place of the oldest.
pub const ALERT_STARTS: usize = 16;
/// One annotation of an alert; a longer one is cut.
pub const ANNOTATION_BYTES: usize = LABEL_VALUE_BYTES;
/// All annotations of an alert, so that a group of the longest text, labels and annotations fits into a notification.
pub const ANNOTATIONS_BYTES: usize = 64 * 1024;
/// Answers about alerts and silences that are made at a time; each looks at all of them.
pub const ALERT_ANSWERS: usize = 2;
/// One of them: few enough bytes that several may wait for their clients. A person who asks for all reads no more either.
pub const ALERT_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// How long one may take to be made once all has been read.
pub const ALERT_ANSWER: Duration = Duration::from_secs(2);
/// Silences that are not over; more are refused.
pub const SILENCES: usize = 1_000;
/// Matchers of one silence, or of one question about alerts.
pub const SILENCE_MATCHERS: usize = 16;
/// Regular expressions of all silences that are not over; more are refused.
pub const SILENCE_REGEXES: usize = 100;
/// Their text: reading a class such as `(?i)\pL` takes 0.4 ms, and a start reads all of them anew.
pub const SILENCE_REGEXES_BYTES: usize = 16 * 1024;
/// What they see of a text or label: every window that closes is looked at by all of them.
pub const SILENCE_SEEN_BYTES: usize = 1024;
/// What a question about alerts says of its matchers and receivers.
pub const FILTER_BYTES: usize = 8 * 1024;
/// The text of one of them.
pub const BOUNDED_REGEX_TEXT_BYTES: usize = 4 * 1024;
/// Its states before they are a table, which bounds how long that takes: three of `\w`, a hundred of `.`.
pub const BOUNDED_REGEX_BYTES: usize = 64 * 1024;
/// The table; `\w+\.\w+` takes 320 KiB, what people write by hand 20.
pub const BOUNDED_TABLE_BYTES: usize = 512 * 1024;
/// A silence's comment, or who made it.
pub const SILENCE_TEXT_BYTES: usize = 4 * 1024;
/// Silences that are over and kept to be looked at; beyond that the oldest goes.
pub const SILENCES_OVER: usize = 200;

/// Commands between the parts and the store's writer.
pub const STORE_QUEUE: usize = 256;
/// Commands that one transaction takes together: one fsync for many.
pub const STORE_GROUP_COMMIT: usize = 64;
/// Pages in the WAL before a commit copies them into the file: 4 MiB, SQLite's own choice.
pub const CHECKPOINT_PAGES: u32 = 1_000;
/// Between two tries while the disk is full: soon enough once there is room, rarely enough to cost nothing.
pub const FULL_PAUSE: Duration = Duration::from_millis(500);

/// What SQLite's log keeps of the disk once somebody who read for long has gone and it begins anew.
pub const WAL_BYTES: u64 = 16 * 1024 * 1024;
/// With more in the log for a minute, somebody reads the store for too long, and a person should know.
pub const WAL_LARGE_BYTES: u64 = 64 * 1024 * 1024;
/// A larger store is not read to its end at a stop and a start only to see that its bytes are the same.
pub const HASHED_STORE_BYTES: u64 = 256 * 1024 * 1024;
/// A larger store is checked after a crash as far as a bounded time allows.
pub const CHECKED_STORE_BYTES: u64 = 16 * 1024 * 1024;
/// Room kept on the disk while nothing new is taken in: to close and tell some hundreds of groups with long texts.
pub const RESERVE_BYTES: u64 = 4 * 1024 * 1024;
/// What is given up of it at a time: room for a transaction of deliveries, and little for whoever fills the disk.
pub const RESERVE_STEP_BYTES: u64 = 256 * 1024;
/// Of `[limits] store` one part in this many is kept for deliveries.
pub const STORE_RESERVE_PART: u32 = 16;
/// One part in this many must be free beside that before a full store takes in again.
pub const STORE_ROOM_PART: u32 = 64;

/// Groups told by one notification when the plugin names no limit of its own.
pub const NOTIFICATION_GROUPS: u32 = 1_000;
/// Bytes of a whole notification, as the contract promises the plugin.
pub const NOTIFICATION_BYTES: usize = 512 * 1024;
/// Characters of a notification's title.
pub const TITLE_CHARS: usize = 200;
/// Notifications that one transaction moves to the dead letters when their sender left the config of a running mag, so
/// that nobody waits long for it.
pub const BURIED: u64 = 200;
/// Rows of the history that one transaction forgets, so that nobody waits long for it…
pub const TRIM_ROWS: u32 = 200;
/// …and that it looks at.
pub const TRIM_LOOKED: usize = 5_000;

/// Dead letters that one transaction replays or drops, and ids that one request may name.
pub const LETTERS: usize = 500;
/// Dead letters on one page of a list.
pub const LETTER_PAGE: u32 = 1_000;
/// Groups of a delivery that are shown.
pub const SHOWN_GROUPS: u32 = 100;
/// Deliveries that a status shows.
pub const SHOWN_DELIVERIES: u32 = 5;
/// Messages of the integrity check that are told; a damaged file can have very many.
pub const DAMAGES: u32 = 20;

/// Connections to `[admin]` at a time; for one more the one that says nothing for longest is closed.
pub const ADMIN_CONNECTIONS: usize = 64;
/// The head of a request to `[admin]`.
pub const ADMIN_HEADER_BYTES: usize = 16 * 1024;
/// Its fields.
pub const ADMIN_HEADER_FIELDS: usize = 64;
/// How long it may take.
pub const ADMIN_HEADER_SECONDS: u64 = 10;
/// Its body: a list of ids.
pub const ADMIN_BODY_BYTES: usize = 64 * 1024;
/// How long that may take.
pub const ADMIN_BODY_SECONDS: u64 = 10;
/// How long a new config may take to be read, compiled and started before it is given up: longer than the largest plugin
/// takes to compile.
pub const RELOAD_SECONDS: u64 = 120;
/// How long the senders of a new config may take to sign in before the others are taken without waiting for them.
pub const RELOAD_SIGN_IN_SECONDS: u64 = 20;
/// Between two looks at the files of a config that is watched. One change takes two of them.
pub const RELOAD_LOOK_MILLIS: u64 = 1_000;
/// Wishes to have the config read again that may wait while it is.
pub const RELOADS: usize = 16;
/// A whole connection, the answer included: what comes of the longest reload is still answered.
pub const ADMIN_CONNECTION_SECONDS: u64 = RELOAD_SECONDS + 30;
/// How long a test of a sender is waited for, unless whoever asks says otherwise, and at most.
pub const TEST_WAIT_SECONDS: [u64; 2] = [60, 60 * 60];
/// How long engine and store have to give a sign of life.
pub const ADMIN_ALIVE_SECONDS: u64 = 5;

/// Rows of ids that one transaction forgets beyond as many as it writes.
pub const TRIM_IDS: usize = 1_000;

/// Making a connection to a destination: names, TCP and TLS.
pub const CONNECT_SECONDS: u64 = 10;
/// An unused connection is closed before the usual server does it, so that no request meets a closed one.
pub const IDLE_CONNECTION_SECONDS: u64 = 4;
/// Unused connections kept to one destination: a sender calls once at a time.
pub const IDLE_CONNECTIONS: usize = 1;
/// Redirects that a monitor follows, within its origin.
pub const REDIRECTS: usize = 5;

/// Calls of all plugins at a time; it only guards memory, each sender has its own permit.
pub const PLUGIN_CALLS: u32 = 1_000;
/// The most that `memory` of a sender's limits may be: the pool of instances has address space for it.
pub const PLUGIN_MEMORY_MOST_BYTES: usize = 1024 * 1024 * 1024;
/// The same for `tables`.
pub const PLUGIN_TABLE_MOST_ELEMENTS: usize = 1_000_000;
/// The same for `instances`.
pub const PLUGIN_INSTANCES_MOST: u32 = 256;
/// The same for `request_size`.
pub const PLUGIN_REQUEST_MOST_BYTES: usize = 16 * 1024 * 1024;
/// Native stack of a guest; JavaScript engines recurse deeply.
pub const PLUGIN_STACK_BYTES: usize = 1024 * 1024;
/// Random bytes that a guest may ask for at a time.
pub const PLUGIN_RANDOM_BYTES: u64 = 64 * 1024;
/// One write of a request's body.
pub const PLUGIN_WRITE_BYTES: usize = 64 * 1024;
/// What a header field takes in memory beside its name and value, about.
pub const PLUGIN_FIELD_BYTES: usize = 72;
/// How exactly guests know the time: enough for any timestamp, too coarse to measure other programs by.
pub const PLUGIN_CLOCK_MILLIS: u64 = 1;
/// Calls of a sender of which is kept what they used.
pub const PLUGIN_CALLS_KEPT: usize = 16;
/// The code of one function: compilers take more than twice as long for one that is twice as long. The largest known one,
/// of a Python, has 417 KiB.
pub const PLUGIN_FUNCTION_BYTES: u32 = 768 * 1024;
/// A plugin that is compiled for longer is said to be, so that nobody thinks that mag hangs.
pub const PLUGIN_COMPILE_SILENT_MILLIS: u64 = 1_000;
/// The code of all functions together. A MiB takes the compiler 1.6 to 2.1 s of the processor (measured), so that the
/// largest plugin is compiled within [`RELOAD_SECONDS`] on one core. A JavaScript engine has 9 MiB, a Python 6.
pub const PLUGIN_CODE_BYTES: u32 = 32 * 1024 * 1024;
/// Functions of a component; a JavaScript engine has 13,000.
pub const PLUGIN_FUNCTIONS: u32 = 100_000;
/// A component file; the largest known guests, Python ones, stay under half of it.
pub const PLUGIN_FILE_BYTES: u64 = 128 * 1024 * 1024;
/// A `conformance.toml`; what is longer is the wrong file.
pub const SCRIPT_BYTES: u64 = 1024 * 1024;
/// Components that stand in each other; what tools make has two or three levels.
pub const PLUGIN_DEPTH: usize = 32;
/// Standard output of one call of the bundled `console`: a whole notification with its escapes.
pub const PLUGIN_PRINT_BYTES: usize = 1024 * 1024;
/// Outputs that wait for standard output before calls wait too.
pub const PRINT_QUEUE: usize = 16;
/// A plugin's own words in a message for people.
pub const PLUGIN_MESSAGE_CHARS: usize = 500;
/// A plugin's name, version or failure code.
pub const PLUGIN_WORD_CHARS: usize = 64;
/// Mistakes that `validate` may report; a person reads the first few.
pub const PLUGIN_MISTAKES: usize = 64;
/// How often running guests are looked at: the grain of CPU time.
pub const PLUGIN_TICK_MILLIS: u64 = 10;
/// A secret; what is longer is the wrong file.
pub const SECRET_BYTES: u64 = 64 * 1024;
/// A command that prints a secret; a start waits for it.
pub const SECRET_COMMAND_SECONDS: u64 = 10;
/// How often a secret's file is looked at while it is used, and how often what could not be read is tried again.
pub const SECRET_LOOK_MILLIS: u64 = 1_000;
/// How long a request, before its token is looked at, may wait for a look at that.
pub const SECRET_WAIT_MILLIS: u64 = 1_000;
/// The same for whoever uses a secret that could not be read the last time.
pub const SECRET_AGAIN_MILLIS: u64 = 100;
/// Former values of a secret that are still hidden.
pub const SECRET_FORMER: usize = 4;
/// Recipients of one mail.
pub const MAIL_RECIPIENTS: usize = 100;
/// A monitored endpoint's whole answer.
pub const MONITOR_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// One fetch of a monitor, redirects included.
pub const MONITOR_SECONDS: u64 = 30;
