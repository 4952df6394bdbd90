/* SPDX-License-Identifier: MIT */
#ifndef SHMB_PROTO_LAYOUT_H
#define SHMB_PROTO_LAYOUT_H

/*
 * The shared memory of a segment, byte for byte.
 *
 * A segment is three kinds of memory, each its own file and mapping, by who may write it:
 *
 *   card   broker rw, everybody else ro   what the segment is, who holds it, where everything lies
 *   data   broker and writer rw, reader ro   safe-shm's header, the counter, the wake word, slots and payloads
 *   areas  one page each, rw for the broker, the writer and the readers of the one uid it is bound to
 *
 * and beside the segments one event page for each connection (broker rw, its client ro).
 *
 * Fields are little-endian and of fixed width; places are offsets, never pointers; strides are powers of two and stored as
 * shifts. `[W: who writes, R: who reads]` stands with each group; groups of different writers lie on different cache lines.
 * All-zero memory means "nothing here": `magic` is stored last, with release, before a file gets its name.
 *
 * Whoever maps a part checks it once with shmb_card_check() (validate.h), keeps the checked numbers in a local
 * struct shmb_geometry and never reads them from shared memory again. Nothing in the data part or in an area is believed for more
 * than the answer to "what did its writer publish".
 *
 * PROTOCOL.md has the same tables for readers of other languages; tests/unit/test_layout.c compares them.
 */

#include "atomics.h"

#include <stddef.h>
#include <stdint.h>

enum {
	SHMB_PAGE = 4096,     /* unit of every part's size; both architectures run with 4 KiB pages here */
	SHMB_CACHE_LINE = 64, /* x86-64 and the arm64 cores found on robots */
	SHMB_NAME_MAX = 200,  /* bytes of a segment's name: leaves room for ",GENERATION,record" within NAME_MAX */
	SHMB_TYPE_NAME_MAX = 47,
	SHMB_SCHEMA_MAX = 60 * 1024, /* with the card's page this makes one 64 KiB file, and it fits one control packet */
	SHMB_BOOT_ID_BYTES = 16,
	SHMB_COOKIE_BYTES = 16,
	SHMB_AREAS_MAX = 6,
	SHMB_CELLS_PER_AREA = 31,
	SHMB_CELLS_MAX = SHMB_AREAS_MAX * SHMB_CELLS_PER_AREA,
	SHMB_CAPACITY_MIN = 2,
	SHMB_CAPACITY_MAX = 1 << 20,
	SHMB_PINS_PER_CELL = 8,
	SHMB_LINE_SHIFT = 6,	     /* stride of slots and entries: a cache line, so that they never share one */
	SHMB_KEY_SHIFT = 3,	     /* a key is one word */
	SHMB_PAYLOAD_SHIFT_MAX = 28, /* stride of the largest payload */
};

#define SHMB_PAYLOAD_MAX (UINT64_C(256) << 20) /* bytes of one element */
#define SHMB_DATA_MAX (UINT64_C(1) << 46)      /* bytes of a data part: far above any machine, far below wrapping */
#define SHMB_NUMBER_MAX (UINT64_C(1) << 62)    /* numbers from here on are refused: 2n+2 must not wrap */
_Static_assert(1 << SHMB_LINE_SHIFT == SHMB_CACHE_LINE && 1 << SHMB_KEY_SHIFT == sizeof(uint64_t), "strides");
_Static_assert(UINT64_C(1) << SHMB_PAYLOAD_SHIFT_MAX == SHMB_PAYLOAD_MAX, "strides");

#define SHMB_CARD_MAGIC UINT32_C(0x43424d53)  /* "SMBC" */
#define SHMB_DATA_MAGIC UINT32_C(0x53484d48)  /* safe-shm's ShmHeader: "HMHS" in memory */
#define SHMB_EVENT_MAGIC UINT32_C(0x45424d53) /* "SMBE" */

