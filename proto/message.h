/* SPDX-License-Identifier: MIT */
#ifndef SHMB_PROTO_MESSAGE_H
#define SHMB_PROTO_MESSAGE_H

/*
 * Control messages between client and broker: one SOCK_SEQPACKET packet is one message, a fixed struct followed by a tail of stated
 * length (schema text, or an array of records). Little-endian, fixed width, every byte of padding a named field that must be 0.
 *
 * The client asks, the broker answers each request once, in order, with the same opcode and serial; after a WATCH it sends EVENTs between
 * the answers. Only answers carry descriptors.
 * PROTOCOL.md tells the whole conversation.
 *
 *   CONNECTED --HELLO--> RESUMING --RESUME*, READY--> ACTIVE
 *
 * In RESUMING a client that comes back after a broker's restart lists every lease and cell it still holds; what it has not listed when it
 * says READY is closed.
 */

#include "layout.h"

#define SHMB_MESSAGE_MAGIC UINT32_C(0x50424d53) /* "SMBP" */

enum {
#ifdef SHMB_TEST_PROTOCOL_VERSION /* as in layout.h */
	SHMB_PROTOCOL_VERSION = SHMB_TEST_PROTOCOL_VERSION,
	SHMB_PROTOCOL_OLDEST = SHMB_TEST_PROTOCOL_VERSION,
#else
	SHMB_PROTOCOL_VERSION = 1,
	SHMB_PROTOCOL_OLDEST = 1,
#endif
	SHMB_MESSAGE_MAX = 64 * 1024,	   /* bytes of one packet */
	SHMB_TEXT_MAX = 240,		   /* explanation in an answer, with its NUL */
	SHMB_FDS_MAX = 2 + SHMB_AREAS_MAX, /* card, data, areas */
	SHMB_COMM_MAX = 16,
	SHMB_SOURCE_MAX = 288, /* "FILE:LINE", with its NUL */
	SHMB_VALUE_MAX = 384,  /* a setting's value as text, with its NUL */
	SHMB_GROUPS_MAX = 64,  /* groups of a user asked about */
};

enum shmb_opcode {
	SHMB_OP_HELLO = 1,
	SHMB_OP_RESUME = 2,
	SHMB_OP_READY = 3,
	SHMB_OP_OPEN_WRITER = 4,
	SHMB_OP_OPEN_READER = 5,
	SHMB_OP_CLOSE = 6,
	SHMB_OP_LIST = 7,
	SHMB_OP_INFO = 8,
	SHMB_OP_STATUS = 9,
	SHMB_OP_REMOVE = 10,
	SHMB_OP_WATCH = 11,
	SHMB_OP_EVENT = 12, /* from the broker, unasked, after a WATCH */
	SHMB_OP_RELOAD = 13,
	SHMB_OP_POLICY = 14,
	SHMB_OP_METRICS = 15,
	SHMB_OP_CLIENTS = 16,
	SHMB_OP_GC = 17,
	SHMB_OP_FIGURES = 18,
	SHMB_OP_USERS = 19,
	SHMB_OP_COUNT = 20, /* one more than the last; the numbers between that are not here are unknown requests */
};

/* Head of every message, both ways. */
struct shmb_msg_head {
	uint16_t opcode;
	uint16_t reserved;
	uint32_t serial;     /* chosen by the client, repeated in the answer */
	uint32_t tail_bytes; /* after the fixed struct */
	int32_t result;	     /* requests 0; answers 0 or a negative errno */
};

/* The first message. Answer: struct shmb_msg_hello_answer and one descriptor, the event page, read-only. */
struct shmb_msg_hello {
	struct shmb_msg_head head;
	uint32_t magic;			   /* SHMB_MESSAGE_MAGIC */
	uint16_t version;		   /* SHMB_PROTOCOL_VERSION of the client */
	uint16_t oldest;		   /* oldest version the client speaks */
	uint8_t cookie[SHMB_COOKIE_BYTES]; /* random, the same again after a reconnection; all zero is refused */
	char comm[SHMB_COMM_MAX];	   /* what the program calls itself, NUL-filled; shown, never believed */
};

