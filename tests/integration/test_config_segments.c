/* SPDX-License-Identifier: MIT */
/*
 * What the configuration makes of segments: of each setting the effect that can be seen, on what follows an end and on what a segment is made like;
 * cleaning up by it, and explaining it.
 */
#include "../support/client.h"
#include "../support/raw.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char schema[] = "uint64[8] words\n";

/* ---- what follows an end ---- */

/* Makes it, publishes `n` and closes. */
static void made(struct shmb *client, const char *name, unsigned n)
{
	struct shmb_ring_writer *writer = ring_writer(client, name, 64, 8);

	if (n > 0)
		ring_write(writer, 64, n, 1);
	shmb_ring_writer_close(writer);
}

START_TEST(linger_by_pattern)
{
	struct shmb *client;
	struct broker b;
	char *log;

	broker_start(&b, &(struct broker_options){ .config = "[broker]\nlinger = infinity\n[segment quick/*]\nlinger = 20ms\n" });
	client = broker_connect(&b);
	made(client, "slow/a", 1);
	made(client, "quick/a", 1);
	made(client, "quick/b", 0);
	WAIT_UNTIL(segments_count(client) == 1);
	ck_assert(segment_listed(client, "slow/a", &(struct listed){ 0 }));
	broker_wait_log(&b, "quick/a: removed: nobody has written or read it; linger = 20ms, on-exit = reap (built in)");
	log = broker_log(&b);
	ck_assert_uint_eq(text_count(log, "removed: nobody"), 2);
	free(log);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(what_follows_an_exit)
{
	struct program writer;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[broker]\nlinger = 0\n"
							     "[segment keep/*]\non-exit = keep\n"
							     "[segment never/*]\non-exit = keep\non-never = reap\n"
							     "[segment hold/*]\non-never = keep\n" });
	client = broker_connect(&b);
	made(client, "keep/a", 1);
	made(client, "never/written", 1);
	made(client, "never/empty", 0);
	made(client, "hold/written", 1);
	made(client, "hold/empty", 0);
	WAIT_UNTIL(segments_count(client) == 3);
	ck_assert(segment_listed(client, "keep/a", &(struct listed){ 0 }));
	ck_assert(segment_listed(client, "never/written", &(struct listed){ 0 }));
	ck_assert(segment_listed(client, "hold/empty", &(struct listed){ 0 }));
	broker_wait_log(&b, "never/empty: removed: nothing was ever published; linger = 0, on-never = reap (");
	/* A death is an exit as well. */
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=keep/b bytes=64");
	worker_must(&writer, "write n=1");
	program_kill(&writer);
	wait_writer(client, "keep/b", SHMB_WRITER_IS_DEAD);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The next writer gets new memory, the same user too. */