enum {
#ifdef SHMB_TEST_LAYOUT_VERSION /* a test's build of these sources that stands for another version, which neither reads the other's */
	SHMB_LAYOUT_VERSION = SHMB_TEST_LAYOUT_VERSION,
	SHMB_LAYOUT_OLDEST = SHMB_TEST_LAYOUT_VERSION,
#else
	SHMB_LAYOUT_VERSION = 1, /* of card, data and areas together */
	SHMB_LAYOUT_OLDEST = 1,	 /* oldest reader that understands what this version writes */
#endif
	SHMB_DATA_VERSION = 1, /* ShmHeader.version */
};

/* What the data path does in a segment. Kinds without an implementation are refused, never guessed at. */
enum shmb_kind {
	SHMB_KIND_NONE = 0,
	SHMB_KIND_VALUE = 1,
	SHMB_KIND_RING = 2,
	SHMB_KIND_FRAME = 3,
	SHMB_KIND_QUEUE = 4,
	SHMB_KIND_BLOCK = 5,
};

enum shmb_backing {
	SHMB_BACKING_NAMED = 1,
	SHMB_BACKING_SEALED = 2,
};

enum shmb_segment_flags {
	SHMB_SEGMENT_STAMPED = 1u << 0, /* each element carries CLOCK_MONOTONIC nanoseconds beside its id */
	SHMB_SEGMENT_FLAGS_KNOWN = SHMB_SEGMENT_STAMPED,
};

/*
 * The clock of a segment's keys, by which its elements are found in time. Keys are unsigned 64-bit numbers that never shrink from one
 * element to the next; two key types never compare.
 */
enum shmb_key_type {
	SHMB_KEY_NONE = 0,
	SHMB_KEY_MONOTONIC_NS = 1, /* CLOCK_MONOTONIC; the only one that a stamp can be */
	SHMB_KEY_REALTIME_NS = 2,  /* CLOCK_REALTIME, PTP, UTC */
	SHMB_KEY_SEQUENCE = 3,	   /* a count: frame numbers, encoder ticks */
};

/* card.wishes: how the operator wants a segment mapped, by every client that can; unknown bits are ignored. */
enum shmb_wishes {
	SHMB_WISH_PREFAULT = 1u << 0, /* every page present before the open ends */
	SHMB_WISH_LOCK = 1u << 1,     /* locked in memory, as far as the process's limit goes */
	SHMB_WISH_HUGE = 1u << 2,     /* the data part in huge pages, where the kernel has them */
};

/* card.key_field of a segment whose key is the stamp, and of a frame whose writer states a key with each commit. */
#define SHMB_KEY_IS_STAMP UINT32_MAX
#define SHMB_KEY_IS_GIVEN (UINT32_MAX - 1)

/*
 * Low byte of the card's state word; the other 56 bits are the lease's epoch. A writer keeps the whole word it was granted and
 * compares it at each claim, so every change of state or of holder stops it at the next claim with -ESTALE.
 *
 *   FREE --grant--> HELD --close or repair--> FREE          the ordinary life
 *   HELD --connection closed, process alive--> GIVEN_UP --death, repair--> FREE
 *   any  --newer generation--> SUPERSEDED       any --removed--> REMOVED
 */
enum shmb_state {
	SHMB_STATE_NONE = 0,
	SHMB_STATE_FREE = 1,
	SHMB_STATE_HELD = 2,
	SHMB_STATE_GIVEN_UP = 3,
	SHMB_STATE_SUPERSEDED = 4,
	SHMB_STATE_REMOVED = 5,
};

static inline uint64_t shmb_state_word(uint64_t epoch, enum shmb_state state)
{
	return epoch << 8 | (uint64_t)state;
}

/*
 * What the broker knows of the writer, in the low byte of the card's writer word; the other 56 bits are the epoch it speaks of, so that one load
 * tells which writer died. The last verdict stays when the lease is free again: late readers see it.
 */
