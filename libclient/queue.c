/* SPDX-License-Identifier: MIT */
/*
 * Pushing and popping (queue.h).
 *
 * Memory. Item n lies in slot n & (N - 1); all N slots are used. Its id is 2n + 2 from the moment it is pushed until its place is used
 * again for n + N. The counter follows the ids as in every kind. The consumer's position, the number of the oldest item that is not
 * released, lies in its cell and outlives it: the next consumer goes on there, and gets again what the one before it had taken and not
 * released. The same item has the same number then.
 *
 * Pushing n needs n - position < N. Each side keeps what it saw of the other last, and looks again only when that says full, or empty:
 * pushing into a queue that has room reads nothing the consumer writes, and popping reads the slot alone, whose line holds id and payload
 * up to 56 bytes.
 *
 * There is no claim of a slot before its bytes are written: nobody looks at them while the id is not n's, and n's place is not used again
 * before n is released.
 *
 * The consumer sleeps as every reader does (wait.c): flag of its area, data.wake.
 *
 * The producer sleeps on the wake word of the consumer's cell. data.queue_flag is its own to write; the consumer only reads it. The flag
 * is a count that never goes back: odd while the producer waits, another odd number each time it is about to sleep.
 *
 *   producer: w = cell.wake; room? no: flag = next odd number; fence; room? no: sleep while cell.wake == w   (wait_any())
 *             after the wait: flag = next even number
 *   consumer: position = p; fence; flag odd, and not the number I woke last? cell.wake += 1, wake, remember the number
 *
 * Of two fences one is first: either the producer sees the position, or the consumer the flag. The consumer wakes once for each number, so
 * a producer that is slow to get up costs one system call and not one an item; and no number comes twice, so it cannot be taken for one
 * that was woken. A consumer that begins has woken none: where its predecessor died between position and wake, it wakes. Where there is no
 * successor the broker does, which adds to the wake word of every queue's consumer cell that it frees.
 */
#include "queue.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "clock.h"
#include "futex.h"
#include "proto/copy.h"
#include "proto/step.h"
#include "publish.h"
#include "read.h"
#include "text.h"
#include "wait.h"

/* ---- producer ---- */

/* The consumer's position, where it can be one: neither back nor over what was pushed. */
static int position_look(struct queue_producer *producer)
{
	/* ORDER queue.position (acquire). Partner: release_to().
	 * Orders:  copy of the item -> position.
	 * Without: the producer overwrites an item that is being copied.
	 * Model:   tests/model/src/queue.rs */
	uint64_t position = atomic_load_explicit(&producer->cell->position, memory_order_acquire);

	if (position < producer->base)
		position = producer->base; /* nobody has consumed in this generation */
	if (position < producer->position || position > producer->slots.next)
		return text_fail(-EPROTO, "the consumer's position is %llu, which cannot be: it was %llu, and the next item is %llu",
				 (unsigned long long)position, (unsigned long long)producer->position,
				 (unsigned long long)producer->slots.next);
	producer->position = position;
	producer->room = position + producer->slots.mask + 1;
	return 0;
}

static __attribute__((noinline, cold)) int look_for_room(struct queue_producer *producer)
{
	int r = position_look(producer);

	if (r < 0)
		return r;
	return producer->slots.next < producer->room ? 0 : -EAGAIN;
}

/* Is there room for the next item? 0, or why not. */
static inline int room_check(struct queue_producer *producer)
{
	if (likely(producer->slots.next < producer->room))
		return 0;
	return look_for_room(producer);
}

static inline unsigned char *place_of(const struct slots_writer *slots, uint64_t number)
{
	return slots->payloads + (number & slots->mask) * slots->payload_stride;
}

static __attribute__((noinline)) void stamp(struct slots_writer *slots, struct shmb_shm_slot *slot)
{
	uint64_t now = clock_now_ns();

	atomic_store_explicit(&slot->stamp_ns, now, memory_order_relaxed);
	atomic_store_explicit(&slots->data->heartbeat_ns, now, memory_order_relaxed);
}

