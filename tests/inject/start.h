/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_START_H
#define SHMB_TESTS_START_H

/* What the daemon finds at its start (start_prepare.c): its directory, and what systemd, or who started it, has given it. */

#include "scenes.h"

enum { FILES_MAX = 64, KEPT_MAX = 32 };

/* start.c says what they are. */
enum kind { EMPTY, ADOPT, ACTIVATED, PIPED, SOCKETED, REFUSED, KINDS };

struct start {
	struct broker b;
	enum kind kind;
	/* What lay there, put back before each start: the same files by links beside, since who lives has them mapped, and what was in them. */
	struct {
		char path[600];
		char link[600];
		char *bytes;
		size_t size;
	} files[FILES_MAX];
	unsigned file_count;
	char links[sizeof(((struct broker *)NULL)->shm) + sizeof(".links")];
	char *segments; /* that must be there after each start */
	/* systemd's */
	int notify_fd;
	int listen_fd;
	int kept[KEPT_MAX];
	char kept_names[KEPT_MAX][64];
	unsigned kept_count;
	pid_t drain;	     /* reads the log of a pipe or socket */
	struct program idle; /* a client that is stopped all the time */
	/* of the one that is there at the end */
	struct shmb *client;
	struct shmb_value_reader *reader;
};

/* Starts a daemon, has it leave what there is to be, and ends it. What lies there then is what start_put_back() puts back. */
void start_prepare(struct start *start);
void start_put_back(struct start *start);
void start_drop(struct start *start);
/* Takes what the daemon has said to systemd; descriptors to be stored are kept, or closed. */
void start_notify_take(struct start *start, bool keep);

#endif
