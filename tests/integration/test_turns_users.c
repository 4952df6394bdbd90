/* SPDX-License-Identifier: MIT */
/* Users take turns, however many requests one of them has. */
#include "turns.h"

#include "../support/other.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { FLOOD = 60, PUT_OFF = 40 }; /* so many that few end before this process gets a turn */

static int make_a_packetful(struct raw *raw)
{
	return make_some(raw, 160);
}

static struct turns turns;
static int to_parent[2];

/* Has FLOOD connections, each with a request for the figures of all segments, sent while the daemon is held up by the first of them. */
static int flood(struct broker *b)
{
	static struct raw raws[FLOOD];
	struct shmb_msg_figures figures = { 0 };

	for (unsigned i = 0; i < FLOOD; i++)
		CHILD_CHECK(raw_start(&raws[i], b->socket) == 0);
	CHILD_CHECK(raw_request(&raws[0], SHMB_OP_FIGURES, &figures, sizeof(figures), NULL, 0) == 0);
	while (!gate_reached(&turns.gate))
		sleep_ms(1);
	CHILD_CHECK(write(to_parent[1], "g", 1) == 1);
	sleep_ms(20);
	for (unsigned i = 1; i < FLOOD; i++)
		CHILD_CHECK(raw_request(&raws[i], SHMB_OP_FIGURES, &figures, sizeof(figures), NULL, 0) == 0);
	CHILD_CHECK(write(to_parent[1], "s", 1) == 1);
	for (unsigned i = 0; i < FLOOD; i++) {
		static struct raw_answer answer;

		CHILD_CHECK(raw_receive(&raws[i], &answer, SUITE_PATIENCE_MS) > 0 && answer.head.result == 0);
	}
	return 0;
}

/* Some hundreds of requests of one user, and one of another who asked before: he is not the last to be served, and all are. */
START_TEST(requests_of_one_user)
{
	static struct raw_answer answer;
	struct shmb_msg_metrics metrics = { 0 };
	struct counts before = { 0 }, during = { 0 };
	struct raw_child child;
	char byte;
	pid_t pid;

	OTHER_SKIP();
	ck_assert_int_eq(pipe2(to_parent, O_CLOEXEC), 0);
	turns_start(&turns, "turn.figures", 1, &(struct broker_options){ .runtime_mode = 0755 });
	raw_child_start(&child, turns.b.socket, make_a_packetful);
	ck_assert_int_eq(child.result, 0);
	ask_counts(&turns.raw, &before);
	pid = other_start(OTHER_UID, flood, &turns.b);
	ck_assert_int_eq(read(to_parent[0], &byte, 1), 1);
	ck_assert_int_eq(raw_request(&turns.raw, SHMB_OP_METRICS, &metrics, sizeof(metrics), NULL, 0), 0);
	ck_assert_int_eq(read(to_parent[0], &byte, 1), 1);
	gate_open(&turns.gate);
	raw_must(&turns.raw, &answer);
	read_counts(&answer, &during);
	raw_answer_deinit(&answer);
	/* HELLO and READY of each, and what was answered of the rest. */
	ck_assert_uint_lt(during.requests - before.requests, 2 * FLOOD + FLOOD / 2);
	other_wait(pid);
	close(to_parent[0]);
	close(to_parent[1]);
	raw_child_kill(&child);
	turns_end(&turns);
}
END_TEST

/* Has PUT_OFF connections, each with a request that goes through all segments and meets none, a turn for each of them. */
static int put_off(struct broker *b)
{
	static struct raw raws[PUT_OFF];
	struct shmb_msg_figures figures = { .pattern = "late*" };

	for (unsigned i = 0; i < PUT_OFF; i++)
		CHILD_CHECK(raw_start(&raws[i], b->socket) == 0);
	for (unsigned i = 0; i < PUT_OFF; i++)
		CHILD_CHECK(raw_request(&raws[i], SHMB_OP_FIGURES, &figures, sizeof(figures), NULL, 0) == 0);
	CHILD_CHECK(write(to_parent[1], "s", 1) == 1);
	for (unsigned i = 0; i < PUT_OFF; i++) {
		static struct raw_answer answer;

		CHILD_CHECK(raw_receive(&raws[i], &answer, SUITE_PATIENCE_MS) > 0 && answer.head.result == 0);
	}
	return 0;
}

/* Many requests of one user that are put off, and one of another, who asks after them: he is through when none of them is, for he has every second turn. */
START_TEST(put_off_by_users)
{
	static struct raw_answer answer;
	struct shmb_msg_figures figures = { .pattern = "late*" };
	struct counts before = { 0 }, after = { 0 };
	struct raw many = { 0 };
	struct raw raw = { 0 };
	struct broker b;
	char byte;
	pid_t pid;

	OTHER_SKIP();
	ck_assert_int_eq(pipe2(to_parent, O_CLOEXEC), 0);
	broker_start(&b, &(struct broker_options){ .runtime_mode = 0755, .steps = true, .step_at = "turn.figures", .step_do = "slow:3" });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	ck_assert_int_eq(raw_start(&many, b.socket), 0);
	ck_assert_int_eq(make_many(&many), 0);
	pid = other_start(OTHER_UID, put_off, &b);
	ck_assert_int_eq(read(to_parent[0], &byte, 1), 1);
	sleep_ms(250); /* all have begun: one does in each round */
	ask_counts(&raw, &before);
	ck_assert_int_eq(raw_request(&raw, SHMB_OP_FIGURES, &figures, sizeof(figures), NULL, 0), 0);
	raw_must(&raw, &answer);
	raw_answer_deinit(&answer);
	ask_counts(&raw, &after);
	/* What was answered to him, and little else. */
	ck_assert_uint_lt(after.requests - before.requests, 2 + PUT_OFF / 4);
	other_wait(pid);
	close(to_parent[0]);
	close(to_parent[1]);
	raw_end(&many);
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("turns_users");

	suite_add(suite, requests_of_one_user, 60);
	suite_add(suite, put_off_by_users, 60);
	return suite_run(suite);
}
