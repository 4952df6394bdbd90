/* SPDX-License-Identifier: MIT */
/* The table of requests. */
#include "dispatch.h"

#include <errno.h>
#include <stdio.h>

#include "clients.h"
#include "figures.h"
#include "explain.h"
#include "gc.h"
#include "metrics.h"
#include "open.h"
#include "query.h"
#include "reload.h"
#include "session.h"
#include "users.h"
#include "watch.h"

#define IN_CONNECTED (1u << PEER_CONNECTED)
#define IN_RESUMING (1u << PEER_RESUMING)
#define IN_ACTIVE (1u << PEER_ACTIVE)

static const struct dispatch_entry table[SHMB_OP_COUNT] = {
	[SHMB_OP_HELLO] = { "HELLO", IN_CONNECTED, session_hello },
	[SHMB_OP_RESUME] = { "RESUME", IN_RESUMING, session_resume },
	[SHMB_OP_READY] = { "READY", IN_RESUMING, session_ready },
	[SHMB_OP_OPEN_WRITER] = { "OPEN_WRITER", IN_ACTIVE, open_writer },
	[SHMB_OP_OPEN_READER] = { "OPEN_READER", IN_ACTIVE, open_reader },
	[SHMB_OP_CLOSE] = { "CLOSE", IN_ACTIVE, open_close },
	[SHMB_OP_LIST] = { "LIST", IN_ACTIVE, query_list },
	[SHMB_OP_INFO] = { "INFO", IN_ACTIVE, query_info },
	[SHMB_OP_STATUS] = { "STATUS", IN_ACTIVE, query_status },
	[SHMB_OP_REMOVE] = { "REMOVE", IN_ACTIVE, query_remove },
	[SHMB_OP_WATCH] = { "WATCH", IN_ACTIVE, watch_start },
	[SHMB_OP_FIGURES] = { "FIGURES", IN_ACTIVE, figures_list },
	[SHMB_OP_METRICS] = { "METRICS", IN_ACTIVE, metrics_request },
	[SHMB_OP_CLIENTS] = { "CLIENTS", IN_ACTIVE, clients_list },
	[SHMB_OP_USERS] = { "USERS", IN_ACTIVE, users_list },
	[SHMB_OP_RELOAD] = { "RELOAD", IN_ACTIVE, reload_request },
	[SHMB_OP_POLICY] = { "POLICY", IN_ACTIVE, explain_policy },
	[SHMB_OP_GC] = { "GC", IN_ACTIVE, gc_request },
};

const struct dispatch_entry *dispatch_find(uint16_t opcode)
{
	return opcode < SHMB_OP_COUNT && table[opcode].fn != NULL ? &table[opcode] : NULL;
}

int dispatch_check(enum peer_state state, uint16_t opcode, const struct dispatch_entry **entry, char text[SHMB_TEXT_MAX])
{
	static const char *const what_first[PEER_STATES] = {
		[PEER_CONNECTED] = "the first request of a connection is HELLO",
		[PEER_RESUMING] = "after HELLO come RESUME for everything still held, then READY",
		[PEER_ACTIVE] = "this connection is open already; connect again to start over",
	};

	*entry = dispatch_find(opcode);
	if (*entry == NULL) {
		snprintf(text, SHMB_TEXT_MAX, "this broker does not know request %u; it may be older than the client: upgrade shmbrokerd",
			 opcode);
		return -ENOSYS;
	}
	if (((*entry)->states & 1u << state) == 0) {
		snprintf(text, SHMB_TEXT_MAX, "%s is out of turn: %s", (*entry)->name, what_first[state]);
		return -EPROTO;
	}
	return 0;
}