START_TEST(replaced_after_an_exit)
{
	struct shmb *client;
	struct listed listed;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[broker]\nlinger = 0\n[segment new/*]\non-exit = replace\n"
							     "[segment old/*]\non-exit = keep\n" });
	client = broker_connect(&b);
	for (unsigned i = 0; i < 2; i++) {
		made(client, "new/a", 2);
		made(client, "old/a", 2);
	}
	ck_assert(segment_listed(client, "old/a", &listed) && listed.generation == 1);
	ck_assert(segment_listed(client, "new/a", &listed) && listed.generation == 2);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(readers_keep_it_or_not)
{
	struct shmb_ring_reader *kept;
	struct shmb_ring_reader *lost;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[broker]\nlinger = infinity\n[segment no/*]\nkeep-while-read = no\n" });
	client = broker_connect(&b);
	made(client, "yes/a", 2);
	made(client, "no/a", 2);
	kept = ring_reader(client, "yes/a");
	lost = ring_reader(client, "no/a");
	broker_configure(&b, "[broker]\nlinger = 30ms\n[segment no/*]\nkeep-while-read = no\n");
	ck_assert_uint_eq(ring_latest(lost, 1, -1), 1);
	program_signal(&b.daemon, SIGHUP);
	WAIT_UNTIL(segments_count(client) == 1);
	ck_assert(segment_listed(client, "yes/a", &(struct listed){ 0 }));
	/* What it has mapped stays; a wait says that it is over. */
	ck_assert_uint_eq(ring_latest(lost, 1, -1), 1);
	{
		int r = 0;

		for (unsigned i = 0; i < 3 && r != -ESTALE; i++) /* first of all: the writer closed */
			r = shmb_ring_wait(lost, deadline_in(SUITE_PATIENCE_MS));
		ck_assert_int_eq(r, -ESTALE);
	}
	shmb_ring_reader_close(lost);
	shmb_ring_reader_close(kept);
	WAIT_UNTIL(segments_count(client) == 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(what_follows_a_hang)
{
	struct program hangs;
	struct program stops;
	struct program ignored;
	struct answer answer;
	struct shmb *client;
	struct listed listed;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[segment *]\nstale-time = 1s\nlinger = 0\n"
							     "[segment reap/*]\non-hang = reap\n"
							     "[segment keep/*]\non-hang = keep\n"
							     "[segment mark/*]\non-hang = mark\n" });
	client = broker_connect(&b);
	worker_start(&ignored, &b, "ignored", false);
	worker_must(&ignored, "writer name=keep/a bytes=64");
	worker_must(&ignored, "write n=1");
	worker_start(&stops, &b, "stops", false);
	worker_must(&stops, "writer name=reap/stopped bytes=64");
	worker_must(&stops, "write n=1");
	program_signal(&stops, SIGSTOP);
	program_wait_stopped(&stops);
	worker_start(&hangs, &b, "hangs", false);
	worker_must(&hangs, "writer name=reap/a bytes=64");
	worker_must(&hangs, "write n=1");
	WAIT_UNTIL(!segment_listed(client, "reap/a", &listed));
	broker_wait_log(&b, "reap/a: removed: its writer hangs; linger = 0, on-hang = reap (");
	answer = worker_ask(&hangs, "write n=1");
	ASSERT_RESULT(answer, -ESTALE);
	/* Stopped is not hung: the policy does not name it. */
	wait_writer(client, "reap/stopped", SHMB_WRITER_IS_STOPPED);
	sleep_ms(2500);
	ck_assert(segment_listed(client, "reap/stopped", &listed));
	ck_assert(segment_listed(client, "keep/a", &listed) && listed.writer == SHMB_WRITER_IS_ALIVE);
	worker_must(&hangs, "close-writer");
	worker_must(&hangs, "writer name=mark/a bytes=64");
	worker_must(&hangs, "write n=1");
	wait_writer(client, "mark/a", SHMB_WRITER_IS_HUNG);
	sleep_ms(2500);
	ck_assert(segment_listed(client, "mark/a", &listed));
	program_signal(&stops, SIGCONT);
	worker_quit(&hangs);
	worker_quit(&stops);
	worker_quit(&ignored);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- what a segment is made like ---- */

START_TEST(reader_areas_by_policy)
{
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct raw raw = { 0 };
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[segment none]\nreader-areas = 0\n[segment six]\nreader-areas = 6\n",
						   .linger = "infinity" });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	raw_open_writer(&open, "none", schema, 64);
	open.handle = 1;
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer), 0);
	ck_assert_uint_eq(answer.open.fd_count, 2);
	raw_answer_deinit(&answer);
	raw_open_writer(&open, "six", schema, 64);
	open.handle = 2;
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer), 0);
	ck_assert_uint_eq(answer.open.fd_count, 8);
	raw_answer_deinit(&answer);
	raw_open_writer(&open, "other", schema, 64);
	open.handle = 3;
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer), 0);
	ck_assert_uint_eq(answer.open.fd_count, 6);
	raw_answer_deinit(&answer);
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

/* Sealed memory cannot be made shorter by who writes it. */
START_TEST(backing_by_policy)
{
	static const char *const names[] = { "named", "sealed" };
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct raw raw = { 0 };
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[segment sealed]\nbacking = sealed\n", .linger = "infinity" });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	for (unsigned i = 0; i < 2; i++) {
		raw_open_writer(&open, names[i], schema, 64);
		open.handle = i + 1;
		ck_assert_int_eq(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer), 0);
		ck_assert_int_eq(ftruncate(answer.fds[1], 0) == 0, i == 0);
		raw_answer_deinit(&answer);
	}
	raw_end(&raw);
	broker_stop(&b); /* what was truncated is for nobody any more */
	broker_drop(&b);
}
END_TEST

