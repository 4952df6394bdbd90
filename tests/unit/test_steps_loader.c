/* SPDX-License-Identifier: MIT */
/* Loaders on plain memory: news between look and sleep, data that cannot be read for a while, and openings that fail. */
#include "libclient/segment.h"
#include "slots_fixture.h"
#include "at_step.h"

#include <pthread.h>
#include <unistd.h>

/* Linked in the place of these: which call from now on fails; 0 none. */
static int failing_alloc;
static int thread_error;
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	if (failing_alloc > 0 && --failing_alloc == 0)
		return NULL;
	return __real_aligned_alloc(align, size);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	return thread_error != 0 ? thread_error : __real_pthread_create(thread, attr, run, arg);
}

static struct bench bench;
static struct reader *reader;
static struct shmb broker;
static struct shmb_shm_event event;
static struct shmb_loader *loader;

static uint64_t in_ms(unsigned ms)
{
	return shmb_now_ns() + UINT64_C(1000000) * ms;
}

static void setup(void)
{
	struct slots_memory memory;

	bench_setup(&bench, 4, 8, 0);
	broker.guard = &guard;
	broker.event = &event;
	reader = pages(sizeof(*reader));
	reader->handle.broker = &broker;
	reader->mappings.geometry = bench.geometry;
	memory = bench.memory;
	memory.area_count = 1;
	slots_reader_init(&reader->slots, &memory, &bench.areas[0]->cells[1]);
	reader->slots.waitable.broker = &broker;
}

static void teardown(void)
{
	ck_assert_ptr_null(shmb_loader_close(loader));
	ck_assert_ptr_null(shmb_loader_close(NULL));
	free(reader);
	bench_teardown(&bench);
}

static int loader_open(void)
{
	return shmb_loader_open_ring(&loader, (struct shmb_ring_reader *)reader);
}

static void snapshot_is(uint64_t number)
{
	struct shmb_sample sample;
	const void *payload;

	ck_assert_int_eq(shmb_loader_snapshot(loader, &payload, &sample), 0);
	ck_assert_uint_eq(sample.number, number);
	ck_assert_uint_eq(*(const unsigned char *)payload, number);
}

START_TEST(openings_that_fail)
{
	setup();
	for (int i = 1; i <= 2; i++) {
		failing_alloc = i;
		ck_assert_int_eq(loader_open(), -ENOMEM);
		ck_assert_ptr_null(loader);
		ck_assert_ptr_nonnull(strstr(shmb_text(), "memory"));
	}
	thread_error = EAGAIN;
	ck_assert_int_eq(loader_open(), -EAGAIN);
	ck_assert_ptr_null(loader);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "thread"));
	thread_error = 0;
	bench.data->counter = SHMB_NUMBER_MAX;
	ck_assert_int_eq(loader_open(), -EBADMSG);
	guard = 0; /* in a forked child */
	ck_assert_int_eq(loader_open(), -EOWNERDEAD);
	guard = 1;
	bench.data->counter = 0;
	ck_assert_int_eq(loader_open(), 0);
	ck_assert_uint_eq(shmb_loader_length(loader), 0);
	publish(&bench, 1);
	ck_assert_int_eq(shmb_loader_wait(loader, SHMB_FOREVER), 0);
	snapshot_is(0);
	ck_assert_uint_eq(shmb_loader_length(loader), 8);
	ck_assert_int_eq(shmb_loader_wait(loader, SHMB_NO_WAIT), -ETIMEDOUT);
	ck_assert_int_eq(shmb_loader_wait(loader, in_ms(2)), -ETIMEDOUT);
	teardown();
}
END_TEST

/* Publishes, and comes back when the thread must have loaded it. */
static void publish_and_wait(void *user)
{
	uint64_t next = bench.writer.next;

	(void)user;
	publish(&bench, 1);
	for (unsigned i = 0; i < 10000 && atomic_load(&bench.areas[0]->cells[1].position) <= next; i++)
		usleep(1000);
	usleep(20000); /* from there to the hand-over */
}

START_TEST(news_between_look_and_sleep)
{
	setup();
	ck_assert_int_eq(loader_open(), 0);
	at_step("loader.flagged", 1, publish_and_wait, NULL);
	ck_assert_int_eq(shmb_loader_wait(loader, SHMB_FOREVER), 0);
	ck_assert_int_eq(steps_acted, 1);
	snapshot_is(0);
	at_step("", 0, NULL, NULL);
	teardown();
}
END_TEST

/* Counted, but not readable: tried again until it is. */
START_TEST(spoilt_for_a_while)
{
	setup();
	publish(&bench, 1);
	*id_of(&bench, 0) = shmb_id_writing(0);
	ck_assert_int_eq(loader_open(), 0);
	ck_assert_int_eq(shmb_loader_wait(loader, in_ms(10)), -ETIMEDOUT);
	*id_of(&bench, 0) = shmb_id_done(0);
	ck_assert_int_eq(shmb_loader_wait(loader, SHMB_FOREVER), 0);
	snapshot_is(0);
	teardown();
}
END_TEST

/* A counter that cannot be is told until the data can be read again; the thread looks for that without being busy. */
START_TEST(broken_for_a_while)
{
	setup();
	publish(&bench, 1);
	ck_assert_int_eq(loader_open(), 0);
	snapshot_is(0);
	bench.data->counter = SHMB_NUMBER_MAX;
	shmb_cancel(&reader->slots.waitable); /* else it sleeps */
	while (shmb_loader_wait(loader, SHMB_FOREVER) != -EBADMSG)
		;
	ck_assert_int_eq(shmb_loader_wait(loader, SHMB_NO_WAIT), -EBADMSG);
	snapshot_is(0);
	bench.data->counter = 1;
	publish(&bench, 1);
	while (shmb_loader_wait(loader, SHMB_FOREVER) != 0)
		usleep(1000);
	snapshot_is(1);
	teardown();
}
END_TEST

START_TEST(removed)
{
	const void *payload;

	setup();
	publish(&bench, 1);
	ck_assert_int_eq(loader_open(), 0);
	snapshot_is(0);
	bench.card->state = shmb_state_word(3, SHMB_STATE_REMOVED);
	shmb_cancel(&reader->slots.waitable);
	while (shmb_loader_wait(loader, SHMB_FOREVER) != -ESTALE)
		;
	/* Told each time, and the last snapshot stays. */
	ck_assert_int_eq(shmb_loader_wait(loader, SHMB_NO_WAIT), -ESTALE);
	snapshot_is(0);
	guard = 0;
	ck_assert_int_eq(shmb_loader_snapshot(loader, &payload, NULL), -EOWNERDEAD);
	ck_assert_ptr_nonnull(payload);
	ck_assert_int_eq(shmb_loader_wait(loader, SHMB_FOREVER), -EOWNERDEAD);
	guard = 1;
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("steps: loader");

	unit_add(suite, openings_that_fail, 20);
	unit_add(suite, news_between_look_and_sleep, 20);
	unit_add(suite, spoilt_for_a_while, 20);
	unit_add(suite, broken_for_a_while, 20);
	unit_add(suite, removed, 20);
	return unit_run(suite);
}