static inline void item_put(const struct slots_writer *slots, const void *payload)
{
	if (likely(slots->payload_bytes <= SHMB_COPY_SHORT))
		shmb_copy_short(place_of(slots, slots->next), payload, slots->payload_bytes);
	else
		shmb_copy(place_of(slots, slots->next), payload, slots->payload_bytes);
}

/* The bytes of the next item are in their place: makes it one. */
static inline void item_publish(struct slots_writer *slots)
{
	uint64_t number = slots->next;
	struct shmb_shm_slot *slot = (struct shmb_shm_slot *)(slots->slots + (number & slots->mask) * slots->slot_stride);

	if (unlikely(slots->extras & SLOTS_STAMPED))
		stamp(slots, slot);
	SHMB_STEP("queue.filled");
	/* ORDER queue.item (release). Partner: item_is_there().
	 * Orders:  item bytes -> slot id.
	 * Without: the consumer sees the id and old bytes.
	 * Model:   tests/model/src/queue.rs */
	atomic_store_explicit(&slot->id, shmb_id_done(number), memory_order_release);
	SHMB_STEP("queue.published");
}

/* The last item, and with it all before it: counted, and the consumer woken if it sleeps. */
static inline void items_announce(struct slots_writer *slots)
{
	publish_count(slots, slots->next + 1);
	SHMB_STEP("queue.counted");
	publish_look(slots);
}

/* One that others follow at once: they are counted one by one, because whoever comes after us expects no more than one that is not. */
static inline void item_count(struct slots_writer *slots)
{
	/* ORDER queue.counter (release). Partner: queue_wait().
	 * Orders:  slot id -> counter.
	 * Without: a consumer that sees the counter and not the item takes its producer for a liar.
	 * Model:   tests/model/src/queue.rs */
	atomic_store_explicit(&slots->data->counter, slots->next + 1, memory_order_release);
	slots->next++;
}

/*
 * After the fence of publish_count(): was the queue ours all the while? If it was superseded in between, its consumer may have gone on without what we
 * pushed; it has its own fence before its last look (consumer_is_drained()), so either it has seen the item or we see this.
 */
static inline int pushed_check(const struct slots_writer *slots)
{
	return likely(atomic_load_explicit(&slots->card->state, memory_order_relaxed) == slots->granted) ? 0 : -ESTALE;
}

/* Everything that may be refused. */
static inline int push_check(struct queue_producer *producer)
{
	int r = writer_check(&producer->slots);

	if (unlikely(r < 0))
		return r;
	if (unlikely(producer->claimed))
		return -EBUSY;
	return room_check(producer);
}

__attribute__((hot)) int queue_push(struct queue_producer *producer, const void *payload)
{
	struct slots_writer *slots = &producer->slots;
	int r = push_check(producer);

	if (unlikely(r < 0))
		return r;
	SHMB_STEP("queue.claimed");
	item_put(slots, payload);
	item_publish(slots);
	items_announce(slots);
	return pushed_check(slots);
}

int queue_push_many(struct queue_producer *producer, const void *payloads, size_t count, size_t *pushed)
{
	struct slots_writer *slots = &producer->slots;
	const unsigned char *from = payloads;
	size_t done;
	int r = push_check(producer);

	*pushed = 0;
	if (r < 0)
		return r;
	if (producer->room - slots->next < count)
		position_look(producer); /* -EPROTO is told when what we know of is full */
	if (producer->room - slots->next < count)
		count = producer->room - slots->next;
	for (done = 1; done <= count; done++) {
		SHMB_STEP("queue.claimed");
		item_put(slots, from);
		item_publish(slots);
		from += slots->payload_bytes;
		if (done < count)
			item_count(slots);
	}
	if (count > 0)
		items_announce(slots);
	r = pushed_check(slots);
	*pushed = r == 0 ? count : 0;
	return r;
}