/* RESUME: "I still hold this." No descriptors; the client's mappings go on. -ESTALE: no longer (the handle is dead). -ENOMEM, -EMFILE: ask again. */
struct shmb_msg_resume {
	struct shmb_msg_head head;
	uint32_t handle; /* as in the open */
	uint8_t role;	 /* enum shmb_role */
	uint8_t reserved[3];
	uint64_t segment_id;
	uint64_t generation;
	uint64_t epoch; /* writer: of the lease */
	uint32_t cell;	/* others: index in the card's table, UINT32_MAX none */
	uint32_t incarnation;
	char name[SHMB_NAME_MAX + 8];
};

struct shmb_msg_ready {
	struct shmb_msg_head head;
};

enum shmb_role {
	SHMB_ROLE_WRITER = 1,
	SHMB_ROLE_READER = 2,
	SHMB_ROLE_OBSERVER = 3, /* reads without a cell and without keeping the segment alive: shmbctl info, echo */
	SHMB_ROLE_CONSUMER =
		4, /* OPEN_READER of a queue: the one reader that takes items out; has SHMB_QUEUE_CELL, -EBUSY while another has it */
	SHMB_ROLE_SHARER = 5, /* OPEN_WRITER of a block: one of many, with a cell instead of the lease; data rw, areas as for a reader */
};

enum shmb_open_flags {
	SHMB_OPEN_NOTIFY = 1u << 0, /* where the answer is -ENOENT or -EBUSY: bump my event page when that may have changed */
	SHMB_OPEN_FLAGS_KNOWN = SHMB_OPEN_NOTIFY,
};

/* OPEN_WRITER: takes the lease, makes the segment where there is none. The tail is the schema text.
 * A repetition (same cookie, handle, name) gets the same answer again. */
struct shmb_msg_open_writer {
	struct shmb_msg_head head;
	uint32_t handle; /* chosen by the client, unique in its connection, not 0 */
	uint32_t open_flags;
	uint32_t segment_flags;
	uint8_t kind;
	uint8_t role;	  /* SHMB_ROLE_WRITER, or SHMB_ROLE_SHARER for a block */
	uint8_t key_type; /* enum shmb_key_type */
	uint8_t reserved;
	uint32_t capacity;
	uint32_t payload_align;
	uint64_t payload_bytes;
	uint64_t schema_hash;
	uint32_t history; /* as in struct shmb_request (geometry.h) */
	uint32_t pins;
	uint32_t key_field;
	uint32_t reserved1;
	char name[SHMB_NAME_MAX + 8];
	char type[SHMB_TYPE_NAME_MAX + 1];
};

/* OPEN_READER. kind 0 and schema_hash 0 take whatever is there. -EPROTOTYPE: the tail of the answer is the segment's schema text. */
struct shmb_msg_open_reader {
	struct shmb_msg_head head;
	uint32_t handle;
	uint32_t open_flags;
	uint8_t role; /* SHMB_ROLE_READER, SHMB_ROLE_OBSERVER or SHMB_ROLE_CONSUMER */
	uint8_t kind;
	uint8_t reserved[2];
	uint32_t follows; /* a handle of this connection on the same name: the generation after that one's; 0: the newest */
	uint64_t schema_hash;
	char name[SHMB_NAME_MAX + 8];
};

/* CLOSE: orderly end of a handle. */
struct shmb_msg_close {
	struct shmb_msg_head head;
	uint32_t handle;
	uint32_t reserved;
};

/* LIST: as many segments as fit one packet, in the order of their making, after `after` (0 from the start). */
struct shmb_msg_list {
	struct shmb_msg_head head;
	uint64_t after;
};

struct shmb_msg_name { /* INFO, REMOVE */
	struct shmb_msg_head head;
	char name[SHMB_NAME_MAX + 8];
};

struct shmb_msg_status {
	struct shmb_msg_head head;
};

/* RELOAD: reads the configuration again. */
struct shmb_msg_reload {
	struct shmb_msg_head head;
};

