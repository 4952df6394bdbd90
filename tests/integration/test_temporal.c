/* SPDX-License-Identifier: MIT */
/*
 * Keyed rings through the broker and the shared library: what the options may say, what the segment keeps of it, queries while another
 * process writes, and writers that die or come again. The searching itself is tests/unit/test_temporal.c.
 */
#include "tests/support/broker.h"
#include "tests/support/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

SHMB_TYPE(sample, (uint64, stamp_ns)(int64, signed_ns)(uint32, count)(uint32, spare)(float64, value)(float64, history, 4));

#define MS UINT64_C(1000000)

static struct shmb_options keyed(enum shmb_clock clock, const char *field)
{
	return (struct shmb_options){ .capacity = 64, .key_clock = clock, .key_field = field };
}

static struct sample sample_at(uint64_t key)
{
	return (struct sample){ .stamp_ns = key, .signed_ns = (int64_t)key, .count = (uint32_t)key, .value = (double)key * 0.5 };
}

static struct shmb_key_monotonic monotonic(uint64_t value)
{
	struct shmb_rule_monotonic any = shmb_rule_range_monotonic(0, UINT64_MAX);
	struct shmb_key_monotonic key;

	ASSERT_OK(shmb_key_make(&key, value, &any));
	return key;
}

static void insert(struct shmb_ring_writer *writer, uint64_t key)
{
	struct sample sample = sample_at(key);

	ASSERT_OK(shmb_ring_insert(writer, &sample));
}

