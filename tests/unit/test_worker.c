/* SPDX-License-Identifier: MIT */
/* Memory that is had and freed on a thread of its own. */
#include "daemon/worker.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BYTES = 3 * WORKER_BYTES_MIN };

static struct worker *worker;
static unsigned done;

static void on_done(struct worker_job *job, void *user)
{
	(void)job;
	(void)user;
	done++;
}

/* What was had nobody wants: it goes back the same way. */
static void on_unwanted(struct worker_job *job, void *user)
{
	struct worker_job *back = user;

	*back = (struct worker_job){ .what = WORKER_FREE, .fd = job->fd, .bytes = job->bytes, .done = on_done };
	done++;
	worker_submit(worker, back);
}

/* The thread has ended by the time that done() is called. */
START_TEST(a_job_that_wants_another_at_the_end)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct worker_job back = { 0 };
	struct worker_job job = { .what = WORKER_ALLOCATE, .fd = fd, .bytes = BYTES, .done = on_unwanted, .user = &back };

	done = 0;
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(worker_new(&worker), 0);
	worker_submit(worker, &job);
	ck_assert_int_eq(poll(&(struct pollfd){ .fd = worker_fd(worker), .events = POLLIN }, 1, 5000), 1); /* and nobody collects it */
	worker = worker_free(worker);
	ck_assert_uint_eq(done, 2);
	ck_assert_int_eq(back.fd, -1);
	ck_assert(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker");

	unit_add(suite, a_job_that_wants_another_at_the_end, 10);
	return unit_run(suite);
}
