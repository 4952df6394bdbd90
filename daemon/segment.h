/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_SEGMENT_H
#define SHMB_DAEMON_SEGMENT_H

/*
 * One segment as the broker knows it, and every change made to its card, record and data.
 *
 * This side of the daemon is passive: it knows files and memory, not connections, processes or time. Who holds what is told to it as
 * struct holder and written down so that a broker killed between any two instructions finds, after its restart, either the state before or
 * the state after (segment.c argues the order for each change). Between calls something is kept mapped only of the few segments
 * used last, and open only of those among them that somebody has open (kept.h): an idle segment costs no descriptor, except that sealed parts cost
 * one each (sealed.h).
 *
 * Decisions rest on this struct, which was filled from our own request or, at adoption, from the card and record: never on the data part.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto/geometry.h"
#include "proto/message.h"
#include "store.h"

/* A client as the kernel and its cookie tell it: the same four are the same client, before and after a restart of the broker. */
struct holder {
	int32_t pid; /* in the broker's pid namespace; 0 nobody */
	uint32_t uid;
	uint64_t start_time; /* field 22 of /proc/PID/stat */
	uint8_t cookie[SHMB_COOKIE_BYTES];
};

struct account;	   /* account.h */
struct attachment; /* attachment.h */
struct policy;	   /* policy.h */
struct sealed;	   /* sealed.h */
struct stale;	   /* stale.h */
struct reap;	   /* reaper.c */

/* Roles that own a cell of the card's table, and so keep the segment alive and are found again after a restart. */
static inline bool role_has_cell(unsigned role)
{
	return role == SHMB_ROLE_READER || role == SHMB_ROLE_CONSUMER || role == SHMB_ROLE_SHARER;
}

/*
 * Who can do what with which kind: a block has sharers instead of a writer, a queue one consumer instead of readers. Anything can be
 * observed.
 */
static inline bool role_fits(unsigned role, enum shmb_kind kind)
{
	switch (role) {
	case SHMB_ROLE_WRITER:
		return kind != SHMB_KIND_BLOCK;
	case SHMB_ROLE_READER:
		return kind != SHMB_KIND_QUEUE;
	case SHMB_ROLE_CONSUMER:
		return kind == SHMB_KIND_QUEUE;
	case SHMB_ROLE_SHARER:
		return kind == SHMB_KIND_BLOCK;
	default:
		return role == SHMB_ROLE_OBSERVER;
	}
}

struct segment {
	char name[SHMB_NAME_MAX + 8];
	char type[SHMB_TYPE_NAME_MAX + 1];
	struct shmb_geometry geometry;
	uint64_t order; /* grows with each segment made or adopted: the cursor of LIST */
	uint64_t segment_id;
	uint64_t schema_hash;
	uint32_t schema_length;
	uint32_t owner_uid;
	uint32_t owner_gid;
	uint64_t created_ns; /* CLOCK_REALTIME */
	uint64_t bytes;	     /* of all its files */

	uint64_t epoch; /* of the last lease granted */
	enum shmb_state state;
	enum shmb_writer_state writer;
	struct holder lease; /* pid 0: free */
	uint32_t cells_used;
	uint32_t writer_uid; /* whose processes may have this generation's data mapped writable: nobody else gets its lease */
	uint64_t committed;  /* of one that is superseded: numbers below it were published, as its card and data said then */

	struct segment *newer; /* of the same name; NULL: this is the one that is opened */
	struct segment *older; /* superseded, and held open by somebody still; NULL none */

	enum shmb_backing backing;	/* of the data */
	enum shmb_backing area_backing; /* of the reader areas */
	struct sealed *sealed;		/* their descriptors; NULL: nothing is sealed */
	bool areas_lost; /* reader areas went with a daemon that had no descriptor store: no new reader sleeps in one, the next writer gets a new generation */

