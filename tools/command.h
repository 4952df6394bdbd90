/* SPDX-License-Identifier: MIT */
#ifndef SHMBCTL_COMMAND_H
#define SHMBCTL_COMMAND_H

/*
 * What the verbs of shmbctl share: their options as main.c parsed them, and how they end. Each verb lies in a file of its own and is one
 * row of the table in main.c.
 */

#include "shmb.h"

#include <stdbool.h>
#include <stdint.h>

/* Exit statuses; they stand in the help text. */
enum command_exit {
	COMMAND_OK = 0,
	COMMAND_FAILED = 1,
	COMMAND_USAGE = 2,
	COMMAND_NO_DAEMON = 3,
	COMMAND_NO_SEGMENT = 4,
};

struct command_options {
	const char *socket; /* NULL: the library's defaults */
	bool json;
	bool no_legend;
	bool full;
	uint64_t count;	      /* echo: samples to print; hz, bw, delay, top: reports; pub: elements; 0 without end */
	double rate;	      /* echo: at most so many a second, 0 all; pub: so many a second, 0 at once */
	uint64_t interval_ns; /* hz, bw, delay, top, plot: between two reports; 0 the verb's own */
	const char *kind;     /* pub */
	const char *schema;
	const char *type;
	uint64_t capacity;
	bool stamped;
	bool hold;
	const char *field;  /* delay: of the payload, instead of the stamp */
	const char *sort;   /* top */
	bool dry_run;	    /* gc */
	const char *user;   /* policy: explained */
	const char *output; /* metrics: a file instead of standard output */
	int error;	    /* doctor, metrics: why there is no connection; the others are not run then */
	int name_count;
	char **names;
};

int command_list(struct shmb *broker, const struct command_options *options);
int command_info(struct shmb *broker, const struct command_options *options);
int command_echo(struct shmb *broker, const struct command_options *options);
int command_hz(struct shmb *broker, const struct command_options *options);
int command_bw(struct shmb *broker, const struct command_options *options);
int command_delay(struct shmb *broker, const struct command_options *options);
int command_pub(struct shmb *broker, const struct command_options *options);
int command_tree(struct shmb *broker, const struct command_options *options);
int command_snap(struct shmb *broker, const struct command_options *options);
int command_plot(struct shmb *broker, const struct command_options *options);
int command_top(struct shmb *broker, const struct command_options *options);
int command_doctor(struct shmb *broker, const struct command_options *options);
int command_status(struct shmb *broker, const struct command_options *options);
int command_reload(struct shmb *broker, const struct command_options *options);
int command_policy(struct shmb *broker, const struct command_options *options);
int command_gc(struct shmb *broker, const struct command_options *options);
int command_monitor(struct shmb *broker, const struct command_options *options);
int command_clients(struct shmb *broker, const struct command_options *options);
int command_users(struct shmb *broker, const struct command_options *options);
int command_metrics(struct shmb *broker, const struct command_options *options);
int command_remove(struct shmb *broker, const struct command_options *options);

/* Says on stderr what failed and why (`error` a negative errno of the library, with shmb_text() still that of the failed call; `subject` a
 * segment's name or NULL) and returns the exit status for it. */
int command_fail(const char *subject, int error);

/* The same for what ended a reading in the middle (`error` of a read or a wait): a removed segment is not a failed request. */
int command_ended(const char *name, int error);

/* "writes", "reads", ...: of the JSON key "role". */
const char *command_role_word(enum shmb_handle_role role);
/* A line of `shmbctl users`. A new reference, or NULL. */
struct json_t *command_user_json(const struct shmb_user_info *info);

/* "alive", "dead", ...: also the values of the JSON key "condition", so they never change. */
const char *command_writer_word(enum shmb_writer_condition condition);

#endif
