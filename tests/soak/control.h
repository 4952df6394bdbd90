/* SPDX-License-Identifier: MIT */
#ifndef SHMB_SOAK_CONTROL_H
#define SHMB_SOAK_CONTROL_H

/* The soak's controller: starts everybody, lets the events happen, watches, and looks at what is left. */

#include "soak.h"

#include <stdio.h>

enum { SOAK_PATH = 128, SOAK_FILES_MAX = 256 };

struct soak_child {
	pid_t pid; /* 0: not there */
	bool is_stopped;
	bool is_ended;	    /* shall not come back */
	uint64_t start_ns;  /* when to start it again; 0: not due */
	uint64_t resume_ns; /* when to continue it */
};

struct soak_counts {
	uint64_t client_kills, client_stops, client_quits;
	uint64_t daemon_kills, daemon_stops, daemon_restarts, daemon_reloads;
	uint64_t starts; /* of clients, after the first */
	uint64_t moot;	 /* events that found nobody */
	uint64_t outages, outage_sum_ns, outage_ns;
	uint64_t failures; /* of the soak itself: processes that ended by themselves, things that did not happen in time */
	uint64_t leaked;
};

/* Sums over all books. */
struct soak_totals {
	uint64_t samples, large, missed, repeats, lost, torn, errors, published, hangs, detections, detection_ns;
};

struct soak {
	/* options */
	uint64_t seconds, seed, interval_ns;
	uint64_t rate_least; /* samples a second */
	const char *daemon_path;
	const char *json_path;
	const char *commit;
	bool corrupt;
	char command[512]; /* without characters that JSON would escape, as a person types it */

	char self[512];
	char base[SOAK_PATH], runtime[SOAK_PATH], socket[SOAK_PATH], shm[SOAK_PATH], log[SOAK_PATH], config[SOAK_PATH];
	int page_fd;
	struct soak_page *page;
	struct soak_child daemon;
	struct soak_child slots[SOAK_SLOTS_MAX];
	struct soak_counts counts;
	FILE *json;
	int signal_fd;

	uint64_t began_ns;
	uint64_t event_index;
	struct soak_event event; /* the next one */
	uint64_t event_ns;
	bool is_probing;	 /* since the daemon's kill */
	uint64_t probe_since_ns; /* the kill, and what was waited on purpose */

	char *files[SOAK_FILES_MAX]; /* before the first client */
	unsigned file_count;
	int daemon_fds;
};

/* ---- control.c ---- */

int soak_daemon_start(struct soak *soak);
/* Starts a client's process. */
int soak_client_start(struct soak *soak, unsigned slot);
void soak_probe_begin(struct soak *soak, uint64_t since_ns);
/* Does what is due: ends noticed, starts, resumes, the next event where `events`; sleeps until something is due, at the latest `until_ns`. */
void soak_turn(struct soak *soak, bool events, bool daemon_events, uint64_t until_ns);
/* Everybody runs, the daemon serves. False: not in time. */
bool soak_everybody_up(struct soak *soak);
/* The clients of these roles end in order. */
bool soak_quit(struct soak *soak, bool writers);
void soak_kill_all(struct soak *soak);
__attribute__((format(printf, 2, 3))) void soak_failed(struct soak *soak, const char *format, ...);

/* ---- leaks.c ---- */

/* What is there before the first client. */
int soak_leaks_before(struct soak *soak);
/* After the last: counts each thing that is left, and says it. */
void soak_leaks_after(struct soak *soak);

/* ---- report.c ---- */

struct soak_totals soak_totals(const struct soak *soak);
/* What was published was read or told as missed, to the last number. */
void soak_settle(struct soak *soak);
void soak_progress(struct soak *soak, bool is_minute);
/* True: nothing lost, torn, leaked, and nothing else went wrong. */
bool soak_report(struct soak *soak);

#endif
