/* SPDX-License-Identifier: MIT */
/* Clients that come back and do not come to READY: in time, or at all. */
#include "../support/client.h"
#include "../support/raw.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int resume(struct raw *raw, const char *name, uint8_t role, const struct raw_answer *open)
{
	struct shmb_msg_resume request = {
		.handle = 1,
		.role = role,
		.segment_id = open->open.segment_id,
		.generation = open->open.generation,
		.epoch = open->open.epoch,
		.cell = open->open.cell,
		.incarnation = open->open.incarnation,
	};
	static struct raw_answer answer;

	strcpy(request.name, name);
	return raw_ask(raw, SHMB_OP_RESUME, &request, sizeof(request), NULL, 0, &answer);
}

static void must_open_writer(struct raw *raw, const char *name, struct raw_answer *answer)
{
	static const char schema[] = "uint64[8] words\n";
	struct shmb_msg_open_writer request;

	raw_open_writer(&request, name, schema, 64);
	ck_assert_int_eq(raw_ask(raw, SHMB_OP_OPEN_WRITER, &request, sizeof(request), schema, strlen(schema), answer), 0);
	raw_answer_deinit(answer);
}

/*
 * A wait with a short deadline may end between RESUME and READY, and the next one come late: to the client's writer that is no end, it would find its
 * memory taken away.
 */
START_TEST(a_lease_outlives_a_connection_that_never_got_ready)
{
	struct shmb_msg_ready ready = { 0 };
	struct raw_answer open, answer;
	struct listed before, after;
	struct raw raw = { 0 };
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[broker]\nhello-time = 2s\n" });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	must_open_writer(&raw, "kept", &open);
	client = broker_connect(&b);
	ck_assert(segment_listed(client, "kept", &before));
	shmb_disconnect(client);
	broker_kill(&b);
	raw_close(&raw);
	broker_restart(&b);
	ck_assert_int_eq(raw_hello(&raw, b.socket), 0);
	ck_assert_int_eq(resume(&raw, "kept", SHMB_ROLE_WRITER, &open), 0);
	ck_assert_int_eq(raw_receive(&raw, &answer, SUITE_PATIENCE_MS), 0); /* hung up */
	raw_close(&raw);
	client = broker_connect(&b);
	ck_assert(segment_listed(client, "kept", &after));
	ck_assert_int_eq(after.writer, SHMB_WRITER_IS_ALIVE);
	ck_assert_uint_eq(after.epoch, before.epoch);
	ASSERT_ERROR(ring_writer_try(client, "kept", 64, 8), EBUSY);

	ck_assert_int_eq(raw_hello(&raw, b.socket), 0);
	ck_assert_int_eq(resume(&raw, "kept", SHMB_ROLE_WRITER, &open), 0);
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_READY, &ready, sizeof(ready), NULL, 0, &answer), 0);
	/* From here on it is as with everybody: who closes and lives lets go. */
	raw_close(&raw);
	wait_writer(client, "kept", SHMB_WRITER_IS_GONE);
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	raw_close(&raw);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Its cell. */
static uint32_t open_reader(struct raw *raw, const char *name, uint32_t handle)
{
	struct shmb_msg_open_reader request;
	struct raw_answer answer;

	raw_open_reader(&request, name);
	request.handle = handle;
	ck_assert_int_eq(raw_ask(raw, SHMB_OP_OPEN_READER, &request, sizeof(request), NULL, 0, &answer), 0);
	raw_answer_deinit(&answer);
	return answer.open.cell;
}

static void close_handle(struct raw *raw, uint32_t handle)
{
	struct shmb_msg_close request = { .handle = handle };
	struct raw_answer answer;

	ck_assert_int_eq(raw_ask(raw, SHMB_OP_CLOSE, &request, sizeof(request), NULL, 0, &answer), 0);
}

/* What has neither a lease nor a cell is in nobody's books: were it kept for who does not come back, a process could have ever more of it. */
START_TEST(what_leaves_no_trace_is_not_kept_for_who_does_not_come_back)
{
	struct raw_answer answer;
	struct raw writer = { 0 };
	struct raw filler = { 0 }; /* has all cells, and one more reader */
	struct listed listed;
	uint32_t readers = 0;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ck_assert_int_eq(raw_start(&writer, b.socket), 0);
	must_open_writer(&writer, "read", &answer);
	ck_assert_int_eq(raw_start(&filler, b.socket), 0);
	while (open_reader(&filler, "read", ++readers) != UINT32_MAX)
		;
	for (unsigned i = 0; i < 5; i++) {
		struct raw reader = { 0 };
		struct raw again = { 0 };

		ck_assert_int_eq(raw_start(&reader, b.socket), 0);
		for (uint32_t handle = 1; handle <= 4; handle++)
			ck_assert_uint_eq(open_reader(&reader, "read", handle), UINT32_MAX);
		ck_assert(segment_listed(client, "read", &listed));
		ck_assert_uint_eq(listed.readers, readers + 4);
		memcpy(again.cookie, reader.cookie, sizeof(again.cookie));
		ck_assert_int_eq(raw_hello(&again, b.socket), 0);
		raw_close(&again);
		raw_close(&reader);
		WAIT_UNTIL(segment_listed(client, "read", &listed) && listed.readers == readers);
	}
	for (uint32_t handle = 1; handle <= readers; handle++)
		close_handle(&filler, handle);
	raw_close(&filler);
	raw_end(&writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("resume");

	suite_add(suite, a_lease_outlives_a_connection_that_never_got_ready, 60);
	suite_add(suite, what_leaves_no_trace_is_not_kept_for_who_does_not_come_back, 60);
	return suite_run(suite);
}
