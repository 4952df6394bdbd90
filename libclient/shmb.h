/* SPDX-License-Identifier: MIT */
#ifndef SHMB_H
#define SHMB_H

/*
 * libshmbroker: shared memory between the processes of one robot host, at the speed of memory.
 *
 * A process connects to the broker (shmbrokerd), opens segments by name, and from then on reads and writes straight in shared memory: no
 * daemon, no lock, no system call, no allocation on the way.
 *
 *   SHMB_TYPE(imu, (uint64, stamp_ns)(float64, gyro, 3));        // struct imu and imu_type
 *
 *   struct shmb *broker;
 *   struct shmb_ring_writer *ring;
 *   int r = shmb_connect(&broker, NULL);
 *   if (r == 0)
 *           r = shmb_ring_writer_open(&ring, broker, "imu/main", &imu_type, &(struct shmb_options){ .capacity = 64 });
 *   struct imu sample = { ... };
 *   r = shmb_ring_insert(ring, &sample);
 *
 * Rules that hold for every function
 *
 *   Errors    0 or a negative errno; nothing else, but what a visitor returned and SHMB_BLOCK_OWNER_DIED. Codes with a meaning of their own are
 *             listed with each function. shmb_text() has a sentence about the last control request, open, wait or type function of this thread
 *             that failed. Each that asks the broker may also be what shmb_connect() may be, for the connection may have to be made anew
 *             (-ECONNREFUSED then where that is -ENOENT); and -ENOMEM, -EMFILE, -ENOSPC or, where the system refuses something else to it or to the
 *             broker, -EIO, or -EPERM or -EAGAIN as the system says (-EAGAIN: no more memory may be locked, mlockall(2)): the sentence says what.
 *   Threads   A connection may be used by several threads, whose requests take turns; each handle (reader, writer) by one thread at a time.
 *   Fork      A child owns nothing: in it every call on an inherited handle or connection is -EOWNERDEAD, closing only frees memory.
 *             The parent goes on undisturbed. The child connects anew. After exec nothing is left open.
 *   Blocking  Only functions with a deadline block, and open, close, follow and query functions wait for the broker's answer (at most
 *             SHMB_ANSWER_TIMEOUT_NS, then -ETIMEDOUT). Deadlines are absolute CLOCK_MONOTONIC nanoseconds; SHMB_NO_WAIT and SHMB_FOREVER.
 *   Signals   No function installs a handler; no read or write is interrupted by one; waits go on after one. Not for use in handlers.
 *   Ownership Pointers from *_open, *_connect, *_parse belong to the caller, who ends them with the matching close function; those take
 *             NULL and return NULL.
 *
 * The broker may be killed, restarted or upgraded at any time: reads and writes never notice, and the connection is made anew by itself
 * at the next control request (or by a wait, when a new broker calls), with every lease and cell still held. While no broker is there,
 * control requests are -ECONNREFUSED at once, except that opening with a deadline goes on trying until then.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SHMB_PUBLIC __attribute__((visibility("default")))
#else
#define SHMB_PUBLIC
#endif

#define SHMB_NO_WAIT UINT64_C(0)
#define SHMB_FOREVER UINT64_MAX
#define SHMB_ANSWER_TIMEOUT_NS UINT64_C(5000000000)

/* ---- types of payloads --------------------------------------------------------------------------------------------------------- */

/*
 * What a payload is: a name and a schema, which is a ROS 2 message definition of fixed-size fields. Declared at compile time with
 * SHMB_TYPE or made at run time from text. Immutable; may be shared between threads and connections.
 */
struct shmb_type {
	const char *name;   /* at most 47 printable bytes */
	const char *schema; /* ROS 2 message definition, NUL-terminated, at most 60 KiB */
	size_t size;	    /* bytes of one payload */
	size_t align;
};

/*
 * SHMB_TYPE(tag, fields) declares `struct tag` and `tag_type`, a static const struct shmb_type. `fields` is a row of tuples without commas
 * between them, `(primitive, name)` or `(primitive, name, count)`; primitives are bool, byte, char, int8 ... uint64, float32, float64; count is
 * a literal number; names are [a-z][a-z0-9_]*.
 *
 * SHMB_TYPE_OF(ctype, tag, fields) declares `tag_type` for a struct that exists already.
 *
 * Both check size, alignment and offsets at compile time. Pointers cannot be declared.
 */
