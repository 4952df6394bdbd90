/* SPDX-License-Identifier: MIT */
/* Memory of removed segments (gone.h). */
#include "gone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "debris.h"
#include "log.h"
#include "segment.h"
#include "worker.h"

/* With more than these an event does not ask for each of them at once, but has the timer do so soon. */
enum { LOOK_MAX = 16 };

static const uint64_t wait_first_ns = 100000000;
static const uint64_t wait_most_ns = UINT64_C(10000000000);

struct gone {
	TAILQ_ENTRY(gone) link; /* not while it is emptied */
	struct broker *broker;
	struct worker_job job;
	struct account *account; /* NULL: nobody's */
	uint64_t bytes;		 /* of the whole segment */
};

static void gone_end(struct gone *gone)
{
	struct broker *broker = gone->broker;

	broker->gone.bytes -= gone->bytes;
	broker->gone.count--;
	account_uncharge(gone->account, gone->bytes);
	free(gone);
}

static void on_emptied(struct worker_job *job, void *user)
{
	(void)job;
	gone_end(user);
}

/* Nobody else has it: away with it. */
static void gone_empty(struct gone *gone)
{
	if (gone->job.bytes >= WORKER_BYTES_MIN) {
		worker_submit(gone->broker->worker, &gone->job);
		return;
	}
	close(gone->job.fd);
	gone_end(gone);
}

/*
 * Has anybody else a descriptor or a mapping of it? `fd` was opened by name or through /proc: a memfd's first descriptor the kernel does not count.
 * Where it cannot tell: no.
 */
static bool is_held(int fd)
{
	return fcntl(fd, F_SETLEASE, F_WRLCK) < 0 && (errno == EAGAIN || errno == EBUSY);
}

static struct gone *gone_new(struct broker *broker, int fd, uint64_t data_bytes, uint64_t bytes)
{
	struct gone *gone = broker->gone.count < broker->gone.max ? calloc(1, sizeof(*gone)) : NULL;

	if (gone == NULL) {
		close(fd);
		return NULL;
	}
	gone->broker = broker;
	gone->bytes = bytes;
	gone->job = (struct worker_job){ .what = WORKER_FREE, .fd = fd, .bytes = data_bytes, .done = on_emptied, .user = gone };
	broker->gone.count++;
	broker->gone.bytes += bytes;
	return gone;
}

static void look_at_all(struct broker *broker)
{
	struct gone *gone = TAILQ_FIRST(&broker->gone.list);

	while (gone != NULL) {
		struct gone *next = TAILQ_NEXT(gone, link);

		if (!is_held(gone->job.fd)) {
			TAILQ_REMOVE(&broker->gone.list, gone, link);
			gone_empty(gone);
		}
		gone = next;
	}
}

static void on_timer(void *user)
{
	struct broker *broker = user;
	struct gone_list *list = &broker->gone;

	look_at_all(broker);
	if (debris_sweep(&broker->store) == 0 && TAILQ_EMPTY(&list->list))
		return;
	list->wait_ns = list->wait_ns < wait_most_ns / 2 ? 2 * list->wait_ns : wait_most_ns;
	loop_timer_set(list->timer, list->wait_ns);
}

static void look_soon(struct broker *broker)
{
	broker->gone.wait_ns = wait_first_ns;
	loop_timer_set(broker->gone.timer, wait_first_ns);
}

int gone_init(struct broker *broker)
{
	return loop_timer_new(broker->loop, on_timer, broker, &broker->gone.timer);
}

void gone_deinit(struct broker *broker)
{
	struct gone *gone;

	while ((gone = TAILQ_FIRST(&broker->gone.list)) != NULL) {
		TAILQ_REMOVE(&broker->gone.list, gone, link);
		close(gone->job.fd);
		gone_end(gone);
	}
	broker->gone.timer = loop_timer_free(broker->gone.timer);
}

void gone_take(void *user, struct segment *segment, int fd)
{
	struct broker *broker = user;
	struct account *account = account_removed(segment);
	struct gone *gone = fd < 0 ? NULL : gone_new(broker, fd, segment->geometry.data_bytes, segment->bytes);

	if (gone == NULL) {
		account_uncharge(account, segment->bytes);
		return;
	}
	gone->account = account;
	if (!is_held(fd)) {
		gone_empty(gone);
		return;
	}
	TAILQ_INSERT_TAIL(&broker->gone.list, gone, link);
	look_soon(broker);
}

void gone_left(void *user)
{
	look_soon(user);
}

void gone_look(struct broker *broker)
{
	if (TAILQ_EMPTY(&broker->gone.list))
		return;
	if (broker->gone.count <= LOOK_MAX)
		look_at_all(broker);
	else
		look_soon(broker);
}

void gone_free(struct broker *broker, int fd, uint64_t bytes)
{
	struct gone *gone = gone_new(broker, fd, bytes, 0);

	if (gone != NULL)
		gone_empty(gone);
}
