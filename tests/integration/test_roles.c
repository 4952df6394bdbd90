/* SPDX-License-Identifier: MIT */
/*
 * Who gets what of frames, queues and blocks: asked for by hand, so that what the library never asks for is asked as well. What the library
 * makes of them has tests of its own.
 */
#include "../support/client.h"
#include "../support/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char words[] = "uint64[8] words\n";
static struct raw_answer answer;

static int open_kind(struct raw *raw, enum shmb_kind kind, const char *name, uint32_t handle)
{
	struct shmb_msg_open_writer open;

	raw_open_kind(&open, kind, name, words, 64);
	open.handle = handle;
	return raw_ask(raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), words, strlen(words), &answer);
}

static int open_role(struct raw *raw, enum shmb_role role, enum shmb_kind kind, const char *name, uint32_t handle)
{
	struct shmb_msg_open_reader open;

	raw_open_reader(&open, name);
	open.role = (uint8_t)role;
	open.kind = (uint8_t)kind;
	open.handle = handle;
	return raw_ask(raw, SHMB_OP_OPEN_READER, &open, sizeof(open), NULL, 0, &answer);
}

static int close_handle(struct raw *raw, uint32_t handle)
{
	struct shmb_msg_close end = { .handle = handle };

	return raw_ask(raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer);
}