/* POLICY: what holds for a name and why, and what a user may do with it. */
struct shmb_msg_policy {
	struct shmb_msg_head head;
	uint32_t uid; /* UINT32_MAX: whoever asks */
	uint32_t gid_count;
	uint32_t gids[SHMB_GROUPS_MAX]; /* all groups of that uid, the rest 0 */
	char name[SHMB_NAME_MAX + 8];
};

enum shmb_gc_flags {
	SHMB_GC_DRY_RUN = 1u << 0, /* only tell */
	SHMB_GC_FOREIGN = 1u << 1, /* instead of segments: files of other programs that have safe-shm's header */
	SHMB_GC_FLAGS_KNOWN = SHMB_GC_DRY_RUN | SHMB_GC_FOREIGN,
};

/* GC: removes what policy lets go, without waiting for the rest of its linger time. */
struct shmb_msg_gc {
	struct shmb_msg_head head;
	uint32_t flags;
	uint32_t reserved;
	uint64_t after; /* `next` of the answer before; 0 from the start */
};

/* FIGURES: what changes all the time, of many segments in one request: at least one, at most as many as fit one packet, in the order of LIST, after `after`. */
struct shmb_msg_figures {
	struct shmb_msg_head head;
	uint64_t after;
	char pattern[SHMB_NAME_MAX + 8]; /* of names: * matches any bytes, ? one, '/' too; empty: all */
};

/* WATCH: EVENT messages from here on, until the connection ends. Said again it changes the pattern. */
struct shmb_msg_watch {
	struct shmb_msg_head head;
	char pattern[SHMB_NAME_MAX + 8]; /* of segments, as above; empty: all, and what concerns no segment */
};

/* METRICS: what the broker counts and measures of itself. */
struct shmb_msg_metrics {
	struct shmb_msg_head head;
};

/* CLIENTS: connections, the newest first: as many as fit one packet. */
struct shmb_msg_clients {
	struct shmb_msg_head head;
	uint64_t before; /* `order` of the last record of the answer before, 0 from the start */
};

/* USERS: what each user has, by uid, as many as fit one packet. */
struct shmb_msg_users {
	struct shmb_msg_head head;
	uint64_t from; /* `next` of the answer before, 0 from the start */
};

/* ---- answers ---- */

/* Every answer that is not 0 is this, with `text` for people; READY, RESUME, CLOSE, REMOVE and WATCH answer with it on success too. */
struct shmb_msg_answer {
	struct shmb_msg_head head;
	int32_t holder_pid; /* -EBUSY: who holds it; else 0 */
	uint32_t holder_uid;
	char holder_comm[SHMB_COMM_MAX];
	char text[SHMB_TEXT_MAX]; /* NUL-terminated, printable */
};

struct shmb_msg_hello_answer {
	struct shmb_msg_head head;
	uint16_t version; /* the one spoken from here on */
	uint16_t reserved;
	int32_t pid;	    /* the broker's */
	uint64_t broker_id; /* random, another one after each start */
};

/* OPEN_*: descriptors are card (ro), data (writer and sharer rw, else ro), then for a writer all areas, for others their own one or none. */
struct shmb_msg_open_answer {
	struct shmb_msg_head head;
	uint64_t segment_id;
	uint64_t generation;
	uint64_t epoch; /* writer: of its lease */
	uint64_t state; /* writer: the state word it was granted */
	uint32_t cell;	/* others: index in the card's table, UINT32_MAX none */
	uint32_t incarnation;
	uint32_t fd_count;
	uint32_t area; /* others: index of the area whose descriptor came along, UINT32_MAX none */
};

struct shmb_msg_segment { /* record of LIST, INFO */
	uint64_t order;	  /* the `after` of the next LIST */
	uint64_t segment_id;
	uint64_t generation;
	uint64_t created_ns; /* CLOCK_REALTIME */
	uint64_t bytes;	     /* of all files of all its generations */
	uint64_t payload_bytes;
	uint64_t schema_hash;
	uint64_t epoch;
	uint32_t capacity;
	uint32_t flags;
	uint32_t owner_uid;
	uint32_t owner_gid;
	int32_t writer_pid; /* 0 none */
	uint32_t writer_uid;
	uint32_t readers;
	uint8_t kind;
	uint8_t state;	  /* enum shmb_state */
	uint8_t writer;	  /* enum shmb_writer_state */
	uint8_t draining; /* superseded generations that somebody holds still; 255: that many or more */
	char writer_comm[SHMB_COMM_MAX];
	char type[SHMB_TYPE_NAME_MAX + 1];
	char name[SHMB_NAME_MAX + 8];
};