START_TEST(sizes_by_policy)
{
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[segment small/*]\nbytes-max = 64K\n[segment few/*]\ncapacity-max = 8\n",
						   .linger = "infinity" });
	client = broker_connect(&b);
	made(client, "small/a", 1);
	ck_assert_int_eq(ring_writer_try(client, "small/b", 8192, 64), -EFBIG);
	ck_assert_msg(strstr(shmb_text(), "bytes-max = 64K (") != NULL && strstr(shmb_text(), "conf:2)") != NULL, "%s", shmb_text());
	made(client, "few/a", 1);
	ck_assert_int_eq(ring_writer_try(client, "few/b", 64, 16), -EFBIG);
	ck_assert_msg(strstr(shmb_text(), "capacity-max = 8") != NULL, "%s", shmb_text());
	ck_assert_uint_eq(segments_count(client), 2);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A number of kB from the entry of /proc/self/smaps for the mapping of this file. */
static long smaps_kb(const char *file, const char *key)
{
	FILE *in = fopen("/proc/self/smaps", "r");
	char line[1024];
	bool inside = false;
	long kb = -1;

	ck_assert_ptr_nonnull(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		if (strchr(line, '-') != NULL && strchr(line, '-') < line + 20)
			inside = strstr(line, file) != NULL;
		else if (inside && strncmp(line, key, strlen(key)) == 0)
			kb = atol(line + strlen(key) + 1);
	}
	fclose(in);
	return kb;
}

START_TEST(mapped_as_wished)
{
	static const char *const names[] = { "plain", "prefault", "lock" };
	static char own[1 << 19];
	struct shmb_ring_writer *writers[3];
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[segment prefault]\nprefault = yes\n[segment lock]\nlock = yes\n",
						   .linger = "infinity" });
	client = broker_connect(&b);
	for (unsigned i = 0; i < 3; i++)
		writers[i] = ring_writer(client, names[i], 8192, 64); /* 512 KiB */
	ck_assert_int_lt(smaps_kb("/plain,1,data", "Rss:"), 400);
	ck_assert_int_eq(smaps_kb("/plain,1,data", "Locked:"), 0);
	ck_assert_int_ge(smaps_kb("/prefault,1,data", "Rss:"), 512);
	ck_assert_int_eq(smaps_kb("/prefault,1,data", "Locked:"), 0);
	if (SUITE_SANITIZED || mlock(own, sizeof(own)) < 0)
		printf("skipped in part: this process may not lock that much memory, or a sanitizer makes mlock do nothing\n");
	else
		ck_assert_int_ge(smaps_kb("/lock,1,data", "Locked:"), 512);
	for (unsigned i = 0; i < 3; i++)
		shmb_ring_writer_close(writers[i]);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- cleaning up, explaining ---- */

struct gc_seen {
	unsigned count;
	struct {
		char name[256], reason[256];
		enum shmb_gc_outcome outcome;
		uint64_t due_ns;
		int is_foreign;
	} item[8];
};

static int note_gc(const struct shmb_gc_info *info, void *user)
{
	struct gc_seen *seen = user;

	ck_assert_uint_lt(seen->count, 8);
	snprintf(seen->item[seen->count].name, 256, "%s", info->name);
	snprintf(seen->item[seen->count].reason, 256, "%s", info->reason);
	seen->item[seen->count].outcome = info->outcome;
	seen->item[seen->count].due_ns = info->due_ns;
	seen->item[seen->count++].is_foreign = info->is_foreign;
	return 0;
}

START_TEST(gc_tells_and_removes)
{
	struct shmb_ring_writer *writer;
	struct gc_seen seen = { 0 };
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[segment *]\nlinger = 1h\n[segment for/ever]\nlinger = infinity\n"
							     "[segment kept]\non-exit = keep\n" });
	client = broker_connect(&b);
	made(client, "idle", 1);
	made(client, "for/ever", 1);
	made(client, "kept", 1);
	writer = ring_writer(client, "written", 64, 8);
	ASSERT_OK(shmb_gc(client, SHMB_GC_TELL, note_gc, &seen));
	ck_assert_uint_eq(seen.count, 2);
	ck_assert_str_eq(seen.item[0].name, "idle");
	ck_assert_int_eq(seen.item[0].outcome, SHMB_GC_WOULD_GO);
	ck_assert(seen.item[0].due_ns > 3000000000000 && seen.item[0].due_ns <= 3600000000000);
	ck_assert_msg(strstr(seen.item[0].reason, "unused: on-exit = reap (built in)") != NULL, "%s", seen.item[0].reason);
	ck_assert(strcmp(seen.item[1].name, "for/ever") == 0 && seen.item[1].due_ns == UINT64_MAX);
	ck_assert_uint_eq(segments_count(client), 4);
	seen.count = 0;
	ASSERT_OK(shmb_gc(client, 0, note_gc, &seen));
	ck_assert(seen.count == 2 && seen.item[0].outcome == SHMB_GC_IS_REMOVED && seen.item[1].outcome == SHMB_GC_IS_REMOVED);
	ck_assert_uint_eq(segments_count(client), 2);
	broker_wait_log(&b, "for/ever: removed");
	ring_write(writer, 64, 1, 1);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

