/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_OPTIONS_H
#define SHMB_DAEMON_OPTIONS_H

/* The command line. Pure: what the result depends on is passed in. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define SHMBROKERD_VERSION "0.1.0"

enum {
	OPTIONS_PATH_MAX = 240,	  /* a file's name still fits behind it, and an answer to STATUS */
	OPTIONS_SOCKET_MAX = 103, /* sun_path of unix(7), without its NUL and the ".new" under which it is made (listener.c) */
};

#define OPTIONS_LINGER_DEFAULT UINT64_C(10000000000)
#define OPTIONS_SYSTEM_CONFIG "/etc/shmbroker/shmbrokerd.conf"

struct options {
	char runtime_dir[OPTIONS_PATH_MAX + 1]; /* empty when only --socket was given */
	char socket[OPTIONS_PATH_MAX + 1];
	char shm_dir[OPTIONS_PATH_MAX + 1];
	uint64_t linger_ns; /* UINT64_MAX: for ever */
	bool linger_given;
	char config[OPTIONS_PATH_MAX + 1]; /* empty: none */
	bool config_given;		   /* on the command line: it must be there */
};

struct options_surroundings {
	uid_t uid;
	const char *xdg_runtime_dir; /* NULL or empty: not set */
	const char *xdg_config_home; /* likewise */
	const char *home;	     /* likewise */
};

enum options_verdict {
	OPTIONS_RUN = 0,
	OPTIONS_HELP = 1,
	OPTIONS_VERSION = 2,
	OPTIONS_BAD = 3,   /* `message` says what */
	OPTIONS_CHECK = 4, /* look at the configuration; only `config` is filled */
};

enum { OPTIONS_MESSAGE_MAX = 512 };

/* Not reentrant (getopt_long). `message` holds OPTIONS_MESSAGE_MAX bytes. */
enum options_verdict options_parse(struct options *options, int argc, char **argv, const struct options_surroundings *surroundings,
				   char *message);
void options_help(FILE *out);

/* "500ms", "10s", "2min", "1h", "0", "infinity", decimal fractions allowed. -EINVAL. */
int options_parse_time(const char *text, uint64_t *out_ns);

#endif
