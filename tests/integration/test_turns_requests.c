/* SPDX-License-Identifier: MIT */
/* Requests that look at many things leave others their turn: figures of all segments, a reload, what is left over. */
#include "turns.h"

#include <signal.h>
#include <sys/stat.h>

/* Nothing is met among the first ones. One that is made while the request waits for its next turn is met. */
START_TEST(figures_of_names_that_are_not_met)
{
	static struct raw_answer answer;
	struct shmb_msg_figures figures = { .pattern = "late*" };
	const struct shmb_msg_figures_answer *got = (const struct shmb_msg_figures_answer *)answer.bytes;
	struct shmb_msg_open_writer open;
	struct raw gone = { 0 };
	struct turns t;

	turns_start_many(&t, "turn.figures", 3, NULL);
	ck_assert_int_eq(raw_start(&gone, t.b.socket), 0);
	ck_assert_int_eq(raw_request(&t.raw, SHMB_OP_FIGURES, &figures, sizeof(figures), NULL, 0), 0);
	gate_wait(&t.gate);
	raw_open_writer(&open, "late", turns_schema, 64);
	open.handle = MANY + 1;
	ck_assert_int_eq(raw_request(&t.many, SHMB_OP_OPEN_WRITER, &open, sizeof(open), turns_schema, strlen(turns_schema)), 0);
	turns_go_on(&t);
	raw_must(&t.raw, &answer);
	ck_assert_uint_eq(got->count, 1);
	raw_answer_deinit(&answer);
	raw_must(&t.many, &answer);
	raw_answer_deinit(&answer);
	/* And its connection goes on. */
	ask_counts(&t.raw, &(struct counts){ 0 });
	raw_end(&gone);
	turns_end(&t);
}
END_TEST

/* Who hangs up while his request waits for its next turn leaves nothing. */
START_TEST(hung_up_between_two_turns)
{
	struct shmb_msg_figures figures = { .pattern = "late*" };
	struct turns t;

	turns_start_many(&t, "turn.figures", 3, NULL);
	ck_assert_int_eq(raw_request(&t.raw, SHMB_OP_FIGURES, &figures, sizeof(figures), NULL, 0), 0);
	gate_wait(&t.gate);
	raw_close(&t.raw);
	turns_go_on(&t);
	ask_counts(&t.many, &(struct counts){ 0 });
	turns_end(&t);
}
END_TEST

static struct reload_seen {
	uint32_t segments, not_applied;
	size_t lines;
} reload_seen;

static int keep_reload(const struct shmb_reload_result *result, void *user)
{
	(void)user;
	reload_seen = (struct reload_seen){ result->segments, result->not_applied, text_count(result->notes, "\n") };
	return 0;
}

/* Two ask for it at once, and one made meanwhile is under the new rules; the answer to each comes when all have been gone through, and tells of all. */
START_TEST(reload_in_parts)
{
	static struct raw_answer answer;
	const struct shmb_msg_reload_answer *got = (const struct shmb_msg_reload_answer *)answer.bytes;
	struct shmb_msg_metrics metrics = { 0 };
	struct shmb_msg_reload reload = { 0 };
	struct counts counts = { .kind = "policy" };
	struct raw second = { 0 };
	struct raw third = { 0 };
	struct shmb *client;
	struct turns t;

	turns_start_many(&t, "turn.reload", 3, &(struct broker_options){ .config = "[broker]\nlinger = infinity\n" });
	ck_assert_int_eq(raw_start(&second, t.b.socket), 0);
	ck_assert_int_eq(raw_start(&third, t.b.socket), 0);
	broker_configure(&t.b, "[broker]\nlinger = infinity\n[segment many/*]\nreader-areas = 3\n");
	ck_assert_int_eq(raw_request(&t.raw, SHMB_OP_RELOAD, &reload, sizeof(reload), NULL, 0), 0);
	gate_wait(&t.gate);
	ck_assert_int_eq(raw_request(&second, SHMB_OP_RELOAD, &reload, sizeof(reload), NULL, 0), 0);
	ck_assert_int_eq(raw_request(&third, SHMB_OP_METRICS, &metrics, sizeof(metrics), NULL, 0), 0);
	turns_go_on(&t);
	raw_must(&third, &answer);
	read_counts(&answer, &counts);
	ck_assert_uint_lt(counts.events, MANY); /* what does not apply to each of them */
	raw_answer_deinit(&answer);
	raw_must(&t.raw, &answer);
	ck_assert_uint_eq(got->segments, MANY);
	ck_assert_uint_eq(got->not_applied, MANY);
	raw_answer_deinit(&answer);
	raw_must(&second, &answer);
	ck_assert_uint_eq(got->segments, MANY);
	ck_assert_uint_eq(got->not_applied, 0);
	raw_answer_deinit(&answer);
	client = broker_connect(&t.b);
	broker_configure(&t.b, "[broker]\nlinger = infinity\n");
	ASSERT_OK(shmb_reload(client, keep_reload, NULL));
	ck_assert(reload_seen.segments == MANY && reload_seen.not_applied == MANY && reload_seen.lines == MANY);
	shmb_disconnect(client);
	raw_end(&third);
	raw_end(&second);
	turns_end(&t);
}
END_TEST

