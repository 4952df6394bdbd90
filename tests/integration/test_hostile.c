/* SPDX-License-Identifier: MIT */
/*
 * Processes that write rubbish into the memory they may write: they spoil their own data or their own waits, and nothing else. Nobody crashes, spins,
 * leaves its mapping or believes what cannot be, and the daemon mends and serves on.
 */
#include "../support/client.h"
#include "../support/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char schema[] = "uint64[8] words\n";

static uint64_t noise(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Numbers that are wrong in interesting ways. */
static uint64_t wrong_number(void)
{
	static const uint64_t edges[] = {
		0, 1, 2, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 62, (UINT64_C(1) << 62) - 1, UINT64_C(1) << 63, 1000
	};

	return noise() % 2 == 0 ? edges[noise() % (sizeof(edges) / sizeof(edges[0]))] : noise();
}

struct victim {
	struct shmb_shm_card *card;
	struct shmb_shm_data *data;
	size_t bytes;
};

static void victim_map(struct victim *victim, const struct raw_answer *answer)
{
	struct stat status;

	ck_assert_int_eq(fstat(answer->fds[1], &status), 0);
	victim->bytes = (size_t)status.st_size;
	victim->card = mmap(NULL, SHMB_PAGE, PROT_READ, MAP_SHARED, answer->fds[0], 0);
	victim->data = mmap(NULL, victim->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, answer->fds[1], 0);
	ck_assert(victim->card != MAP_FAILED && victim->data != MAP_FAILED);
}

static void victim_unmap(struct victim *victim)
{
	munmap(victim->card, SHMB_PAGE);
	munmap(victim->data, victim->bytes);
}

static struct shmb_shm_slot *slot(struct victim *victim, uint32_t index)
{
	return (struct shmb_shm_slot *)((char *)victim->data + victim->card->slot_offset + ((uint64_t)index << victim->card->slot_shift));
}

/* One wrong thing, or everything wrong. */
static void spoil(struct victim *victim)
{
	uint32_t index = (uint32_t)noise() & (victim->card->slot_count - 1);
	uint64_t number = wrong_number();

	switch (noise() % 7) {
	case 0:
		atomic_store(&victim->data->counter, number);
		break;
	case 1:
		atomic_store(&slot(victim, index)->id, number);
		break;
	case 2: /* a counter and the slot that it points to fit each other */
		atomic_store(&slot(victim, (uint32_t)number & (victim->card->slot_count - 1))->id, shmb_id_done(number));
		atomic_store(&victim->data->counter, number + noise() % 2);
		break;
	case 3:
		atomic_store(&victim->data->wake, (uint32_t)noise());
		break;
	case 4: /* all slots claim to be written */
		for (uint32_t i = 0; i < victim->card->slot_count; i++)
			atomic_store(&slot(victim, i)->id, shmb_id_writing(i));
		break;
	case 5:
		for (size_t i = 0; i < victim->bytes / 8; i++)
			((uint64_t *)(void *)victim->data)[i] = noise();
		break;
	default:
		memset(victim->data, (int)noise(), victim->bytes);
		break;
	}
}

static void assert_known(const struct answer *answer, const char *what)
{
	static const int known[] = { 0, ENODATA, EAGAIN, ESTALE, EBADMSG, ETIMEDOUT, EOVERFLOW };

	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (answer->result == -known[i])
			return;
	ck_abort_msg("%s: %d (%s) %s", what, answer->result, shmb_strerror(answer->result), answer->text);
}

static void hostile_writer(enum shmb_kind kind)
{
	const char *word = kind == SHMB_KIND_RING ? "ring" : "value";
	static const char *const commands[] = { "latest",   "next",   "wait deadline=2",	   "status",
						"read n=5", "bounds", "read n=4611686018427387903" };
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct shmb_msg_close end = { .handle = 1 };
	struct program reader;
	struct program late;
	struct raw raw = { 0 };
	struct victim victim;
	struct shmb *client;
	struct broker b;
	int r;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(raw_start(&raw, b.socket));
	worker_start(&reader, &b, "reader", false);
	worker_start(&late, &b, "late", false);
	for (unsigned round = 0; round < 10; round++) {
		raw_open_writer(&open, "spoiled", schema, 64);
		open.kind = (uint8_t)kind;
		open.capacity = 4;
		ASSERT_OK(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer));
		victim_map(&victim, &answer);
		raw_answer_deinit(&answer);
		worker_must(&reader, "reader name=spoiled kind=%s bytes=64", word);
		for (unsigned i = 0; i < 60; i++) {
			uint64_t before = now_ns();
			struct answer got;

			spoil(&victim);
			got = worker_ask(&reader, "%s", commands[kind == SHMB_KIND_RING ? i % 7 : i % 4]);
			assert_known(&got, commands[i % 7]);
			ck_assert_msg(now_ns() - before < UINT64_C(3000000000) * suite_slow(), "%s took %u ms", commands[i % 7],
				      (unsigned)((now_ns() - before) / 1000000));
			if (i % 10 == 0) {
				got = worker_ask(&late, "reader name=spoiled kind=%s bytes=64", word);
				assert_known(&got, "open of a reader");
				worker_must(&late, "close-reader");
			}
		}
		worker_must(&reader, "close-reader");
		victim_unmap(&victim);
		ASSERT_OK(raw_ask(&raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer));
		r = kind == SHMB_KIND_RING ? ring_writer_try(client, "spoiled", 64, 4) : value_writer_try(client, "spoiled", 64);
		ck_assert_msg(r == 0 || r == -EOVERFLOW, "the next writer: %d %s", r, shmb_text());
		ASSERT_OK(shmb_remove(client, "spoiled"));
	}
	worker_quit(&reader);
	worker_quit(&late);
	raw_close(&raw);
	shmb_disconnect(client);
	broker_finish(&b);
}

