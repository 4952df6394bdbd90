/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_HOST_SOURCE_H
#define EXAMPLES_HOST_SOURCE_H

/*
 * What a Linux host measures of itself, as payloads. A source is opened once, tells its type, and fills a payload each time it is asked.
 * The checksum field is left to the caller.
 */

#include "shmb.h"

#include <stdint.h>

enum { HOST_CORES_MAX = 64 };

/* /proc/stat. The kernel counts in ticks of 10 ms, so `busy` is measured over the last second, whatever the rate of sampling. */
SHMB_TYPE(host_cpu, (uint64, stamp_ns) /* CLOCK_MONOTONIC of the reading */
	  (uint64, context_switches)   /* since boot */
	  (uint64, interrupts)	       /* since boot */
	  (uint32, cores)	       /* on line; the arrays hold the first 64 */
	  (uint32, running)	       /* threads that want a core now */
	  (float32, busy)	       /* percent of all cores */
	  (float32, system)	       /* percent of all cores, in the kernel */
	  (float32, core_busy, 64)     /* percent of each */
	  (uint64, checksum));

/* /proc/meminfo */
SHMB_TYPE(host_memory, (uint64, stamp_ns) /* CLOCK_MONOTONIC of the reading */
	  (uint64, total_bytes)		  /* MemTotal */
	  (uint64, free_bytes)		  /* MemFree */
	  (uint64, available_bytes)	  /* MemAvailable */
	  (uint64, buffers_bytes)	  /* Buffers */
	  (uint64, cached_bytes)	  /* Cached */
	  (uint64, shared_bytes)	  /* Shmem: our segments are among them */
	  (uint64, dirty_bytes)		  /* Dirty */
	  (uint64, swap_total_bytes)	  /* SwapTotal */
	  (uint64, swap_free_bytes)	  /* SwapFree */
	  (uint64, checksum));

/* /proc/net/dev, since boot: the sum over all interfaces but the loopback, which stands apart */
SHMB_TYPE(host_network, (uint64, stamp_ns) /* CLOCK_MONOTONIC of the reading */
	  (uint64, receive_bytes)	   /* since boot, as all that follow */
	  (uint64, receive_packets)	   /* good ones */
	  (uint64, receive_errors)	   /* bad ones */
	  (uint64, receive_dropped)	   /* for want of room */
	  (uint64, transmit_bytes)	   /* likewise */
	  (uint64, transmit_packets)	   /* likewise */
	  (uint64, transmit_errors)	   /* bad ones */
	  (uint64, transmit_dropped)	   /* for want of room */
	  (uint64, loopback_bytes)	   /* sent to ourselves */
	  (uint64, loopback_packets)	   /* sent to ourselves */
	  (uint32, interfaces)		   /* the loopback among them */
	  (uint32, reserved)		   /* 0: no hidden padding */
	  (uint64, checksum));

struct host_source;

/*
 * `name` is "cpu", "memory", "network" or "temperature". Paths begin with `root` ("" for the host itself): ROOT/proc, ROOT/sys.
 *   -EINVAL no such source   -ENODEV this host measures nothing of the kind (no sensors, as in most virtual machines)
 *   -ENOENT, -EACCES the kernel's file cannot be opened   -ENOMEM
 */
int host_source_open(struct host_source **out, const char *name, const char *root);
struct host_source *host_source_close(struct host_source *source);

/* The payload's type; belongs to the source. That of temperature is made at run time: one field for each sensor that is there. */
const struct shmb_type *host_source_type(const struct host_source *source);

/* How often a second it makes sense to ask at most; 0 as often as one likes. Sensors are slow: some take milliseconds a reading. */
double host_source_rate_max(const struct host_source *source);

/* Measures now and fills type->size bytes. -EIO, -ENODATA when the kernel's answer has not what was looked for. */
int host_source_read(struct host_source *source, void *payload);

#endif
