/* SPDX-License-Identifier: MIT */
/* What real-time loops ask for: pages that are there before they are touched, memory that stays, spins that end, and counters that say
 * what happened. */
#include "../support/client.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES = 1 << 20, CAPACITY = 4 };

static char payload[BYTES];

static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* Page faults of the first publishes and reads of a ring made just now. */
static long first_faults(struct shmb *client, const char *name, unsigned flags)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	long before;
	long between;

	ASSERT_OK(shmb_set_mapping(client, flags));
	writer = ring_writer(client, name, BYTES, CAPACITY);
	reader = ring_reader(client, name);
	ASSERT_ERROR(shmb_ring_latest(reader, payload, NULL), ENODATA);
	before = faults();
	for (unsigned i = 0; i < CAPACITY; i++) {
		ASSERT_OK(shmb_ring_insert(writer, payload));
		ASSERT_OK(shmb_ring_latest(reader, payload, NULL));
	}
	between = faults() - before;
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	return between;
}

START_TEST(prefault_takes_the_faults_to_the_open)
{
	struct shmb *client;
	struct broker b;

	if (SUITE_SANITIZED)
		TEST_SKIP("a sanitizer's shadow memory has faults of its own");
	broker_start(&b, NULL);
	client = broker_connect(&b);
	memset(payload, 1, sizeof(payload));
	first_faults(client, "warm", 0);
	/* With fault-around a fault maps up to 16 pages: 2 MiB in 4 slots, twice, are 32 faults and more. */
	ck_assert_int_ge(first_faults(client, "bare", 0), 32);
	ck_assert_int_eq(first_faults(client, "prefault", SHMB_PREFAULT), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(first_faults(client, "lock", SHMB_LOCK), 0);
		ck_assert_int_eq(first_faults(client, "both", SHMB_PREFAULT | SHMB_LOCK), 0);
	}
	ASSERT_ERROR(shmb_set_mapping(client, 4), EINVAL);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Bytes of this process that are locked. */
static long locked(void)
{
	long kib = proc_number(getpid(), "status", "VmLck");

	ck_assert_int_ge(kib, 0);
	return kib * 1024;
}

START_TEST(lock_locks_or_says_why_not)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct broker b;
	int status;
	pid_t pid;

	if (geteuid() != 0)
		TEST_SKIP("needs root, to lock and to give that up");
	if (SUITE_SANITIZED)
		TEST_SKIP("a sanitizer makes mlock do nothing");
	broker_start(&b, &(struct broker_options){ .runtime_mode = 0755 });
	client = broker_connect(&b);
	ASSERT_OK(shmb_set_mapping(client, SHMB_LOCK));
	writer = ring_writer(client, "ring", BYTES, CAPACITY);
	ck_assert_int_ge(locked(), (long)CAPACITY * BYTES);
	reader = ring_reader(client, "ring");
	ck_assert_int_ge(locked(), 2L * CAPACITY * BYTES);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	ck_assert_int_eq(locked(), 0);
	/* Without the right, by limit: a documented error, and nothing is left open. */
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct rlimit some = { 65536, 65536 };
		struct rlimit none = { 0, 0 };
		struct shmb_type *type = NULL;
		struct shmb *own;
		int r;

		if (setresuid(65534, 65534, 65534) != 0 || setrlimit(RLIMIT_MEMLOCK, &some) != 0)
			_exit(1);
		if (shmb_connect(&own, b.socket) != 0 || shmb_type_opaque(&type, BYTES) != 0)
			_exit(2);
		shmb_set_mapping(own, SHMB_LOCK);
		r = shmb_ring_writer_open(&writer, own, "other/ring", type, NULL);
		if (r != -ENOMEM || writer != NULL || strstr(shmb_text(), "RLIMIT_MEMLOCK is 65536") == NULL)
			_exit(3);
		setrlimit(RLIMIT_MEMLOCK, &none);
		r = shmb_ring_writer_open(&writer, own, "other/ring", type, NULL);
		if (r != -EPERM || strstr(shmb_text(), "RLIMIT_MEMLOCK") == NULL)
			_exit(4);
		shmb_set_mapping(own, SHMB_PREFAULT);
		if (shmb_ring_writer_open(&writer, own, "other/ring", type, NULL) != 0)
			_exit(5);
		shmb_ring_writer_close(writer);
		shmb_disconnect(own);
		shmb_type_free(type);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/*
 * A reader that outranks the writer on the only core both may use: its spins end, so the writer runs. One that spun on would keep the core
 * until the kernel throttles it, after 0.95 s.
 */
START_TEST(defect_Q5_fifo_reader_on_the_writers_core)
{
	struct sched_param rank = { .sched_priority = 10 };
	struct shmb_ring_reader *reader;
	struct program writer;
	struct shmb *client;
	struct broker b;
	cpu_set_t core;
	unsigned waits = 0, held_up = 0;
	uint64_t number = 0;

	if (geteuid() != 0)
		TEST_SKIP("needs root for SCHED_FIFO");
	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=ring bytes=64 capacity=4096");
	reader = ring_reader(client, "ring");
	ASSERT_OK(shmb_set_spin(shmb_ring_waitable(reader), 2000000));
	CPU_ZERO(&core);
	CPU_SET(0, &core);
	ck_assert_int_eq(sched_setaffinity(writer.pid, sizeof(core), &core), 0);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(core), &core), 0);
	worker_must(&writer, "run period=1000");
	if (sched_setscheduler(0, SCHED_FIFO, &rank) != 0)
		TEST_SKIP("SCHED_FIFO is refused here");
	while (number < 100 || waits < 8) {
		uint64_t begin = now_ns();

		ASSERT_OK(shmb_ring_wait(reader, deadline_in(SUITE_PATIENCE_MS)));
		held_up += now_ns() - begin >= 500000000 * (uint64_t)suite_slow();
		waits++;
		while (shmb_ring_read_next(reader, payload, NULL) == 0)
			number++;
	}
	/* In all of them by a reader that spins on, in one by a machine that pauses. */
	ck_assert_msg(2 * held_up < waits, "%u of %u waits were held up", held_up, waits);
	rank.sched_priority = 0;
	ck_assert_int_eq(sched_setscheduler(0, SCHED_OTHER, &rank), 0);
	worker_must(&writer, "stop");
	worker_quit(&writer);
	shmb_ring_reader_close(reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static void *insert_soon(void *arg)
{
	sleep_ms(1000); /* who is to wait for it sleeps by then */
	ASSERT_OK(shmb_ring_insert(arg, payload));
	return NULL;
}

START_TEST(counters_say_what_happened)
{
	struct shmb_counters counters;
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct broker b;
	pthread_t thread;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "ring", 64, 8);
	reader = ring_reader(client, "ring");
	if (shmb_ring_counters(reader, &counters) == -ENOTSUP) {
		shmb_disconnect(client);
		broker_finish(&b);
		TEST_SKIP("built without counters");
	}
	ring_write(writer, 64, 3, 1);
	ring_next(reader, 0, 0);
	ring_next(reader, 1, 0);
	ring_write(writer, 64, 17, 1); /* 20 now; 13 is the oldest */
	ring_next(reader, 13, 11);
	ring_latest(reader, 19, 5);
	ASSERT_OK(shmb_ring_counters(reader, &counters));
	ck_assert_uint_eq(counters.read, 4);
	ck_assert_uint_eq(counters.lapped, 16);
	ck_assert_uint_eq(counters.retried, 0);
	ck_assert_uint_eq(counters.published, 0);
	ck_assert_uint_eq(counters.waited, 0);
	ASSERT_ERROR(shmb_ring_wait(reader, deadline_in(200)), ETIMEDOUT);
	ASSERT_OK(shmb_ring_counters(reader, &counters));
	ck_assert_uint_ge(counters.waited, 1);
	ck_assert_uint_eq(counters.woken, 0);
	pthread_create(&thread, NULL, insert_soon, writer);
	ASSERT_OK(shmb_ring_wait(reader, deadline_in(SUITE_PATIENCE_MS)));
	pthread_join(thread, NULL);
	ASSERT_OK(shmb_ring_counters(reader, &counters));
	ck_assert_uint_ge(counters.waited, 2);
	ck_assert_uint_eq(counters.woken, 1);
	ASSERT_OK(shmb_ring_writer_counters(writer, &counters));
	ck_assert_uint_eq(counters.published, 21);
	/* The next writer begins anew. */
	shmb_ring_writer_close(writer);
	writer = ring_writer(client, "ring", 64, 8);
	ASSERT_OK(shmb_ring_writer_counters(writer, &counters));
	ck_assert_uint_eq(counters.published, 0);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("realtime");

	suite_add(suite, prefault_takes_the_faults_to_the_open, 30);
	suite_add(suite, lock_locks_or_says_why_not, 30);
	suite_add(suite, defect_Q5_fifo_reader_on_the_writers_core, 60);
	suite_add(suite, counters_say_what_happened, 30);
	return suite_run(suite);
}
