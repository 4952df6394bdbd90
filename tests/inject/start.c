/* SPDX-License-Identifier: MIT */
/*
 * The daemon from its start to its end with a fault in it (play.h). It serves, and ends in order when it is told to; or it ends with status 1 and
 * says why. The next start, without a fault, finds everything that was there, and leaves nothing else.
 *
 *   empty       in new directories; it ends while a client still has open what was removed
 *   adopt       where a daemon and its clients were killed, a lock, pins and a loan held; besides what a daemon that was killed, and one before the
 *               host was started again, have left; the file system does not tell types
 *   activated   by systemd: with a socket, kept descriptors, a notify socket, a watchdog, the journal
 *   piped, socketed   its log is a pipe, a socket
 *   refused     by systemd with two sockets: it must say why not, and end
 */
#include "play.h"
#include "start.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *const names[] = { "empty", "adopt", "activated", "piped", "socketed", "refused" };
const unsigned start_count = 2 * KINDS;

const char *start_name(unsigned kind)
{
	static char name[64];

	snprintf(name, sizeof(name), "start-%s%s", names[kind / 2], kind % 2 == 1 ? "-killed" : "");
	return name;
}

static bool answers(struct start *start)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool ok;

	snprintf(address.sun_path, sizeof(address.sun_path), "%.107s", start->b.socket);
	ok = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	close(fd);
	return ok;
}

/* Is it the daemon by now, and no longer our own child or the shell? A signal before that would not be its. */
static bool is_running(const struct start *start)
{
	char *comm = proc_read(start->b.daemon.pid, "comm");
	bool runs = comm != NULL && strcmp(comm, "shmbrokerd\n") == 0;

	free(comm);
	return runs;
}

/* An activated socket answers before there is a daemon: there the log is asked, or time, where the log is what failed. `since` it runs; 0: not yet. */
static bool is_up(struct start *start, uint64_t *since)
{
	char *log;
	bool ready;

	if (start->kind != ACTIVATED && start->kind != REFUSED)
		return answers(start);
	log = broker_log(&start->b);
	ready = strstr(log, "ready") != NULL;
	free(log);
	if (*since == 0 && is_running(start))
		*since = now_ns();
	return ready || (*since != 0 && now_ns() - *since > UINT64_C(1000000000) * suite_slow());
}

/* A client that has open what is removed, and is there until the daemon has ended. With a fault it may get nowhere. */
static void client_begin(struct start *start)
{
	struct shmb_value_writer *writer = NULL;
	struct shmb_type *type = NULL;
	int r = shmb_connect(&start->client, start->b.socket);

	if (r == 0)
		r = shmb_type_opaque(&type, 64);
	if (r == 0)
		r = shmb_value_writer_open(&writer, start->client, "gone", type, NULL);
	if (r == 0)
		r = shmb_value_reader_open(&start->reader, start->client, "gone", type, SHMB_NO_WAIT);
	shmb_value_writer_close(writer);
	if (r == 0)
		shmb_remove(start->client, "gone");
	shmb_type_free(type);
}

static void client_end(struct start *start)
{
	start->reader = shmb_value_reader_close(start->reader);
	start->client = shmb_disconnect(start->client);
}

/* Starts it and, when it is up, tells it to end. Its exit status, -N for a signal; *up: it had come up. */
static int start_and_end(struct start *start, bool *up)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	uint64_t since = 0;
	int null = truncate(start->b.log, 0);

	(void)null;
	*up = false;
	broker_restart(&start->b);
	while (!program_has_ended(&start->b.daemon)) {
		if (!*up && is_up(start, &since)) {
			*up = true;
			if (start->kind == EMPTY)
				client_begin(start);
			program_signal(&start->b.daemon, SIGTERM);
		}
		if (!suite_pause(deadline)) {
			program_kill(&start->b.daemon);
			return -SIGALRM;
		}
	}
	client_end(start);
	if (start->notify_fd >= 0)
		start_notify_take(start, false);
	return program_wait(&start->b.daemon);
}

static int note_name(const struct shmb_segment_info *info, void *user)
{
	if (strcmp(info->name, "gone") == 0) /* the fault kept its removal from being asked for */
		return 0;
	strcat(strcat(user, info->name), " ");
	return 0;
}

