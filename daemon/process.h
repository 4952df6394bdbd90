/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_PROCESS_H
#define SHMB_DAEMON_PROCESS_H

/*
 * A process that we watch: pid and start time say which one it is (a pid alone is reused), a pidfd says when it has ended. One struct for
 * each, shared by its connections and by everything it holds.
 *
 *   ALIVE --pidfd readable--> dead (the callback runs once) --last unref--> freed
 *
 * What it held is seen to after its death piece by piece (liveness.h).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "chores.h"
#include "loop.h"
#include "proto/message.h"

struct attachment;
struct peer;
struct old_page;
struct process;

typedef void process_death_fn(struct process *process, void *user);

struct process_table {
	struct loop *loop;
	process_death_fn *on_death;
	void *user;
	void *by_identity; /* tsearch(3) */
	uint32_t count;
};

struct process {
	int32_t pid; /* 0: unseen */
	uint64_t start_time;
	int pidfd; /* -1: could not be had, asked through /proc when it matters */
	bool dead;
	char comm[SHMB_COMM_MAX]; /* as it calls itself, else the kernel's; foreign text */
	unsigned refs;
	LIST_HEAD(, attachment) attachments;
	LIST_HEAD(, peer) peers;
	LIST_HEAD(, old_page) old_pages; /* event pages of its connections to the broker before */
	struct process_table *table;
	struct loop_fd *watch;
	struct chore ending; /* liveness.c: what is left of it when it is dead */
};

void process_table_init(struct process_table *table, struct loop *loop, process_death_fn *on_death, void *user);
/* Frees what is still referenced too: for the end of the daemon. */
void process_table_deinit(struct process_table *table);

/*
 * Looks up or begins to watch the process (pid, start_time). Gives a reference. -ESRCH: it has ended (or another one has its pid now);
 * -ENOMEM, -EMFILE.
 */
int process_watch(struct process_table *table, int32_t pid, uint64_t start_time, struct process **out);
/* The same for the peer of a connection, of which pid and perhaps a pidfd (consumed; -1 none) are known. -EACCES: hidden in /proc. */
int process_watch_peer(struct process_table *table, int32_t pid, int pidfd_consume, struct process **out);
/*
 * The same for the peer of a connection whose pid does not exist here, in a pid namespace that this one does not see into: by its pidfd alone
 * (consumed). Its pid is 0, its start time the number of the pidfd's inode, which no other process of this boot has. -EOPNOTSUPP: this kernel
 * (before 6.9) does not tell pidfds apart.
 */
int process_watch_unseen(struct process_table *table, int pidfd_consume, struct process **out);
struct process *process_ref(struct process *process);
struct process *process_unref(struct process *process);

/*
 * Runs the death callback at once when the process has ended but the loop has not told so yet. Returns whether it is dead. What it held is still there.
 */
bool process_check(struct process *process);
/* On its way out: its descriptors are being closed because it ends, not because it wants to. */
bool process_is_exiting(const struct process *process);
/* Being dumped, and no thread of it runs its program any more. */
bool process_is_dumping(const struct process *process);

/* What the kernel says of one that lives. */
enum process_condition {
	PROCESS_RUNNING, /* or sleeping; also where it cannot be told */
	PROCESS_STOPPED, /* by a signal */
	PROCESS_TRACED,	 /* somebody debugs it, whether or not it is stopped right now */
	PROCESS_DUMPING,
};
/* *tracer: of PROCESS_TRACED, the pid of who does, as far as it can be seen; else 0. */
enum process_condition process_condition(const struct process *process, int32_t *tracer);

/* ---- /proc ---- */

struct process_stat {
	char comm[SHMB_COMM_MAX];
	char state; /* 'R', 'S', 'Z', ... */
	uint32_t flags;
	uint64_t start_time;
};

/* PF_EXITING, PF_POSTCOREDUMP and PF_DUMPCORE of the kernel's sched.h. */
enum { PROCESS_FLAG_EXITING = 0x4, PROCESS_FLAG_AFTER_DUMP = 0x8, PROCESS_FLAG_DUMPS = 0x200 };

/* Parses the text of /proc/PID/stat. The command may hold anything, blanks and parentheses too. -EBADMSG. */
int process_stat_parse(const char *text, size_t length, struct process_stat *out);
/* Reads and parses it. -ESRCH no such process, -EACCES hidden. */
int process_stat_read(int32_t pid, struct process_stat *out);

struct process_status {
	int32_t tracer; /* 0 none */
	bool dumping;
};

/* Parses the text of /proc/PID/status, as far as it is of interest; what is missing is 0. */
void process_status_parse(const char *text, struct process_status *out);

#endif
