/* SPDX-License-Identifier: MIT */
/* What the soak says: a line a minute (on a terminal every five seconds), the verdict, and the same as JSON, one object a line. */
#include "control.h"

#include <inttypes.h>
#include <unistd.h>

struct soak_totals soak_totals(const struct soak *soak)
{
	struct soak_totals totals = { 0 };

	for (unsigned i = 0; i < soak_slot_count; i++) {
		const struct soak_slot *slot = &soak->page->slots[i];
		struct soak_span span = soak_span(slot);
		uint64_t detection = atomic_load(&slot->detection_ns);

		totals.samples += span.read;
		totals.missed += span.missed;
		totals.repeats += soak_slots[i].role == SOAK_LOCKER ? 0 : span.repeats;
		if (soak_segments[soak_slots[i].segment].bytes >= SOAK_LARGE)
			totals.large += span.read;
		totals.torn += atomic_load(&slot->torn);
		totals.lost += atomic_load(&slot->lost);
		totals.errors += atomic_load(&slot->errors);
		totals.hangs += atomic_load(&slot->hangs);
		totals.detections += atomic_load(&slot->detections);
		totals.detection_ns = detection > totals.detection_ns ? detection : totals.detection_ns;
	}
	for (unsigned i = 0; i < soak_segment_count; i++)
		totals.published += atomic_load(&soak->page->segments[i].done);
	return totals;
}

/* ---- the last look at the books ---- */

static void settle_reader(struct soak *soak, unsigned index)
{
	const struct soak_slot_plan *plan = &soak_slots[index];
	const char *name = soak_segments[plan->segment].name;
	struct soak_slot *slot = &soak->page->slots[index];
	struct soak_span span = soak_span(slot);
	uint64_t done = atomic_load(&soak->page->segments[plan->segment].done);
	uint64_t known = span.read + span.missed + atomic_load(&slot->torn);

	if (span.next != done) {
		soak_failed(soak, "%s %u of %s ended at number %" PRIu64 ", and %" PRIu64 " were published", soak_role_name(plan->role),
			    index, name, span.next, done);
		atomic_fetch_add(&slot->lost, span.next < done ? done - span.next : 1);
	}
	if (known != span.next) {
		soak_failed(soak, "%s %u of %s: %" PRIu64 " read and %" PRIu64 " missed of %" PRIu64, soak_role_name(plan->role), index,
			    name, span.read, span.missed, span.next);
		atomic_fetch_add(&slot->lost, known < span.next ? span.next - known : 1);
	}
	if (plan->role == SOAK_CONSUMER && span.missed != 0)
		atomic_fetch_add(&slot->lost, span.missed);
}

void soak_settle(struct soak *soak)
{
	for (unsigned i = 0; i < soak_slot_count; i++) {
		enum soak_role role = soak_slots[i].role;

		if (role == SOAK_RING_READER || role == SOAK_VALUE_READER || role == SOAK_FRAME_HOLDER || role == SOAK_CONSUMER)
			settle_reader(soak, i);
	}
}

/* ---- words ---- */

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static void json_line(struct soak *soak, const char *what, uint64_t elapsed_ns, const struct soak_totals *totals)
{
	const struct soak_counts *counts = &soak->counts;

	if (soak->json == NULL)
		return;
	fprintf(soak->json,
		"{\"what\": \"%s\", \"seconds\": %.1f, \"samples\": %" PRIu64 ", \"samples_large\": %" PRIu64 ", \"published\": %" PRIu64
		", \"missed\": %" PRIu64 ", \"repeats\": %" PRIu64 ", \"client_kills\": %" PRIu64 ", \"client_stops\": %" PRIu64
		", \"client_quits\": %" PRIu64 ", \"client_starts\": %" PRIu64 ", \"daemon_kills\": %" PRIu64 ", \"daemon_stops\": %" PRIu64
		", \"daemon_restarts\": %" PRIu64 ", \"daemon_reloads\": %" PRIu64 ", \"hangs\": %" PRIu64 ", \"lost\": %" PRIu64
		", \"torn\": %" PRIu64 ", \"leaked\": %" PRIu64 ", \"errors\": %" PRIu64 ", \"outages\": %" PRIu64
		", \"outage_worst_ns\": %" PRIu64 ", \"outage_sum_ns\": %" PRIu64 ", \"detections\": %" PRIu64
		", \"detection_worst_ns\": %" PRIu64 "}\n",
		what, seconds(elapsed_ns), totals->samples, totals->large, totals->published, totals->missed, totals->repeats,
		counts->client_kills, counts->client_stops, counts->client_quits, counts->starts, counts->daemon_kills,
		counts->daemon_stops, counts->daemon_restarts, counts->daemon_reloads, totals->hangs, totals->lost, totals->torn,
		counts->leaked, totals->errors + counts->failures, counts->outages, counts->outage_ns, counts->outage_sum_ns,
		totals->detections, totals->detection_ns);
	fflush(soak->json);
}