#include "shmb_type.h"

/*
 * Makes a type from schema text. *out is ended with shmb_type_free(). -EINVAL with shmb_text() naming line and reason, -ENOMEM.
 */
SHMB_PUBLIC int shmb_type_parse(struct shmb_type **out, const char *name, const char *schema);
/* Opaque bytes of a stated size (1 to 256 MiB): the name is "bytes", the schema "uint8[SIZE] data\n". *out as above. -EINVAL, -ENOMEM. */
SHMB_PUBLIC int shmb_type_opaque(struct shmb_type **out, size_t bytes);
SHMB_PUBLIC struct shmb_type *shmb_type_free(struct shmb_type *type);
/* XXH3-64 of the schema text: what readers and writers must agree in. */
SHMB_PUBLIC uint64_t shmb_type_hash(const struct shmb_type *type);

/*
 * Calls `visit` for each field in order, until it returns other than 0, and returns that. primitive is the ROS 2 name ("float64");
 * offset and size in bytes, count elements (1 for a scalar, is_array tells them apart). -EINVAL when the schema does not parse, -ENOMEM. Pointers
 * are valid during the call.
 */
struct shmb_type_field {
	const char *name;
	const char *primitive;
	size_t offset;
	size_t size;
	size_t count;
	int is_array;
};
SHMB_PUBLIC int shmb_type_fields(const struct shmb_type *type, int (*visit)(const struct shmb_type_field *field, void *user), void *user);

/* ---- connection ---------------------------------------------------------------------------------------------------------------- */

struct shmb;

/*
 * Connects to the broker. `socket_path` NULL: $SHMBROKER_SOCKET if it is set and not empty (and then no other), else
 * $XDG_RUNTIME_DIR/shmbroker/control.sock if that exists, else /run/shmbroker/control.sock. Programs with raised rights (set-user-ID) pass over both
 * variables.
 *   -ENOENT no socket there, -ECONNREFUSED no daemon behind it, or it ended meanwhile, -ENAMETOOLONG a path over 107 bytes,
 *   -EACCES this user may not, or the broker may not look at this process in /proc, -EUSERS as many are connected as may be (of all, or of this user),
 *   -EOPNOTSUPP the broker cannot see this process, in a container with pids of its own (before Linux 6.9; later it may read),
 *   -EPROTONOSUPPORT another version, -EBADMSG something else than shmbrokerd answers, -ETIMEDOUT,
 *   -ENOMEM, -EMFILE, -ENOSPC, -EIO
 * shmb_disconnect closes what is still open through it; those handles must not be used afterwards. No other thread may be using the
 * connection or its handles meanwhile.
 */
SHMB_PUBLIC int shmb_connect(struct shmb **out, const char *socket_path);
SHMB_PUBLIC struct shmb *shmb_disconnect(struct shmb *broker);

/* A sentence about the last call of this thread that failed in a control request, open, wait or type function: what was wrong and what to do.
 * Never NULL, may have several lines; valid until the next such call of this thread. Reads and writes set it only in a forked child and for what their
 * code does not say: -ENOBUFS of a loan, -EUSERS of a pin, -EPROTO of a queue, -ESTALE of a block, what is wrong with a query, a key or an image. A wait that
 * reaches its deadline does not. */
SHMB_PUBLIC const char *shmb_text(void);
/* A short word for an error code of this library ("no new data", ...), else strerror's. Static storage. */
SHMB_PUBLIC const char *shmb_strerror(int error);
/* "0.1.0" */
SHMB_PUBLIC const char *shmb_version(void);
/* CLOCK_MONOTONIC, nanoseconds. What deadlines and stamps are made of. */
SHMB_PUBLIC uint64_t shmb_now_ns(void);

/* ---- what comes with every element --------------------------------------------------------------------------------------------- */

struct shmb_sample {
	uint64_t number;   /* of the write, from 0, never used for two contents */
	uint64_t stamp_ns; /* CLOCK_MONOTONIC at the write; 0 unless the segment is stamped */
	uint64_t missed;   /* writes between this one and the one this handle read before it, or since it was opened or sought */
};

