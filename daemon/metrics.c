/* SPDX-License-Identifier: MIT */
/*
 * METRICS (metrics.h).
 *
 * How many descriptors are open Linux says from 6.2 on as the size of /proc/self/fd. Before that the directory is read, which takes longer the more
 * there are: to DESCRIPTORS_COUNTED at most, and at most once a second, so that nobody keeps the daemon busy by asking.
 */
#include "metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "cleanup.h"
#include "peer.h"
#include "query.h"

enum { DESCRIPTORS_COUNTED = 4096 };

#define DESCRIPTORS_AGE_NS UINT64_C(1000000000)
#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

/* An ordinary request takes some 10 us, making a segment some 100; a large one takes as long as the kernel needs to find its memory. */
static const uint64_t bounds[METRICS_BUCKETS] = { 10 * US, 20 * US, 50 * US, 100 * US, 200 * US, 500 * US, 1 * MS,    2 * MS,	 5 * MS,
						  10 * MS, 20 * MS, 50 * MS, 100 * MS, 200 * MS, 500 * MS, 1000 * MS, UINT64_MAX };

void metrics_answered(struct metrics *metrics, int result, uint64_t elapsed_ns)
{
	unsigned bucket = 0;

	while (elapsed_ns > bounds[bucket])
		bucket++;
	metrics->buckets[bucket]++;
	metrics->latency_ns += elapsed_ns;
	if (result < 0)
		metrics->refusals[result >= -METRICS_ERRNO_MAX ? -result : 0]++;
}

/* ---- the process ---- */

static uint64_t resident_bytes(void)
{
	auto_close int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128];
	ssize_t length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	char *end;

	if (length <= 0)
		return 0;
	text[length] = '\0';
	strtoul(text, &end, 10); /* the size of the address space; 0 where the next is none */
	return strtoul(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Without the one that it is read through. */
static uint32_t descriptors_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint32_t count = 0;

	if (dir == NULL)
		return UINT32_MAX;
	for (const struct dirent *entry; count <= DESCRIPTORS_COUNTED && (entry = readdir(dir)) != NULL;)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count <= DESCRIPTORS_COUNTED && count > 0 ? count - 1 : UINT32_MAX;
}

static uint32_t descriptors_open(struct metrics *metrics)
{
	uint64_t now = loop_now_ns();
	struct stat st;

	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		return (uint32_t)st.st_size;
	if (metrics->looked_ns == 0 || now - metrics->looked_ns >= DESCRIPTORS_AGE_NS) {
		metrics->descriptors = descriptors_count();
		metrics->looked_ns = now;
	}
	return metrics->descriptors;
}

static uint32_t descriptors_max(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < UINT32_MAX ? (uint32_t)limit.rlim_cur : UINT32_MAX;
}

static uint64_t cpu_ns(void)
{
	struct timespec used = { 0 };

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* ---- the answer ---- */

/* All of it always fits. */
_Static_assert(sizeof(struct shmb_msg_metrics_answer) + METRICS_BUCKETS * sizeof(struct shmb_msg_bucket) +
			       (METRICS_ERRNO_MAX + 1 + EVENT_KINDS) * sizeof(struct shmb_msg_count) <=
		       SHMB_MESSAGE_MAX,
	       "metrics fit one packet");

static void add_count(struct reply *reply, const char *name, uint64_t value)
{
	struct shmb_msg_count *count = reply_tail(reply, sizeof(*count));

	count->value = value;
	shmb_text_set(count->name, sizeof(count->name), name);
}

static void add_records(struct broker *broker, struct shmb_msg_metrics_answer *answer, struct reply *reply)
{
	const struct metrics *metrics = &broker->metrics;

	for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
		struct shmb_msg_bucket *bucket = reply_tail(reply, sizeof(*bucket));

		bucket->upto_ns = bounds[i];
		bucket->count = metrics->buckets[i];
		answer->bucket_count++;
	}
	for (int i = 0; i <= METRICS_ERRNO_MAX; i++) {
		const char *name = i > 0 ? strerrorname_np(i) : NULL;

		if (metrics->refusals[i] == 0)
			continue;
		add_count(reply, name != NULL ? name : "other", metrics->refusals[i]);
		answer->refusal_count++;
	}
	for (int kind = 1; kind < EVENT_KINDS; kind++) {
		add_count(reply, event_name((enum event_kind)kind), broker->events[kind]);
		answer->event_count++;
	}
}

void metrics_request(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	struct broker *broker = peer->broker;
	struct shmb_msg_metrics_answer *answer = reply_begin(reply, &request->metrics.head, sizeof(*answer));

	(void)tail;
	answer->started_ns = broker->started_ns;
	answer->bytes = broker->registry.bytes;
	answer->deaths = broker->deaths;
	answer->repairs = broker->repairs;
	answer->reaps = broker->reaps;
	answer->adopted = broker->adopted;
	answer->latency_ns = broker->metrics.latency_ns;
	answer->cpu_ns = cpu_ns();
	answer->resident_bytes = resident_bytes();
	answer->segments = broker->registry.count;
	answer->clients = query_count_clients(broker);
	answer->descriptors = descriptors_open(&broker->metrics);
	answer->descriptors_max = descriptors_max();
	shmb_text_set(answer->version, sizeof(answer->version), SHMBROKERD_VERSION);
	add_records(broker, answer, reply);
}