START_TEST(each_clock_and_field_finds_its_elements)
{
	struct shmb_rule_realtime any_realtime = shmb_rule_range_realtime(0, UINT64_MAX);
	struct shmb_rule_sequence any_sequence = shmb_rule_range_sequence(0, UINT64_MAX);
	struct shmb_options options[3] = { keyed(SHMB_CLOCK_MONOTONIC, "stamp_ns"), keyed(SHMB_CLOCK_REALTIME, "signed_ns"),
					   keyed(SHMB_CLOCK_SEQUENCE, "count") };
	struct shmb_bracket_sequence at;
	struct shmb_found_realtime found;
	struct shmb_key_realtime realtime;
	struct shmb_key_sequence sequence;
	struct sample a, b;
	struct shmb *client;
	struct broker broker;

	broker_start(&broker, NULL);
	client = broker_connect(&broker);
	for (unsigned i = 0; i < 3; i++) {
		struct shmb_ring_writer *writer = NULL;
		struct shmb_ring_reader *reader = NULL;
		char name[16];

		snprintf(name, sizeof(name), "ring%u", i);
		ASSERT_OK(shmb_ring_writer_open(&writer, client, name, &sample_type, &options[i]));
		ASSERT_OK(shmb_ring_reader_open(&reader, client, name, &sample_type, SHMB_NO_WAIT));
		ck_assert_int_eq(shmb_ring_clock(reader), options[i].key_clock);
		for (uint64_t key = 1000; key <= 2000; key += 10)
			insert(writer, key);
		ASSERT_OK(shmb_key_make(&realtime, 1754, &any_realtime));
		ASSERT_OK(shmb_key_make(&sequence, 1754, &any_sequence));
		switch (options[i].key_clock) {
		case SHMB_CLOCK_MONOTONIC:
			ASSERT_OK(shmb_ring_closest(reader, monotonic(1754), 5, &a, NULL));
			ASSERT_ERROR(shmb_ring_closest(reader, realtime, 5, &a, NULL), EXDEV);
			ck_assert_uint_eq(a.stamp_ns, 1750);
			break;
		case SHMB_CLOCK_REALTIME:
			ASSERT_OK(shmb_ring_closest(reader, realtime, 5, &a, &found));
			ASSERT_ERROR(shmb_ring_closest(reader, sequence, 5, &a, NULL), EXDEV);
			ck_assert_int_eq(a.signed_ns, 1750);
			ck_assert_uint_eq(shmb_key_value(found.key), 1750);
			ck_assert_uint_eq(found.number, 75);
			break;
		default:
			ASSERT_OK(shmb_ring_bracket(reader, sequence, 10, &a, &b, &at));
			ASSERT_ERROR(shmb_ring_bracket(reader, monotonic(1754), 5, &a, &b, NULL), EXDEV);
			ck_assert_uint_eq(a.count, 1750);
			ck_assert_uint_eq(b.count, 1760);
			ck_assert_double_eq_tol(at.alpha, 0.4, 1e-12);
			break;
		}
		shmb_ring_reader_close(reader);
		shmb_ring_writer_close(writer);
	}
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

START_TEST(options_that_cannot_be_are_refused)
{
	struct shmb_options wrong[] = {
		keyed(SHMB_CLOCK_MONOTONIC, NULL),	    /* not stamped */
		keyed(SHMB_CLOCK_REALTIME, NULL),	    /* the stamp is monotonic */
		keyed(SHMB_CLOCK_NONE, "stamp_ns"),	    /* of which clock? */
		keyed(SHMB_CLOCK_MONOTONIC, "value"),	    /* no integer */
		keyed(SHMB_CLOCK_MONOTONIC, "history"),	    /* no scalar */
		keyed(SHMB_CLOCK_MONOTONIC, "nonexistent"), /* not there */
		keyed((enum shmb_clock)7, "stamp_ns"),
	};
	struct shmb_queue_producer *queue = NULL;
	struct shmb_value_writer *value = NULL;
	struct shmb_ring_writer *writer = NULL;
	struct shmb *client;
	struct broker broker;

	broker_start(&broker, NULL);
	client = broker_connect(&broker);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ASSERT_ERROR(shmb_ring_writer_open(&writer, client, "ring", &sample_type, &wrong[i]), EINVAL);
		ck_assert_ptr_null(writer);
	}
	wrong[0] = keyed(SHMB_CLOCK_MONOTONIC, "stamp_ns");
	wrong[0].capacity = 4;
	ASSERT_ERROR(shmb_value_writer_open(&value, client, "value", &sample_type, &wrong[0]), EINVAL);
	ASSERT_ERROR(shmb_queue_producer_open(&queue, client, "queue", &sample_type, &wrong[0]), EINVAL);
	ck_assert_uint_eq(segments_count(client), 0);
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

START_TEST(a_ring_keeps_its_key)
{
	struct shmb_options first = keyed(SHMB_CLOCK_MONOTONIC, "stamp_ns");
	struct shmb_options others[] = { keyed(SHMB_CLOCK_NONE, NULL), keyed(SHMB_CLOCK_REALTIME, "stamp_ns"),
					 keyed(SHMB_CLOCK_MONOTONIC, "signed_ns") };
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_writer *other = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct sample sample = sample_at(50);
	struct shmb *client;
	struct broker broker;
	struct sample a;

	broker_start(&broker, NULL);
	client = broker_connect(&broker);
	ASSERT_OK(shmb_ring_writer_open(&writer, client, "ring", &sample_type, &first));
	insert(writer, 100);
	for (unsigned i = 0; i < 3; i++)
		ASSERT_ERROR(shmb_ring_writer_open(&other, client, "ring", &sample_type, &others[i]), EEXIST);
	writer = shmb_ring_writer_close(writer);
	ASSERT_OK(shmb_ring_reader_open(&reader, client, "ring", NULL, SHMB_NO_WAIT));
	ASSERT_OK(shmb_ring_closest(reader, monotonic(100), 0, &a, NULL));
	ASSERT_OK(shmb_ring_writer_open(&writer, client, "ring", &sample_type, &first));
	/* Its keys begin anew: no query crosses into those of the writer before. */
	ASSERT_ERROR(shmb_ring_closest(reader, monotonic(100), SHMB_ANY_DISTANCE, &a, NULL), ENODATA);
	ASSERT_OK(shmb_ring_insert(writer, &sample));
	ASSERT_OK(shmb_ring_closest(reader, monotonic(100), SHMB_ANY_DISTANCE, &a, NULL));
	ck_assert_uint_eq(a.stamp_ns, 50);
	ASSERT_OK(shmb_ring_read(reader, 0, &a, NULL));
	ck_assert_uint_eq(a.stamp_ns, 100);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

START_TEST(refused_elements_leave_no_trace)
{
	struct shmb_options options = keyed(SHMB_CLOCK_MONOTONIC, "signed_ns");
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct sample sample = sample_at(100);
	struct shmb_sample got;
	struct shmb *client;
	struct broker broker;

	broker_start(&broker, NULL);
	client = broker_connect(&broker);
	ASSERT_OK(shmb_ring_writer_open(&writer, client, "ring", &sample_type, &options));
	ASSERT_OK(shmb_ring_reader_open(&reader, client, "ring", NULL, SHMB_NO_WAIT));
	ASSERT_OK(shmb_ring_insert(writer, &sample));
	sample.signed_ns = -1;
	ASSERT_ERROR(shmb_ring_insert(writer, &sample), ERANGE);
	sample.signed_ns = 99;
	ASSERT_ERROR(shmb_ring_insert(writer, &sample), EDOM);
	ck_assert_uint_eq(shmb_ring_next_number(writer), 1);
	sample.signed_ns = 100;
	ASSERT_OK(shmb_ring_insert(writer, &sample));
	ASSERT_OK(shmb_ring_latest(reader, &sample, &got));
	ck_assert_uint_eq(got.number, 1);
	ASSERT_OK(shmb_ring_restart_keys(writer));
	sample.signed_ns = 5;
	ASSERT_OK(shmb_ring_insert(writer, &sample));
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

START_TEST(age_and_history_by_stamps)
{
	struct shmb_options options = { .capacity = 64, .stamped = 1 };
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb_sample got;
	struct sample a;
	struct shmb *client;
	struct broker broker;
	uint64_t begin, middle, lag;
	unsigned tries = 0;

	broker_start(&broker, NULL);
	client = broker_connect(&broker);
	ASSERT_OK(shmb_ring_writer_open(&writer, client, "ring", &sample_type, &options));
	for (uint64_t i = 0; i < 10; i++)
		insert(writer, i);
	sleep_ms(60);
	middle = now_ns();
	for (uint64_t i = 10; i < 20; i++)
		insert(writer, i);
	/* A late joiner. */
	ASSERT_OK(shmb_ring_reader_open(&reader, client, "ring", NULL, SHMB_NO_WAIT));
	do { /* it is a little later when the library looks at the clock */
		begin = now_ns();
		ASSERT_OK(shmb_ring_seek_age(reader, begin - middle + 20 * MS));
	} while (now_ns() - begin > 15 * MS && ++tries < 20);
	ASSERT_OK(shmb_ring_lag(reader, &lag));
	ck_assert_uint_eq(lag, 10);
	ASSERT_OK(shmb_ring_read_next(reader, &a, &got));
	ck_assert_uint_eq(a.stamp_ns, 10);
	ck_assert_uint_ge(got.stamp_ns, middle);
	ASSERT_OK(shmb_ring_seek_oldest(reader));
	for (uint64_t i = 0; i < 20; i++) {
		ASSERT_OK(shmb_ring_read_next(reader, &a, &got));
		ck_assert_uint_eq(a.stamp_ns, i);
		ck_assert_uint_eq(got.missed, 0);
	}
	ASSERT_OK(shmb_ring_since(reader, monotonic(middle)));
	ASSERT_OK(shmb_ring_read_next(reader, &a, &got));
	ck_assert_uint_eq(a.stamp_ns, 10);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

/* Writes every 1000 of key as fast as it can, until it is killed. */
static void child_writes(struct broker *broker, uint32_t capacity)
{
	struct shmb_options options = keyed(SHMB_CLOCK_MONOTONIC, "stamp_ns");
	struct shmb_ring_writer *writer = NULL;
	struct shmb *client = NULL;
	int r = shmb_connect(&client, broker->socket);

	options.capacity = capacity;
	if (r == 0)
		r = shmb_ring_writer_open(&writer, client, "ring", &sample_type, &options);
	for (uint64_t key = 1000; r == 0; key += 1000) {
		struct sample sample = sample_at(key);

		r = shmb_ring_insert(writer, &sample);
	}
	_exit(1);
}

START_TEST(queries_across_processes_and_the_writers_death)
{
	struct shmb_ring_reader *reader = NULL;
	struct shmb_options options = keyed(SHMB_CLOCK_MONOTONIC, "stamp_ns");
	struct shmb_ring_writer *writer = NULL;
	struct sample a, b, newest;
	unsigned answers = 0;
	struct shmb *client;
	struct broker broker;
	uint64_t end;
	pid_t pid;
	int status;

	broker_start(&broker, NULL);
	pid = fork();
	if (pid == 0)
		child_writes(&broker, 256);
	client = broker_connect(&broker);
	ASSERT_OK(shmb_ring_reader_open(&reader, client, "ring", &sample_type, deadline_in(SUITE_PATIENCE_MS)));
	ASSERT_OK(shmb_ring_wait(reader, deadline_in(SUITE_PATIENCE_MS)));
	end = now_ns() + 800 * MS;
	while (now_ns() < end || (answers <= 100 && now_ns() < end + 15000 * MS)) {
		struct shmb_bracket_monotonic at;
		uint64_t t;
		int r = shmb_ring_latest(reader, &newest, NULL);

		if (r == -EAGAIN)
			continue;
		ASSERT_OK(r);
		t = newest.stamp_ns - answers % 100 * 500;
		r = shmb_ring_bracket(reader, monotonic(t), 5000, &a, &b, &at);
		ck_assert_msg(r == 0 || r == -EAGAIN || r == -ESTALE, "%d", r);
		if (r != 0)
			continue;
		ck_assert(a.stamp_ns <= t && t - a.stamp_ns < 1000);
		ck_assert(at.alpha == (double)(t - a.stamp_ns) / 1000);
		ck_assert_uint_eq(a.stamp_ns, shmb_key_value(at.before.key));
		ck_assert_uint_eq(a.stamp_ns, (at.before.number + 1) * 1000);
		ck_assert_uint_eq(b.stamp_ns, shmb_key_value(at.after.key));
		ck_assert_double_eq(b.value, (double)b.stamp_ns * 0.5);
		answers++;
	}
	ck_assert_uint_gt(answers, 100);
	/* Stopped in whatever it does, and dead: the ring still answers. */
	for (int signal = 0; signal < 2; signal++) {
		kill(pid, signal == 0 ? SIGSTOP : SIGKILL);
		ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
		if (signal == 1)
			wait_writer(client, "ring", SHMB_WRITER_IS_DEAD);
		ASSERT_OK(shmb_ring_latest(reader, &newest, NULL));
		for (uint64_t back = 0; back < 250; back++) {
			ASSERT_OK(shmb_ring_closest(reader, monotonic(newest.stamp_ns - back * 1000 + 100), 100, &a, NULL));
			ck_assert_uint_eq(a.stamp_ns, newest.stamp_ns - back * 1000);
		}
	}
	options.capacity = 256;
	ASSERT_OK(shmb_ring_writer_open(&writer, client, "ring", &sample_type, &options));
	insert(writer, 5);
	ASSERT_OK(shmb_ring_closest(reader, monotonic(newest.stamp_ns), SHMB_ANY_DISTANCE, &a, NULL));
	ck_assert_uint_eq(a.stamp_ns, 5);
	shmb_ring_writer_close(writer);
	shmb_ring_reader_close(reader);
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

START_TEST(smallest_and_largest_rings)
{
	static const uint32_t capacities[] = { 2, 1 << 20 };
	struct shmb *client;
	struct broker broker;

	broker_start(&broker, NULL);
	client = broker_connect(&broker);
	for (unsigned i = 0; i < 2; i++) {
		struct shmb_options options = keyed(SHMB_CLOCK_MONOTONIC, "stamp_ns");
		struct shmb_ring_writer *writer = NULL;
		struct shmb_ring_reader *reader = NULL;
		uint64_t count = (uint64_t)capacities[i] + 10;
		struct shmb_range range;
		struct sample a;

		options.capacity = capacities[i];
		ASSERT_OK(shmb_ring_writer_open(&writer, client, "ring", &sample_type, &options));
		ASSERT_OK(shmb_ring_reader_open(&reader, client, "ring", NULL, SHMB_NO_WAIT));
		for (uint64_t n = 0; n < count; n++)
			insert(writer, n * n);
		for (uint64_t n = count - capacities[i] + 1; n < count; n += 1 + n / 50) {
			ASSERT_OK(shmb_ring_closest(reader, monotonic(n * n + n / 2), n, &a, NULL));
			ck_assert_uint_eq(a.stamp_ns, n * n);
		}
		ASSERT_OK(shmb_ring_range(reader, monotonic(0), monotonic(UINT64_MAX), &range));
		ck_assert_uint_eq(range.count, capacities[i] - 1);
		ck_assert_int_eq(range.is_cut, 1);
		shmb_ring_reader_close(reader);
		shmb_ring_writer_close(writer);
		ASSERT_OK(shmb_remove(client, "ring"));
	}
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

struct behind {
	int32_t pid;
	uint64_t behind;
};

static int look_behind(const struct shmb_segment_info *info, const char *schema, const struct shmb_reader_info *readers, void *user)
{
	struct behind *behind = user;

	(void)schema;
	for (uint32_t i = 0; i < info->readers; i++) {
		if (readers[i].pid == behind->pid)
			behind->behind = readers[i].behind;
	}
	return 0;
}

START_TEST(the_broker_tells_how_far_readers_are_behind)
{
	struct shmb_options options = keyed(SHMB_CLOCK_MONOTONIC, "stamp_ns");
	struct behind behind = { .pid = getpid() };
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb *client;
	struct broker broker;
	struct sample a;

	broker_start(&broker, NULL);
	client = broker_connect(&broker);
	ASSERT_OK(shmb_ring_writer_open(&writer, client, "ring", &sample_type, &options));
	ASSERT_OK(shmb_ring_reader_open(&reader, client, "ring", NULL, SHMB_NO_WAIT));
	for (uint64_t i = 0; i < 20; i++)
		insert(writer, i);
	for (uint64_t i = 0; i < 5; i++)
		ASSERT_OK(shmb_ring_read_next(reader, &a, NULL));
	ASSERT_OK(shmb_info(client, "ring", look_behind, &behind));
	ck_assert_uint_eq(behind.behind, 15);
	ASSERT_OK(shmb_ring_latest(reader, &a, NULL));
	ASSERT_OK(shmb_info(client, "ring", look_behind, &behind));
	ck_assert_uint_eq(behind.behind, 0);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("temporal");

	suite_add(suite, each_clock_and_field_finds_its_elements, 60);
	suite_add(suite, options_that_cannot_be_are_refused, 60);
	suite_add(suite, a_ring_keeps_its_key, 60);
	suite_add(suite, refused_elements_leave_no_trace, 60);
	suite_add(suite, age_and_history_by_stamps, 60);
	suite_add(suite, queries_across_processes_and_the_writers_death, 60);
	suite_add(suite, smallest_and_largest_rings, 60);
	suite_add(suite, the_broker_tells_how_far_readers_are_behind, 60);
	return suite_run(suite);
}