enum shmb_writer_state {
	SHMB_WRITER_NONE = 0, /* nobody has held the lease yet */
	SHMB_WRITER_ALIVE = 1,
	SHMB_WRITER_CLOSED = 2, /* closed in order */
	SHMB_WRITER_DEAD = 3,	/* its process ended while it held the lease; repaired */
	SHMB_WRITER_GONE = 4,	/* its connection closed while its process lives on */
	SHMB_WRITER_STOPPED = 5,
	SHMB_WRITER_TRACED = 6,
	SHMB_WRITER_HUNG = 7,
	SHMB_WRITER_DUMPING = 8,
};

static inline uint64_t shmb_writer_word(uint64_t epoch, enum shmb_writer_state writer)
{
	return epoch << 8 | (uint64_t)writer;
}

/*
 * Who owns a reader cell; its place in the table names area and cell: index / SHMB_CELLS_PER_AREA, index % SHMB_CELLS_PER_AREA.
 * [W: broker, R: all]. pid 0 is a free entry. Taken in the order start_time, incarnation, pid; freed by pid = 0.
 *
 *   offset size field
 *        0    8 start_time    field 22 of /proc/PID/stat
 *        8    4 pid           in the broker's pid namespace
 *       12    4 incarnation   grows each time the entry is taken
 */
struct shmb_shm_cell_owner {
	_Atomic uint64_t start_time;
	_Atomic int32_t pid;
	_Atomic uint32_t incarnation;
};
_Static_assert(sizeof(struct shmb_shm_cell_owner) == 16, "cell owner");
_Static_assert(offsetof(struct shmb_shm_cell_owner, pid) == 8, "cell owner");
_Static_assert(offsetof(struct shmb_shm_cell_owner, incarnation) == 12, "cell owner");

/*
 * The card: one page, then the schema text. [W: broker, R: all] throughout.
 *
 *   offset size field            meaning
 *        0    4 magic            SHMB_CARD_MAGIC, stored last with release
 *        4    2 version          SHMB_LAYOUT_VERSION
 *        6    2 oldest_reader    oldest version that may read this
 *        8    4 card_bytes       size of the card's file: a page and the schema, rounded up to pages
 *       12    4 schema_offset    SHMB_PAGE
 *       16    4 schema_length    bytes of schema text, no NUL
 *       20    1 kind             enum shmb_kind
 *       21    1 backing          enum shmb_backing
 *       22    1 key_type         0 no key
 *       23    1 reserved0        0
 *       24    8 schema_hash      XXH3-64 of the schema text
 *       32    8 segment_id       random; the record of the same segment carries the same
 *       40    8 generation       from 1
 *       48    8 base             first number of this generation
 *       56    8 created_ns       CLOCK_REALTIME
 *       64    8 data_bytes       size of the data part's file
 *       72    8 payload_bytes    of one element
 *       80    8 slot_offset      ids (and stamps, and small payloads)
 *       88    8 pool_offset      payloads; slot_offset + 8 or + 16 where they share their id's cache line
 *       96    8 key_offset       0 none
 *      104    8 entry_offset     0 none
 *      112    4 flags            enum shmb_segment_flags
 *      116    4 slot_count       capacity, a power of two
 *      120    4 pool_count       payloads
 *      124    4 entry_count      0 none
 *      128    1 slot_shift       stride of slots, log2
 *      129    1 pool_shift
 *      130    1 key_shift
 *      131    1 entry_shift
 *      132    4 history          H: how many newest numbers of a frame stay where they are; 0 elsewhere
 *      136    4 key_field        offset of the key in the payload, or SHMB_KEY_IS_STAMP (also: none), SHMB_KEY_IS_GIVEN
 *      140    4 area_count       reader areas made with this generation
 *      144    4 payload_align
 *      148    4 wishes           the operator's, to those who map it: enum shmb_wishes
 *      152    4 pins             frame: how many of a cell's pins count, from the first; 0: all
 *      156   36 reserved1        0
 *      192  208 name             NUL-terminated, NUL-filled
 *      400   48 type             name of the payload's type, NUL-terminated, NUL-filled
 *      448    8 lease_epoch      grows each time the lease is granted
 *      456    4 lease_pid        0 free; written last at a grant and at a release
 *      460    4 lease_uid
 *      464    8 lease_start      start time of lease_pid
 *      472   16 boot_id          of the boot that wrote lease and cells
 *      488   24 reserved2
 *      512    8 state            epoch << 8 | enum shmb_state       \
 *      520    8 cut              numbers from here on are void       |  UINT64_MAX: none
 *      528    8 next             generation that follows, 0 none     |
 *      536    8 bound_areas      bit i: area i is bound to a uid     |
 *      544    8 writer           epoch << 8 | enum shmb_writer_state /
 *      552   24 area_cells       bit c of word i: cell c of area i has an owner. Follows from the table of cells; lets a
 *                              writer look at the pins of owned cells only
 *      576   24 area_uid         uid each area is bound to, valid where its bit is set
 *      600  488 reserved4
 *     1088 2976 cells            SHMB_CELLS_MAX owners
 *     4064   32 reserved5
 */