int queue_claim(struct queue_producer *producer, void **payload)
{
	int r = push_check(producer);

	*payload = NULL;
	if (r < 0)
		return r;
	SHMB_STEP("queue.claimed");
	producer->claimed = true;
	*payload = place_of(&producer->slots, producer->slots.next);
	return 0;
}

int queue_commit(struct queue_producer *producer)
{
	int r = writer_check(&producer->slots);

	if (r < 0)
		return r;
	if (!producer->claimed)
		return -EPERM;
	producer->claimed = false;
	item_publish(&producer->slots);
	items_announce(&producer->slots);
	return pushed_check(&producer->slots);
}

int queue_abort(struct queue_producer *producer)
{
	if (!is_ours(producer->slots.guard))
		return text_forked();
	if (!producer->claimed)
		return -EPERM;
	producer->claimed = false;
	return 0;
}

/* ---- what a producer waits for ---- */

static struct queue_producer *producer_of(const struct shmb_waitable *waitable)
{
	return (struct queue_producer *)((char *)(uintptr_t)waitable - offsetof(struct queue_producer, waitable));
}

static int producer_look(struct shmb_waitable *waitable, bool peek)
{
	struct queue_producer *producer = producer_of(waitable);
	int r = writer_check(&producer->slots);

	(void)peek;
	if (r == -ESTALE)
		return text_fail(r, "the lease of this producer was taken away, or the queue was removed");
	return r < 0 ? r : room_check(producer);
}

static void flag_set(struct queue_producer *producer, uint32_t flag)
{
	producer->flag = flag;
	atomic_store_explicit(&producer->slots.data->queue_flag, flag, memory_order_relaxed);
}

static bool producer_raise(struct shmb_waitable *waitable)
{
	struct queue_producer *producer = producer_of(waitable);

	flag_set(producer, producer->flag + 1 + (producer->flag & 1));
	return true;
}

static const _Atomic uint64_t *producer_watch(const struct shmb_waitable *waitable)
{
	return &producer_of(waitable)->cell->position;
}

static const struct waitable_kind producer_kind = { .look = producer_look, .raise = producer_raise, .watch = producer_watch };

int queue_producer_init(struct queue_producer *producer, const struct slots_memory *memory, uint64_t granted)
{
	uint64_t next, capacity;
	uint32_t flag;
	int r;

	memset(producer, 0, sizeof(*producer));
	r = slots_writer_init(&producer->slots, memory, granted);
	if (r < 0)
		return r;
	if (memory->area_count == 0)
		return text_fail(-EUSERS, "this queue has no reader area, so nobody can consume");
	producer->cell = &memory->areas[0]->cells[SHMB_QUEUE_CELL];
	producer->waitable.kind = &producer_kind;
	producer->waitable.guard = memory->guard;
	producer->waitable.wake = &producer->cell->wake;
	producer->base = memory->geometry->base;
	next = producer->slots.next;
	capacity = (uint64_t)producer->slots.mask + 1;
	/* The lowest that can be: what is lower is "back". */
	producer->position = next >= producer->base + capacity ? next - capacity : producer->base;
	r = position_look(producer);
	if (r < 0)
		return r;
	/* Our predecessor died while it waited. */
	flag = atomic_load_explicit(&memory->data->queue_flag, memory_order_relaxed);
	producer->flag = flag + (flag & 1);
	atomic_store_explicit(&memory->data->queue_flag, producer->flag, memory_order_relaxed);
	return 0;
}

int queue_wait_room(struct queue_producer *producer, uint64_t deadline_ns)
{
	struct shmb_waitable *waitable = &producer->waitable;
	unsigned which;
	int r = wait_any(&waitable, 1, deadline_ns, &which);

	/* Else the next release would wake nobody. A forked child has no data to write to, and a flag of its parent's to write. */
	if ((producer->flag & 1) != 0 && is_ours(producer->slots.guard))
		flag_set(producer, producer->flag + 1);
	return r;
}

/* ---- consumer ---- */

