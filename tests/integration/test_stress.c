/* SPDX-License-Identifier: MIT */
/*
 * One writer as fast as it can and several readers, each a process, who verify every byte of every sample they get, its number and the count of what
 * they missed; for each kind and size. SHMB_STRESS_SECONDS: for how long altogether (default 6).
 */
#include "../support/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READERS = 3 };

static unsigned stress_ms(unsigned share_of)
{
	const char *given = getenv("SHMB_STRESS_SECONDS");
	long seconds = given != NULL ? strtol(given, NULL, 10) : 6;

	return (unsigned)(seconds * 1000) / share_of;
}

struct totals {
	uint64_t written, read, missed, again;
};

static void check_reader(struct program *reader, uint64_t written, struct totals *totals)
{
	struct answer end = worker_must(reader, "stop last=%llu", (unsigned long long)written - 1);

	ck_assert_msg(end.v[2] == 0, "%d torn samples", (int)end.v[2]);
	ck_assert_msg(end.v[3] == 0, "%d numbers went back", (int)end.v[3]);
	ck_assert_msg(end.v[6] == 0, "%d other errors", (int)end.v[6]);
	ck_assert_uint_gt(end.v[0], 0);
	ck_assert_uint_eq(end.v[0] + end.v[1], end.v[7] - end.v[8] + 1);
	ck_assert_uint_eq(end.v[7], written - 1);
	totals->read += end.v[0];
	totals->missed += end.v[1];
	totals->again += end.v[9];
}

static void stress(const char *kind, const char *options, unsigned ms)
{
	static const size_t sizes[] = { 8, 56, 64, 4096, 1 << 20 };

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct program readers[READERS];
		struct totals totals = { 0 };
		struct program writer;
		struct broker b;

		broker_start(&b, NULL);
		worker_start(&writer, &b, "writer", false);
		worker_must(&writer, "writer name=stress kind=%s bytes=%zu %s", kind, sizes[i], options);
		for (unsigned r = 0; r < READERS; r++) {
			worker_start(&readers[r], &b, "reader", false);
			worker_must(&readers[r], "reader name=stress kind=%s bytes=%zu", kind, sizes[i]);
			worker_must(&readers[r], "watch");
		}
		worker_must(&writer, "run period=0");
		sleep_ms(ms);
		totals.written = worker_must(&writer, "stop").v[0];
		for (unsigned r = 0; r < READERS; r++) {
			check_reader(&readers[r], totals.written, &totals);
			worker_quit(&readers[r]);
		}
		printf("%s %s of %zu bytes: %llu written, %llu read and verified, %llu missed, %llu overtaken, 0 torn\n", kind, options,
		       sizes[i], (unsigned long long)totals.written, (unsigned long long)totals.read, (unsigned long long)totals.missed,
		       (unsigned long long)totals.again);
		worker_quit(&writer);
		broker_finish(&b);
	}
}

START_TEST(stress_ring)
{
	stress("ring", "capacity=64", stress_ms(15));
}
END_TEST

START_TEST(stress_smallest_ring_stamped)
{
	stress("ring", "capacity=2 stamped=1", stress_ms(15));
}
END_TEST

START_TEST(stress_value)
{
	stress("value", "capacity=4", stress_ms(15));
}
END_TEST

/* Writers are killed at any moment, and the next goes on: what is read is whole, numbers never go back, none has two contents. */
START_TEST(stress_killed_writers)
{
	static const char *const kinds[] = { "ring", "value" };
	const char *given = getenv("SHMB_STRESS_SECONDS");
	unsigned rounds = given != NULL ? (unsigned)strtoul(given, NULL, 10) * 5 : 20;

	for (unsigned k = 0; k < 2; k++) {
		struct program readers[READERS];
		struct totals totals = { 0 };
		uint64_t next = 0;
		struct broker b;

		broker_start(&b, NULL);
		for (unsigned round = 0; round < rounds; round++) {
			struct program writer;
			uint64_t continued;

			worker_start(&writer, &b, "writer", false);
			continued = worker_must(&writer, "writer name=killed kind=%s bytes=4096 salt=%u", kinds[k], round & 255).v[0];
			ck_assert_msg(round == 0 || continued > next, "number %llu after %llu", (unsigned long long)continued,
				      (unsigned long long)next);
			next = continued;
			for (unsigned r = 0; round == 0 && r < READERS; r++) {
				worker_start(&readers[r], &b, "reader", false);
				worker_must(&readers[r], "reader name=killed kind=%s bytes=4096", kinds[k]);
				worker_must(&readers[r], "watch");
			}
			worker_must(&writer, "write n=1"); /* it may be killed before it runs */
			worker_must(&writer, "run period=0");
			sleep_ms(1 + round * 7 % 13);
			program_kill(&writer);
		}
		{
			struct program last;

			worker_start(&last, &b, "last", false);
			totals.written = worker_must(&last, "writer name=killed kind=%s bytes=4096", kinds[k]).v[0];
			worker_quit(&last);
		}
		for (unsigned r = 0; r < READERS; r++) {
			check_reader(&readers[r], totals.written, &totals);
			worker_quit(&readers[r]);
		}
		printf("%s: %u writers killed, %llu written, %llu read and verified\n", kinds[k], rounds,
		       (unsigned long long)totals.written, (unsigned long long)totals.read);
		broker_finish(&b);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stress");

	suite_add(suite, stress_ring, 600);
	suite_add(suite, stress_smallest_ring_stamped, 600);
	suite_add(suite, stress_value, 600);
	suite_add(suite, stress_killed_writers, 600);
	return suite_run(suite);
}