struct shmb_shm_card {
	_Atomic uint32_t magic;
	uint16_t version;
	uint16_t oldest_reader;
	uint32_t card_bytes;
	uint32_t schema_offset;
	uint32_t schema_length;
	uint8_t kind;
	uint8_t backing;
	uint8_t key_type;
	uint8_t reserved0;
	uint64_t schema_hash;
	uint64_t segment_id;
	uint64_t generation;
	uint64_t base;
	uint64_t created_ns;

	uint64_t data_bytes;
	uint64_t payload_bytes;
	uint64_t slot_offset;
	uint64_t pool_offset;
	uint64_t key_offset;
	uint64_t entry_offset;
	uint32_t flags;
	uint32_t slot_count;
	uint32_t pool_count;
	uint32_t entry_count;
	uint8_t slot_shift;
	uint8_t pool_shift;
	uint8_t key_shift;
	uint8_t entry_shift;
	uint32_t history;
	uint32_t key_field;
	uint32_t area_count;
	uint32_t payload_align;
	uint32_t wishes;
	uint32_t pins;
	uint8_t reserved1[36];

	char name[SHMB_NAME_MAX + 8];
	char type[SHMB_TYPE_NAME_MAX + 1];

	_Atomic uint64_t lease_epoch;
	_Atomic int32_t lease_pid;
	_Atomic uint32_t lease_uid;
	_Atomic uint64_t lease_start;
	uint8_t boot_id[SHMB_BOOT_ID_BYTES];
	uint8_t reserved2[24];

	_Atomic uint64_t state;
	_Atomic uint64_t cut;
	_Atomic uint64_t next;
	_Atomic uint64_t bound_areas;
	_Atomic uint64_t writer;
	_Atomic uint32_t area_cells[SHMB_AREAS_MAX];

	_Atomic uint32_t area_uid[SHMB_AREAS_MAX];
	uint8_t reserved4[488];

	struct shmb_shm_cell_owner cells[SHMB_CELLS_MAX];
	uint8_t reserved5[32];
};