static __attribute__((noinline, cold)) void wake_producer(struct queue_consumer *consumer, uint32_t flag)
{
	SHMB_STEP("queue.waking");
	/* ORDER queue.wake (release). Partner: wait_words().
	 * Orders:  position -> wake word.
	 * Without: the producer sleeps on a word that was counted up already for the position it did not see.
	 * Model:   tests/model/src/queue.rs */
	atomic_fetch_add_explicit(&consumer->cell->wake, 1, memory_order_release);
	futex_wake_all(&consumer->cell->wake);
	consumer->woken = flag;
	SHMB_STEP("queue.woken");
}

static inline void flag_look(struct queue_consumer *consumer)
{
	uint32_t flag = atomic_load_explicit(&consumer->slots.data->queue_flag, memory_order_relaxed);

	if (unlikely((flag & 1) != 0) && flag != consumer->woken)
		wake_producer(consumer, flag);
}

/* Items below `position` are consumed. */
static inline void release_to(struct queue_consumer *consumer, uint64_t position)
{
	COUNT(consumer->slots.reads, position - consumer->slots.position);
	consumer->slots.position = position;
	SHMB_STEP("queue.consumed");
	/* ORDER queue.position (release). Partner: position_look().
	 * Orders:  copy of the item -> position.
	 * Without: the producer overwrites an item that is being copied.
	 * Model:   tests/model/src/queue.rs */
	atomic_store_explicit(&consumer->cell->position, position, memory_order_release);
	SHMB_STEP("queue.released");
	/* ORDER queue.flag (seq_cst). Partner: wait_any().
	 * Orders:  position -> look at the flag.
	 * Without: each side misses what the other one stored, and the producer sleeps beside free room.
	 * Model:   tests/model/src/queue.rs */
	shmb_fence_seq_cst();
	flag_look(consumer);
}

static inline const struct shmb_shm_slot *item_slot(const struct queue_consumer *consumer, uint64_t number)
{
	const struct slots_reader *slots = &consumer->slots;

	return (const struct shmb_shm_slot *)(slots->slots + (number & slots->mask) * slots->slot_stride);
}

static inline const unsigned char *item_place(const struct queue_consumer *consumer, uint64_t number)
{
	const struct slots_reader *slots = &consumer->slots;

	return slots->payloads + (number & slots->mask) * slots->payload_stride;
}

static inline void item_get(const struct queue_consumer *consumer, uint64_t number, void *payload)
{
	if (likely(consumer->slots.payload_bytes <= SHMB_COPY_SHORT))
		shmb_copy_short(payload, item_place(consumer, number), consumer->slots.payload_bytes);
	else
		shmb_copy(payload, item_place(consumer, number), consumer->slots.payload_bytes);
}

static inline bool item_is_there(const struct queue_consumer *consumer, uint64_t number)
{
	/* ORDER queue.item (acquire). Partner: item_publish().
	 * Orders:  item bytes -> slot id.
	 * Without: the consumer sees the id and old bytes.
	 * Model:   tests/model/src/queue.rs */
	return atomic_load_explicit(&item_slot(consumer, number)->id, memory_order_acquire) == shmb_id_done(number);
}

/* At each call. 0, -ESTALE, -EOWNERDEAD in a forked child. */
static inline int consumer_check(const struct queue_consumer *consumer)
{
	if (!is_ours(consumer->slots.guard))
		return text_forked();
	if (unlikely(atomic_load_explicit(&consumer->owner->incarnation, memory_order_relaxed) != consumer->incarnation) ||
	    unlikely(atomic_load_explicit(&consumer->owner->pid, memory_order_relaxed) == 0))
		return -ESTALE;
	return 0;
}