struct shmb_msg_list_answer { /* tail: `count` struct shmb_msg_segment; count 0 is the end */
	struct shmb_msg_head head;
	uint32_t count;
	uint32_t reserved;
};

struct shmb_msg_figure { /* record of FIGURES */
	uint64_t order;
	uint64_t segment_id; /* another one after the name was made anew */
	uint64_t generation;
	uint64_t bytes;
	uint64_t payload_bytes;
	uint64_t next;	       /* number of the next write, by the writer's account; UINT64_MAX unknown */
	uint64_t heartbeat_ns; /* CLOCK_MONOTONIC, by the writer's account; 0 never */
	uint64_t read;	       /* by all readers open now, by their own account */
	uint64_t lost;	       /* overwritten before they were read, likewise */
	uint64_t lag;	       /* of the reader that is furthest behind, UINT64_MAX unknown or no reader */
	uint32_t capacity;
	uint32_t owner_uid;
	int32_t writer_pid; /* 0 none */
	uint32_t writer_uid;
	uint32_t readers;
	int32_t lag_pid; /* of that reader, 0 none */
	uint8_t kind;
	uint8_t state;	/* enum shmb_state */
	uint8_t writer; /* enum shmb_writer_state */
	uint8_t reserved[5];
	char writer_comm[SHMB_COMM_MAX];
	char type[SHMB_TYPE_NAME_MAX + 1];
	char name[SHMB_NAME_MAX + 8];
};

struct shmb_msg_figures_answer { /* tail: `count` struct shmb_msg_figure; count 0 is the end */
	struct shmb_msg_head head;
	uint64_t now_ns; /* CLOCK_MONOTONIC of the looks */
	uint32_t count;
	uint32_t reserved;
};

struct shmb_msg_event {	  /* record of EVENT */
	uint64_t time_ns; /* CLOCK_REALTIME */
	int32_t pid;	  /* of the client concerned, 0 none */
	uint32_t uid;
	uint8_t level; /* as of syslog: 3 error to 7 debug */
	uint8_t reserved[7];
	char comm[SHMB_COMM_MAX];
	char kind[24];			 /* "writer-dead", ...: stable, for programs; unknown ones may come */
	char reason[40];		 /* a word or a few for programs, may be empty */
	char segment[SHMB_NAME_MAX + 8]; /* may be empty */
	char text[SHMB_TEXT_MAX];	 /* a sentence for people */
};

/* EVENT: tail: `count` struct shmb_msg_event. Its serial is that of the WATCH. */
struct shmb_msg_events {
	struct shmb_msg_head head;
	uint64_t lost; /* events before these that could not be sent, because this client did not read */
	uint32_t count;
	uint32_t reserved;
};

struct shmb_msg_reader {
	int32_t pid;
	uint32_t uid;
	uint32_t cell; /* UINT32_MAX none */
	uint8_t role;  /* enum shmb_role */
	uint8_t older; /* reads the generation so many before the newest; 255: that many or more */
	uint8_t reserved[2];
	uint64_t behind; /* elements it has not read yet, by what its cell says; UINT64_MAX unknown */
	char comm[SHMB_COMM_MAX];
	uint64_t counters[SHMB_COUNTERS]; /* SHMB_COUNT_*, by its own account; UINT64_MAX unknown */
};

struct shmb_msg_info_answer { /* tail: `reader_count` struct shmb_msg_reader, then schema_bytes of text */
	struct shmb_msg_head head;
	uint32_t reader_count;
	uint32_t schema_bytes;
	struct shmb_msg_segment segment;
};

