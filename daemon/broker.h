/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_BROKER_H
#define SHMB_DAEMON_BROKER_H

/*
 * The state that ties the daemon together. One, for the life of the program.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "account.h"
#include "attachment.h"
#include "chores.h"
#include "closer.h"
#include "event.h"
#include "gone.h"
#include "hello.h"
#include "interest.h"
#include "listener.h"
#include "loop.h"
#include "making.h"
#include "metrics.h"
#include "options.h"
#include "process.h"
#include "reaper.h"
#include "registry.h"
#include "reload.h"
#include "reply.h"
#include "store.h"
#include "strays.h"
#include "watch.h"

struct config;
struct old_page;
struct peer;
struct policy_set;

struct broker {
	const struct options *options;
	struct loop *loop;
	struct store store;
	struct registry registry;
	struct process_table processes;
	struct listener listener;
	struct reaper reaper;
	struct closer closer;
	struct interest_list interests;
	struct config *config;
	struct policy_set *policies; /* the configuration's */
	struct reload reload;
	struct strays strays;
	struct watch_list watches;
	struct worker *worker;
	struct loop_fd *worker_watch;
	struct making_list makings;
	struct gone_list gone;
	struct account_list accounts;
	struct hello_list hellos;
	struct chores chores;
	struct attachment_list leaving; /* liveness.h */
	struct chore leave;
	uint32_t ending;  /* processes that are dead and not yet seen to */
	bool is_adopting; /* at the start, while the directory is read */

	LIST_HEAD(, old_page) old_pages; /* liveness.h */
	LIST_HEAD(, peer) peers;
	uint64_t peer_next;	/* order of the next connection */
	uint32_t peer_count;	/* connections, without those to be refused */
	uint32_t peers_max;	/* of PEERS_MAX, what our limit of descriptors allows */
	uint32_t peers_refused; /* connections waiting to be told that there is no room */
	bool is_full;		/* there are as many as there may be, and that was logged */

	uint64_t broker_id;  /* random */
	uint64_t started_ns; /* CLOCK_REALTIME */
	uint64_t deaths;
	uint64_t repairs;
	uint64_t reaps;
	uint64_t adopted;
	uint64_t events[EVENT_KINDS]; /* of each kind, since the start */
	struct metrics metrics;
	/* Tells those who watch (watch.h); the side of the daemon that knows files is tested without them. */
	void (*on_event)(struct broker *broker, const struct event *event, unsigned level, const char *text);

	/* Not cleared at the start: */
	unsigned char packet[SHMB_MESSAGE_MAX]; /* the request being read; one at a time */
	struct reply reply;			/* reply_init() */
};

/* Opens directory and socket, takes over what is there, begins to serve. Returns 0, or logs one line and returns a negative errno. */
int broker_start(struct broker *broker, const struct options *options);
/* Serves until SIGTERM or SIGINT. */
void broker_run(struct broker *broker);
/* The orderly end: connections closed, the socket removed, segments left for the next start. */
void broker_stop(struct broker *broker);

#endif