#define SHMB_AT(type, field, at) _Static_assert(offsetof(struct type, field) == (at), #type "." #field)
SHMB_AT(shmb_shm_card, magic, 0);
SHMB_AT(shmb_shm_card, version, 4);
SHMB_AT(shmb_shm_card, oldest_reader, 6);
SHMB_AT(shmb_shm_card, card_bytes, 8);
SHMB_AT(shmb_shm_card, schema_offset, 12);
SHMB_AT(shmb_shm_card, schema_length, 16);
SHMB_AT(shmb_shm_card, kind, 20);
SHMB_AT(shmb_shm_card, backing, 21);
SHMB_AT(shmb_shm_card, key_type, 22);
SHMB_AT(shmb_shm_card, schema_hash, 24);
SHMB_AT(shmb_shm_card, segment_id, 32);
SHMB_AT(shmb_shm_card, generation, 40);
SHMB_AT(shmb_shm_card, base, 48);
SHMB_AT(shmb_shm_card, created_ns, 56);
SHMB_AT(shmb_shm_card, data_bytes, 64);
SHMB_AT(shmb_shm_card, payload_bytes, 72);
SHMB_AT(shmb_shm_card, slot_offset, 80);
SHMB_AT(shmb_shm_card, pool_offset, 88);
SHMB_AT(shmb_shm_card, key_offset, 96);
SHMB_AT(shmb_shm_card, entry_offset, 104);
SHMB_AT(shmb_shm_card, flags, 112);
SHMB_AT(shmb_shm_card, slot_count, 116);
SHMB_AT(shmb_shm_card, pool_count, 120);
SHMB_AT(shmb_shm_card, entry_count, 124);
SHMB_AT(shmb_shm_card, slot_shift, 128);
SHMB_AT(shmb_shm_card, pool_shift, 129);
SHMB_AT(shmb_shm_card, key_shift, 130);
SHMB_AT(shmb_shm_card, entry_shift, 131);
SHMB_AT(shmb_shm_card, history, 132);
SHMB_AT(shmb_shm_card, key_field, 136);
SHMB_AT(shmb_shm_card, area_count, 140);
SHMB_AT(shmb_shm_card, payload_align, 144);
SHMB_AT(shmb_shm_card, wishes, 148);
SHMB_AT(shmb_shm_card, pins, 152);
SHMB_AT(shmb_shm_card, name, 192);
SHMB_AT(shmb_shm_card, type, 400);
SHMB_AT(shmb_shm_card, lease_epoch, 448);
SHMB_AT(shmb_shm_card, lease_pid, 456);
SHMB_AT(shmb_shm_card, lease_uid, 460);
SHMB_AT(shmb_shm_card, lease_start, 464);
SHMB_AT(shmb_shm_card, boot_id, 472);
SHMB_AT(shmb_shm_card, state, 512);
SHMB_AT(shmb_shm_card, cut, 520);
SHMB_AT(shmb_shm_card, next, 528);
SHMB_AT(shmb_shm_card, bound_areas, 536);
SHMB_AT(shmb_shm_card, writer, 544);
SHMB_AT(shmb_shm_card, area_cells, 552);
SHMB_AT(shmb_shm_card, area_uid, 576);
SHMB_AT(shmb_shm_card, cells, 1088);
_Static_assert(sizeof(struct shmb_shm_card) == SHMB_PAGE, "card");

/*
 * The head of the data part. Keys, entries, slots and pool follow at the offsets the card states.
 *
 *   offset size field
 *        0    4 magic          SHMB_DATA_MAGIC                          \
 *        4    4 version        SHMB_DATA_VERSION                         | safe-shm's ShmHeader to the bit
 *        8    8 heartbeat_ns   CLOCK_MONOTONIC                           | [W: writer, broker  R: all, safe-shm's tools]
 *       16    4 writer_pid     in the writer's pid namespace, 0 none     |
 *       20   12 reserved       0                                        /
 *       64    8 counter        numbers below it are committed           [W: writer, broker in repair  R: all]
 *      128    4 wake           readers sleep on it                      [W: writer, broker  R: all]
 *      192    8 key_base       no temporal query looks below            [W: writer  R: all]
 *      256    4 queue_flag     odd: the producer waits                  [W: writer  R: consumer]
 *      320    4 lock           a block's futex word: SHMB_LOCK_*        [W: holder, broker  R: all]
 *      384  128 reserved
 */
