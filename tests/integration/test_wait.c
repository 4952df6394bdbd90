/* SPDX-License-Identifier: MIT */
/* Waiting for many handles at once, cancels, spins: each result of a wait, with futex_waitv(2) and without it. Wait sets: test_waitset.c. */
#include "../support/client.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BYTES = 64, SOON_MS = 60 };

static char payload[BYTES];

/* Something done by another thread in a moment, while this one sleeps. */
struct later {
	pthread_t thread;
	void (*act)(void *arg);
	void *arg;
};

static void *later_run(void *arg)
{
	struct later *later = arg;

	sleep_ms(SOON_MS);
	later->act(later->arg);
	return NULL;
}

static void later_start(struct later *later, void (*act)(void *), void *arg)
{
	later->act = act;
	later->arg = arg;
	ck_assert_int_eq(pthread_create(&later->thread, NULL, later_run, later), 0);
}

static void insert(void *arg)
{
	ASSERT_OK(shmb_ring_insert(arg, payload));
}

static void store(void *arg)
{
	ASSERT_OK(shmb_value_store(arg, payload));
}

static void push(void *arg)
{
	ASSERT_OK(shmb_queue_push(arg, payload));
}

static void commit(void *arg)
{
	size_t capacity;
	void *frame;

	ASSERT_OK(shmb_frame_loan(arg, &frame, &capacity));
	ASSERT_OK(shmb_frame_commit(arg, 8));
}

static void pop(void *arg)
{
	ASSERT_OK(shmb_queue_pop(arg, payload, NULL));
}

static void cancel(void *arg)
{
	ASSERT_OK(shmb_cancel(arg));
}

/* Makes futex_waitv(2) fail with this error from here on, as an old kernel or an old container's filter does. */
static void waitv_refuse(int error)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex_waitv, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(rules) / sizeof(rules[0]), .filter = rules };

	/* An emulator may have no such call (and no filters): then this is how it is. */
	if (error == ENOSYS && syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) < 0 && errno == ENOSYS) {
		printf("futex_waitv(2) is missing here: every wait for several words is sliced\n");
		return;
	}
	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* One reader of each kind, and who writes to it. */
enum { VALUE, RING, FRAME, QUEUE, KINDS };

struct kinds {
	struct shmb_value_writer *value_writer;
	struct shmb_value_reader *value;
	struct shmb_ring_writer *ring_writer;
	struct shmb_ring_reader *ring;
	struct shmb_frame_writer *frame_writer;
	struct shmb_frame_reader *frame;
	struct shmb_queue_producer *producer;
	struct shmb_queue_consumer *consumer;
	struct shmb_waitable *list[KINDS];
	void (*act[KINDS])(void *);
	void *arg[KINDS];
};

static void kinds_open(struct kinds *kinds, struct shmb *client)
{
	struct shmb_type *type = pattern_type(BYTES);

	memset(kinds, 0, sizeof(*kinds));
	ASSERT_OK(shmb_value_writer_open(&kinds->value_writer, client, "value", type, NULL));
	ASSERT_OK(shmb_value_reader_open(&kinds->value, client, "value", NULL, SHMB_NO_WAIT));
	ASSERT_OK(shmb_ring_writer_open(&kinds->ring_writer, client, "ring", type, NULL));
	ASSERT_OK(shmb_ring_reader_open(&kinds->ring, client, "ring", NULL, SHMB_NO_WAIT));
	ASSERT_OK(shmb_frame_writer_open(&kinds->frame_writer, client, "frame", type, NULL));
	ASSERT_OK(shmb_frame_reader_open(&kinds->frame, client, "frame", NULL, SHMB_NO_WAIT));
	ASSERT_OK(shmb_queue_producer_open(&kinds->producer, client, "queue", type, &(struct shmb_options){ .capacity = 2 }));
	ASSERT_OK(shmb_queue_consumer_open(&kinds->consumer, client, "queue", NULL, SHMB_NO_WAIT));
	shmb_type_free(type);
	kinds->list[VALUE] = shmb_value_waitable(kinds->value);
	kinds->list[RING] = shmb_ring_waitable(kinds->ring);
	kinds->list[FRAME] = shmb_frame_waitable(kinds->frame);
	kinds->list[QUEUE] = shmb_queue_waitable(kinds->consumer);
	kinds->act[VALUE] = store;
	kinds->arg[VALUE] = kinds->value_writer;
	kinds->act[RING] = insert;
	kinds->arg[RING] = kinds->ring_writer;
	kinds->act[FRAME] = commit;
	kinds->arg[FRAME] = kinds->frame_writer;
	kinds->act[QUEUE] = push;
	kinds->arg[QUEUE] = kinds->producer;
}

