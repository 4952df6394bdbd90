/* SPDX-License-Identifier: MIT */
/*
 * The controller's processes and events (control.h). It has one thread and one loop: SIGCHLD through a signalfd, everything else by the
 * clock. A killed process is reaped before another is started in its place.
 */
#include "control.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void soak_failed(struct soak *soak, const char *format, ...)
{
	va_list args;

	soak->counts.failures++;
	printf("soak: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* ---- processes ---- */

static pid_t spawn(struct soak *soak, const char *path, const char *const argv[], bool is_daemon)
{
	pid_t self = getpid();
	pid_t pid = fork();
	sigset_t none;
	int log;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != self)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	log = open(soak->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(127);
	if (!is_daemon)
		fcntl(soak->page_fd, F_SETFD, 0);
	unsetenv("NOTIFY_SOCKET");
	execv(path, (char *const *)(uintptr_t)argv); /* it only reads them */
	_exit(127);
}

int soak_daemon_start(struct soak *soak)
{
	const char *argv[] = { "shmbrokerd", "--runtime-dir", soak->runtime, "--shm-dir",  soak->shm,
			       "--linger",   "infinity",      "--config",    soak->config, NULL };

	soak->daemon.start_ns = 0;
	soak->daemon.is_stopped = false;
	soak->daemon.pid = spawn(soak, soak->daemon_path, argv, true);
	if (soak->daemon.pid > 0)
		return 0;
	soak->daemon.pid = 0;
	soak_failed(soak, "the daemon cannot be started: %s", strerror(errno));
	return -1;
}

int soak_client_start(struct soak *soak, unsigned slot)
{
	struct soak_child *child = &soak->slots[slot];
	char fd[16];
	char number[16];
	const char *argv[] = { "soak", "--worker", number, fd, soak->socket, NULL };

	snprintf(fd, sizeof(fd), "%d", soak->page_fd);
	snprintf(number, sizeof(number), "%u", slot);
	child->start_ns = 0;
	child->is_stopped = false;
	atomic_store(&soak->page->slots[slot].quit, 0);
	child->pid = spawn(soak, soak->self, argv, false);
	if (child->pid > 0)
		return 0;
	child->pid = 0;
	soak_failed(soak, "a client cannot be started: %s", strerror(errno));
	return -1;
}

/* ---- the daemon's outage ---- */

void soak_probe_begin(struct soak *soak, uint64_t since_ns)
{
	soak->is_probing = true;
	soak->probe_since_ns = since_ns;
	atomic_fetch_add(&soak->page->probe_wanted, 1);
}

static void probe_look(struct soak *soak)
{
	uint64_t outage, served;

	if (!soak->is_probing || atomic_load(&soak->page->probe_done) != atomic_load(&soak->page->probe_wanted))
		return;
	served = atomic_load(&soak->page->probe_ns);
	soak->is_probing = false;
	outage = served > soak->probe_since_ns ? served - soak->probe_since_ns : 0;
	soak->counts.outages++;
	soak->counts.outage_sum_ns += outage;
	soak->counts.outage_ns = outage > soak->counts.outage_ns ? outage : soak->counts.outage_ns;
	atomic_store(&soak->page->served_ns, served);
	if (!soak->daemon.is_stopped)
		atomic_store(&soak->page->daemon_down, 0);
}

/* ---- ends ---- */

static void daemon_ended(struct soak *soak, int status)
{
	struct soak_child *daemon = &soak->daemon;
	bool expected = daemon->start_ns != 0 || daemon->is_ended;

	daemon->pid = 0;
	daemon->is_stopped = false;
	daemon->resume_ns = 0;
	if (expected)
		return;
	soak_failed(soak, "the daemon ended by itself, status %#x", (unsigned)status);
	daemon->start_ns = shmb_now_ns();
}

static void client_ended(struct soak *soak, unsigned slot, int status)
{
	struct soak_child *child = &soak->slots[slot];
	const struct soak_slot_plan *plan = &soak_slots[slot];
	bool expected = child->start_ns != 0 || child->is_ended;

	atomic_store(&soak->page->slots[slot].is_down, 1);
	child->pid = 0;
	child->is_stopped = false;
	child->resume_ns = 0;
	/* Who was asked to end in order must have done so, unless it was killed on the way. */
	if (expected && (WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0))
		return;
	soak_failed(soak, "%s %u of %s ended by itself, %s %d: %s", soak_role_name(plan->role), slot, soak_segments[plan->segment].name,
		    WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
		    soak->page->slots[slot].text);
	if (!child->is_ended && child->start_ns == 0)
		child->start_ns = shmb_now_ns() + 100 * MS;
}

static void reap(struct soak *soak)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == soak->daemon.pid) {
			daemon_ended(soak, status);
			continue;
		}
		for (unsigned i = 0; i < soak_slot_count; i++) {
			if (soak->slots[i].pid == pid) {
				client_ended(soak, i, status);
				break;
			}
		}
	}
}

