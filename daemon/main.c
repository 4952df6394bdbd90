/* SPDX-License-Identifier: MIT */
/* The program: options, then the broker. Exit codes: 0 ended in order, 1 could not start, 2 usage. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker.h"
#include "log.h"
#include "options.h"

static struct options options;
static struct broker broker; /* static: it holds the packet buffers */

int main(int argc, char **argv)
{
	const struct options_surroundings surroundings = { .uid = geteuid(), .xdg_runtime_dir = getenv("XDG_RUNTIME_DIR") };
	char message[OPTIONS_MESSAGE_MAX];

	umask(077); /* modes are stated where files are made; a stranger one would take them from ourselves */
	log_init(LOG_LEVEL_INFO);
	switch (options_parse(&options, argc, argv, &surroundings, message)) {
	case OPTIONS_RUN:
		break;
	case OPTIONS_HELP:
		options_help(stdout);
		return EXIT_SUCCESS;
	case OPTIONS_VERSION:
		puts("shmbrokerd " SHMBROKERD_VERSION);
		return EXIT_SUCCESS;
	case OPTIONS_BAD:
		log_error("%s; try --help", message);
		return 2;
	}
	if (broker_start(&broker, &options) < 0)
		return EXIT_FAILURE;
	broker_run(&broker);
	broker_stop(&broker);
	return EXIT_SUCCESS;
}