	const struct policy *policy;	     /* of the broker's set; set when the registry takes it, and at a reload */
	struct stale *stale;		     /* NULL: its writer is not looked at */
	LIST_HEAD(, attachment) attachments; /* handles open on it; the supervision side's */
	uint32_t reader_count;		     /* of these that count as readers (attachment.h): a hostile one can have very many */
	uint64_t idle_since_ns;		     /* CLOCK_MONOTONIC since when its policy lets it go, 0: it stays; the reaper's */
	struct reap *reap;		     /* the reaper's */
	struct account *account;	     /* to which its memory is charged; referenced */
	bool is_told;			     /* that it is removed: its readers */
	bool was_published;		     /* something, in this generation: seen once by the reaper */
	TAILQ_ENTRY(segment) order_link;     /* the registry's */
};

/* A data part that has been allocated already, without a name. */
struct segment_memory {
	int fd; /* -1 where it was taken */
	uint64_t bytes;
	bool is_sealed;
};

/* What a new segment shall be. `schema` is borrowed. */
struct segment_spec {
	const char *name;
	const char *type;
	const char *schema;
	uint32_t schema_length;
	uint64_t schema_hash;
	struct shmb_request request;
	uint32_t owner_uid;
	uint32_t owner_gid;
	uint32_t writer_uid;	       /* who asks */
	const struct policy *policy;   /* NULL: as many areas as the store gives, no wishes */
	struct segment_memory *memory; /* taken where it fits; NULL none */
};

/* The layout it would get. Errors as segment_create(), of the request alone. */
int segment_spec_plan(const struct store *store, const struct segment_spec *spec, struct shmb_geometry *out, const char **why);
/* A sentence about an error of segment_create(). */
const char *segment_create_why(int error);

/*
 * Makes generation 1 of a segment: record, data, areas, card; the card is linked last, so that a broker killed meanwhile leaves files that
 * the next scan removes. The schema was parsed and its hash checked by the caller. -EINVAL, -EOPNOTSUPP, -EFBIG from the plan, -EEXIST,
 * -ENOSPC, -EMFILE, ...; nothing is left behind. *why is a static sentence.
 */
int segment_create(struct store *store, const struct segment_spec *spec, struct segment **out, const char **why);
/*
 * Gives the name new memory: makes the generation after `old`, whose numbers begin where old's end, and supersedes `old` (generation.c argues the
 * order). Owner and owner's group stay; of `spec` the name is old's. Errors as segment_create(): old is then what it was. The caller links the two
 * structs; nobody's lease or cells change.
 */
int segment_replace(struct store *store, struct segment *old, const struct segment_spec *spec, struct segment **out, const char **why);
/* Was anything published in this generation? By the writer's own account: shown, and good enough to keep a memory that is as new. */
bool segment_is_unused(struct store *store, const struct segment *segment);
/* Of a superseded queue: has its consumer had all that was published in it? By the consumer's own account. */
bool segment_is_drained(struct store *store, const struct segment *segment);
/* Frees the struct, not the files. Returns NULL. */
struct segment *segment_free(struct segment *segment);

static inline void segment_cleanup(struct segment **segment)
{
	segment_free(*segment);
}
#define auto_segment __attribute__((cleanup(segment_cleanup)))

/*
 * Gives the free lease to `who` (state FREE -> HELD, epoch + 1, writer ALIVE). The counter must be below SHMB_NUMBER_MAX (-EOVERFLOW).
 * -EBUSY when it is not free, -EOPNOTSUPP for pid 0, -EBADMSG when its writer made the data part shorter (nobody can use it any more).
 */
int segment_grant(struct store *store, struct segment *segment, const struct holder *who);

/*
 * Ends the lease.
 *   SHMB_WRITER_CLOSED  closed in order     -> FREE, repaired (a close in mid-write cannot be, but costs nothing to check)
 *   SHMB_WRITER_DEAD    its process ended   -> repaired, FREE
 *   SHMB_WRITER_GONE    lives, let go       -> GIVEN_UP: stopped at its next claim; the next writer gets a new generation
 * A superseded segment stays superseded. Then wakes the readers. *repaired is the number of half-written elements mended (may be NULL). The struct changes, and
 * an error (logged) says that the files could not follow, because somebody removed or replaced them. But where store_is_short(), the broker's own want
 * of descriptors or memory: then the struct is as before, and all of it is to be tried again.
 */
int segment_release(struct store *store, struct segment *segment, enum shmb_writer_state verdict, unsigned *repaired);