/* Tail: text. Its first line says why the configuration was refused at the last attempt (empty: it was not), the others are its files. */
struct shmb_msg_status_answer {
	struct shmb_msg_head head;
	uint64_t broker_id;
	uint64_t started_ns; /* CLOCK_REALTIME */
	uint64_t bytes;	     /* of all segments */
	uint64_t deaths;     /* writers found dead since the start */
	uint64_t repairs;    /* half-written elements mended */
	uint64_t reaps;
	uint64_t adopted; /* segments taken over at the start */
	int32_t pid;
	uint32_t segments;
	uint32_t clients;
	uint16_t protocol_version;
	uint16_t layout_version;
	uint64_t linger_ns;
	char version[32]; /* of the program */
	char shm_dir[256];
};

struct shmb_msg_reload_answer { /* tail: a line of text for each change that does not reach a segment, as many as fit */
	struct shmb_msg_head head;
	uint32_t segments; /* looked at */
	uint32_t not_applied;
	uint32_t files;
	uint32_t patterns;
};

struct shmb_msg_policy_answer { /* tail: the patterns, then the settings */
	struct shmb_msg_head head;
	uint32_t pattern_count; /* that match, most specific first */
	uint32_t setting_count;
	uint32_t uid; /* the one explained */
	uint8_t may_read;
	uint8_t may_write;
	uint8_t is_there; /* there is a segment of this name */
	uint8_t reserved;
	char read_why[SHMB_TEXT_MAX];
	char write_why[SHMB_TEXT_MAX];
};

struct shmb_msg_policy_pattern {
	char pattern[SHMB_NAME_MAX + 8];
	char source[SHMB_SOURCE_MAX];
};

struct shmb_msg_policy_setting {
	char name[24];
	char value[SHMB_VALUE_MAX];
	char source[SHMB_SOURCE_MAX];
};

struct shmb_msg_gc_answer { /* tail: `count` struct shmb_msg_gc_item */
	struct shmb_msg_head head;
	uint32_t count;
	uint32_t reserved;
	uint64_t
		next; /* the `after` of the next request; 0: that was all. It may be set, and the answer empty, where there is much to look at */
};

enum shmb_gc_verdict {
	SHMB_GC_STAYS = 0,   /* foreign files only */
	SHMB_GC_GOES = 1,    /* would be removed by this request without SHMB_GC_DRY_RUN */
	SHMB_GC_REMOVED = 2, /* was */
	SHMB_GC_FAILED = 3,  /* could not be; `reason` says why */
};

struct shmb_msg_gc_item {
	uint64_t bytes;
	uint64_t due_ns; /* until it goes by itself; UINT64_MAX never */
	uint32_t uid;	 /* its owner's */
	int32_t pid;	 /* foreign: of its writer, as it says; 0 none */
	uint8_t verdict;
	uint8_t is_foreign;
	uint8_t reserved[6];
	char name[256];
	char reason[SHMB_TEXT_MAX];
};

struct shmb_msg_metrics_answer { /* tail: the buckets, the refusals, the events */
	struct shmb_msg_head head;
	uint64_t started_ns; /* CLOCK_REALTIME */
	uint64_t bytes;	     /* of all segments */
	uint64_t deaths;     /* this and what follows: since the start, as in STATUS */
	uint64_t repairs;
	uint64_t reaps;
	uint64_t adopted;
	uint64_t latency_ns;	 /* sum over all requests, from receiving one to its answer */
	uint64_t cpu_ns;	 /* used by the broker's process */
	uint64_t resident_bytes; /* its memory; 0 unknown */
	uint32_t segments;
	uint32_t clients;
	uint32_t descriptors; /* that it has open; UINT32_MAX unknown */
	uint32_t descriptors_max;
	uint32_t bucket_count;
	uint32_t refusal_count;
	uint32_t event_count;
	uint32_t reserved;
	char version[32]; /* of the program */
};

struct shmb_msg_bucket {  /* of requests by the time they took */
	uint64_t upto_ns; /* UINT64_MAX in the last one */
	uint64_t count;	  /* longer than the bucket before */
};

struct shmb_msg_count {
	uint64_t value;
	char name[24]; /* refusals: "EACCES", ...; events: their kind */
};

