/* SPDX-License-Identifier: MIT */
/* Several generations of a name at once: each is there until it has been read, or until whoever holds it has ended; then its files go. */
#include "takeover.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

/* How many files of `name` are in the directory of segments. */
static unsigned files_of(struct broker *b, const char *name)
{
	DIR *directory = opendir(b->shm);
	struct dirent *entry;
	unsigned count = 0;

	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory)) != NULL)
		count += strncmp(entry->d_name, name, strlen(name)) == 0;
	closedir(directory);
	return count;
}

static int note_figures(const struct shmb_figures *figure, void *user)
{
	*(struct shmb_figures *)user = *figure;
	return 0;
}

/* Several generations while a reader looks at the first: each is there until it has been read, in turn; then its files go. */
START_TEST(each_generation_is_drained_in_turn)
{
	enum { GENERATIONS = 5 };
	struct program reader, fast;
	struct shmb_ring_writer *writer;
	struct shmb_figures figure = { 0 };
	struct listed listed = { 0 };
	struct shmb *client;
	struct broker b;
	unsigned one;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&reader, &b, "reader", false);
	worker_start(&fast, &b, "fast", false);
	for (unsigned g = 0; g < GENERATIONS; g++) {
		writer = ring_writer(client, "chain", 64, 8u << (g % 2));
		if (g == 0)
			worker_must(&reader, "reader name=chain bytes=64");
		ring_write(writer, 64, 3, g + 1);
		if (g == 2) /* it never sees the first two */
			worker_must(&fast, "reader name=chain bytes=64");
		shmb_ring_writer_close(writer);
	}
	one = files_of(&b, "chain,5");
	ck_assert_uint_gt(one, 0);
	ck_assert_uint_eq(draining(client, "chain"), GENERATIONS - 1);
	/* All of them take memory, and who reads the first is behind by all there is. */
	ASSERT_OK(shmb_figures(client, "chain", note_figures, &figure));
	ck_assert(segment_listed(client, "chain", &listed));
	ck_assert_uint_eq(figure.bytes, listed.bytes);
	ck_assert_uint_eq(figure.readers, 2);
	ck_assert_uint_eq(figure.lag, 3 * GENERATIONS);
	ck_assert_int_eq(figure.lag_pid, reader.pid);
	for (unsigned g = 0; g < GENERATIONS; g++) {
		ck_assert_uint_eq(followed(&reader), g == 0 ? 0 : 1);
		ck_assert_uint_eq(worker_must(&reader, "status").v[6], g + 1);
		for (unsigned n = 0; n < 3; n++)
			must_read(&reader, 3 * g + n, 0, g + 1);
		WAIT_UNTIL(draining(client, "chain") == GENERATIONS - 1 - (g < 2 ? g : 2));
	}
	WAIT_UNTIL(files_of(&b, "chain,1") == 0 && files_of(&b, "chain,2") == 0 && files_of(&b, "chain,3") == one);
	worker_must(&fast, "close-reader");
	WAIT_UNTIL(draining(client, "chain") == 0);
	ck_assert_uint_eq(files_of(&b, "chain"), one);
	/* Removed under the eyes of readers of two generations. */
	writer = ring_writer(client, "chain", 64, 32);
	worker_must(&fast, "reader name=chain bytes=64");
	shmb_ring_writer_close(writer);
	ASSERT_OK(shmb_remove(client, "chain"));
	ck_assert_uint_eq(files_of(&b, "chain"), 0);
	ASSERT_RESULT(worker_ask(&reader, "follow"), -ESTALE);
	ck_assert_uint_eq(worker_must(&reader, "latest").v[0], 3 * GENERATIONS - 1);
	worker_quit(&reader);
	worker_quit(&fast);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Whoever holds an old one, and however it ends, takes it along: in any order, by death and by closing. */
START_TEST(holders_end_in_any_order)
{
	enum { GENERATIONS = 4 };
	static const unsigned orders[][GENERATIONS] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 3, 0, 2 }, { 2, 0, 3, 1 } };
	struct program readers[GENERATIONS];
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;
	uint64_t bytes;
	struct listed listed;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "any", 64, 8);
	ck_assert(segment_listed(client, "any", &listed));
	bytes = listed.bytes;
	for (unsigned turn = 0; turn < 4; turn++) {
		for (unsigned g = 0; g < GENERATIONS; g++) {
			shmb_ring_writer_close(writer);
			writer = ring_writer(client, "any", 64, 8u << ((g + 1) % 2)); /* the last one as the first */
			ring_write(writer, 64, 1, g);
			worker_start(&readers[g], &b, "reader", false);
			worker_must(&readers[g], "reader name=any bytes=64");
		}
		ck_assert_uint_eq(draining(client, "any"), GENERATIONS - 1);
		for (unsigned i = 0; i < GENERATIONS; i++) {
			struct program *reader = &readers[orders[turn][i]];

			if ((turn + i) % 3 == 0)
				program_kill(reader);
			else if ((turn + i) % 3 == 1)
				worker_quit(reader);
			else
				worker_must(reader, "close-reader");
			if (i == 1 && turn % 2 == 0) { /* and the next daemon finds the rest */
				broker_kill(&b);
				broker_restart(&b);
				ck_assert_uint_gt(segments_count(client), 0);
			}
		}
		WAIT_UNTIL(draining(client, "any") == 0);
		for (unsigned g = 0; g < GENERATIONS; g++)
			if (!readers[g].ended)
				worker_quit(&readers[g]);
		ck_assert(segment_listed(client, "any", &listed));
		ck_assert_uint_eq(listed.bytes, bytes);
		WAIT_UNTIL(segment_listed(client, "any", &listed) && listed.readers == 0);
	}
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("takeover chains");

	suite_add(suite, each_generation_is_drained_in_turn, 60);
	suite_add(suite, holders_end_in_any_order, 60);
	return suite_run(suite);
}