struct explained {
	unsigned patterns;
	char first[256], first_source[300];
	char linger[64], linger_source[300], lock_source[64];
	int may_read, may_write, is_there;
	char write_why[300];
};

static int note_policy(const struct shmb_policy_info *info, void *user)
{
	struct explained *out = user;

	*out = (struct explained){
		.patterns = info->pattern_count, .may_read = info->may_read, .may_write = info->may_write, .is_there = info->is_there
	};
	if (info->pattern_count > 0) {
		snprintf(out->first, sizeof(out->first), "%s", info->patterns[0].pattern);
		snprintf(out->first_source, sizeof(out->first_source), "%s", info->patterns[0].source);
	}
	for (unsigned i = 0; i < info->setting_count; i++) {
		if (strcmp(info->settings[i].name, "linger") == 0) {
			snprintf(out->linger, sizeof(out->linger), "%s", info->settings[i].value);
			snprintf(out->linger_source, sizeof(out->linger_source), "%s", info->settings[i].source);
		}
		if (strcmp(info->settings[i].name, "lock") == 0)
			snprintf(out->lock_source, sizeof(out->lock_source), "%s", info->settings[i].source);
	}
	snprintf(out->write_why, sizeof(out->write_why), "%s", info->write_why);
	return 0;
}

START_TEST(policy_is_explained)
{
	const uint32_t groups[] = { 44 };
	struct explained seen;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){
				 .config = "[segment *]\nlinger = 1h\n[segment cam/*]\nwriters = 1000 @44\nreaders = none\n" });
	client = broker_connect(&b);
	ASSERT_OK(shmb_policy(client, "cam/x", NULL, note_policy, &seen));
	ck_assert(seen.patterns == 2 && !seen.is_there && seen.may_read);
	ck_assert_str_eq(seen.first, "cam/*");
	ck_assert_str_eq(seen.linger, "1h");
	ck_assert_msg(strstr(seen.linger_source, "shmbrokerd.conf:2") != NULL, "%s", seen.linger_source);
	ck_assert_msg(strstr(seen.first_source, "shmbrokerd.conf:3") != NULL, "%s", seen.first_source);
	ck_assert_str_eq(seen.lock_source, "built in");
	ASSERT_OK(shmb_policy(client, "cam/x", &(struct shmb_user){ .uid = 7, .gids = groups }, note_policy, &seen));
	ck_assert(!seen.may_read && !seen.may_write);
	ck_assert_msg(strstr(seen.write_why, "writers = 1000 @44 (") != NULL && strstr(seen.write_why, "conf:4)") != NULL, "%s",
		      seen.write_why);
	ASSERT_OK(shmb_policy(client, "cam/x", &(struct shmb_user){ .uid = 7, .gids = groups, .gid_count = 1 }, note_policy, &seen));
	ck_assert(seen.may_read && seen.may_write);
	ASSERT_ERROR(shmb_policy(client, "cam/*", NULL, note_policy, &seen), EINVAL);
	made(client, "there", 1);
	ASSERT_OK(shmb_policy(client, "there", NULL, note_policy, &seen));
	ck_assert(seen.is_there);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_segments");

	suite_add(suite, linger_by_pattern, 60);
	suite_add(suite, what_follows_an_exit, 60);
	suite_add(suite, replaced_after_an_exit, 60);
	suite_add(suite, readers_keep_it_or_not, 60);
	suite_add(suite, what_follows_a_hang, 60);
	suite_add(suite, reader_areas_by_policy, 30);
	suite_add(suite, backing_by_policy, 30);
	suite_add(suite, sizes_by_policy, 30);
	suite_add(suite, mapped_as_wished, 30);
	suite_add(suite, gc_tells_and_removes, 30);
	suite_add(suite, policy_is_explained, 30);
	return suite_run(suite);
}