static int attach(struct queue_consumer *consumer, const struct slots_memory *memory, uint32_t cell, uint32_t incarnation)
{
	struct slots_reader *slots = &consumer->slots;
	uint64_t capacity = memory->geometry->slot_count;
	uint64_t position, next;

	consumer->cell = &memory->areas[0]->cells[cell];
	consumer->owner = &memory->card->cells[cell];
	consumer->incarnation = incarnation;
	consumer->woken = 0;
	position = atomic_load_explicit(&consumer->cell->position, memory_order_relaxed);
	if (position < slots->base)
		position = slots->base; /* nobody has consumed in this generation */
	next = atomic_load_explicit(&memory->data->counter, memory_order_acquire);
	if (next < slots->base)
		next = slots->base;
	/* An item may be there, and consumed, before it is counted. */
	if (next < SHMB_NUMBER_MAX && item_is_there(consumer, next))
		next++;
	if (next >= SHMB_NUMBER_MAX || position > next || next - position > capacity)
		return text_fail(-EPROTO,
				 "the queue's positions cannot be: the oldest item is %llu of a capacity of %llu, the next is %llu",
				 (unsigned long long)position, (unsigned long long)capacity, (unsigned long long)next);
	slots->position = position;
	slots->seen = position;
	consumer->peeked = position;
	/* Our predecessor may have died between its position and the wake-up. */
	release_to(consumer, position);
	return 0;
}

static int cell_check(const struct slots_memory *memory, uint32_t cell)
{
	if (memory->area_count == 0 || cell != SHMB_QUEUE_CELL)
		return text_fail(-EUSERS, "this queue has no reader area, so nobody can consume");
	return 0;
}

int queue_consumer_init(struct queue_consumer *consumer, const struct slots_memory *memory, uint32_t cell, uint32_t incarnation)
{
	int r = cell_check(memory, cell);

	memset(consumer, 0, sizeof(*consumer));
	if (r < 0)
		return r;
	/* The position in the cell is not to be touched before it was read: it is kept for us. */
	slots_reader_init(&consumer->slots, memory, NULL);
	return attach(consumer, memory, cell, incarnation);
}

int queue_consumer_follow(struct queue_consumer *consumer, const struct slots_memory *memory, uint32_t cell, uint32_t incarnation)
{
	int r = cell_check(memory, cell);

	if (r < 0)
		return r;
	slots_reader_follow(&consumer->slots, memory, NULL);
	return attach(consumer, memory, cell, incarnation);
}

/* Is there a queue after this one, and no item here that this producer pushed and was told 0 for? */
static bool consumer_is_drained(const struct queue_consumer *consumer, uint64_t number)
{
	if (!is_superseded(&consumer->slots))
		return false;
	/* ORDER cut.fence (seq_cst). Partner: publish_count().
	 * Orders:  state SUPERSEDED (seen through `next`) -> the last look at the item.
	 * Without: a producer that was being replaced is told that its item was pushed, and the consumer goes on without it.
	 * Model:   tests/model/src/cut.rs */
	shmb_fence_seq_cst();
	return is_cut(&consumer->slots, number) || !item_is_there(consumer, number);
}

bool queue_is_drained(const struct queue_consumer *consumer)
{
	return consumer_is_drained(consumer, consumer->slots.position);
}

/*
 * The item is not there: -ENODATA, or -EPROTO where the place holds what it cannot. The counter is not looked at: its line is the
 * producer's to write with each item, and a consumer that polls would take it away each time.
 */
static __attribute__((noinline, cold)) int item_absent(const struct queue_consumer *consumer, uint64_t number)
{
	uint64_t id;

	SHMB_STEP("queue.absent");
	/* Of a superseded queue: nothing of its producer's is waited for or complained of any more. */
	if (consumer_is_drained(consumer, number))
		return -EREMCHG;
	id = atomic_load_explicit(&item_slot(consumer, number)->id, memory_order_acquire);
	uint64_t capacity = (uint64_t)consumer->slots.mask + 1;

	if (is_cut(&consumer->slots, number))
		return -ENODATA;
	if (id == shmb_id_done(number))
		return 0;
	if (id == 0 || (number >= capacity && id == shmb_id_done(number - capacity)))
		return -ENODATA;
	return text_fail(-EPROTO, "the place of item %llu holds what its producer cannot have put there", (unsigned long long)number);
}