/* ---- events ---- */

static void client_event(struct soak *soak, const struct soak_event *event, uint64_t now)
{
	struct soak_child *child = &soak->slots[event->slot];
	struct soak_slot *slot = &soak->page->slots[event->slot];

	if (child->pid == 0 || child->start_ns != 0) {
		soak->counts.moot++;
		return;
	}
	if (event->what == SOAK_CLIENT_STOP) {
		if (child->is_stopped) {
			soak->counts.moot++;
			return;
		}
		atomic_store(&slot->is_down, 1);
		kill(child->pid, SIGSTOP);
		child->is_stopped = true;
		child->resume_ns = now + event->length_ns;
		soak->counts.client_stops++;
		return;
	}
	atomic_store(&slot->is_down, 1);
	child->start_ns = now + event->length_ns + 1;
	if (event->what == SOAK_CLIENT_QUIT && !child->is_stopped) {
		atomic_store(&slot->quit, 1);
		soak->counts.client_quits++;
		return;
	}
	if (soak_role_writes(soak_slots[event->slot].role))
		atomic_store(&soak->page->segments[soak_slots[event->slot].segment].killed_ns, shmb_now_ns());
	kill(child->pid, SIGKILL);
	soak->counts.client_kills++;
}

static void daemon_event(struct soak *soak, const struct soak_event *event, uint64_t now)
{
	struct soak_child *daemon = &soak->daemon;

	bool is_away = daemon->pid == 0 || daemon->start_ns != 0;

	/* A signal that comes before the daemon is ready to take it would end it. */
	if (is_away || (event->what != SOAK_DAEMON_KILL && (daemon->is_stopped || soak->is_probing))) {
		soak->counts.moot++;
		return;
	}
	if (event->what == SOAK_DAEMON_RELOAD) {
		kill(daemon->pid, SIGHUP);
		soak->counts.daemon_reloads++;
		return;
	}
	atomic_store(&soak->page->daemon_down, 1);
	if (event->what == SOAK_DAEMON_STOP) {
		kill(daemon->pid, SIGSTOP);
		daemon->is_stopped = true;
		daemon->resume_ns = now + event->length_ns;
		soak->counts.daemon_stops++;
		soak->probe_since_ns += soak->is_probing ? event->length_ns : 0;
		return;
	}
	daemon->start_ns = now + event->length_ns + 1;
	kill(daemon->pid, event->what == SOAK_DAEMON_KILL ? SIGKILL : SIGTERM);
	soak->counts.daemon_kills += event->what == SOAK_DAEMON_KILL;
	soak->counts.daemon_restarts += event->what == SOAK_DAEMON_RESTART;
	/* What was waited on purpose is no outage. */
	soak_probe_begin(soak, now + event->length_ns);
}

static void event_happens(struct soak *soak, bool daemon_events, uint64_t now)
{
	const struct soak_event event = soak->event;

	if (event.what < SOAK_DAEMON_KILL)
		client_event(soak, &event, now);
	else if (daemon_events)
		daemon_event(soak, &event, now);
	soak->event = soak_event_draw(soak->seed, ++soak->event_index, soak->interval_ns);
	soak->event_ns = now + soak->event.after_ns;
}

/* ---- the loop ---- */

static void earlier(uint64_t *at, uint64_t other)
{
	if (other != 0 && other < *at)
		*at = other;
}