static void kinds_close(struct kinds *kinds)
{
	shmb_value_reader_close(kinds->value);
	shmb_value_writer_close(kinds->value_writer);
	shmb_ring_reader_close(kinds->ring);
	shmb_ring_writer_close(kinds->ring_writer);
	shmb_frame_reader_close(kinds->frame);
	shmb_frame_writer_close(kinds->frame_writer);
	shmb_queue_consumer_close(kinds->consumer);
	shmb_queue_producer_close(kinds->producer);
}

/* Reads what one of them has. */
static void kinds_read(struct kinds *kinds, unsigned kind)
{
	struct shmb_frame frame;

	switch (kind) {
	case VALUE:
		ASSERT_OK(shmb_value_load(kinds->value, payload, NULL));
		break;
	case RING:
		ASSERT_OK(shmb_ring_read_next(kinds->ring, payload, NULL));
		break;
	case FRAME:
		ASSERT_OK(shmb_frame_load_next(kinds->frame, payload, sizeof(payload), &frame));
		break;
	default:
		ASSERT_OK(shmb_queue_pop(kinds->consumer, payload, NULL));
	}
}

/* Each kind in turn wakes one wait for all of them. */
static void any_of_all_kinds(struct kinds *kinds)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct later later;
		size_t which = 99;

		ASSERT_ERROR(shmb_wait_any(kinds->list, KINDS, SHMB_NO_WAIT, &which), ETIMEDOUT);
		ck_assert_uint_eq(which, KINDS);
		later_start(&later, kinds->act[kind], kinds->arg[kind]);
		ASSERT_OK(shmb_wait_any(kinds->list, KINDS, deadline_in(SUITE_PATIENCE_MS), &which));
		ck_assert_uint_eq(which, kind);
		pthread_join(later.thread, NULL);
		kinds_read(kinds, kind);
	}
}