struct shmb_shm_data {
	_Atomic uint32_t magic;
	uint32_t version;
	_Atomic uint64_t heartbeat_ns;
	_Atomic int32_t writer_pid;
	uint32_t reserved[3];
	_Alignas(SHMB_CACHE_LINE) _Atomic uint64_t counter;
	_Alignas(SHMB_CACHE_LINE) _Atomic uint32_t wake;
	_Alignas(SHMB_CACHE_LINE) _Atomic uint64_t key_base;
	_Alignas(SHMB_CACHE_LINE) _Atomic uint32_t queue_flag;
	_Alignas(SHMB_CACHE_LINE) _Atomic uint32_t lock;
	_Alignas(SHMB_CACHE_LINE) uint8_t reserved1[128];
};
SHMB_AT(shmb_shm_data, magic, 0);
SHMB_AT(shmb_shm_data, version, 4);
SHMB_AT(shmb_shm_data, heartbeat_ns, 8);
SHMB_AT(shmb_shm_data, writer_pid, 16);
SHMB_AT(shmb_shm_data, reserved, 20);
SHMB_AT(shmb_shm_data, counter, 64);
SHMB_AT(shmb_shm_data, wake, 128);
SHMB_AT(shmb_shm_data, key_base, 192);
SHMB_AT(shmb_shm_data, queue_flag, 256);
SHMB_AT(shmb_shm_data, lock, 320);
_Static_assert(sizeof(struct shmb_shm_data) == 512, "data head");

/*
 * A slot: the id names the very write it holds. Number n: 2n + 1 while it is written, 2n + 2 when it is done, 0 nothing valid.
 * Payloads of at most 56 bytes (48 when stamped) follow in the same cache line; larger ones lie in the pool at the same index.
 * [W: writer, broker in repair  R: readers]
 *
 *   offset size field
 *        0    8 id
 *        8    8 stamp_ns       where SHMB_SEGMENT_STAMPED is set; else the payload begins here
 */
struct shmb_shm_slot {
	_Atomic uint64_t id;
	_Atomic uint64_t stamp_ns;
};
SHMB_AT(shmb_shm_slot, id, 0);
SHMB_AT(shmb_shm_slot, stamp_ns, 8);

/*
 * An entry of a frame: which slot of the pool holds number n, in a ring of entry_count. Claimed and published by its id as a slot is.
 * The pool's slots have their header in the array of slots at the same index: its id is the number the slot holds (2n + 1 while it is on
 * loan for number n). [W: writer, broker in repair  R: readers]
 *
 *   offset size field
 *        0    8 id
 *        8    8 slot           index in the pool, below pool_count
 *       16    8 length         bytes of payload used, at most payload_bytes
 *       24    8 stamp_ns       0 unless SHMB_SEGMENT_STAMPED is set
 */
struct shmb_shm_entry {
	_Atomic uint64_t id;
	_Atomic uint64_t slot;
	_Atomic uint64_t length;
	_Atomic uint64_t stamp_ns;
};
SHMB_AT(shmb_shm_entry, id, 0);
SHMB_AT(shmb_shm_entry, slot, 8);
SHMB_AT(shmb_shm_entry, length, 16);
SHMB_AT(shmb_shm_entry, stamp_ns, 24);

/*
 * A block's lock word: 0 free, else the holder's cell + 1 and the low bits of that cell's incarnation, with SHMB_LOCK_WAITERS set while somebody
 * sleeps on it. So a word names one handle: who had the cell before cannot take the lock of who has it now for its own. SHMB_LOCK_OWNER_DIED is
 * left by the broker when it takes the word from a dead holder: whoever locks next is told that what the lock protects may be half-changed.
 */
#define SHMB_LOCK_WAITERS UINT32_C(0x80000000)
#define SHMB_LOCK_OWNER_DIED UINT32_C(0x40000000)
#define SHMB_LOCK_INCARNATION UINT32_C(0x3fffff00)
#define SHMB_LOCK_CELL UINT32_C(0x000000ff)
_Static_assert(SHMB_CELLS_MAX <= 0xff, "a cell + 1 fits the lock word");

static inline uint32_t shmb_lock_mark(uint32_t cell, uint32_t incarnation)
{
	return (cell + 1) | (incarnation << 8 & SHMB_LOCK_INCARNATION);
}

/* A queue's consumer owns this cell and no other: its position is where the next consumer goes on. */
enum { SHMB_QUEUE_CELL = 0 };

static inline uint64_t shmb_id_writing(uint64_t number)
{
	return 2 * number + 1;
}

