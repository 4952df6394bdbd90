/* SPDX-License-Identifier: MIT */
/* The table of requests: every state with every opcode, and opcodes that are none. */
#include "daemon/dispatch.h"
#include "daemon/clients.h"
#include "daemon/figures.h"
#include "daemon/explain.h"
#include "daemon/gc.h"
#include "daemon/metrics.h"
#include "daemon/open.h"
#include "daemon/query.h"
#include "daemon/reload.h"
#include "daemon/session.h"
#include "daemon/users.h"
#include "daemon/watch.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

/* What message.h says of each request: the one state it belongs to. Written out here once more, so that a change of the table is seen. */
static const struct {
	uint16_t opcode;
	enum peer_state state;
	dispatch_fn *fn;
} expected[] = {
	{ SHMB_OP_HELLO, PEER_CONNECTED, session_hello },  { SHMB_OP_RESUME, PEER_RESUMING, session_resume },
	{ SHMB_OP_READY, PEER_RESUMING, session_ready },   { SHMB_OP_OPEN_WRITER, PEER_ACTIVE, open_writer },
	{ SHMB_OP_OPEN_READER, PEER_ACTIVE, open_reader }, { SHMB_OP_CLOSE, PEER_ACTIVE, open_close },
	{ SHMB_OP_LIST, PEER_ACTIVE, query_list },	   { SHMB_OP_INFO, PEER_ACTIVE, query_info },
	{ SHMB_OP_STATUS, PEER_ACTIVE, query_status },	   { SHMB_OP_REMOVE, PEER_ACTIVE, query_remove },
	{ SHMB_OP_FIGURES, PEER_ACTIVE, figures_list },	   { SHMB_OP_RELOAD, PEER_ACTIVE, reload_request },
	{ SHMB_OP_POLICY, PEER_ACTIVE, explain_policy },   { SHMB_OP_GC, PEER_ACTIVE, gc_request },
	{ SHMB_OP_WATCH, PEER_ACTIVE, watch_start },	   { SHMB_OP_METRICS, PEER_ACTIVE, metrics_request },
	{ SHMB_OP_CLIENTS, PEER_ACTIVE, clients_list },	   { SHMB_OP_USERS, PEER_ACTIVE, users_list },
};

START_TEST(every_request_is_known)
{
	unsigned known = 0;

	for (uint16_t opcode = 1; opcode < SHMB_OP_COUNT; opcode++) {
		const struct dispatch_entry *entry = dispatch_find(opcode);

		if (shmb_request_size(opcode) == 0) {
			ck_assert_ptr_null(entry);
			continue;
		}
		known++;
		ck_assert_ptr_nonnull(entry);
		ck_assert_str_ne(entry->name, "");
		ck_assert_uint_ne(entry->states, 0);
		ck_assert_uint_eq(entry->states >> PEER_STATES, 0);
	}
	ck_assert_uint_eq(sizeof(expected) / sizeof(expected[0]), known);
}
END_TEST

START_TEST(every_state_with_every_request)
{
	char text[SHMB_TEXT_MAX];

	for (int state = 0; state < PEER_STATES; state++) {
		for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
			const struct dispatch_entry *entry = NULL;
			int r;

			memset(text, 0, sizeof(text));
			r = dispatch_check((enum peer_state)state, expected[i].opcode, &entry, text);
			if ((int)expected[i].state == state) {
				ck_assert_int_eq(r, 0);
				ck_assert_ptr_nonnull(entry);
				ck_assert(entry->fn == expected[i].fn);
			} else {
				ck_assert_int_eq(r, -EPROTO);
				/* It names the request and says what to do instead. */
				ck_assert_ptr_nonnull(strstr(text, entry->name));
				ck_assert_ptr_nonnull(strchr(text, ':'));
			}
		}
	}
}
END_TEST

START_TEST(unknown_requests)
{
	char text[SHMB_TEXT_MAX];

	for (unsigned opcode = 0; opcode <= UINT16_MAX; opcode++) {
		const struct dispatch_entry *entry = NULL;

		if (shmb_request_size((uint16_t)opcode) != 0)
			continue;
		UNIT_CHECK(dispatch_find((uint16_t)opcode) == NULL);
		for (int state = 0; state < PEER_STATES; state++) {
			memset(text, 0, sizeof(text));
			UNIT_CHECK(dispatch_check((enum peer_state)state, (uint16_t)opcode, &entry, text) == -ENOSYS);
			UNIT_CHECK(memchr(text, '\0', sizeof(text)) != NULL);
			UNIT_CHECK(text[0] != '\0');
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dispatch");

	unit_add(suite, every_request_is_known, 5);
	unit_add(suite, every_state_with_every_request, 5);
	unit_add(suite, unknown_requests, 10);
	return unit_run(suite);
}