START_TEST(any_kind_wakes)
{
	struct kinds kinds;
	struct shmb *client;
	struct broker b;
	size_t which;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	kinds_open(&kinds, client);
	any_of_all_kinds(&kinds);
	/* Several have news: the first of the list. */
	store(kinds.value_writer);
	commit(kinds.frame_writer);
	ASSERT_OK(shmb_wait_any(kinds.list + 1, KINDS - 1, SHMB_NO_WAIT, &which));
	ck_assert_uint_eq(which, FRAME - 1);
	ASSERT_OK(shmb_wait_any(kinds.list, KINDS, SHMB_NO_WAIT, NULL));
	kinds_close(&kinds);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The same, cancels and wait sets where futex_waitv(2) is missing or forbidden. */
static void without_waitv(int error)
{
	struct later later;
	struct shmb_waitset *set;
	struct kinds kinds;
	struct shmb *client;
	struct broker b;
	struct pollfd poll_fd = { .events = POLLIN };
	uint64_t begin;
	size_t which;
	void *user;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	kinds_open(&kinds, client);
	waitv_refuse(error);
	any_of_all_kinds(&kinds);
	begin = now_ns();
	ASSERT_ERROR(shmb_wait_any(kinds.list, KINDS, begin + 30000000, &which), ETIMEDOUT);
	ck_assert_uint_ge(now_ns(), begin + 30000000);
	later_start(&later, cancel, kinds.list[FRAME]);
	ASSERT_ERROR(shmb_wait_any(kinds.list, KINDS, deadline_in(SUITE_PATIENCE_MS), &which), ECANCELED);
	ck_assert_uint_eq(which, FRAME);
	pthread_join(later.thread, NULL);
	ASSERT_OK(shmb_waitset_new(&set, client));
	for (unsigned kind = 0; kind < KINDS; kind++)
		ASSERT_OK(shmb_waitset_add(set, kinds.list[kind], &kinds.list[kind]));
	poll_fd.fd = shmb_waitset_fd(set);
	for (unsigned kind = 0; kind < KINDS; kind++) {
		ASSERT_ERROR(shmb_waitset_next(set, &user), ENODATA);
		ck_assert_int_eq(poll(&poll_fd, 1, 0), 0);
		later_start(&later, kinds.act[kind], kinds.arg[kind]);
		ck_assert_int_eq(poll(&poll_fd, 1, SUITE_PATIENCE_MS), 1);
		ASSERT_OK(shmb_waitset_next(set, &user));
		ck_assert_ptr_eq(user, &kinds.list[kind]);
		pthread_join(later.thread, NULL);
		kinds_read(&kinds, kind);
	}
	shmb_waitset_free(set);
	kinds_close(&kinds);
	shmb_disconnect(client);
	broker_finish(&b);
}

START_TEST(without_waitv_enosys)
{
	without_waitv(ENOSYS);
}
END_TEST

START_TEST(without_waitv_eperm)
{
	without_waitv(EPERM);
}
END_TEST

START_TEST(a_hundred_and_twenty_six)
{
	struct shmb_ring_writer *writers[SHMB_WAIT_MAX];
	struct shmb_ring_reader *readers[SHMB_WAIT_MAX + 1];
	struct shmb_waitable *list[SHMB_WAIT_MAX + 1];
	struct shmb_waitset *set;
	struct shmb *client;
	struct shmb *other;
	struct later later;
	struct broker b;
	size_t which;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	other = broker_connect(&b);
	ASSERT_OK(shmb_waitset_new(&set, client));
	for (unsigned i = 0; i < SHMB_WAIT_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "ring/%u", i);
		writers[i] = ring_writer(client, name, 8, 2);
		readers[i] = ring_reader(client, name);
		list[i] = shmb_ring_waitable(readers[i]);
		ASSERT_OK(shmb_waitset_add(set, list[i], NULL));
	}
	readers[SHMB_WAIT_MAX] = ring_reader(other, "ring/1");
	list[SHMB_WAIT_MAX] = shmb_ring_waitable(readers[SHMB_WAIT_MAX]);
	for (unsigned i = 0; i < SHMB_WAIT_MAX; i += 25) {
		later_start(&later, insert, writers[i]);
		ASSERT_OK(shmb_wait_any(list, SHMB_WAIT_MAX, deadline_in(SUITE_PATIENCE_MS), &which));
		ck_assert_uint_eq(which, i);
		pthread_join(later.thread, NULL);
		ASSERT_OK(shmb_ring_read_next(readers[i], payload, NULL));
	}
	/* What does not fit is refused before anything is done. */
	ASSERT_ERROR(shmb_wait_any(list, SHMB_WAIT_MAX + 1, SHMB_FOREVER, &which), EINVAL);
	ASSERT_ERROR(shmb_wait_any(list, 0, SHMB_FOREVER, &which), EINVAL);
	ASSERT_ERROR(shmb_wait_any(list + 1, SHMB_WAIT_MAX, SHMB_FOREVER, &which), EINVAL); /* two connections */
	ASSERT_ERROR(shmb_wait_any(list + 3, SHMB_WAIT_MAX - 2, SHMB_NO_WAIT, &which), ETIMEDOUT);
	ASSERT_ERROR(shmb_wait_any(list, SHMB_WAIT_MAX, SHMB_NO_WAIT, &which), ETIMEDOUT);
	list[5] = NULL;
	ASSERT_ERROR(shmb_wait_any(list, SHMB_WAIT_MAX, SHMB_FOREVER, &which), EBADF);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "place 5"));
	ASSERT_ERROR(shmb_waitset_add(set, list[0], NULL), EEXIST);
	ASSERT_ERROR(shmb_waitset_add(set, list[SHMB_WAIT_MAX], NULL), EINVAL);
	shmb_ring_reader_close(readers[SHMB_WAIT_MAX]);
	readers[SHMB_WAIT_MAX] = ring_reader(client, "ring/0");
	ASSERT_ERROR(shmb_waitset_add(set, shmb_ring_waitable(readers[SHMB_WAIT_MAX]), NULL), ENOSPC);
	ASSERT_ERROR(shmb_waitset_remove(set, shmb_ring_waitable(readers[SHMB_WAIT_MAX])), ENOENT);
	shmb_waitset_free(set);
	for (unsigned i = 0; i <= SHMB_WAIT_MAX; i++)
		shmb_ring_reader_close(readers[i]);
	for (unsigned i = 0; i < SHMB_WAIT_MAX; i++)
		shmb_ring_writer_close(writers[i]);
	shmb_disconnect(other);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static struct shmb_waitable *cancelled_by_signal;

