/* SPDX-License-Identifier: MIT */
/* Limits by cause (rate.h). */
#include "rate.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static bool window_is_over(const struct rate_cause *cause, uint64_t now_ns)
{
	return now_ns - cause->begun_ns >= RATE_WINDOW_NS;
}

/* The cause's place, or the one it shall have. */
static struct rate_cause *cause_find(struct rate *rate, int kind, const char *label)
{
	struct rate_cause *oldest = &rate->causes[0];

	for (size_t i = 0; i < RATE_CAUSES; i++) {
		struct rate_cause *cause = &rate->causes[i];

		if (cause->kind == kind && strncmp(cause->label, label, sizeof(cause->label) - 1) == 0)
			return cause;
		if (oldest->kind != 0 && (cause->kind == 0 || cause->last_ns < oldest->last_ns))
			oldest = cause;
	}
	return oldest;
}

bool rate_admit(struct rate *rate, int kind, const char *label, uint64_t now_ns, struct rate_cause *thrown_out)
{
	struct rate_cause *cause = cause_find(rate, kind, label);

	*thrown_out = (struct rate_cause){ 0 };
	if (cause->kind != kind || strncmp(cause->label, label, sizeof(cause->label) - 1) != 0) {
		*thrown_out = *cause;
		*cause = (struct rate_cause){ .kind = kind, .begun_ns = now_ns };
		snprintf(cause->label, sizeof(cause->label), "%s", label);
	} else if (window_is_over(cause, now_ns)) {
		*thrown_out = *cause;
		cause->begun_ns = now_ns;
		cause->said = 0;
		cause->suppressed = 0;
	}
	cause->last_ns = now_ns;
	if (cause->said == RATE_BURST) {
		cause->suppressed++;
		return false;
	}
	cause->said++;
	return true;
}

bool rate_due(struct rate *rate, uint64_t now_ns, bool all, struct rate_cause *out)
{
	for (size_t i = 0; i < RATE_CAUSES; i++) {
		struct rate_cause *cause = &rate->causes[i];

		if (cause->suppressed == 0 || (!all && !window_is_over(cause, now_ns)))
			continue;
		*out = *cause;
		cause->kind = 0;
		cause->suppressed = 0;
		return true;
	}
	return false;
}
