/* SPDX-License-Identifier: MIT */
/*
 * Changes of generation at random for some seconds: writers of two users (as root) and two layouts, each closed, killed or gone by exec after a few
 * writes; readers that come, are killed and go; the daemon killed and restarted. Readers check every payload and count every gap: nothing torn, nothing
 * twice, nothing lost but the one number that a writer may have had under way when it was replaced alive. In the end one generation is there.
 *
 * SHMB_TEST_SEED repeats a run, SHMB_TEST_SECONDS makes it longer.
 */
#include "../support/client.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READERS = 4, SECONDS = 4, CAPACITY = 4096 };

struct run {
	struct broker b;
	struct program writer;
	struct program readers[READERS];
	bool reads[READERS];
	bool writes;
	uint64_t next;	   /* as the last writer said */
	uint64_t replaced; /* writers that may have lived when they were replaced */
	unsigned generations, kills, restarts, samples;
};

static unsigned chance(unsigned of)
{
	return (unsigned)random() % of;
}

static unsigned from_environment(const char *name, unsigned otherwise)
{
	const char *value = getenv(name);

	return value != NULL ? (unsigned)strtoul(value, NULL, 10) : otherwise;
}

static void writer_begin(struct run *run)
{
	struct answer answer = { 0 };
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	unsigned capacity = CAPACITY << chance(2);

	worker_start(&run->writer, &run->b, "writer", false);
	if (geteuid() == 0)
		worker_must(&run->writer, "become uid=%u", 4201 + chance(2));
	/* -EPROTOTYPE, -EEXIST: the one before is not yet known to be gone, and it has another layout */
	do {
		answer = worker_ask(&run->writer, "writer name=storm bytes=64 capacity=%u deadline=15000", capacity);
		ck_assert_msg(answer.result == 0 || suite_pause(deadline), "%d %s", answer.result, answer.text);
	} while (answer.result != 0);
	ck_assert_msg(answer.v[0] >= run->next && answer.v[0] <= run->next + 1, "numbers go on at %llu, not %llu",
		      (unsigned long long)answer.v[0], (unsigned long long)run->next);
	run->next = worker_must(&run->writer, "write n=%u", chance(20)).v[0];
	run->writes = true;
}

static void writer_end(struct run *run)
{
	run->next = worker_must(&run->writer, "write n=%u", chance(20)).v[0];
	switch (chance(3)) {
	case 0:
		program_kill(&run->writer);
		run->kills++;
		break;
	case 1:
		worker_quit(&run->writer);
		break;
	default: /* lives on as another program; not for long, but it may be replaced first */
		worker_must(&run->writer, "exec");
		run->replaced++;
		sleep_ms(chance(2) * 20);
		program_kill(&run->writer);
		break;
	}
	run->writes = false;
}

static void reader_begin(struct run *run, unsigned which)
{
	struct program *reader = &run->readers[which];

	worker_start(reader, &run->b, "reader", false);
	if (geteuid() == 0)
		worker_must(reader, "become uid=%u", 4203 + which % 2);
	worker_must(reader, "reader name=storm bytes=64 deadline=15000");
	worker_must(reader, "watch");
	run->reads[which] = true;
}

static void reader_end(struct run *run, unsigned which, bool all)
{
	struct program *reader = &run->readers[which];
	struct answer answer;

	run->reads[which] = false;
	if (!all && chance(2) == 0) {
		program_kill(reader);
		run->kills++;
		return;
	}
	if (all && run->next > 0)
		answer = worker_must(reader, "stop last=%llu", (unsigned long long)run->next - 1);
	else
		answer = worker_must(reader, "stop");
	ck_assert_msg(answer.v[2] == 0 && answer.v[3] == 0 && answer.v[6] == 0, "torn %llu, backward %llu, wrong %llu",
		      (unsigned long long)answer.v[2], (unsigned long long)answer.v[3], (unsigned long long)answer.v[6]);
	ck_assert_msg(answer.v[1] <= run->replaced, "%llu missed, but %llu replaced", (unsigned long long)answer.v[1],
		      (unsigned long long)run->replaced);
	ck_assert(!all || answer.v[0] == 0 || answer.v[7] == run->next - 1);
	run->samples += (unsigned)answer.v[0];
	worker_quit(reader);
}

static int note(const struct shmb_segment_info *info, const char *schema, const struct shmb_reader_info *readers, void *user)
{
	(void)schema;
	(void)readers;
	*(struct shmb_segment_info *)user = *info;
	return 0;
}

static unsigned files_in(struct broker *b)
{
	DIR *directory = opendir(b->shm);
	struct dirent *entry;
	unsigned count = 0;

	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory)) != NULL)
		count += strncmp(entry->d_name, "storm", 5) == 0;
	closedir(directory);
	return count;
}

static void one_is_left(struct run *run)
{
	struct shmb *client = broker_connect(&run->b);
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	struct shmb_segment_info info = { 0 };

	do
		ASSERT_OK(shmb_info(client, "storm", note, &info));
	while ((info.draining != 0 || info.readers != 0) && suite_pause(deadline));
	ck_assert_uint_eq(info.draining, 0);
	ck_assert_uint_eq(info.readers, 0);
	run->generations = (unsigned)info.generation;
	ck_assert_uint_eq(files_in(&run->b), 9 - 2 * (geteuid() == 0 ? 3 : 1)); /* card, record, data, and areas where they are named */
	shmb_disconnect(client);
}

START_TEST(storm_of_generations)
{
	static struct run run;
	unsigned seed = from_environment("SHMB_TEST_SEED", (unsigned)shmb_now_ns());
	uint64_t until;

	srandom(seed);
	printf("seed %u\n", seed);
	broker_start(&run.b, &(struct broker_options){ .runtime_mode = geteuid() == 0 ? 0755 : 0700,
						       .config = "[segment *]\non-exit = keep\nwriters = *\n" });
	writer_begin(&run);
	until = shmb_now_ns() + from_environment("SHMB_TEST_SECONDS", SECONDS) * UINT64_C(1000000000);
	while (shmb_now_ns() < until) {
		unsigned which = chance(READERS);

		switch (chance(8)) {
		case 0:
			if (chance(3) == 0) {
				broker_kill(&run.b);
				if (run.writes)
					run.next = worker_must(&run.writer, "write n=3").v[0];
				broker_restart(&run.b);
				run.restarts++;
			}
			break;
		case 1:
		case 2:
			if (run.reads[which])
				reader_end(&run, which, false);
			else
				reader_begin(&run, which);
			break;
		case 3:
			if (run.writes)
				run.next = worker_must(&run.writer, "write n=%u", chance(50)).v[0];
			break;
		default:
			if (run.writes)
				writer_end(&run);
			else
				writer_begin(&run);
			break;
		}
	}
	if (!run.writes)
		writer_begin(&run);
	run.next = worker_must(&run.writer, "write n=1").v[0];
	for (unsigned i = 0; i < READERS; i++) {
		if (run.reads[i])
			reader_end(&run, i, true);
	}
	worker_quit(&run.writer);
	one_is_left(&run);
	printf("%u generations, %u kills, %u restarts, %u samples read\n", run.generations, run.kills, run.restarts, run.samples);
	ck_assert_uint_gt(run.generations, 5);
	broker_finish(&run.b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("takeover stress");

	suite_add(suite, storm_of_generations, 60 + (int)from_environment("SHMB_TEST_SECONDS", SECONDS));
	return suite_run(suite);
}