static inline int item_check(const struct queue_consumer *consumer, uint64_t number)
{
	if (likely(item_is_there(consumer, number)) && !is_cut(&consumer->slots, number))
		return 0;
	return item_absent(consumer, number);
}

int queue_wait(struct queue_consumer *consumer, uint64_t deadline_ns)
{
	struct shmb_waitable *waitable = &consumer->slots.waitable;
	uint64_t number = consumer->slots.position;
	unsigned which;
	int r = wait_any(&waitable, 1, deadline_ns, &which);

	if (r == -EBADMSG)
		return text_fail(-EPROTO, "the producer's counter cannot be");
	/* ORDER queue.counter (acquire). Partners: publish_count(), item_count().
	 * Orders:  slot id -> counter.
	 * Without: a consumer that sees the counter and not the item takes its producer for a liar.
	 * Model:   tests/model/src/queue.rs */
	if (r != 0 || atomic_load_explicit(&consumer->slots.data->counter, memory_order_acquire) <= number)
		return r;
	r = item_check(consumer, number);
	if (r == -ENODATA)
		return text_fail(-EPROTO, "the producer says that it has pushed item %llu, but it is not there",
				 (unsigned long long)number);
	return r;
}

static inline void sample_set(const struct queue_consumer *consumer, uint64_t number, struct shmb_sample *sample)
{
	if (sample == NULL)
		return;
	*sample = (struct shmb_sample){ .number = number };
	if (consumer->slots.stamped)
		sample->stamp_ns = atomic_load_explicit(&item_slot(consumer, number)->stamp_ns, memory_order_relaxed);
}

__attribute__((hot)) int queue_pop(struct queue_consumer *consumer, void *payload, struct shmb_sample *sample)
{
	uint64_t number = consumer->slots.position;
	int r = consumer_check(consumer);

	if (unlikely(r < 0))
		return r;
	r = item_check(consumer, number);
	if (unlikely(r < 0))
		return r;
	item_get(consumer, number, payload);
	sample_set(consumer, number, sample);
	release_to(consumer, number + 1);
	return 0;
}

int queue_pop_many(struct queue_consumer *consumer, void *payloads, struct shmb_sample *samples, size_t count, size_t *popped)
{
	uint64_t first = consumer->slots.position;
	unsigned char *to = payloads;
	size_t done = 0;
	int r = consumer_check(consumer);

	*popped = 0;
	if (r < 0)
		return r;
	for (; done < count && done <= consumer->slots.mask; done++) {
		r = item_check(consumer, first + done);
		if (r < 0)
			break;
		item_get(consumer, first + done, to);
		sample_set(consumer, first + done, samples != NULL ? &samples[done] : NULL);
		to += consumer->slots.payload_bytes;
	}
	if (done == 0)
		return count == 0 ? 0 : r;
	release_to(consumer, first + done);
	*popped = done;
	return 0;
}

int queue_peek(struct queue_consumer *consumer, uint32_t ahead, const void **payload, struct shmb_sample *sample)
{
	uint64_t number = consumer->slots.position + ahead;
	int r = consumer_check(consumer);

	*payload = NULL;
	if (r < 0)
		return r;
	if (ahead > consumer->slots.mask)
		return -ENODATA; /* that many never lie in it */
	r = item_check(consumer, number);
	if (r < 0)
		return r == -EREMCHG && ahead > 0 ? -ENODATA : r;
	*payload = item_place(consumer, number);
	sample_set(consumer, number, sample);
	if (number >= consumer->peeked)
		consumer->peeked = number + 1;
	return 0;
}

int queue_release(struct queue_consumer *consumer, uint32_t count)
{
	int r = consumer_check(consumer);

	if (r < 0)
		return r;
	if (consumer->peeked < consumer->slots.position || consumer->peeked - consumer->slots.position < count)
		return -EPERM;
	if (count > 0)
		release_to(consumer, consumer->slots.position + count);
	return 0;
}
