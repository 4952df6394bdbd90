/* SPDX-License-Identifier: MIT */
/* The program: options, then the broker. Exit codes: 0 ended in order, 1 could not start or bad configuration, 2 usage. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker.h"
#include "config_files.h"
#include "log.h"
#include "options.h"

static struct options options;
static struct broker broker; /* static: it holds the packet buffers */

/* `--check-config`: for people and scripts, so it speaks to stdout and stderr and not to the log. */
static int check_config(void)
{
	struct config_place place = { .file = options.config, .must_exist = options.config_given };
	char why[CONFIG_WHY_MAX];
	struct config *config;

	if (config_load(&config, &place, why) < 0) {
		fprintf(stderr, "%s\n", why);
		return EXIT_FAILURE;
	}
	for (size_t i = 0; i < config->policies->file_count; i++)
		printf("%s\n", config->policies->files[i]);
	printf("good: %zu file%s, %zu pattern%s\n", config->policies->file_count, config->policies->file_count == 1 ? "" : "s",
	       config->policies->count, config->policies->count == 1 ? "" : "s");
	config_free(config);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const struct options_surroundings surroundings = { .uid = geteuid(),
							   .xdg_runtime_dir = getenv("XDG_RUNTIME_DIR"),
							   .xdg_config_home = getenv("XDG_CONFIG_HOME"),
							   .home = getenv("HOME") };
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
	case OPTIONS_CHECK:
		return check_config();
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
