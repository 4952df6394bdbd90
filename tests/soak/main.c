/* SPDX-License-Identifier: MIT */
/*
 * The soak (soak.h): options, directories of its own, the course of events from the first start to the verdict. In the last tenth, at most
 * ten seconds, the daemon is left alone while clients are still killed: it is this daemon in which leaks are looked for.
 */
#include "control.h"
#include "worker.h"

#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile sig_atomic_t is_interrupted;

static void interrupt(int signal)
{
	(void)signal;
	is_interrupted = 1;
}

static struct soak_page *page_map(int fd)
{
	void *page = mmap(NULL, sizeof(struct soak_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return page == MAP_FAILED ? NULL : page;
}

/* ---- place ---- */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
	(void)status;
	(void)kind;
	(void)ftw;
	remove(path);
	return 0;
}

static void place_remove(const char *path)
{
	if (path[0] != '\0')
		nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Stopped writers are told to their readers. */
static const char soak_config[] = "[segment soak/*]\n"
				  "stale-time = 40ms\n"
				  "on-hang = mark\n";

static int soak_init(struct soak *soak)
{
	sigset_t signals;
	FILE *config;

	snprintf(soak->base, sizeof(soak->base), "/tmp/shmb-soak-XXXXXX");
	snprintf(soak->shm, sizeof(soak->shm), "/dev/shm/shmb-soak-XXXXXX");
	if (mkdtemp(soak->base) == NULL || mkdtemp(soak->shm) == NULL)
		return -errno;
	snprintf(soak->runtime, sizeof(soak->runtime), "%.64s/run", soak->base);
	snprintf(soak->socket, sizeof(soak->socket), "%.64s/run/control.sock", soak->base);
	snprintf(soak->log, sizeof(soak->log), "%.64s/log", soak->base);
	snprintf(soak->config, sizeof(soak->config), "%.64s/soak.conf", soak->base);
	if (mkdir(soak->runtime, 0700) < 0)
		return -errno;
	config = fopen(soak->config, "we");
	if (config == NULL || fputs(soak_config, config) < 0 || fclose(config) != 0)
		return -errno;
	soak->page_fd = memfd_create("soak", MFD_CLOEXEC);
	if (soak->page_fd < 0 || ftruncate(soak->page_fd, sizeof(struct soak_page)) < 0)
		return -errno;
	soak->page = page_map(soak->page_fd);
	if (soak->page == NULL)
		return -errno;
	if (readlink("/proc/self/exe", soak->self, sizeof(soak->self) - 1) < 0)
		return -errno;
	soak->page->seed = soak->seed;
	for (unsigned i = 0; i < soak_slot_count; i++)
		atomic_store(&soak->page->slots[i].is_down, 1);
	if (soak->json_path != NULL) {
		soak->json = fopen(soak->json_path, "we");
		if (soak->json == NULL)
			return -errno;
		fprintf(soak->json,
			"{\"what\": \"soak\", \"version\": \"%s\", \"commit\": \"%s\", \"seed\": %" PRIu64 ", \"command\": \"%s\"}\n",
			shmb_version(), soak->commit, soak->seed, soak->command);
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	soak->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGINT, interrupt);
	signal(SIGTERM, interrupt);
	return soak->signal_fd < 0 ? -errno : 0;
}

/* ---- course ---- */

static void soak_events(struct soak *soak)
{
	uint64_t end = soak->began_ns + soak->seconds * 1000 * MS;
	uint64_t tail = soak->seconds >= 100 ? 10000 * MS : soak->seconds * 100 * MS;
	uint64_t step = isatty(STDOUT_FILENO) ? 5 : 60;
	uint64_t told = 0;
	uint64_t now = shmb_now_ns();

	soak->event = soak_event_draw(soak->seed, 0, soak->interval_ns);
	soak->event_ns = now + soak->event.after_ns;
	while (now < end && !is_interrupted) {
		uint64_t second;

		soak_turn(soak, true, now < end - tail, end);
		now = shmb_now_ns();
		if (soak->corrupt && now > soak->began_ns + (end - soak->began_ns) / 2) {
			soak->corrupt = false;
			atomic_store(&soak->page->corrupt, 1);
		}
		second = (now - soak->began_ns) / (1000 * MS);
		if (second / step != told / step)
			soak_progress(soak, second / 60 != told / 60);
		told = second;
	}
}

static void soak_course(struct soak *soak)
{
	if (soak_daemon_start(soak) < 0)
		return;
	if (soak_leaks_before(soak) < 0) {
		soak_failed(soak, "the daemon does not serve");
		return;
	}
	atomic_store(&soak->page->served_ns, shmb_now_ns());
	for (unsigned i = 0; i < soak_slot_count; i++)
		soak_client_start(soak, i);
	if (!soak_everybody_up(soak)) {
		soak_failed(soak, "not everybody is up at the beginning");
		return;
	}
	soak->began_ns = shmb_now_ns();
	soak_events(soak);
	if (!soak_everybody_up(soak))
		soak_failed(soak, "not everybody is up again at the end");
	if (!soak_quit(soak, true))
		soak_failed(soak, "writers do not end");
	if (!soak_quit(soak, false))
		soak_failed(soak, "readers do not end: they do not reach what was published");
	soak_settle(soak);
	soak_leaks_after(soak);
}

static void show_log(const struct soak *soak)
{
	char text[8192];
	FILE *log = fopen(soak->log, "re");
	size_t length;

	if (log == NULL)
		return;
	if (fseek(log, -(long)sizeof(text), SEEK_END) < 0)
		rewind(log);
	length = fread(text, 1, sizeof(text), log);
	fclose(log);
	printf("\nthe last of what the processes said:\n%.*s\n", (int)length, text);
}

static int soak_run(struct soak *soak)
{
	int r = soak_init(soak);
	bool is_good = false;

	if (r < 0) {
		fprintf(stderr, "soak: its directories cannot be prepared: %s\n", strerror(-r));
	} else {
		soak_course(soak);
		is_good = soak_report(soak);
		if (!is_good)
			show_log(soak);
	}
	soak_kill_all(soak);
	if (soak->json != NULL)
		fclose(soak->json);
	place_remove(soak->shm);
	place_remove(soak->base);
	puts(is_interrupted ? "interrupted" : is_good ? "the soak passed" : "the soak FAILED");
	return is_good && !is_interrupted ? 0 : 1;
}

static void help(void)
{
	puts("usage: ./run soak SECONDS [options]\n"
	     "\n"
	     "Writers, readers, frame holders, queue pairs, lockers of a block and the daemon, each a process, killed, stopped and\n"
	     "started again at random while they work. Every payload is verified. Prints a line a minute and in the end what was\n"
	     "counted; the exit status is 0 only if nothing was lost, torn or leaked, and nothing else went wrong.\n"
	     "\n"
	     "  --seed N       the same events at the same distances; default: another one each time, which is printed\n"
	     "  --json FILE    one object a line: the command, each minute, the summary\n"
	     "  --interval MS  mean time between two events, default 100\n"
	     "  --at-least N   samples a second, or the soak fails\n"
	     "  --corrupt      one sample is written with a wrong byte: the soak must fail\n"
	     "  --daemon PATH  another daemon than that of the same build\n"
	     "  --commit ID    what is written to FILE as the commit\n"
	     "  --help");
}

static bool number(const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && text[0] != '-';
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "json", required_argument, NULL, 'j' },
		{ "interval", required_argument, NULL, 'i' },
		{ "corrupt", no_argument, NULL, 'c' },
		{ "at-least", required_argument, NULL, 'r' },
		{ "daemon", required_argument, NULL, 'd' },
		{ "commit", required_argument, NULL, 'C' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct soak soak = { .daemon_path = SHMB_BUILT_DAEMON, .commit = "unknown" };
	uint64_t interval_ms = 100;
	bool is_right = true;
	int option;

	if (argc == 5 && strcmp(argv[1], "--worker") == 0) {
		struct soak_page *page = page_map(atoi(argv[3]));

		close(atoi(argv[3]));
		return page == NULL ? 1 : worker_run(page, (unsigned)atoi(argv[2]), argv[4]);
	}
	for (int i = 1; i < argc; i++) { /* getopt changes their order */
		strncat(soak.command, i > 1 ? " " : "soak ", sizeof(soak.command) - strlen(soak.command) - 1);
		strncat(soak.command, argv[i], sizeof(soak.command) - strlen(soak.command) - 1);
	}
	soak.seed = shmb_now_ns() % 1000000;
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 's':
			is_right = is_right && number(optarg, &soak.seed);
			break;
		case 'j':
			soak.json_path = optarg;
			break;
		case 'i':
			is_right = is_right && number(optarg, &interval_ms) && interval_ms > 0;
			break;
		case 'r':
			is_right = is_right && number(optarg, &soak.rate_least);
			break;
		case 'c':
			soak.corrupt = true;
			break;
		case 'd':
			soak.daemon_path = optarg;
			break;
		case 'C':
			soak.commit = optarg;
			break;
		case 'h':
			help();
			return 0;
		default:
			return 2;
		}
	}
	if (!is_right || optind != argc - 1 || !number(argv[optind], &soak.seconds) || soak.seconds == 0) {
		fprintf(stderr, "soak: SECONDS, a number, and options; try --help\n");
		return 2;
	}
	soak.interval_ns = interval_ms * MS;
	printf("soak for %" PRIu64 " s, seed %" PRIu64 "\n", soak.seconds, soak.seed);
	fflush(stdout);
	return soak_run(&soak);
}