static void on_alarm(int signal)
{
	(void)signal;
	shmb_cancel(cancelled_by_signal);
}

START_TEST(cancelled)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *readers[2];
	struct shmb_waitable *list[2];
	struct shmb *client;
	struct later later;
	struct broker b;
	size_t which;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "ring", BYTES, 8);
	for (unsigned i = 0; i < 2; i++) {
		readers[i] = ring_reader(client, "ring");
		list[i] = shmb_ring_waitable(readers[i]);
	}
	/* During a wait, from another thread. */
	later_start(&later, cancel, list[1]);
	ASSERT_ERROR(shmb_wait_any(list, 2, SHMB_FOREVER, &which), ECANCELED);
	ck_assert_uint_eq(which, 1);
	pthread_join(later.thread, NULL);
	ASSERT_ERROR(shmb_wait_any(list, 2, SHMB_NO_WAIT, &which), ETIMEDOUT);
	/* Of a handle that is not waited for: it is told at its next wait, and this one sleeps on. */
	later_start(&later, cancel, list[1]);
	ASSERT_ERROR(shmb_ring_wait(readers[0], now_ns() + 3 * SOON_MS * UINT64_C(1000000)), ETIMEDOUT);
	pthread_join(later.thread, NULL);
	ASSERT_ERROR(shmb_ring_wait(readers[1], SHMB_FOREVER), ECANCELED);
	/* Before a wait, twice: once, and before the data, which is not lost. */
	ring_write(writer, BYTES, 1, 1);
	ASSERT_OK(shmb_cancel(list[0]));
	ASSERT_OK(shmb_cancel(list[0]));
	ASSERT_ERROR(shmb_ring_wait(readers[0], SHMB_FOREVER), ECANCELED);
	ASSERT_OK(shmb_ring_wait(readers[0], SHMB_FOREVER));
	ring_next(readers[0], 0, 0);
	/* From a signal handler. */
	cancelled_by_signal = list[0];
	signal(SIGALRM, on_alarm);
	ualarm(SOON_MS * 1000, 0);
	ASSERT_ERROR(shmb_ring_wait(readers[0], SHMB_FOREVER), ECANCELED);
	/* During a spin. */
	ASSERT_OK(shmb_set_spin(list[0], SHMB_SPIN_MAX_NS));
	later_start(&later, cancel, list[0]);
	ASSERT_ERROR(shmb_ring_wait(readers[0], SHMB_FOREVER), ECANCELED);
	pthread_join(later.thread, NULL);
	for (unsigned i = 0; i < 2; i++)
		shmb_ring_reader_close(readers[i]);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Death, close and removal are said of the member they concern, after its data, once. */
