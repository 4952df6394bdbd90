/* SPDX-License-Identifier: MIT */
/* Time slices (slice.h). A slice changes no priority, so everybody may ask for one; who may not (a filter of system calls) goes on as before. */
#include "slice.h"

#include <errno.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

static const uint64_t shortest_ns = 100000; /* the least that the kernel gives */

static void slice_set(uint64_t ns)
{
	struct sched_attr attr = { .size = sizeof(attr) };

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0 || attr.sched_policy != SCHED_NORMAL)
		return;
	attr.sched_runtime = ns;
	if (syscall(SYS_sched_setattr, 0, &attr, 0) < 0)
		log_debug("the scheduler gives no time slice of %u us: %s", (unsigned)(ns / 1000), strerror(errno));
}

void slice_short(void)
{
	slice_set(shortest_ns);
}

void slice_ordinary(void)
{
	slice_set(0);
}
