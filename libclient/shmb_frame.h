/* SPDX-License-Identifier: MIT */
#ifndef SHMB_FRAME_H
#define SHMB_FRAME_H

/*
 * Frames: images, point clouds and other large payloads, filled and read where they lie. Included by shmb.h, whose rules hold here too.
 *
 *   writer                                             reader
 *   shmb_frame_loan(writer, &payload, &capacity)       shmb_frame_wait(reader, deadline)
 *   ... fill payload ...                               shmb_frame_pin_newest(reader, &frame)
 *   shmb_frame_commit(writer, length)                  ... use frame.payload, frame.length ...
 *                                                      shmb_frame_release(reader, &frame)
 *
 * Nothing is copied, whatever the size: a loan, a commit, a pin and a release together cost about as much as one small store. The newest H
 * frames (the history) can be pinned. A pinned frame stays as it is until it is released, while the writer goes on with other slots of its
 * pool; the pool has 1 + history + pins slots. A reader holds at most SHMB_FRAME_PINS at once (fewer where the operator
 * says so: `pins` in shmbrokerd.conf), so a segment whose `pins` are SHMB_FRAME_PINS times its readers never refuses a loan; with fewer, a
 * loan that finds every slot held is -ENOBUFS at once and shmb_text() says which process holds which frames. A reader that dies
 * loses its pins as soon as the broker hears of it.
 *
 * The payload on loan is the writer's memory: plain bytes, nobody reads them before the commit. The payload of a pinned frame is read-only
 * memory that only a broken or hostile writer changes; shmb_frame_release() tells if that happened (-ESTALE). A reader that must not believe the
 * writer copies first (shmb_frame_load_newest and the like), and a filter checks what it computes with, such as sizes inside the payload.
 *
 * The newest H frames are also found in time, by stamp or key: closest, bracket, range, fresh, and joins with rings: shmb_temporal.h.
 *
 * Readers of another user than the first few may get no cell to pin with (-EUSERS): loading, by copy, always works.
 */

