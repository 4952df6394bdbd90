/* SPDX-License-Identifier: MIT */
/*
 * The demo: real data through the broker, with a producer and the daemon killed on the way. Options, beginning and end; what
 * happens in between is in demo_story.c. Everything runs in directories of its own, which are removed in any case, and touches no other
 * daemon. The exit status is 0 only if nothing was lost, torn or leaked.
 */

#include "demo.h"
#include "shmb.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEMO_LOG_LINES = 20, DEMO_LOG_BYTES = 8192, DEMO_INTERRUPTED = 130 };
#define DEMO_SECONDS_MIN 3.0
#define DEMO_SECONDS_MAX 3600.0

/* The other programs lie beside this one, the daemon in the build's folder beside that, or in PATH. */
static int demo_find_programs(struct demo *demo)
{
	char path[2048];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	const char *folder;

	if (length < 0)
		return -errno;
	path[length] = 0;
	folder = dirname(path);
	snprintf(demo->sensors_path, sizeof(demo->sensors_path), "%s/host_sensors", folder);
	snprintf(demo->reader_path, sizeof(demo->reader_path), "%s/demo_reader", folder);
	if (!*demo->daemon_path) {
		snprintf(demo->daemon_path, sizeof(demo->daemon_path), "%s/../daemon/shmbrokerd", folder);
		if (access(demo->daemon_path, X_OK) < 0)
			strcpy(demo->daemon_path, "shmbrokerd");
	}
	return 0;
}

/* The end of what the processes said, for whoever has to find out what went wrong. */
static void demo_show_log(const struct demo *demo)
{
	char text[DEMO_LOG_BYTES + 1];
	FILE *log = fopen(demo->place.log, "re");
	const char *at;
	size_t length;
	int lines = 0;

	if (!log)
		return;
	if (fseek(log, -DEMO_LOG_BYTES, SEEK_END) < 0)
		rewind(log);
	length = fread(text, 1, DEMO_LOG_BYTES, log);
	fclose(log);
	text[length] = 0;
	for (at = text + length; at > text && lines <= DEMO_LOG_LINES; at--)
		lines += at[-1] == '\n';
	printf("\nthe last of what the processes said:\n%s\n", at == text ? at : at + 1);
}

static void demo_deinit(struct demo *demo)
{
	for (int i = 0; i < DEMO_READERS; i++)
		child_deinit(&demo->readers[i].child);
	for (int i = 0; i < DEMO_PRODUCERS; i++)
		child_deinit(&demo->producers[i].child);
	child_deinit(&demo->daemon);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	place_files_deinit(&demo->files_before);
	place_files_deinit(&demo->files_after);
	place_deinit(&demo->place);
	if (demo->signal_fd >= 0)
		close(demo->signal_fd);
}

/* Signals arrive in the demo's own loop; the children start with none blocked. */
static int demo_init(struct demo *demo)
{
	sigset_t signals;
	int r;

	child_init(&demo->daemon, "daemon");
	for (int i = 0; i < DEMO_PRODUCERS; i++)
		child_init(&demo->producers[i].child, "producer");
	for (int i = 0; i < DEMO_READERS; i++)
		child_init(&demo->readers[i].child, "reader");
	screen_init(&demo->screen, demo->seconds);
	r = place_init(&demo->place);
	if (r < 0)
		return r;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	demo->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return demo->signal_fd < 0 ? -errno : 0;
}

static int demo_run(struct demo *demo)
{
	int r = demo_init(demo);
	bool is_told, is_good = false;

	if (r == 0) {
		is_told = demo_tell(demo);
		is_good = is_told && !demo->lost && !demo->torn && !demo->leaked;
		if (demo->is_interrupted)
			puts("\ninterrupted");
		else if (is_told)
			printf("\nsamples %" PRIu64 ", lost %" PRIu64 ", torn %" PRIu64 ", leaked %" PRIu64 "\n", demo->samples, demo->lost,
			       demo->torn, demo->leaked);
		if (demo->is_failed)
			demo_show_log(demo);
		if (!is_good && !demo->is_interrupted)
			puts("the demo failed");
	}
	demo_deinit(demo);
	return demo->is_interrupted ? DEMO_INTERRUPTED : is_good ? 0 : 1;
}

static void help(void)
{
	puts("usage: demo [options]\n"
	     "\n"
	     "Runs a private daemon, two producers that measure this machine, and two readers, all processes of their own, and shows\n"
	     "what arrives. Kills a producer, then the daemon, with SIGKILL, starts others in their place, and ends with what was\n"
	     "counted: samples, lost, torn, leaked. The exit status is 0 only if the last three are 0.\n"
	     "\n"
	     "  --seconds S    how long, 3 to 3600, default 10\n"
	     "  --corrupt      one sample gets a wrong checksum: the demo must fail with it\n"
	     "  --daemon PATH  default: that of the same build, else the one in PATH\n"
	     "  --help, --version");
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "seconds", required_argument, NULL, 's' }, { "daemon", required_argument, NULL, 'd' },
		{ "corrupt", no_argument, NULL, 'c' },	     { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },	     { NULL, 0, NULL, 0 },
	};
	static struct demo demo = { .seconds = 10, .signal_fd = -1 }; /* large: paths and reports */
	char *end;
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 's':
			demo.seconds = strtod(optarg, &end);
			if (end == optarg || *end || !(demo.seconds >= DEMO_SECONDS_MIN && demo.seconds <= DEMO_SECONDS_MAX)) {
				fprintf(stderr, "demo: --seconds takes a number from 3 to 3600; try --help\n");
				return 2;
			}
			break;
		case 'd':
			snprintf(demo.daemon_path, sizeof(demo.daemon_path), "%s", optarg);
			break;
		case 'c':
			demo.is_corrupting = true;
			break;
		case 'h':
			help();
			return 0;
		case 'V':
			printf("demo %s\n", shmb_version());
			return 0;
		default:
			return 2;
		}
	}
	if (optind != argc) {
		fprintf(stderr, "demo: takes no arguments; try --help\n");
		return 2;
	}
	if (demo_find_programs(&demo) < 0) {
		fprintf(stderr, "demo: cannot find its own folder: is /proc mounted?\n");
		return 1;
	}
	return demo_run(&demo);
}