START_TEST(what_became_of_whom)
{
	static const char *const names[] = { "dies", "closes", "removed" };
	struct program writers[3];
	struct shmb_ring_reader *readers[3];
	struct shmb_waitable *list[3];
	struct shmb *client;
	struct broker b;
	size_t which;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < 3; i++) {
		worker_start(&writers[i], &b, names[i], false);
		worker_must(&writers[i], "writer name=%s kind=ring bytes=64 capacity=8", names[i]);
		readers[i] = ring_reader(client, names[i]);
		list[i] = shmb_ring_waitable(readers[i]);
	}
	ASSERT_ERROR(shmb_wait_any(list, 3, SHMB_NO_WAIT, &which), ETIMEDOUT);
	worker_must(&writers[0], "write n=1");
	program_kill(&writers[0]);
	wait_writer(client, "dies", SHMB_WRITER_IS_DEAD);
	ASSERT_OK(shmb_wait_any(list, 3, deadline_in(SUITE_PATIENCE_MS), &which));
	ck_assert_uint_eq(which, 0);
	ring_next(readers[0], 0, 0);
	ASSERT_ERROR(shmb_wait_any(list, 3, deadline_in(SUITE_PATIENCE_MS), &which), EOWNERDEAD);
	ck_assert_uint_eq(which, 0);
	program_send(&writers[1], "close-writer");
	ASSERT_ERROR(shmb_wait_any(list, 3, deadline_in(SUITE_PATIENCE_MS), &which), EPIPE);
	ck_assert_uint_eq(which, 1);
	ASSERT_ERROR(shmb_wait_any(list, 3, SHMB_NO_WAIT, &which), ETIMEDOUT);
	worker_answer(&writers[1]);
	worker_must(&writers[2], "close-writer");
	ASSERT_ERROR(shmb_wait_any(list, 3, deadline_in(SUITE_PATIENCE_MS), &which), EPIPE);
	ck_assert_uint_eq(which, 2);
	ASSERT_OK(shmb_remove(client, "removed"));
	for (unsigned i = 0; i < 2; i++) {
		ASSERT_ERROR(shmb_wait_any(list, 3, deadline_in(SUITE_PATIENCE_MS), &which), ESTALE);
		ck_assert_uint_eq(which, 2);
	}
	for (unsigned i = 0; i < 3; i++)
		shmb_ring_reader_close(readers[i]);
	worker_quit(&writers[1]);
	worker_quit(&writers[2]);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Calls of futex and futex_waitv by this thread are traps, counted: who spins makes none. */
static volatile sig_atomic_t sleeps;

static void on_trap(int signal)
{
	(void)signal;
	sleeps++;
}

static void sleeps_count(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex_waitv, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(rules) / sizeof(rules[0]), .filter = rules };
	struct sigaction action = { .sa_handler = on_trap };

	sigaction(SIGSYS, &action, NULL);
	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

START_TEST(spin_finds_data_without_sleeping)
{
	struct kinds kinds;
	struct shmb *client;
	struct broker b;
	uint64_t begin;
	size_t which;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	kinds_open(&kinds, client);
	ASSERT_ERROR(shmb_set_spin(kinds.list[RING], SHMB_SPIN_MAX_NS + 1), EINVAL);
	sleeps_count();
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct later later;
		unsigned tries = 0;

		ASSERT_OK(shmb_set_spin(kinds.list[kind], SHMB_SPIN_MAX_NS));
		do { /* again where the machine was held up for longer than it spins */
			sleeps = 0;
			begin = now_ns();
			later_start(&later, kinds.act[kind], kinds.arg[kind]);
			ASSERT_OK(shmb_wait_any(kinds.list, KINDS, SHMB_FOREVER, &which));
			ck_assert_uint_eq(which, kind);
			pthread_join(later.thread, NULL);
			kinds_read(&kinds, kind);
		} while (sleeps > 0 && now_ns() - begin >= SHMB_SPIN_MAX_NS && ++tries < 3);
		ck_assert_int_eq(sleeps, 0);
		ASSERT_OK(shmb_set_spin(kinds.list[kind], 0));
	}
	/* It ends, long before the deadline even where others have the processor: then the wait sleeps (and is trapped). */
	ASSERT_OK(shmb_set_spin(kinds.list[RING], 2000000));
	begin = now_ns();
	ASSERT_ERROR(shmb_wait_any(kinds.list, KINDS, begin + 300000000, &which), ETIMEDOUT);
	ck_assert_int_gt(sleeps, 0);
	sleeps = 0;
	ASSERT_OK(shmb_set_spin(kinds.list[RING], SHMB_SPIN_MAX_NS));
	begin = now_ns();
	ASSERT_ERROR(shmb_wait_any(kinds.list, KINDS, begin + 10000000, &which), ETIMEDOUT);
	ck_assert_uint_lt(now_ns(), begin + SHMB_SPIN_MAX_NS);
	kinds_close(&kinds);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A producer's wait for room, cancelled and met. */