static void clients_due(struct soak *soak, uint64_t now, uint64_t *next)
{
	for (unsigned i = 0; i < soak_slot_count; i++) {
		struct soak_child *child = &soak->slots[i];

		if (child->resume_ns != 0 && child->resume_ns <= now) {
			child->resume_ns = 0;
			child->is_stopped = false;
			atomic_store(&soak->page->slots[i].up_ns, now);
			atomic_store(&soak->page->slots[i].is_down, 0);
			if (child->pid != 0)
				kill(child->pid, SIGCONT);
		}
		if (child->pid == 0 && child->start_ns != 0 && child->start_ns <= now && !child->is_ended) {
			soak_client_start(soak, i);
			soak->counts.starts++;
		}
		earlier(next, child->resume_ns);
		if (child->pid == 0)
			earlier(next, child->start_ns);
	}
}

static void daemon_due(struct soak *soak, uint64_t now, uint64_t *next)
{
	struct soak_child *daemon = &soak->daemon;

	if (daemon->resume_ns != 0 && daemon->resume_ns <= now) {
		daemon->resume_ns = 0;
		daemon->is_stopped = false;
		if (daemon->pid != 0)
			kill(daemon->pid, SIGCONT);
		atomic_store(&soak->page->served_ns, now);
		if (!soak->is_probing)
			atomic_store(&soak->page->daemon_down, 0);
	}
	if (daemon->pid == 0 && daemon->start_ns != 0 && daemon->start_ns <= now)
		soak_daemon_start(soak);
	earlier(next, daemon->resume_ns);
	if (daemon->pid == 0)
		earlier(next, daemon->start_ns);
}

void soak_turn(struct soak *soak, bool events, bool daemon_events, uint64_t until_ns)
{
	struct pollfd poll_fd = { .fd = soak->signal_fd, .events = POLLIN };
	uint64_t now = shmb_now_ns();
	uint64_t next = until_ns;
	struct signalfd_siginfo info;

	reap(soak);
	probe_look(soak);
	if (events && soak->event_ns <= now)
		event_happens(soak, daemon_events, now);
	daemon_due(soak, now, &next);
	clients_due(soak, now, &next);
	if (events)
		earlier(&next, soak->event_ns);
	if (soak->is_probing)
		earlier(&next, now + MS);
	if (next > now) {
		struct timespec left = { .tv_sec = (time_t)((next - now) / (1000 * MS)), .tv_nsec = (long)((next - now) % (1000 * MS)) };

		ppoll(&poll_fd, 1, &left, NULL);
	}
	while (read(soak->signal_fd, &info, sizeof(info)) > 0)
		;
}

bool soak_everybody_up(struct soak *soak)
{
	uint64_t deadline = shmb_now_ns() + SOAK_PATIENCE_MS * MS;
	unsigned down = 1;

	while (down > 0 || soak->is_probing) {
		down = 0;
		for (unsigned i = 0; i < soak_slot_count; i++)
			down += atomic_load(&soak->page->slots[i].is_down) != 0;
		if (shmb_now_ns() > deadline)
			return false;
		soak_turn(soak, false, false, shmb_now_ns() + 5 * MS);
	}
	return true;
}

bool soak_quit(struct soak *soak, bool writers)
{
	uint64_t deadline = shmb_now_ns() + SOAK_PATIENCE_MS * MS;
	unsigned left = 1;

	while (left > 0) {
		left = 0;
		for (unsigned i = 0; i < soak_slot_count; i++) {
			enum soak_role role = soak_slots[i].role;

			if (writers != (soak_role_writes(role) || role == SOAK_LOCKER))
				continue;
			soak->slots[i].is_ended = true;
			atomic_store(&soak->page->slots[i].quit, 1);
			left += soak->slots[i].pid != 0;
		}
		if (shmb_now_ns() > deadline)
			return false;
		soak_turn(soak, false, false, shmb_now_ns() + 5 * MS);
	}
	return true;
}

void soak_kill_all(struct soak *soak)
{
	for (unsigned i = 0; i < soak_slot_count; i++) {
		soak->slots[i].is_ended = true;
		if (soak->slots[i].pid > 0)
			kill(soak->slots[i].pid, SIGKILL);
	}
	soak->daemon.is_ended = true;
	if (soak->daemon.pid > 0)
		kill(soak->daemon.pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
}