/* Keys: enum shmb_clock, key types of each clock, rules that make them. */
#include "shmb_key.h"

/*
 * As capacity of a ring's options or history of a frame's: layout and keys as they are in the segment that is there, whoever made it; -ENOENT where there
 * is none, -EMEDIUMTYPE where it is of another kind. Who asks for another layout than that of a segment that nobody writes gives the name new, empty memory.
 */
#define SHMB_AS_IT_IS UINT32_C(0xffff0a51) /* none that comes about by mistake, as -1 does: that is refused */

struct shmb_options {	      /* for a writer; {0} is the default */
	uint32_t capacity;    /* ring: slots, a power of two, 2 to 2^20, default 16, serves capacity - 1; value: 4 (default) or 8 */
	uint32_t stamped;     /* 1: each element carries the time of its write; costs a clock read a write */
	uint64_t deadline_ns; /* wait for the lease while another process holds it, then -EBUSY; SHMB_NO_WAIT (default): at once */
	/*
	 * Ring: by what its elements are found in time (shmb_temporal.h); a value or queue has no keys, -EINVAL. SHMB_CLOCK_NONE (default): by the stamp,
	 * where stamped, else not. With a clock, the key is the payload's field of that name, a scalar integer of any size; key_field NULL is the
	 * stamp: stamped and SHMB_CLOCK_MONOTONIC then. Keys must not be negative nor shrink: shmb_ring_insert() refuses such an element.
	 */
	enum shmb_clock key_clock;
	const char *key_field;
};

enum shmb_writer_condition {			      /* what the broker last knew */
			     SHMB_WRITER_IS_NONE = 0, /* nobody has written yet */
			     SHMB_WRITER_IS_ALIVE = 1,
			     SHMB_WRITER_IS_CLOSED = 2, /* closed in order */
			     SHMB_WRITER_IS_DEAD = 3,	/* its process ended */
			     SHMB_WRITER_IS_GONE = 4,	/* it let go of the broker but lives */
			     /* The following only where the operator's policy gives its segment a stale time, and that has passed without a write: */
			     SHMB_WRITER_IS_STOPPED = 5, /* by a signal (Ctrl-Z, SIGSTOP) */
			     SHMB_WRITER_IS_TRACED = 6,	 /* in a debugger */
			     SHMB_WRITER_IS_HUNG = 7,	 /* it runs, but does not write */
			     SHMB_WRITER_IS_DUMPING = 8, /* it crashed and is dumping core */
};

struct shmb_segment_status {
	enum shmb_writer_condition writer;
	int32_t writer_pid; /* 0 none */
	uint64_t epoch;	    /* grows with each writer */
	uint64_t generation;
	uint64_t oldest;	  /* first number still readable */
	uint64_t next;		  /* number of the next write; oldest == next: empty */
	uint64_t heartbeat_ns;	  /* CLOCK_MONOTONIC of the last explicit heartbeat or stamped write, 0 never */
	uint64_t next_generation; /* that follows the one this handle reads, 0 none: shmb_follow() */
};

/*
 * Opening, the same for value and ring; the other kinds say what is different.
 *
 * Writer: makes the segment if there is none, takes its lease, continues the numbering of the writer before it.
 *   -EINVAL name, type, capacity or key   -EBUSY another handle writes it (shmb_text() names the process)   -EEXIST, -EPROTOTYPE another handle
 *   writes it with another kind, capacity, stamping or key, or another type: at once, also with a deadline; when nobody does, the segment is made anew
 *   (generations: shmb_wait.h)   -EPERM belongs to another user   -ENOSPC no memory for it, or the quota of all users together is used up
 *   -EDQUOT this user's quota is   -EFBIG larger than the operator's policy, or any segment, may be   -EOPNOTSUPP the broker cannot see this process,
 *   in a container with pids of its own: it may only read   -EOVERFLOW its numbers are used up
 *   With a deadline it waits while another process has the lease and nothing else stands in the way. One that let go but lives, or that hangs where
 *   the policy says on-hang = replace, is replaced and not waited for.
 * Reader: never makes anything. `type` NULL takes what is there (see *_type). Waits for the name until `deadline_ns`.
 *   -ENOENT no such segment (at once or at the deadline)   -EPROTOTYPE another type (shmb_text() shows both schemas)   -EMEDIUMTYPE another kind
 *   -EINVAL name or type
 * Both: -EACCES not for this user by the operator's policy; of a reader at once, whether it is there or not   -ENAMETOOLONG a name over 200 bytes
 *   -EBADMSG what was mapped contradicts itself, or its files are damaged   -ESTALE they are not its own   -EPROTONOSUPPORT laid out by another version
 *   -ENOMEM, -EMFILE, -EUSERS out of memory, descriptors, handles of this connection (256) or names that it waits for (64)
 *   -ECONNREFUSED no daemon   -ETIMEDOUT it does not answer   -EOWNERDEAD after fork
 *
 * Closing tells the broker, so that the next writer can have the lease at once. Without a broker nothing is waited for: the next one hears
 * of it at this connection's next control request, or when the process ends.
 */