START_TEST(room)
{
	struct kinds kinds;
	struct shmb_waitable *producer;
	struct shmb *client;
	struct later later;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	kinds_open(&kinds, client);
	producer = shmb_queue_room_waitable(kinds.producer);
	push(kinds.producer);
	push(kinds.producer);
	ASSERT_ERROR(shmb_wait_any(&producer, 1, SHMB_NO_WAIT, NULL), ETIMEDOUT);
	later_start(&later, cancel, producer);
	ASSERT_ERROR(shmb_queue_push_until(kinds.producer, payload, SHMB_FOREVER), ECANCELED);
	pthread_join(later.thread, NULL);
	later_start(&later, pop, kinds.consumer);
	ASSERT_OK(shmb_wait_any(&producer, 1, deadline_in(SUITE_PATIENCE_MS), NULL));
	pthread_join(later.thread, NULL);
	ASSERT_OK(shmb_queue_push(kinds.producer, payload));
	kinds_close(&kinds);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Closing returns NULL, and NULL is told from a handle everywhere that one is waited for. */
START_TEST(closed_handles)
{
	struct shmb_ring_reader *ring;
	struct shmb_ring_writer *writer;
	struct shmb_waitset *set;
	struct shmb_waitable *list[2];
	struct broker b;
	struct shmb *client;
	size_t which;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "ring", 64, 8);
	ring = ring_reader(client, "ring");
	list[0] = shmb_ring_waitable(ring);
	ring = shmb_ring_reader_close(ring);
	ck_assert_ptr_null(ring);
	ASSERT_ERROR(shmb_ring_wait(ring, SHMB_FOREVER), EBADF);
	ck_assert(strstr(shmb_text(), "closed") != NULL);
	ASSERT_ERROR(shmb_value_wait(NULL, SHMB_FOREVER), EBADF);
	ASSERT_ERROR(shmb_frame_wait(NULL, SHMB_FOREVER), EBADF);
	ASSERT_ERROR(shmb_queue_wait(NULL, SHMB_FOREVER), EBADF);
	ASSERT_ERROR(shmb_queue_wait_room(NULL, SHMB_FOREVER), EBADF);
	ck_assert_ptr_null(shmb_ring_waitable(ring));
	ck_assert_ptr_null(shmb_value_waitable(NULL));
	ck_assert_ptr_null(shmb_frame_waitable(NULL));
	ck_assert_ptr_null(shmb_queue_waitable(NULL));
	ck_assert_ptr_null(shmb_queue_room_waitable(NULL));
	ring = ring_reader(client, "ring");
	list[0] = shmb_ring_waitable(ring);
	list[1] = NULL;
	ASSERT_ERROR(shmb_wait_any(list, 2, SHMB_FOREVER, &which), EBADF);
	ASSERT_ERROR(shmb_cancel(NULL), EBADF);
	ASSERT_ERROR(shmb_set_spin(NULL, 0), EBADF);
	ASSERT_OK(shmb_waitset_new(&set, client));
	ASSERT_ERROR(shmb_waitset_add(set, NULL, NULL), EBADF);
	shmb_waitset_free(set);
	shmb_ring_reader_close(ring);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait");

	suite_add(suite, any_kind_wakes, 30);
	suite_add(suite, without_waitv_enosys, 60);
	suite_add(suite, without_waitv_eperm, 60);
	suite_add(suite, a_hundred_and_twenty_six, 60);
	suite_add(suite, cancelled, 30);
	suite_add(suite, what_became_of_whom, 60);
	suite_add(suite, spin_finds_data_without_sleeping, 60);
	suite_add(suite, room, 30);
	suite_add(suite, closed_handles, 60);
	return suite_run(suite);
}
