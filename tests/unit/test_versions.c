/* SPDX-License-Identifier: MIT */
/*
 * The sources of proto built as if they were version 2 of layout and protocol, which no longer knows version 1: what an older peer sends or has
 * left behind is refused with a reason, and so is what a newer one does.
 */
#include "proto/message.h"
#include "proto/validate.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

enum { OLDER = 1, OURS = 2, NEWER = 3 };

static int hello(uint16_t version, uint16_t oldest, const char **why)
{
	struct shmb_msg_hello hello = { .head = { .opcode = SHMB_OP_HELLO },
					.magic = SHMB_MESSAGE_MAGIC,
					.version = version,
					.oldest = oldest,
					.cookie = { 1 },
					.comm = "test" };
	union shmb_msg_request out;
	const char *tail;

	return shmb_request_decode(&hello, sizeof(hello), &out, &tail, why);
}

START_TEST(clients_of_other_versions)
{
	const char *why = NULL;

	ck_assert_int_eq(hello(OLDER, OLDER, &why), -EPROTONOSUPPORT);
	ck_assert_ptr_nonnull(strstr(why, "older"));
	ck_assert_int_eq(hello(OURS, OLDER, NULL), 0);
	ck_assert_int_eq(hello(NEWER, OURS, NULL), 0);
	ck_assert_int_eq(hello(NEWER, NEWER, &why), -EPROTONOSUPPORT);
	ck_assert_ptr_nonnull(strstr(why, "newer"));
}
END_TEST

START_TEST(brokers_of_other_versions)
{
	for (uint16_t version = OLDER; version <= NEWER; version++) {
		struct shmb_msg_hello_answer answer = { .head = { .opcode = SHMB_OP_HELLO, .serial = 5 }, .version = version };
		struct shmb_msg_hello_answer out;
		struct shmb_msg_answer error;
		const char *tail;
		size_t tail_bytes;
		int r = shmb_answer_decode(&answer, sizeof(answer), SHMB_OP_HELLO, 5, &out, &error, &tail, &tail_bytes);

		ck_assert_int_eq(r, version == OURS ? 0 : -EBADMSG);
	}
}
END_TEST

static int event_page(uint16_t version, uint16_t oldest, const char **why)
{
	struct shmb_shm_event event = { .magic = SHMB_EVENT_MAGIC, .version = version, .oldest_reader = oldest, .pid = 7, .cookie = { 1 } };

	return shmb_event_check(&event, sizeof(event), why);
}

START_TEST(memory_of_other_versions)
{
	const char *why = NULL;

	ck_assert_int_eq(event_page(OLDER, OLDER, &why), -EPROTONOSUPPORT);
	ck_assert_ptr_nonnull(strstr(why, "older"));
	ck_assert_int_eq(event_page(OURS, OLDER, NULL), 0);
	ck_assert_int_eq(event_page(NEWER, OURS, NULL), 0);
	ck_assert_int_eq(event_page(NEWER, NEWER, &why), -EPROTONOSUPPORT);
	ck_assert_ptr_nonnull(strstr(why, "newer"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("versions");

	unit_add(suite, clients_of_other_versions, 5);
	unit_add(suite, brokers_of_other_versions, 5);
	unit_add(suite, memory_of_other_versions, 5);
	return unit_run(suite);
}