START_TEST(hostile_writer_of_a_ring)
{
	hostile_writer(SHMB_KIND_RING);
}
END_TEST

START_TEST(hostile_writer_of_a_value)
{
	hostile_writer(SHMB_KIND_VALUE);
}
END_TEST

/* Readers that follow while the writer scribbles at the same time; then the daemon mends what it finds, the next one too. */
START_TEST(rubbish_under_running_readers)
{
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct program readers[2];
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned round = 0; round < 4; round++) {
		struct raw raw = { 0 };
		struct victim victim;
		uint64_t until;

		ASSERT_OK(raw_start(&raw, b.socket));
		raw_open_writer(&open, "noise", schema, 64);
		ASSERT_OK(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer));
		victim_map(&victim, &answer);
		raw_answer_deinit(&answer);
		for (unsigned i = 0; i < 2; i++) {
			worker_start(&readers[i], &b, "reader", false);
			worker_must(&readers[i], "reader name=noise bytes=64");
			worker_must(&readers[i], "watch");
		}
		until = now_ns() + 100000000;
		while (now_ns() < until)
			spoil(&victim);
		for (unsigned i = 0; i < 2; i++) {
			worker_must(&readers[i], "stop");
			worker_quit(&readers[i]);
		}
		{
			struct shmb_msg_close end = { .handle = 1 };

			ASSERT_OK(raw_ask(&raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer));
		}
		victim_unmap(&victim);
		raw_close(&raw);
		WAIT_UNTIL(clients_count(client) == 1);
		if (round % 2 == 1) { /* adoption of rubbish */
			broker_kill(&b);
			broker_restart(&b);
		}
		ASSERT_OK(shmb_remove(client, "noise"));
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A counter turned back: no handle returns a number below one it has returned. */
START_TEST(turned_back_counter_turns_no_reader_back)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct shmb_shm_data *data;
	struct shmb_sample sample;
	struct broker b;
	char payload[64];
	char path[512];
	uint64_t seen = 0;
	int fd;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "back", 64, 16);
	ring_write(writer, 64, 10, 1);
	reader = ring_reader(client, "back");
	snprintf(path, sizeof(path), "%s/back,1,data", b.shm);
	fd = open(path, O_RDWR | O_CLOEXEC);
	data = mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert(fd >= 0 && data != MAP_FAILED);
	close(fd);
	ring_latest(reader, 9, -1);
	seen = 9;
	for (uint64_t counter = 0; counter < 14; counter++) {
		int r;

		atomic_store(&data->counter, counter);
		r = shmb_ring_latest(reader, payload, &sample);
		ck_assert_msg(r != 0 || sample.number >= seen, "number %llu after %llu", (unsigned long long)sample.number,
			      (unsigned long long)seen);
		r = shmb_ring_read_next(reader, payload, &sample);
		ck_assert_msg(r != 0 || sample.number > seen, "next: number %llu after %llu", (unsigned long long)sample.number,
			      (unsigned long long)seen);
	}
	atomic_store(&data->counter, 10);
	ring_write(writer, 64, 1, 1);
	ring_latest(reader, 10, -1);
	munmap(data, SHMB_PAGE);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A reader scribbles over the area that its user's readers share: the writer and the daemon go on, and the area heals. */
START_TEST(hostile_reader_delays_only_its_own_waits)
{
	static struct raw_answer answer;
	struct shmb_msg_open_reader open;
	struct program writer;
	struct program reader;
	struct raw raw = { 0 };
	struct answer end;
	struct broker b;
	uint64_t until;
	uint64_t *area;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=area bytes=64 capacity=4096");
	worker_start(&reader, &b, "reader", false);
	worker_must(&reader, "reader name=area bytes=64");
	worker_must(&reader, "watch");
	ASSERT_OK(raw_start(&raw, b.socket));
	raw_open_reader(&open, "area");
	ASSERT_OK(raw_ask(&raw, SHMB_OP_OPEN_READER, &open, sizeof(open), NULL, 0, &answer));
	ck_assert(answer.fd_count == 3 && answer.open.area != UINT32_MAX);
	area = mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, answer.fds[2], 0);
	ck_assert(area != MAP_FAILED);
	raw_answer_deinit(&answer);
	worker_must(&writer, "run period=500");
	until = now_ns() + 200000000;
	while (now_ns() < until)
		for (unsigned i = 0; i < SHMB_PAGE / 8; i++)
			area[i] = noise() % 2 == 0 ? 0 : noise();
	munmap(area, SHMB_PAGE);
	raw_end(&raw);
	end = worker_must(&writer, "stop");
	end = worker_must(&reader, "stop last=%u", (unsigned)end.v[0] - 1);
	ck_assert_msg(end.v[1] == 0 && end.v[2] == 0 && end.v[3] == 0 && end.v[6] == 0, "missed %d torn %d backward %d others %d",
		      (int)end.v[1], (int)end.v[2], (int)end.v[3], (int)end.v[6]);
	/* and waits work again */
	program_send(&reader, "wait deadline=forever");
	program_wait_asleep(&reader);
	worker_must(&writer, "write n=1");
	ASSERT_RESULT(worker_answer(&reader), 0);
	worker_quit(&writer);
	worker_quit(&reader);
	broker_finish(&b);
}
END_TEST