/* Who asked hangs up, and the daemon is told by a signal once more: it is loaded all the same. */
START_TEST(reload_goes_on_alone)
{
	static struct raw_answer answer;
	struct shmb_msg_reload reload = { 0 };
	struct turns t;

	turns_start_many(&t, "turn.reload", 3, &(struct broker_options){ .config = "[broker]\nlinger = infinity\n" });
	ck_assert_int_eq(raw_request(&t.raw, SHMB_OP_RELOAD, &reload, sizeof(reload), NULL, 0), 0);
	gate_wait(&t.gate);
	raw_close(&t.raw);
	program_signal(&t.b.daemon, SIGHUP);
	turns_go_on(&t);
	for (struct counts counts = { .kind = "policy" }; counts.events < 2;)
		ask_counts(&t.many, &counts);
	ck_assert_int_eq(raw_start(&t.raw, t.b.socket), 0);
	ck_assert_int_eq(raw_ask(&t.raw, SHMB_OP_RELOAD, &reload, sizeof(reload), NULL, 0, &answer), 0);
	raw_answer_deinit(&answer);
	turns_end(&t);
}
END_TEST

static int count_gc(const struct shmb_gc_info *info, void *user)
{
	(void)info;
	++*(unsigned *)user;
	return 0;
}

/* A turn's worth of an answer, held up at its first step, and where it goes on; the library asks on. */
static void told_in_parts(struct turns *t, uint32_t flags, unsigned all)
{
	static struct raw_answer answer;
	const struct shmb_msg_gc_answer *got = (const struct shmb_msg_gc_answer *)answer.bytes;
	struct shmb_msg_gc gc = { .flags = flags };
	struct shmb *client;
	unsigned total = 0;
	unsigned count;

	ck_assert_int_eq(raw_request(&t->raw, SHMB_OP_GC, &gc, sizeof(gc), NULL, 0), 0);
	gate_wait(&t->gate);
	turns_go_on(t);
	raw_must(&t->raw, &answer);
	count = got->count;
	ck_assert_uint_lt(count, all);
	ck_assert_uint_ne(got->next, 0);
	gc.after = got->next;
	raw_answer_deinit(&answer);
	while (gc.after != 0) {
		ck_assert_int_eq(raw_ask(&t->raw, SHMB_OP_GC, &gc, sizeof(gc), NULL, 0, &answer), 0);
		count += got->count;
		gc.after = got->next;
		raw_answer_deinit(&answer);
	}
	ck_assert_uint_eq(count, all);
	client = broker_connect(&t->b);
	ASSERT_OK(shmb_gc(client, SHMB_GC_TELL | ((flags & SHMB_GC_FOREIGN) != 0 ? SHMB_GC_FOREIGN_FILES : 0), count_gc, &total));
	ck_assert_uint_eq(total, all);
	shmb_disconnect(client);
}

START_TEST(garbage_in_parts)
{
	struct turns t;

	turns_start_many(&t, "turn.gc", 1, NULL);
	raw_end(&t.many);
	told_in_parts(&t, SHMB_GC_DRY_RUN, MANY);
	turns_end(&t);
}
END_TEST

START_TEST(foreign_files_in_parts)
{
	struct shmb_shm_data header = { .magic = SHMB_DATA_MAGIC, .version = 1 };
	struct turns t;
	char config[256], dir[160], path[192];

	snprintf(dir, sizeof(dir), "%s/shmb-test-%d-foreign", broker_tmp(), (int)suite_pid());
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "%s/%u", dir, i);
		file_write(path, &header, sizeof(header));
	}
	snprintf(config, sizeof(config), "[broker]\nforeign = list\nforeign-dir = %s\n", dir);
	turns_start(&t, "stray.look", 1, &(struct broker_options){ .config = config });
	told_in_parts(&t, SHMB_GC_DRY_RUN | SHMB_GC_FOREIGN, MANY);
	turns_end(&t);
	dir_remove(dir);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("turns_requests");

	suite_add(suite, figures_of_names_that_are_not_met, 30);
	suite_add(suite, hung_up_between_two_turns, 30);
	suite_add(suite, reload_in_parts, 30);
	suite_add(suite, reload_goes_on_alone, 30);
	suite_add(suite, garbage_in_parts, 30);
	suite_add(suite, foreign_files_in_parts, 30);
	return suite_run(suite);
}