/* ---- value: the latest of something --------------------------------------------------------------------------------------------- */

struct shmb_value_writer;
struct shmb_value_reader;

SHMB_PUBLIC int shmb_value_writer_open(struct shmb_value_writer **out, struct shmb *broker, const char *name, const struct shmb_type *type,
				       const struct shmb_options *options);
SHMB_PUBLIC struct shmb_value_writer *shmb_value_writer_close(struct shmb_value_writer *writer);
/* Publishes type->size bytes. Never waits. -ESTALE the lease was taken away, -EOWNERDEAD after fork. */
SHMB_PUBLIC int shmb_value_store(struct shmb_value_writer *writer, const void *payload);
/* "I am alive" without data: sets heartbeat_ns. Errors as store. */
SHMB_PUBLIC int shmb_value_heartbeat(struct shmb_value_writer *writer);
/* Number of the next write. */
SHMB_PUBLIC uint64_t shmb_value_next(const struct shmb_value_writer *writer);

SHMB_PUBLIC int shmb_value_reader_open(struct shmb_value_reader **out, struct shmb *broker, const char *name, const struct shmb_type *type,
				       uint64_t deadline_ns);
SHMB_PUBLIC struct shmb_value_reader *shmb_value_reader_close(struct shmb_value_reader *reader);
/*
 * Copies the newest value to `payload` (type->size bytes), and what is known of it to `sample` (may be NULL). Never waits: a dead or stopped
 * writer leaves the value before readable. -ENODATA nothing written yet; -EAGAIN lapped SHMB_READ_TRIES times; -EBADMSG the writer's counter
 * cannot be; -EOWNERDEAD after fork. After an error the payload's bytes are undefined.
 */
SHMB_PUBLIC int shmb_value_load(struct shmb_value_reader *reader, void *payload, struct shmb_sample *sample);
/* Waits until there is a newer value than the one loaded last. Results as shmb_ring_wait(). */
SHMB_PUBLIC int shmb_value_wait(struct shmb_value_reader *reader, uint64_t deadline_ns);
/* -EBADMSG the writer's counter cannot be, -EOWNERDEAD after fork. */
SHMB_PUBLIC int shmb_value_status(struct shmb_value_reader *reader, struct shmb_segment_status *out);
/* The segment's own type; belongs to the reader. */
SHMB_PUBLIC const struct shmb_type *shmb_value_type(const struct shmb_value_reader *reader);

enum { SHMB_READ_TRIES = 64 };

/* ---- ring: the newest N - 1 of something ---------------------------------------------------------------------------------------- */

struct shmb_ring_writer;
struct shmb_ring_reader;

SHMB_PUBLIC int shmb_ring_writer_open(struct shmb_ring_writer **out, struct shmb *broker, const char *name, const struct shmb_type *type,
				      const struct shmb_options *options);
SHMB_PUBLIC struct shmb_ring_writer *shmb_ring_writer_close(struct shmb_ring_writer *writer);
/* As shmb_value_store(). Overwrites the oldest. And nothing is published where the key is negative (-ERANGE), or lower than that of the
 * element before (-EDOM; shmb_ring_restart_keys() allows that once). */