/* Memory whose first touch waits until `fd` is closed. */
struct trap {
	int fd;
	void *memory;
};

static bool trap_set(struct trap *trap)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .range.len = SHMB_PAGE, .mode = UFFDIO_REGISTER_MODE_MISSING };

	trap->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (trap->fd < 0)
		return false;
	trap->memory = mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(trap->memory != MAP_FAILED);
	area.range.start = (uintptr_t)trap->memory;
	if (ioctl(trap->fd, UFFDIO_API, &api) == 0 && ioctl(trap->fd, UFFDIO_REGISTER, &area) == 0)
		return true;
	close(trap->fd);
	munmap(trap->memory, SHMB_PAGE);
	return false;
}

/* Of the page, for each: they are filled at the same time. */
enum { HOLDING_BYTES = 1024 };

struct holding {
	int fd;
	void *memory;
	_Atomic int32_t thread;
	ssize_t got;
};

static void *hold_position(void *arg)
{
	struct holding *holding = arg;

	atomic_store(&holding->thread, (int32_t)syscall(SYS_gettid));
	holding->got = read(holding->fd, holding->memory, HOLDING_BYTES);
	return NULL;
}

static bool thread_sleeps(int32_t thread)
{
	char path[64];
	char *text, *state;
	bool sleeps;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)thread);
	text = file_read(path, NULL);
	state = text != NULL ? strstr(text, "\nState:\t") : NULL;
	sleeps = state != NULL && (state[8] == 'S' || state[8] == 'D');
	free(text);
	return sleeps;
}

/*
 * Readers are handed the same open files. One that spoils what they share, the position and its lock and the flags, is in nobody's way: neither in that of the
 * daemon nor of those who open, read and write after it.
 */
START_TEST(hostile_reader_holds_the_open_files)
{
	struct raw_answer answer;
	struct raw raw = { 0 };
	struct shmb_msg_open_reader open = { .handle = 1, .role = SHMB_ROLE_READER, .kind = SHMB_KIND_RING };
	struct program writer, reader;
	struct holding holdings[3];
	pthread_t threads[3];
	struct broker b;
	struct trap trap;

	if (!trap_set(&trap))
		TEST_SKIP("no userfaultfd(2) that stops system calls here");
	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_must(&writer, "writer name=ring bytes=64 capacity=8 salt=1");
	worker_must(&writer, "write n=2");
	ASSERT_OK(raw_start(&raw, b.socket));
	strcpy(open.name, "ring");
	ASSERT_OK(raw_ask(&raw, SHMB_OP_OPEN_READER, &open, sizeof(open), NULL, 0, &answer));
	ck_assert_uint_eq(answer.fd_count, 3);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_ge(lseek(answer.fds[i], 1, SEEK_SET), 0);
		ck_assert_int_eq(fcntl(answer.fds[i], F_SETFL, O_APPEND | O_NONBLOCK), 0);
		holdings[i] = (struct holding){ .fd = answer.fds[i], .memory = (char *)trap.memory + (size_t)i * HOLDING_BYTES };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, hold_position, &holdings[i]), 0);
		WAIT_UNTIL(atomic_load(&holdings[i].thread) != 0 && thread_sleeps(atomic_load(&holdings[i].thread)));
	}
	worker_must(&reader, "reader name=ring bytes=64");
	worker_must(&writer, "write n=1");
	worker_must(&writer, "close-writer");
	worker_must(&writer, "writer name=ring bytes=64 capacity=8 salt=1");
	worker_must(&writer, "write n=1");
	worker_must(&reader, "close-reader");
	close(trap.fd);
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_gt(holdings[i].got, 0);
	}
	munmap(trap.memory, SHMB_PAGE);
	raw_answer_deinit(&answer);
	raw_end(&raw);
	worker_quit(&writer);
	worker_quit(&reader);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile");

	suite_add(suite, hostile_writer_of_a_ring, 60);
	suite_add(suite, hostile_writer_of_a_value, 60);
	suite_add(suite, rubbish_under_running_readers, 60);
	suite_add(suite, turned_back_counter_turns_no_reader_back, 30);
	suite_add(suite, hostile_reader_delays_only_its_own_waits, 60);
	suite_add(suite, hostile_reader_holds_the_open_files, 60);
	return suite_run(suite);
}
