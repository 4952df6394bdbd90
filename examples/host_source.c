/* SPDX-License-Identifier: MIT */
/*
 * Sources of /proc: each keeps its file open and reads it anew with pread, which makes the kernel measure again. A source is an
 * object with three functions; that of the sensors lives in host_temperature.c.
 */

#include "host_source_impl.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	HOST_TEXT_MAX = 256 * 1024, /* /proc/stat of a large server has long interrupt lines */
	HOST_WINDOW = 10,	    /* readings kept for `busy`, a tenth of a second apart */
};
#define HOST_WINDOW_STEP_NS UINT64_C(100000000)

/* Time spent, in kernel ticks. */
struct host_ticks {
	uint64_t busy;
	uint64_t system;
	uint64_t total;
};

/* One past reading of /proc/stat: the whole host first, then its cores. */
struct host_reading {
	uint64_t at_ns;
	struct host_ticks all;
	struct host_ticks core[HOST_CORES_MAX];
};

struct host_proc {
	struct host_source base;
	int fd;
	char *text; /* HOST_TEXT_MAX + 1 */
	struct host_reading window[HOST_WINDOW];
	unsigned window_count; /* readings ever kept */
};

static int host_proc_text(struct host_proc *proc)
{
	size_t length = 0;

	while (length < HOST_TEXT_MAX) {
		ssize_t n = pread(proc->fd, proc->text + length, HOST_TEXT_MAX - length, (off_t)length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	proc->text[length] = 0;
	return length ? 0 : -ENODATA;
}

/* "cpu3 user nice system idle iowait irq softirq steal guest guest_nice": guest time is within user and nice already. */
static void host_ticks_parse(const char *numbers, struct host_ticks *out)
{
	uint64_t value[8] = { 0 };
	char *end;

	*out = (struct host_ticks){ 0 };
	for (int i = 0; i < 8; i++) {
		value[i] = strtoull(numbers, &end, 10);
		if (end == numbers)
			break;
		numbers = end;
		out->total += value[i];
	}
	out->busy = out->total - value[3] - value[4];
	out->system = value[2] + value[5] + value[6];
}

static float host_percent(uint64_t now, uint64_t then, uint64_t total_now, uint64_t total_then)
{
	/* idle time of the kernel may step back by a tick */
	if (total_now <= total_then || now <= then)
		return 0;
	return (float)(100.0 * (double)(now - then) / (double)(total_now - total_then));
}

static int host_cpu_read(struct host_source *source, void *payload)
{
	struct host_proc *proc = (struct host_proc *)source;
	struct host_cpu *out = payload;
	struct host_reading now = { 0 };
	const struct host_reading *then;
	char *line, *rest;
	int r;

	now.at_ns = shmb_now_ns();
	r = host_proc_text(proc);
	if (r < 0)
		return r;
	memset(out, 0, sizeof(*out));
	out->stamp_ns = now.at_ns;
	for (line = strtok_r(proc->text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "cpu ", 4) == 0) {
			host_ticks_parse(line + 4, &now.all);
		} else if (strncmp(line, "cpu", 3) == 0 && isdigit((unsigned char)line[3])) {
			/* cores that are off line leave gaps in the numbers: the arrays count those on line */
			if (out->cores < HOST_CORES_MAX)
				host_ticks_parse(line + 3 + strspn(line + 3, "0123456789"), &now.core[out->cores]);
			out->cores++;
		} else if (strncmp(line, "intr ", 5) == 0) {
			out->interrupts = strtoull(line + 5, NULL, 10);
		} else if (strncmp(line, "ctxt ", 5) == 0) {
			out->context_switches = strtoull(line + 5, NULL, 10);
		} else if (strncmp(line, "procs_running ", 14) == 0) {
			out->running = (uint32_t)strtoul(line + 14, NULL, 10);
		}
	}
	if (!now.all.total)
		return -ENODATA;
	if (!proc->window_count)
		proc->window[proc->window_count++] = now;
	then = &proc->window[proc->window_count < HOST_WINDOW ? 0 : proc->window_count % HOST_WINDOW];
	out->busy = host_percent(now.all.busy, then->all.busy, now.all.total, then->all.total);
	out->system = host_percent(now.all.system, then->all.system, now.all.total, then->all.total);
	for (uint32_t i = 0; i < out->cores && i < HOST_CORES_MAX; i++)
		out->core_busy[i] = host_percent(now.core[i].busy, then->core[i].busy, now.core[i].total, then->core[i].total);
	if (now.at_ns - proc->window[(proc->window_count - 1) % HOST_WINDOW].at_ns >= HOST_WINDOW_STEP_NS)
		proc->window[proc->window_count++ % HOST_WINDOW] = now;
	return 0;
}

static int host_memory_read(struct host_source *source, void *payload)
{
	struct host_proc *proc = (struct host_proc *)source;
	struct host_memory *out = payload;
	const struct {
		const char *key;
		uint64_t *value;
	} keys[] = {
		{ "MemTotal:", &out->total_bytes },	  { "MemFree:", &out->free_bytes },  { "MemAvailable:", &out->available_bytes },
		{ "Buffers:", &out->buffers_bytes },	  { "Cached:", &out->cached_bytes }, { "Shmem:", &out->shared_bytes },
		{ "SwapTotal:", &out->swap_total_bytes }, { "Dirty:", &out->dirty_bytes },   { "SwapFree:", &out->swap_free_bytes },
	};
	char *line, *rest;
	uint64_t at_ns = shmb_now_ns();
	int r = host_proc_text(proc);

	if (r < 0)
		return r;
	memset(out, 0, sizeof(*out));
	out->stamp_ns = at_ns;
	for (line = strtok_r(proc->text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			if (strncmp(line, keys[i].key, strlen(keys[i].key)) == 0)
				*keys[i].value = strtoull(line + strlen(keys[i].key), NULL, 10) * 1024; /* "kB" are KiB */
	return out->total_bytes ? 0 : -ENODATA;
}

static int host_network_read(struct host_source *source, void *payload)
{
	struct host_proc *proc = (struct host_proc *)source;
	struct host_network *out = payload;
	char *line, *rest;
	uint64_t at_ns = shmb_now_ns();
	int r = host_proc_text(proc);

	if (r < 0)
		return r;
	memset(out, 0, sizeof(*out));
	out->stamp_ns = at_ns;
	for (line = strtok_r(proc->text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *colon = strrchr(line, ':'); /* an alias has a colon in its name */
		uint64_t value[16] = { 0 };
		char *at, *end;
		int count = 0;

		if (!colon) /* the two lines of heading */
			continue;
		for (at = colon + 1; count < 16; at = end) {
			value[count] = strtoull(at, &end, 10);
			if (end == at)
				break;
			count++;
		}
		if (count < 16)
			continue;
		out->interfaces++;
		*colon = 0;
		if (strcmp(line + strspn(line, " "), "lo") == 0) {
			out->loopback_bytes = value[0];
			out->loopback_packets = value[1];
			continue;
		}
		out->receive_bytes += value[0];
		out->receive_packets += value[1];
		out->receive_errors += value[2];
		out->receive_dropped += value[3];
		out->transmit_bytes += value[8];
		out->transmit_packets += value[9];
		out->transmit_errors += value[10];
		out->transmit_dropped += value[11];
	}
	return out->interfaces ? 0 : -ENODATA;
}

static void host_proc_close(struct host_source *source)
{
	struct host_proc *proc = (struct host_proc *)source;

	if (proc->fd >= 0)
		close(proc->fd);
	free(proc->text);
	free(proc);
}

static int host_proc_open(struct host_source **out, const char *root, const char *path, const struct shmb_type *type,
			  int (*read)(struct host_source *source, void *payload))
{
	struct host_proc *proc = calloc(1, sizeof(*proc));
	char *whole = NULL;
	int r = 0;

	if (!proc)
		return -ENOMEM;
	proc->base = (struct host_source){ .type = type, .read = read, .close = host_proc_close };
	proc->fd = -1;
	proc->text = malloc(HOST_TEXT_MAX + 1);
	if (!proc->text || asprintf(&whole, "%s%s", root, path) < 0) {
		r = -ENOMEM;
	} else {
		proc->fd = open(whole, O_RDONLY | O_CLOEXEC);
		r = proc->fd < 0 ? -errno : 0;
		free(whole);
	}
	if (r < 0) {
		host_proc_close(&proc->base);
		return r;
	}
	*out = &proc->base;
	return 0;
}

int host_source_open(struct host_source **out, const char *name, const char *root)
{
	if (strcmp(name, "cpu") == 0)
		return host_proc_open(out, root, "/proc/stat", &host_cpu_type, host_cpu_read);
	if (strcmp(name, "memory") == 0)
		return host_proc_open(out, root, "/proc/meminfo", &host_memory_type, host_memory_read);
	if (strcmp(name, "network") == 0)
		return host_proc_open(out, root, "/proc/net/dev", &host_network_type, host_network_read);
	if (strcmp(name, "temperature") == 0)
		return host_temperature_open(out, root);
	return -EINVAL;
}

struct host_source *host_source_close(struct host_source *source)
{
	if (source)
		source->close(source);
	return NULL;
}

const struct shmb_type *host_source_type(const struct host_source *source)
{
	return source->type;
}

double host_source_rate_max(const struct host_source *source)
{
	return source->rate_max;
}

int host_source_read(struct host_source *source, void *payload)
{
	return source->read(source, payload);
}