SHMB_PUBLIC int shmb_ring_insert(struct shmb_ring_writer *writer, const void *payload);
SHMB_PUBLIC int shmb_ring_heartbeat(struct shmb_ring_writer *writer);
SHMB_PUBLIC uint64_t shmb_ring_next_number(const struct shmb_ring_writer *writer);

SHMB_PUBLIC int shmb_ring_reader_open(struct shmb_ring_reader **out, struct shmb *broker, const char *name, const struct shmb_type *type,
				      uint64_t deadline_ns);
SHMB_PUBLIC struct shmb_ring_reader *shmb_ring_reader_close(struct shmb_ring_reader *reader);
/* The newest element. As shmb_value_load(). Moves the position of shmb_ring_read_next() behind it. */
SHMB_PUBLIC int shmb_ring_latest(struct shmb_ring_reader *reader, void *payload, struct shmb_sample *sample);
/* The element of this number. -ENODATA not written yet, -ESTALE overwritten or never there; else as shmb_value_load(). Does not move the position;
 * sample->missed is 0. */
SHMB_PUBLIC int shmb_ring_read(struct shmb_ring_reader *reader, uint64_t number, void *payload, struct shmb_sample *sample);
/*
 * The next element in order, from the one that was newest when the reader was opened (position: shmb_ring_seek). Where it fell behind it goes on
 * with the oldest that is left, and sample->missed says how many are lost: read and missed together are exactly what was written.
 * -ENODATA nothing new; -EREMCHG nothing will be: the segment has a new generation, shmb_follow(); -EAGAIN lapped while copying,
 * SHMB_READ_TRIES times; else as shmb_value_load().
 */
SHMB_PUBLIC int shmb_ring_read_next(struct shmb_ring_reader *reader, void *payload, struct shmb_sample *sample);
/* Sets the number that shmb_ring_read_next() reads next. Numbers from there on that are gone count as missed then. -EINVAL over the next write,
 * -EBADMSG, -EOWNERDEAD. */
SHMB_PUBLIC int shmb_ring_seek(struct shmb_ring_reader *reader, uint64_t number);
/* The numbers that can be read now: from *oldest to *next - 1; none where they are equal. The one before *oldest may last until the next write.
 * -EBADMSG the writer's counter cannot be, -EOWNERDEAD after fork. */
SHMB_PUBLIC int shmb_ring_bounds(struct shmb_ring_reader *reader, uint64_t *oldest, uint64_t *next);
/*
 * Waits until there is an element this handle has not read. 0 there is; -ETIMEDOUT deadline; -ECANCELED shmb_cancel(); and, each once per change of
 * the writer, after the data before it was read: -EOWNERDEAD writer dead (or this is a forked child: shmb_text() tells), -EPIPE writer closed or let
 * go, -EHOSTDOWN it is stopped, traced, dumping core or hangs, -EREMCHG the segment has a new generation, which this handle reads from now on; and
 * every time -ESTALE the segment was removed, -EBADMSG the writer's counter cannot be, -EPROTOTYPE, -EMEDIUMTYPE, -EACCES, ... this handle cannot go on to
 * the new generation. Calling again waits for the next writer. The writer that ended last before the reader was opened is reported as well. All of it in
 * shmb_wait.h.
 */
SHMB_PUBLIC int shmb_ring_wait(struct shmb_ring_reader *reader, uint64_t deadline_ns);
/* As shmb_value_status(). */
SHMB_PUBLIC int shmb_ring_status(struct shmb_ring_reader *reader, struct shmb_segment_status *out);
SHMB_PUBLIC const struct shmb_type *shmb_ring_type(const struct shmb_ring_reader *reader);

/* ---- what is there: for tools --------------------------------------------------------------------------------------------------- */

struct shmb_segment_info {
	const char *name;
	const char *type;
	const char *kind; /* "value", "ring", "frame", "queue", "block" */
	uint64_t schema_hash;
	uint64_t generation;
	uint64_t epoch;
	uint64_t created_ns; /* CLOCK_REALTIME */
	uint64_t bytes;	     /* of all its memory */
	uint64_t payload_bytes;
	uint32_t capacity; /* slots; of a frame 1 + history + pins, of a block 0 */
	uint32_t stamped;
	uint32_t owner_uid;
	uint32_t owner_gid;
	int32_t writer_pid; /* 0 none */
	uint32_t writer_uid;
	const char *writer_comm;
	enum shmb_writer_condition writer;
	uint32_t readers;  /* handles that read, consume or share it; given by shmb_info(): those that it has room to tell of */
	uint32_t draining; /* earlier generations that somebody holds still; their bytes and readers are counted above */
};