static bool can_write(int fd)
{
	return (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
}

static int consume(struct raw *raw)
{
	return open_role(raw, SHMB_ROLE_CONSUMER, SHMB_KIND_QUEUE, "queue", 2);
}

static int share(struct raw *raw)
{
	return open_kind(raw, SHMB_KIND_BLOCK, "block", 1);
}

START_TEST(one_consumer)
{
	struct raw_child child;
	struct raw raw = { 0 };
	struct broker b;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	ck_assert_int_eq(consume(&raw), -ENOENT);
	ASSERT_OK(open_kind(&raw, SHMB_KIND_QUEUE, "queue", 1));
	ck_assert_uint_eq(answer.fd_count, 6); /* as for every writer */
	raw_answer_deinit(&answer);
	raw_child_start(&child, b.socket, consume);
	ASSERT_OK(child.result);
	ck_assert_int_eq(consume(&raw), -EBUSY);
	ck_assert_int_eq(answer.answer.holder_pid, child.pid);
	ck_assert_uint_eq(answer.answer.holder_uid, getuid());
	ck_assert_ptr_nonnull(strstr(answer.answer.text, "consumed by process"));
	raw_child_kill(&child);
	/* At once: the broker looks whether the one in the way still lives. */
	ASSERT_OK(consume(&raw));
	ck_assert_uint_eq(answer.open.cell, SHMB_QUEUE_CELL);
	ck_assert_uint_eq(answer.open.area, 0);
	ck_assert_uint_eq(answer.open.incarnation, 2);
	ck_assert_uint_eq(answer.fd_count, 3);
	ck_assert(!can_write(answer.fds[0]) && !can_write(answer.fds[1]) && can_write(answer.fds[2]));
	raw_answer_deinit(&answer);
	ASSERT_OK(consume(&raw)); /* the same handle: the same answer */
	ck_assert_uint_eq(answer.open.incarnation, 2);
	raw_answer_deinit(&answer);
	ck_assert_int_eq(open_role(&raw, SHMB_ROLE_CONSUMER, SHMB_KIND_QUEUE, "queue", 3), -EBUSY);
	ck_assert_int_eq(answer.answer.holder_pid, getpid());
	ASSERT_OK(close_handle(&raw, 2));
	ASSERT_OK(open_role(&raw, SHMB_ROLE_CONSUMER, SHMB_KIND_QUEUE, "queue", 3));
	raw_answer_deinit(&answer);
	ASSERT_OK(close_handle(&raw, 1)); /* else the broker keeps an eye on this process, which lives on */
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

START_TEST(roles_and_kinds)
{
	struct raw raw = { 0 };
	struct broker b;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	ASSERT_OK(open_kind(&raw, SHMB_KIND_QUEUE, "queue", 1));
	raw_answer_deinit(&answer);
	ASSERT_OK(open_kind(&raw, SHMB_KIND_FRAME, "frame", 2));
	raw_answer_deinit(&answer);
	ASSERT_OK(open_kind(&raw, SHMB_KIND_BLOCK, "block", 3));
	raw_answer_deinit(&answer);
	ck_assert_int_eq(open_role(&raw, SHMB_ROLE_READER, SHMB_KIND_QUEUE, "queue", 9), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(answer.answer.text, "one consumer"));
	ck_assert_int_eq(open_role(&raw, SHMB_ROLE_READER, SHMB_KIND_NONE, "queue", 9), -EOPNOTSUPP);
	ck_assert_int_eq(open_role(&raw, SHMB_ROLE_CONSUMER, SHMB_KIND_QUEUE, "frame", 9), -EMEDIUMTYPE);
	ck_assert_int_eq(open_role(&raw, SHMB_ROLE_READER, SHMB_KIND_RING, "block", 9), -EMEDIUMTYPE);
	ck_assert_int_eq(open_kind(&raw, SHMB_KIND_RING, "block", 9), -EEXIST);
	ck_assert_int_eq(open_kind(&raw, SHMB_KIND_FRAME, "queue", 9), -EEXIST);
	ASSERT_OK(open_role(&raw, SHMB_ROLE_OBSERVER, SHMB_KIND_NONE, "queue", 4));
	ck_assert_uint_eq(answer.fd_count, 2);
	raw_answer_deinit(&answer);
	ASSERT_OK(open_role(&raw, SHMB_ROLE_READER, SHMB_KIND_FRAME, "frame", 5));
	ck_assert_uint_eq(answer.fd_count, 3);
	raw_answer_deinit(&answer);
	ASSERT_OK(open_role(&raw, SHMB_ROLE_READER, SHMB_KIND_BLOCK, "block", 6));
	ck_assert(answer.fd_count == 3 && !can_write(answer.fds[1]));
	raw_answer_deinit(&answer);
	ASSERT_OK(close_handle(&raw, 1));
	ASSERT_OK(close_handle(&raw, 2));
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

/* Where other users may connect, areas are sealed, and all is served as in a private directory. */
START_TEST(sealed_areas)
{
	struct broker_options options = { .runtime_mode = 0755 };
	struct raw raw = { 0 };
	struct broker b;

	broker_start(&b, &options);
	ASSERT_OK(raw_start(&raw, b.socket));
	ASSERT_OK(open_kind(&raw, SHMB_KIND_QUEUE, "queue", 1));
	ck_assert_uint_eq(answer.fd_count, 2 + 4);
	raw_answer_deinit(&answer);
	WAIT_UNTIL(broker_sealed(&b) == 4); /* not at once: those of the answer are closed after it has left */
	ASSERT_OK(open_role(&raw, SHMB_ROLE_CONSUMER, SHMB_KIND_QUEUE, "queue", 2));
	ck_assert_uint_eq(answer.open.cell, SHMB_QUEUE_CELL);
	ck_assert_uint_eq(answer.fd_count, 3);
	raw_answer_deinit(&answer);
	ck_assert_int_eq(share(&raw), -EEXIST); /* handle 1 is the queue's */
	ASSERT_OK(open_kind(&raw, SHMB_KIND_BLOCK, "block", 5));
	ck_assert_uint_eq(answer.open.cell, 0);
	ck_assert_uint_eq(answer.open.area, 0);
	ck_assert_uint_eq(answer.fd_count, 3);
	raw_answer_deinit(&answer);
	/* Not at once: those of the answer are closed after it has left. The area the consumer was given is kept while somebody has the queue open. */
	WAIT_UNTIL(broker_sealed(&b) == 8 + 1);
	ASSERT_OK(close_handle(&raw, 2));
	ck_assert_int_eq(broker_sealed(&b), 8 + 1);
	ASSERT_OK(close_handle(&raw, 1));
	ck_assert_int_eq(broker_sealed(&b), 8);
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

static struct shmb_msg_segment info_of(struct raw *raw, const char *name)
{
	struct shmb_msg_name info = { 0 };
	struct shmb_msg_info_answer got;

	snprintf(info.name, sizeof(info.name), "%s", name);
	ASSERT_OK(raw_ask(raw, SHMB_OP_INFO, &info, sizeof(info), NULL, 0, &answer));
	memcpy(&got, answer.bytes, sizeof(got));
	return got.segment;
}

static uint32_t info_readers(struct raw *raw, const char *name, struct shmb_msg_reader *first)
{
	struct shmb_msg_name info = { 0 };
	struct shmb_msg_info_answer got;

	snprintf(info.name, sizeof(info.name), "%s", name);
	ASSERT_OK(raw_ask(raw, SHMB_OP_INFO, &info, sizeof(info), NULL, 0, &answer));
	memcpy(&got, answer.bytes, sizeof(got));
	ck_assert_uint_eq(got.reader_count, got.segment.readers);
	if (got.reader_count > 0)
		memcpy(first, answer.bytes + sizeof(got), sizeof(*first));
	return got.reader_count;
}

START_TEST(many_sharers)
{
	struct shmb_msg_name name = { .name = "block" };
	struct shmb_msg_open_writer other;
	struct shmb_msg_reader reader = { 0 };
	struct raw_child children[3];
	struct raw raw = { 0 };
	struct broker b;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	for (int i = 0; i < 3; i++) {
		raw_child_start(&children[i], b.socket, share);
		ASSERT_OK(children[i].result);
	}
	ASSERT_OK(open_kind(&raw, SHMB_KIND_BLOCK, "block", 1));
	ck_assert_uint_eq(answer.open.cell, 3);
	ck_assert_uint_eq(answer.open.epoch, 0);
	ck_assert_uint_eq(answer.fd_count, 3);
	ck_assert(!can_write(answer.fds[0]) && can_write(answer.fds[1]) && can_write(answer.fds[2]));
	raw_answer_deinit(&answer);
	ck_assert_uint_eq(info_readers(&raw, "block", &reader), 4);
	ck_assert_int_eq(reader.role, SHMB_ROLE_SHARER);
	raw_open_kind(&other, SHMB_KIND_BLOCK, "block", "uint64[9] words\n", 72);
	other.handle = 2;
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &other, sizeof(other), "uint64[9] words\n", 16, &answer), -EPROTOTYPE);

	/* Nobody takes it away from those who share it. */
	ASSERT_OK(close_handle(&raw, 1));
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_REMOVE, &name, sizeof(name), NULL, 0, &answer), -EBUSY);
	ck_assert(answer.answer.holder_pid == children[0].pid || answer.answer.holder_pid == children[1].pid ||
		  answer.answer.holder_pid == children[2].pid);
	for (int i = 0; i < 3; i++)
		raw_child_kill(&children[i]);
	ASSERT_OK(raw_ask(&raw, SHMB_OP_REMOVE, &name, sizeof(name), NULL, 0, &answer));
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

static struct shmb_msg_resume resume_of(enum shmb_role role, const char *name, uint32_t handle)
{
	struct shmb_msg_resume resume = {
		.handle = handle,
		.role = (uint8_t)role,
		.segment_id = answer.open.segment_id,
		.generation = answer.open.generation,
		.cell = answer.open.cell,
		.incarnation = answer.open.incarnation,
	};

	snprintf(resume.name, sizeof(resume.name), "%s", name);
	return resume;
}

static int ask_resume(struct raw *raw, struct shmb_msg_resume resume)
{
	return raw_ask(raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer);
}

START_TEST(resumed_after_a_restart)
{
	struct shmb_msg_resume consumer, sharer, wrong, queue;
	struct shmb_msg_ready ready = { 0 };
	struct shmb_msg_reader reader = { 0 };
	struct raw raw = { 0 };
	struct broker b;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	ASSERT_OK(open_kind(&raw, SHMB_KIND_QUEUE, "queue", 1));
	raw_answer_deinit(&answer);
	queue = resume_of(SHMB_ROLE_WRITER, "queue", 1);
	queue.epoch = answer.open.epoch;
	ASSERT_OK(consume(&raw));
	raw_answer_deinit(&answer);
	consumer = resume_of(SHMB_ROLE_CONSUMER, "queue", 2);
	ASSERT_OK(open_kind(&raw, SHMB_KIND_BLOCK, "block", 3));
	raw_answer_deinit(&answer);
	sharer = resume_of(SHMB_ROLE_SHARER, "block", 3);
	broker_kill(&b);
	broker_restart(&b);
	raw_end(&raw);

	ASSERT_OK(raw_hello(&raw, b.socket));
	ASSERT_OK(ask_resume(&raw, queue));
	wrong = consumer;
	wrong.role = SHMB_ROLE_READER;
	ck_assert_int_eq(ask_resume(&raw, wrong), -ESTALE);
	wrong.cell = UINT32_MAX; /* no queue has such readers */
	ck_assert_int_eq(ask_resume(&raw, wrong), -ESTALE);
	wrong.role = SHMB_ROLE_CONSUMER;
	ck_assert_int_eq(ask_resume(&raw, wrong), -ESTALE);
	wrong = sharer;
	wrong.role = SHMB_ROLE_READER; /* who reads is not made a writer, nor the other way round */
	ck_assert_int_eq(ask_resume(&raw, wrong), -ESTALE);
	wrong = sharer;
	wrong.cell = UINT32_MAX;
	ck_assert_int_eq(ask_resume(&raw, wrong), -ESTALE);
	ASSERT_OK(ask_resume(&raw, consumer));
	ASSERT_OK(ask_resume(&raw, sharer));
	ASSERT_OK(raw_ask(&raw, SHMB_OP_READY, &ready, sizeof(ready), NULL, 0, &answer));
	ck_assert_uint_eq(info_readers(&raw, "queue", &reader), 1);
	ck_assert_int_eq(reader.role, SHMB_ROLE_CONSUMER);
	ck_assert_uint_eq(info_readers(&raw, "block", &reader), 1);
	ck_assert_int_eq(reader.role, SHMB_ROLE_SHARER);
	ck_assert_int_eq(open_role(&raw, SHMB_ROLE_CONSUMER, SHMB_KIND_QUEUE, "queue", 9), -EBUSY);
	ASSERT_OK(close_handle(&raw, 1));
	raw_end(&raw);

	/* What is not resumed is given up. */
	broker_kill(&b);
	broker_restart(&b);
	ASSERT_OK(raw_start(&raw, b.socket));
	ASSERT_OK(open_role(&raw, SHMB_ROLE_CONSUMER, SHMB_KIND_QUEUE, "queue", 9));
	ck_assert_uint_eq(answer.open.cell, SHMB_QUEUE_CELL);
	raw_answer_deinit(&answer);
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

static bool is_there(struct raw *raw, const char *name)
{
	struct shmb_msg_name info = { 0 };

	snprintf(info.name, sizeof(info.name), "%s", name);
	return raw_ask(raw, SHMB_OP_INFO, &info, sizeof(info), NULL, 0, &answer) == 0;
}

/* A block lives while somebody shares it, a queue while it has a producer or a consumer. */
START_TEST(what_keeps_them)
{
	struct broker_options options = { .linger = "200ms" };
	struct raw raw = { 0 }, other = { 0 };
	struct broker b;

	broker_start(&b, &options);
	ASSERT_OK(raw_start(&raw, b.socket));
	ASSERT_OK(raw_start(&other, b.socket));
	ASSERT_OK(open_kind(&raw, SHMB_KIND_QUEUE, "queue", 1));
	raw_answer_deinit(&answer);
	ASSERT_OK(open_role(&other, SHMB_ROLE_CONSUMER, SHMB_KIND_QUEUE, "queue", 1));
	raw_answer_deinit(&answer);
	ASSERT_OK(open_kind(&raw, SHMB_KIND_BLOCK, "block", 2));
	raw_answer_deinit(&answer);
	ASSERT_OK(open_kind(&other, SHMB_KIND_BLOCK, "block", 2));
	raw_answer_deinit(&answer);
	ASSERT_OK(close_handle(&raw, 1));
	ASSERT_OK(close_handle(&raw, 2));
	usleep(500000);
	ck_assert(is_there(&raw, "queue") && is_there(&raw, "block"));
	ASSERT_OK(close_handle(&other, 1));
	ASSERT_OK(close_handle(&other, 2));
	WAIT_UNTIL(!is_there(&raw, "queue") && !is_there(&raw, "block"));
	raw_end(&raw);
	raw_end(&other);
	broker_finish(&b);
}
END_TEST

/* A client whose connection is lost lives on with the memory mapped: its cell is nobody else's until it has come back or ended. */
START_TEST(lost_connection_keeps_its_cell)
{
	struct raw writer = { 0 }, lost = { 0 }, other = { 0 };
	struct broker b;
	uint32_t cell;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&writer, b.socket));
	ASSERT_OK(open_kind(&writer, SHMB_KIND_RING, "ring", 1));
	raw_answer_deinit(&answer);
	ASSERT_OK(raw_start(&lost, b.socket));
	ASSERT_OK(open_role(&lost, SHMB_ROLE_READER, SHMB_KIND_RING, "ring", 1));
	cell = answer.open.cell;
	raw_answer_deinit(&answer);
	raw_close(&lost);
	ASSERT_OK(raw_start(&other, b.socket));
	ASSERT_OK(open_role(&other, SHMB_ROLE_READER, SHMB_KIND_RING, "ring", 1));
	ck_assert_uint_ne(answer.open.cell, cell);
	raw_answer_deinit(&answer);
	/* It comes back, by the same cookie, and lists nothing: closed, when its turn comes. */
	ASSERT_OK(raw_start(&lost, b.socket));
	WAIT_UNTIL(info_of(&writer, "ring").readers == 1);
	ASSERT_OK(open_role(&other, SHMB_ROLE_READER, SHMB_KIND_RING, "ring", 2));
	ck_assert_uint_eq(answer.open.cell, cell);
	raw_answer_deinit(&answer);
	raw_end(&lost);
	raw_end(&other);
	raw_end(&writer);
	broker_finish(&b);
}
END_TEST