static inline uint64_t shmb_id_done(uint64_t number)
{
	return 2 * number + 2;
}

/*
 * A reader cell: two cache lines that belong to one reading handle. It counts only while the card names its owner.
 * [W: its reader, R: writer, broker]
 *
 *   offset size field
 *        0    8 position       number the reader reads next
 *        8    4 wake           a queue's producer sleeps on it while there is no room, its consumer lets it grow
 *       16   64 pins           slot + 1 of each frame held, 0 free
 *       80   48 counters       by enum shmb_cell_counter
 */
enum shmb_cell_counter {
	SHMB_COUNT_PUBLISHED = 0,
	SHMB_COUNT_READ = 1,
	SHMB_COUNT_RETRIED = 2,
	SHMB_COUNT_LAPPED = 3,
	SHMB_COUNT_WAITED = 4,
	SHMB_COUNT_WOKEN = 5,
	SHMB_COUNTERS = 6,
};

struct shmb_shm_cell {
	_Atomic uint64_t position;
	_Atomic uint32_t wake;
	uint32_t reserved;
	_Atomic uint64_t pins[SHMB_PINS_PER_CELL];
	_Atomic uint64_t counters[SHMB_COUNTERS];
};
SHMB_AT(shmb_shm_cell, position, 0);
SHMB_AT(shmb_shm_cell, wake, 8);
SHMB_AT(shmb_shm_cell, pins, 16);
SHMB_AT(shmb_shm_cell, counters, 80);
_Static_assert(sizeof(struct shmb_shm_cell) == 128, "cell");

/*
 * A reader area: one page, bound to one reading uid for the generation's life.
 *
 *   offset size field
 *        0    4 waiters        set by a reader before it sleeps, swapped to 0 by who wakes  [W: readers, writer, broker]
 *      128 3968 cells
 */
struct shmb_shm_area {
	_Atomic uint32_t waiters;
	uint8_t reserved[124];
	struct shmb_shm_cell cells[SHMB_CELLS_PER_AREA];
};
SHMB_AT(shmb_shm_area, waiters, 0);
SHMB_AT(shmb_shm_area, cells, 128);
_Static_assert(sizeof(struct shmb_shm_area) == SHMB_PAGE, "area");

/*
 * The event page of one connection. [W: broker, R: its client]
 *
 *   offset size field
 *        0    4 magic          SHMB_EVENT_MAGIC, stored last with release
 *        4    2 version        SHMB_LAYOUT_VERSION
 *        6    2 oldest_reader
 *        8    4 pid            in the broker's pid namespace
 *       12    4 uid
 *       16    8 start_time     of pid
 *       24   16 boot_id
 *       40   16 cookie         of the connection
 *       64    4 word           grows after each change its client may want to look at; the client sleeps on it
 */
struct shmb_shm_event {
	_Atomic uint32_t magic;
	uint16_t version;
	uint16_t oldest_reader;
	int32_t pid;
	uint32_t uid;
	uint64_t start_time;
	uint8_t boot_id[SHMB_BOOT_ID_BYTES];
	uint8_t cookie[SHMB_COOKIE_BYTES];
	_Alignas(SHMB_CACHE_LINE) _Atomic uint32_t word;
	uint8_t reserved[SHMB_PAGE - SHMB_CACHE_LINE - 4];
};
SHMB_AT(shmb_shm_event, magic, 0);
SHMB_AT(shmb_shm_event, version, 4);
SHMB_AT(shmb_shm_event, oldest_reader, 6);
SHMB_AT(shmb_shm_event, pid, 8);
SHMB_AT(shmb_shm_event, uid, 12);
SHMB_AT(shmb_shm_event, start_time, 16);
SHMB_AT(shmb_shm_event, boot_id, 24);
SHMB_AT(shmb_shm_event, cookie, 40);
SHMB_AT(shmb_shm_event, word, 64);
_Static_assert(sizeof(struct shmb_shm_event) == SHMB_PAGE, "event page");

#endif