struct shmb_reader_info {
	int32_t pid;
	uint32_t uid;
	const char *comm;
	uint64_t behind; /* elements it has not read yet, lost ones included, by its own account; UINT64_MAX unknown */
	uint32_t older;	 /* it reads the generation so many before the newest, 0 the newest */
	uint32_t role;	 /* enum shmb_handle_role (shmb_metrics.h) */
	/* As in struct shmb_counters, by its own account, which it brings up to date when it waits; UINT64_MAX unknown, 0 of a library without counters. */
	uint64_t published; /* 0: who reads, consumes or shares publishes nothing that is counted */
	uint64_t read;
	uint64_t retried;
	uint64_t lapped; /* elements overwritten before it read them */
	uint64_t waited;
	uint64_t woken;
};

struct shmb_broker_status {
	const char *version;
	const char *shm_dir;
	int32_t pid;
	uint32_t segments;
	uint32_t clients;
	uint32_t protocol_version;
	uint32_t layout_version;
	uint64_t started_ns; /* CLOCK_REALTIME */
	uint64_t linger_ns;
	uint64_t bytes;
	uint64_t deaths; /* since the start; these four as in struct shmb_metrics */
	uint64_t repairs;
	uint64_t reaps;
	uint64_t adopted;
	const char *config_files; /* a path a line, in the order of reading; "" none */
	const char *config_error; /* why the configuration was refused at the last attempt to load it; "" it was not */
};

/* Calls `visit` for each segment, in the order of their making, until it returns other than 0, and returns that. Pointers are valid during the
 * call. No lock is held meanwhile: the visitor may use the connection. */
SHMB_PUBLIC int shmb_list(struct shmb *broker, int (*visit)(const struct shmb_segment_info *info, void *user), void *user);
/* One segment with its schema and readers (info->readers of them); `visit` is called once, and what it returns is returned. -ENOENT, -EACCES not for this user;
 * -EINVAL, -ENAMETOOLONG the name; -EBADMSG, -ESTALE its files are damaged. */
SHMB_PUBLIC int shmb_info(struct shmb *broker, const char *name,
			  int (*visit)(const struct shmb_segment_info *info, const char *schema, const struct shmb_reader_info *readers,
				       void *user),
			  void *user);
/* Calls `visit` once and returns what it returns. */
SHMB_PUBLIC int shmb_status(struct shmb *broker, int (*visit)(const struct shmb_broker_status *status, void *user), void *user);
/* Removes a segment. Its readers keep what they have mapped and get -ESTALE from waits. 0, also where it was asked twice because the first answer
 * was lost; -EBUSY while a writer lives, or a process has the block open; -ENOENT; -EACCES not for this user, -EPERM it is another user's; -EINVAL,
 * -ENAMETOOLONG the name; -ENOMEM, -EMFILE: the broker has nothing left to tell its readers with, try again; any other: it is gone, but not
 * all of its files. */
SHMB_PUBLIC int shmb_remove(struct shmb *broker, const char *name);

/* As a reader, but unseen: takes no cell, keeps nothing alive, waits in slices of 10 ms. For tools. */
SHMB_PUBLIC int shmb_ring_observe(struct shmb_ring_reader **out, struct shmb *broker, const char *name);
SHMB_PUBLIC int shmb_value_observe(struct shmb_value_reader **out, struct shmb *broker, const char *name);

#ifdef __cplusplus
}
#endif

/* Rings and frames in time: closest, bracket, range, fresh, join; by range and age. */
#include "shmb_temporal.h"

#include "shmb_block.h"
#include "shmb_figures.h"
#include "shmb_frame.h"
#include "shmb_image.h"
#include "shmb_loader.h"
#include "shmb_metrics.h"
#include "shmb_operator.h"
#include "shmb_queue.h"
#include "shmb_realtime.h"
#include "shmb_wait.h"
#include "shmb_watch.h"

#endif