void soak_progress(struct soak *soak, bool is_minute)
{
	struct soak_totals totals = soak_totals(soak);
	uint64_t elapsed = shmb_now_ns() - soak->began_ns;

	printf("%6.0f s  %" PRIu64 " samples (%.1f M/s, %.1f %% large), %" PRIu64 " client kills, %" PRIu64 " daemon kills, lost %" PRIu64
	       ", torn %" PRIu64 ", errors %" PRIu64 ", outage %.1f ms, detection %.1f ms\n",
	       seconds(elapsed), totals.samples, (double)totals.samples / seconds(elapsed) / 1e6,
	       100 * (double)totals.large / (double)(totals.samples > 0 ? totals.samples : 1), soak->counts.client_kills,
	       soak->counts.daemon_kills, totals.lost, totals.torn, totals.errors + soak->counts.failures,
	       (double)soak->counts.outage_ns / 1e6, (double)totals.detection_ns / 1e6);
	fflush(stdout);
	if (is_minute)
		json_line(soak, "minute", elapsed, &totals);
}

static void report_slots(const struct soak *soak)
{
	printf("\n%-14s %-14s %6s %14s %14s %10s %6s %6s %6s\n", "who", "segment", "lives", "read", "missed", "repeats", "lost", "torn",
	       "errors");
	for (unsigned i = 0; i < soak_slot_count; i++) {
		const struct soak_slot_plan *plan = &soak_slots[i];
		const struct soak_slot *slot = &soak->page->slots[i];
		struct soak_span span = soak_span(slot);

		printf("%-14s %-14s %6" PRIu64 " %14" PRIu64 " %14" PRIu64 " %10" PRIu64 " %6" PRIu64 " %6" PRIu64 " %6" PRIu64 "\n",
		       soak_role_name(plan->role), soak_segments[plan->segment].name, atomic_load(&slot->lives), span.read, span.missed,
		       span.repeats, atomic_load(&slot->lost), atomic_load(&slot->torn), atomic_load(&slot->errors));
	}
	for (unsigned i = 0; i < soak_slot_count; i++) {
		if (soak->page->slots[i].text[0] != '\0')
			printf("%s %u: %s\n", soak_role_name(soak_slots[i].role), i, soak->page->slots[i].text);
	}
}

bool soak_report(struct soak *soak)
{
	struct soak_totals totals = soak_totals(soak);
	const struct soak_counts *counts = &soak->counts;
	uint64_t elapsed = shmb_now_ns() - soak->began_ns;
	bool is_good = totals.lost == 0 && totals.torn == 0 && counts->leaked == 0 && totals.errors == 0 && counts->failures == 0;

	if (totals.samples / (elapsed / (1000 * MS) + 1) < soak->rate_least) {
		soak_failed(soak, "fewer than %" PRIu64 " samples a second", soak->rate_least);
		is_good = false;
	}
	report_slots(soak);
	printf("\nseed %" PRIu64 ", %.1f s, %" PRIu64 " events\n", soak->seed, seconds(elapsed), soak->event_index);
	printf("samples checked   %" PRIu64 " (%.2f million a second; %.2f %% of them 4 KiB or more), %" PRIu64 " published\n",
	       totals.samples, (double)totals.samples / seconds(elapsed) / 1e6,
	       100 * (double)totals.large / (double)(totals.samples > 0 ? totals.samples : 1), totals.published);
	printf("told as missed    %" PRIu64 ", repeated under their number %" PRIu64 "\n", totals.missed, totals.repeats);
	printf("client kills      %" PRIu64 ", stops %" PRIu64 ", orderly ends %" PRIu64 ", started again %" PRIu64 "\n",
	       counts->client_kills, counts->client_stops, counts->client_quits, counts->starts);
	printf("daemon kills      %" PRIu64 ", stops %" PRIu64 ", restarts %" PRIu64 ", reloads %" PRIu64 "\n", counts->daemon_kills,
	       counts->daemon_stops, counts->daemon_restarts, counts->daemon_reloads);
	printf("outage            worst %.1f ms, mean %.1f ms, of %" PRIu64 "\n", (double)counts->outage_ns / 1e6,
	       counts->outages > 0 ? (double)counts->outage_sum_ns / 1e6 / (double)counts->outages : 0, counts->outages);
	printf("detection         worst %.1f ms, of %" PRIu64 " deaths noticed by readers; %" PRIu64 " hangs told\n",
	       (double)totals.detection_ns / 1e6, totals.detections, totals.hangs);
	printf("lost %" PRIu64 ", torn %" PRIu64 ", leaked %" PRIu64 ", other errors %" PRIu64 "\n", totals.lost, totals.torn,
	       counts->leaked, totals.errors + counts->failures);
	json_line(soak, "summary", elapsed, &totals);
	return is_good;
}