struct shmb_msg_clients_answer { /* tail: `count` times struct shmb_msg_client, each with its handles behind it; count 0 is the end */
	struct shmb_msg_head head;
	uint32_t count;
	uint32_t reserved;
};

struct shmb_msg_client {
	uint64_t order;	       /* the `before` of the next CLIENTS; of this connection alone */
	uint64_t connected_ns; /* CLOCK_REALTIME */
	uint64_t requests;     /* answered */
	uint64_t refusals;     /* of these with an error */
	uint64_t bytes;	       /* of the segments that it writes */
	int32_t pid;
	uint32_t uid;
	uint32_t gid;
	uint32_t handle_count; /* struct shmb_msg_client_handle that follow */
	uint8_t is_ready;      /* 0: it has not said READY yet */
	uint8_t watches;       /* 1: it is sent events */
	uint8_t reserved[6];
	char comm[SHMB_COMM_MAX];
};

struct shmb_msg_client_handle {
	uint32_t handle;
	uint8_t role; /* enum shmb_role */
	uint8_t reserved[3];
	char name[SHMB_NAME_MAX + 8];
};

struct shmb_msg_user {
	uint64_t bytes;	    /* memory charged to it */
	uint64_t requests;  /* answered */
	uint64_t refusals;  /* of these with an error */
	uint64_t over;	    /* requests and connections over a quota */
	uint64_t bytes_max; /* its quotas; UINT64_MAX none */
	uint64_t segments_max;
	uint64_t connections_max;
	uint64_t request_rate;
	uint32_t uid;
	uint32_t segments; /* charged to it, superseded generations as well */
	uint32_t connections;
	uint32_t reserved;
};

struct shmb_msg_users_answer { /* tail: `count` struct shmb_msg_user, by growing uid */
	struct shmb_msg_head head;
	uint32_t count;
	uint32_t reserved;
	uint64_t next;		    /* the `from` of the next request; 0: that was all */
	struct shmb_msg_user total; /* of all users; its uid is 4294967295 */
};

_Static_assert(sizeof(struct shmb_msg_head) == 16, "head");
_Static_assert(sizeof(struct shmb_msg_hello) == 56, "hello");
_Static_assert(sizeof(struct shmb_msg_resume) == 264, "resume");
_Static_assert(sizeof(struct shmb_msg_ready) == 16, "ready");
_Static_assert(sizeof(struct shmb_msg_open_writer) == 328, "open_writer");
_Static_assert(sizeof(struct shmb_msg_open_reader) == 248, "open_reader");
_Static_assert(sizeof(struct shmb_msg_close) == 24, "close");
_Static_assert(sizeof(struct shmb_msg_list) == 24, "list");
_Static_assert(sizeof(struct shmb_msg_name) == 224, "name");
_Static_assert(sizeof(struct shmb_msg_answer) == 280, "answer");
_Static_assert(sizeof(struct shmb_msg_hello_answer) == 32, "hello_answer");
_Static_assert(sizeof(struct shmb_msg_open_answer) == 64, "open_answer");
_Static_assert(sizeof(struct shmb_msg_segment) == 368, "segment");
_Static_assert(sizeof(struct shmb_msg_list_answer) == 24, "list_answer");
_Static_assert(sizeof(struct shmb_msg_figures) == 232, "figures");
_Static_assert(sizeof(struct shmb_msg_figure) == 384, "figure");
_Static_assert(sizeof(struct shmb_msg_figures_answer) == 32, "figures_answer");
_Static_assert(sizeof(struct shmb_msg_watch) == 224, "watch");
_Static_assert(sizeof(struct shmb_msg_event) == 552, "event");
_Static_assert(sizeof(struct shmb_msg_events) == 32, "events");
_Static_assert(sizeof(struct shmb_msg_reader) == 88, "reader");
_Static_assert(sizeof(struct shmb_msg_info_answer) == 392, "info_answer");
_Static_assert(sizeof(struct shmb_msg_status_answer) == 384, "status_answer");