/* A lease of a connection that was lost: the next writer has it in a new generation, while the process lives. */
START_TEST(lost_connection_and_its_lease)
{
	struct raw lost = { 0 }, other = { 0 };
	struct broker b;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&lost, b.socket));
	ASSERT_OK(open_kind(&lost, SHMB_KIND_RING, "ring", 1));
	raw_answer_deinit(&answer);
	raw_close(&lost);
	ASSERT_OK(raw_start(&other, b.socket));
	WAIT_UNTIL(info_of(&other, "ring").state == SHMB_STATE_GIVEN_UP);
	ASSERT_OK(open_kind(&other, SHMB_KIND_RING, "ring", 1));
	ck_assert_uint_eq(answer.open.generation, 2);
	raw_answer_deinit(&answer);
	ck_assert_uint_eq(info_of(&other, "ring").draining, 1); /* the first one's process has it mapped still */
	ASSERT_OK(raw_start(&lost, b.socket));
	WAIT_UNTIL(info_of(&other, "ring").draining == 0); /* and now says that it has not */
	raw_end(&lost);
	raw_end(&other);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("roles");

	suite_add(suite, one_consumer, 20);
	suite_add(suite, roles_and_kinds, 20);
	suite_add(suite, lost_connection_keeps_its_cell, 20);
	suite_add(suite, lost_connection_and_its_lease, 20);
	suite_add(suite, sealed_areas, 20);
	suite_add(suite, many_sharers, 20);
	suite_add(suite, resumed_after_a_restart, 20);
	suite_add(suite, what_keeps_them, 20);
	return suite_run(suite);
}