#ifdef __cplusplus
extern "C" {
#endif

enum { SHMB_FRAME_PINS = 8 };

struct shmb_frame {
	const void *payload;
	size_t length;	   /* bytes that the writer committed, at most the type's size */
	uint64_t number;   /* of the frame, from 0, never used for two contents */
	uint64_t stamp_ns; /* CLOCK_MONOTONIC at the commit; 0 unless the segment is stamped */
	uint64_t missed;   /* frames between this one and the one this handle got before it */
	uint32_t pin;	   /* the library's */
	uint32_t reserved;
};

struct shmb_frame_options {   /* for a writer; {0} is the default */
	uint32_t history;     /* newest frames that can be pinned, 1 to 4096, default 4 */
	uint32_t pins;	      /* frames held beyond these before a loan fails, 1 to 1024, default 8 */
	uint32_t stamped;     /* 1: each frame carries the time of its commit; costs a clock read a commit */
	uint64_t deadline_ns; /* wait for the lease while another process holds it; SHMB_NO_WAIT (default): -EBUSY at once */
	/*
	 * By what frames are found in time (shmb_temporal.h). SHMB_CLOCK_NONE (default): by the stamp, where stamped, else not. With a clock, the key is
	 *   - the payload's field `key_field`, a scalar integer of any size: of an image "stamp_ns" or "number" (shmb_image.h);
	 *   - or, with `keys_given` 1, what is stated with each commit (shmb_frame_commit_at_CLOCK): for payloads that have no such field;
	 *   - or, with neither, the stamp: stamped and SHMB_CLOCK_MONOTONIC then.
	 * Keys must not be negative nor shrink: such a commit is refused.
	 */
	enum shmb_clock key_clock;
	const char *key_field;
	uint32_t keys_given;
};

struct shmb_frame_writer;
struct shmb_frame_reader;

/*
 * Opening: as for value and ring (shmb.h). The type's size is the capacity of every frame. -EEXIST: somebody writes it with another history,
 * number of pins, stamping or key.
 */
SHMB_PUBLIC int shmb_frame_writer_open(struct shmb_frame_writer **out, struct shmb *broker, const char *name, const struct shmb_type *type,
				       const struct shmb_frame_options *options);
/* A frame on loan is given back. */
SHMB_PUBLIC struct shmb_frame_writer *shmb_frame_writer_close(struct shmb_frame_writer *writer);
/*
 * Lends the writer a slot: *payload, *capacity bytes (aligned to 64 bytes, to pages from 4096 bytes on), what is in it is of an older frame. Never
 * waits. It is the writer's until commit or abort.
 *   -ENOBUFS readers hold everything (shmb_text() names them)   -EBUSY one is on loan already   -ESTALE the lease was taken away
 *   -EOWNERDEAD after fork
 */
SHMB_PUBLIC int shmb_frame_loan(struct shmb_frame_writer *writer, void **payload, size_t *capacity);
/*
 * Publishes the frame on loan with the `length` bytes that were filled (0 to capacity). The payload must not be touched any more. Never waits; wakes
 * readers that sleep.
 *   -EINVAL nothing is on loan   -ESTALE the lease was taken away; the frame is dropped   -EOWNERDEAD after fork
 * Refused, and the frame stays on loan:
 *   -EMSGSIZE longer than the capacity, or so short that the key's field does not lie in it   -ERANGE the key is negative
 *   -EDOM the key is lower than that of the frame before (shmb_frame_restart_keys() allows that once)
 *   -ENOKEY keys are given: shmb_frame_commit_at_CLOCK()
 */
SHMB_PUBLIC int shmb_frame_commit(struct shmb_frame_writer *writer, size_t length);
/* The same, stating the frame's key, where the writer was opened with `keys_given`. -EXDEV it was not, or with another clock; else as above. In C
 * shmb_frame_commit_at() picks the function by the type of the key. */
SHMB_PUBLIC int shmb_frame_commit_at_monotonic(struct shmb_frame_writer *writer, size_t length, struct shmb_key_monotonic key);
SHMB_PUBLIC int shmb_frame_commit_at_realtime(struct shmb_frame_writer *writer, size_t length, struct shmb_key_realtime key);
SHMB_PUBLIC int shmb_frame_commit_at_sequence(struct shmb_frame_writer *writer, size_t length, struct shmb_key_sequence key);
/* Gives the frame on loan back unpublished; its number is used by the next. -EINVAL nothing is on loan, -EOWNERDEAD after fork. */
SHMB_PUBLIC int shmb_frame_abort(struct shmb_frame_writer *writer);
/* "I am alive" without data. -ESTALE, -EOWNERDEAD. */
SHMB_PUBLIC int shmb_frame_heartbeat(struct shmb_frame_writer *writer);
/* Number of the frame on loan, or of the next one. */
SHMB_PUBLIC uint64_t shmb_frame_next_number(const struct shmb_frame_writer *writer);

SHMB_PUBLIC int shmb_frame_reader_open(struct shmb_frame_reader **out, struct shmb *broker, const char *name, const struct shmb_type *type,
				       uint64_t deadline_ns);
/* As a reader, but unseen: takes no cell and so cannot pin, keeps nothing alive, waits in slices of 10 ms. For tools. */
SHMB_PUBLIC int shmb_frame_observe(struct shmb_frame_reader **out, struct shmb *broker, const char *name);
/* Releases what is still held; its payloads must not be used afterwards. */
SHMB_PUBLIC struct shmb_frame_reader *shmb_frame_reader_close(struct shmb_frame_reader *reader);
/*
 * Holds on to a frame: *frame says where it lies and what is known of it. Never waits, copies nothing. Each frame pinned is released once; the same
 * frame may be pinned several times.
 *
 *   newest   the newest frame. Moves the position behind it. -ENODATA none yet.
 *   next     in order, from the one that was newest when the reader was opened (shmb_frame_seek): the one at the position, or where that is
 *            gone the oldest that is left, and frame->missed says how many are lost. Moves the position behind it. -ENODATA nothing new,
 *            -EREMCHG nothing will be: the segment has a new generation, shmb_follow().
 *   number   this one. -ENODATA not committed yet, -ESTALE not among the newest any more.
 *
 * All: -EMFILE this handle holds SHMB_FRAME_PINS frames, or as many as the operator allows   -EUSERS it has no cell to pin with (use
 * shmb_frame_load_newest and the like)   -EAGAIN overtaken by the writer SHMB_READ_TRIES times   -EBADMSG the writer wrote what cannot be   -EOWNERDEAD after fork
 */
SHMB_PUBLIC int shmb_frame_pin_newest(struct shmb_frame_reader *reader, struct shmb_frame *frame);
SHMB_PUBLIC int shmb_frame_pin_next(struct shmb_frame_reader *reader, struct shmb_frame *frame);
SHMB_PUBLIC int shmb_frame_pin_number(struct shmb_frame_reader *reader, uint64_t number, struct shmb_frame *frame);
/*
 * Lets go of a pinned frame and sets frame->payload to NULL. 0: it was the same frame from pin to release.
 *   -ESTALE    it was overwritten meanwhile, because the writer is broken or because the broker gave this reader up (it did not come back
 *              after a restart): what was computed from it is worth nothing. It is released all the same.
 *   -EINVAL    this handle does not hold it   -EOWNERDEAD after fork
 */
SHMB_PUBLIC int shmb_frame_release(struct shmb_frame_reader *reader, struct shmb_frame *frame);
/*
 * Copies a frame to `buffer` instead of holding it; frame->payload is `buffer` then, and nothing is to be released. Needs no cell. Positions and errors as
 * shmb_frame_pin_newest(), _next() and _number(), without -EMFILE and -EUSERS; -EMSGSIZE it has more than `size` bytes: frame->length says how
 * many, the position stays. -EINVAL no buffer.
 */
SHMB_PUBLIC int shmb_frame_load_newest(struct shmb_frame_reader *reader, void *buffer, size_t size, struct shmb_frame *frame);
SHMB_PUBLIC int shmb_frame_load_next(struct shmb_frame_reader *reader, void *buffer, size_t size, struct shmb_frame *frame);
SHMB_PUBLIC int shmb_frame_load_number(struct shmb_frame_reader *reader, uint64_t number, void *buffer, size_t size,
				       struct shmb_frame *frame);
/* As the functions of rings, with their errors: the position of _next(), the numbers that can be read, waiting for a frame at the position, status, type. */
SHMB_PUBLIC int shmb_frame_seek(struct shmb_frame_reader *reader, uint64_t number);
SHMB_PUBLIC int shmb_frame_bounds(struct shmb_frame_reader *reader, uint64_t *oldest, uint64_t *next);
SHMB_PUBLIC int shmb_frame_wait(struct shmb_frame_reader *reader, uint64_t deadline_ns);
SHMB_PUBLIC int shmb_frame_status(struct shmb_frame_reader *reader, struct shmb_segment_status *out);
SHMB_PUBLIC const struct shmb_type *shmb_frame_type(const struct shmb_frame_reader *reader);

#ifdef __cplusplus
}
#endif

#endif