_Static_assert(sizeof(struct shmb_msg_reload) == 16, "reload");
_Static_assert(sizeof(struct shmb_msg_policy) == 488, "policy");
_Static_assert(sizeof(struct shmb_msg_gc) == 32, "gc");
_Static_assert(sizeof(struct shmb_msg_reload_answer) == 32, "reload_answer");
_Static_assert(sizeof(struct shmb_msg_policy_answer) == 512, "policy_answer");
_Static_assert(sizeof(struct shmb_msg_policy_pattern) == 496, "policy_pattern");
_Static_assert(sizeof(struct shmb_msg_policy_setting) == 696, "policy_setting");
_Static_assert(sizeof(struct shmb_msg_gc_answer) == 32, "gc_answer");
_Static_assert(sizeof(struct shmb_msg_gc_item) == 528, "gc_item");
_Static_assert(sizeof(struct shmb_msg_metrics) == 16, "metrics");
_Static_assert(sizeof(struct shmb_msg_metrics_answer) == 152, "metrics_answer");
_Static_assert(sizeof(struct shmb_msg_bucket) == 16, "bucket");
_Static_assert(sizeof(struct shmb_msg_count) == 32, "count");
_Static_assert(sizeof(struct shmb_msg_clients) == 24, "clients");
_Static_assert(sizeof(struct shmb_msg_clients_answer) == 24, "clients_answer");
_Static_assert(sizeof(struct shmb_msg_client) == 80, "client");
_Static_assert(sizeof(struct shmb_msg_client_handle) == 216, "client_handle");
_Static_assert(sizeof(struct shmb_msg_users) == 24, "users");
_Static_assert(sizeof(struct shmb_msg_user) == 80, "user");
_Static_assert(sizeof(struct shmb_msg_users_answer) == 112, "users_answer");

union shmb_msg_request {
	struct shmb_msg_head head;
	struct shmb_msg_hello hello;
	struct shmb_msg_resume resume;
	struct shmb_msg_ready ready;
	struct shmb_msg_open_writer open_writer;
	struct shmb_msg_open_reader open_reader;
	struct shmb_msg_close close;
	struct shmb_msg_list list;
	struct shmb_msg_name name;
	struct shmb_msg_status status;
	struct shmb_msg_figures figures;
	struct shmb_msg_reload reload;
	struct shmb_msg_policy policy;
	struct shmb_msg_gc gc;
	struct shmb_msg_watch watch;
	struct shmb_msg_metrics metrics;
	struct shmb_msg_clients clients;
	struct shmb_msg_users users;
};

/* Bytes of the fixed struct of a request / a successful answer; 0 for an unknown opcode. */
size_t shmb_request_size(uint16_t opcode);
size_t shmb_answer_size(uint16_t opcode);

/*
 * Decodes a request packet (untrusted). Copies the fixed struct into *out, points *tail into `packet`. Checks length, tail length (only
 * OPEN_WRITER has one, at most SHMB_SCHEMA_MAX), reserved bytes 0, result 0, strings NUL-terminated and NUL-filled, names valid, enums
 * known. 0, or with *why set (a static sentence):
 *   -EBADMSG   shorter than a head, or lengths disagree    -ENOSYS   unknown opcode (out->head is filled)
 *   -EINVAL    a field that cannot be (out->head is filled) -EPROTO   HELLO with a wrong magic
 *   -EPROTONOSUPPORT   HELLO of a version that has nothing in common with ours
 */
int shmb_request_decode(const void *packet, size_t length, union shmb_msg_request *out, const char **tail, const char **why);

/*
 * Decodes an answer packet, or an EVENT, to a request of `opcode` and `serial` (untrusted as well: the client does not crash on it). On a result of 0
 * copies shmb_answer_size(opcode) bytes to `out`; otherwise fills *error and returns error->head.result (the tail is set then too).
 * -EBADMSG for what is no such answer. Strings in *out are made NUL-terminated.
 */
int shmb_answer_decode(const void *packet, size_t length, uint16_t opcode, uint32_t serial, void *out, struct shmb_msg_answer *error,
		       const char **tail, size_t *tail_bytes);

/* Copies a string into a NUL-filled field, cutting it where it does not fit; what is not printable ASCII becomes '?'. */
void shmb_text_set(char *field, size_t size, const char *text);

#endif