static int compare_words(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in order. */
static void words_sort(char *text)
{
	char *words[16];
	char copy[1024];
	char *rest = copy;
	char *word;
	unsigned count = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	while ((word = strsep(&rest, " ")) != NULL && count < 16)
		if (*word != '\0')
			words[count++] = word;
	qsort(words, count, sizeof(words[0]), compare_words);
	*text = '\0';
	for (unsigned i = 0; i < count; i++)
		strcat(strcat(text, words[i]), " ");
}

/* Without a fault. Is everything there? */
static void next_start(struct start *start, struct inject_page *page)
{
	char listed[1024] = "";
	struct shmb *client;
	bool ready = start->b.options.not_ready;
	int r;

	if (start->kind == REFUSED) {
		r = start_and_end(start, &ready);
		if (r != 1)
			complain(page, false, "the next one ends with %d", r);
		return;
	}
	/* Lines of the one before may still be on their way through a pipe. */
	start->b.options.not_ready = start->drain > 0;
	broker_restart(&start->b);
	start->b.options.not_ready = ready;
	for (uint64_t deadline = deadline_in(SUITE_PATIENCE_MS); start->drain > 0 && !answers(start);)
		if (program_has_ended(&start->b.daemon) || !suite_pause(deadline))
			break;
	r = shmb_connect(&client, start->b.socket);
	if (r == 0)
		r = shmb_list(client, note_name, listed);
	words_sort(listed);
	if (r != 0)
		complain(page, false, "the next daemon is not there: %d, %s", r, shmb_text());
	else if (strcmp(listed, start->segments) != 0)
		complain(page, false, "with the next daemon there is '%s', not '%s'", listed, start->segments);
	shmb_disconnect(client);
	if (start->kind == ACTIVATED) {
		program_signal(&start->b.daemon, SIGTERM);
		r = program_wait(&start->b.daemon);
	} else {
		broker_stop(&start->b);
		r = 0;
	}
	if (r != 0)
		complain(page, false, "the next daemon ended with %d", r);
	if (start->kind == ACTIVATED)
		start_notify_take(start, false);
}

/* Could the message itself not be written? */
static bool is_of_log(const struct inject_page *page)
{
	static const char *const calls[] = { "poll", "write", "fstat", "send", "sendmsg", "socket", "pwritev2" };

	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		for (unsigned j = 0; j < page->fault_count; j++)
			if (strcmp(inject_call_name(page->faults[j].call), calls[i]) == 0)
				return true;
	return false;
}

static void start_judge(struct start *start, struct inject_page *page, int status, bool up)
{
	uint64_t deadline = deadline_in(start->drain > 0 && status == 1 && !is_of_log(page) ? 5000 : 0);
	char *log = broker_log(&start->b);

	while (*log == '\0' && suite_pause(deadline)) { /* on its way */
		free(log);
		log = broker_log(&start->b);
	}

	if (complain_of_report(page, false, start->b.daemon.pid)) {
		/* What else could be said follows from that. */
	} else if (page->armed == INJECT_KILL) {
		if (inject_is_done(page) && status != -SIGKILL)
			complain(page, false, "not killed: %d", status);
	} else if (status == -SIGALRM) {
		complain(page, false, "it hangs");
	} else if (status < 0 || status > 1) {
		complain(page, false, "it ended with %d", status);
	} else if (status == 1 && up) {
		complain(page, false, "it served and ended with 1");
	} else if (status == 1 && *log == '\0' && !is_of_log(page)) {
		complain(page, false, "it ended without a word");
	} else if (status == 0 && start->kind == REFUSED) {
		complain(page, false, "it took one of two sockets");
	} else if (status == 0 && !up) {
		complain(page, false, "it ended with 0 before it served");
	}
	free(log);
}

void play_start(unsigned number)
{
	struct start start = { .kind = (enum kind)(number / 2), .notify_fd = -1, .listen_fd = -1 };
	bool kills = number % 2 == 1;
	struct inject_page *page = daemon_page();
	struct rlimit limit;
	struct plan plan;
	bool up;

	/* Lower than it may be: the daemon raises it. */
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max < 512 ? limit.rlim_max : 512;
	setrlimit(RLIMIT_NOFILE, &limit);
	start_prepare(&start);
	if (start.kind == ADOPT)
		page->host.untyped = true;
	start.b.options.not_ready = true;
	page_count(page);
	ck_assert_int_eq(start_and_end(&start, &up), start.kind == REFUSED ? 1 : 0);
	page_disarm(page);
	ck_assert(up == (start.kind != REFUSED));
	plan_init(&plan, page, false, kills);
	plan.kills_later = true;
	start_put_back(&start);
	while (plan_next(&plan)) {
		int status = start_and_end(&start, &up);

		page_disarm(page);
		start_judge(&start, page, status, up);
		forced(&plan);
		next_start(&start, page);
		start_put_back(&start);
	}
	plan_deinit(&plan);
	sites_merge(page, false);
	start_drop(&start);
	daemon_page_drop();
	complaints_end();
}