/*
 * Says what becomes of a writer that holds the lease (state HELD): ALIVE, STOPPED, TRACED, HUNG or DUMPING; wakes the readers. The struct
 * changes in any case.
 */
int segment_judge(struct store *store, struct segment *segment, enum shmb_writer_state verdict);

/* What shows that a writer is at work. */
struct segment_pulse {
	uint64_t counter;
	uint64_t heartbeat_ns;
};
/* Reads it; *pulse is what was read before. Where the counter is another one since, heartbeat_ns is brought up to now_ns. -EBADMSG as above. */
int segment_pulse(struct store *store, struct segment *segment, uint64_t now_ns, struct segment_pulse *pulse);

/* Takes GIVEN_UP back for the client that let go of it and has come again: HELD, the same epoch, writer ALIVE. -EINVAL in another state. */
int segment_resume(struct store *store, struct segment *segment);

/*
 * Takes a cell for `who`, in an area bound to its uid (binding a free area if need be), else one without an area.
 * *area is UINT32_MAX where no area comes with it. -EUSERS when the table is full, -EOPNOTSUPP for pid 0.
 *
 * A consumer (role SHMB_ROLE_CONSUMER) gets SHMB_QUEUE_CELL, whose position goes on where the consumer before left it, or nothing: -EUSERS where
 * there are no areas, -EBUSY while the cell is taken, -EPERM when its area is bound to another uid (root may have it all the same).
 */
int segment_cell_take(struct store *store, struct segment *segment, const struct holder *who, enum shmb_role role, uint32_t *cell,
		      uint32_t *incarnation, uint32_t *area);
/*
 * Frees it. The pins of a frame's reader go with it, a block's lock is taken from it: *mended (may be NULL) is 1 where it held the lock, else 0.
 * Killed anywhere, it is done again.
 */
int segment_cell_free(struct store *store, struct segment *segment, uint32_t cell, unsigned *mended);
/* Is this cell `who`'s, with this incarnation? For RESUME. */
bool segment_cell_is(struct store *store, struct segment *segment, uint32_t cell, uint32_t incarnation, const struct holder *who);

/*
 * Opens the descriptors an open answer carries (message.h): card ro, data, areas. `area` UINT32_MAX none. Given to the caller, or where *are_lent says so
 * only lent, to be handed out at once (kept.h).
 */
int segment_open_fds(struct store *store, struct segment *segment, enum shmb_role role, uint32_t area, int out_fds[SHMB_FDS_MAX],
		     uint32_t *count, bool *are_lent);

/* Reads the schema text; `out` holds segment->schema_length bytes. */
int segment_read_schema(struct store *store, struct segment *segment, char *out);

/*
 * Sets the state REMOVED and wakes the readers, before all else. 1: what would wake them could not be had, which their event pages can. -ESTALE: it is
 * somebody else's card. Or why it could not be set.
 */
int segment_tell_removed(struct store *store, struct segment *segment);
/* Does so, unless it has been done, and removes the files (card first) and the struct, the struct in any case. */
int segment_remove(struct store *store, struct segment *segment);

/* ---- adoption ---- */

struct segment_cell {
	uint32_t cell;
	uint32_t incarnation;
	enum shmb_role role;
	struct holder holder;
};

/*
 * Reads the whole directory after a start. For each complete, valid segment `found` is called with it (given to the callee), whose lease
 * and `cells` are as the card says - whether those processes still live is for the callee to find out. Holders of another boot are cleared
 * (and repaired) before. Incomplete segments (no card) are removed; damaged, foreign, or newer ones are left alone and logged.
 * Event pages are reported through `page`: the callee bumps them. Returns 0 or the first error of reading the directory.
 */
struct broker;
struct event_page;
struct store_scan {
	/* Of a name its newest generation comes first, then those it has superseded, newest first: state SUPERSEDED, for the callee to link. */
	void (*found)(struct segment *segment, const struct segment_cell *cells, unsigned cell_count, void *user);
	void (*page)(struct event_page *page, const struct holder *who, void *user);
	void *user;
	struct broker *broker; /* counts what is told of (event.h); NULL: there is none */
};
int store_scan(struct store *store, const struct store_scan *scan);

#endif
