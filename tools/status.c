/* SPDX-License-Identifier: MIT */
/* `shmbctl status`: the daemon itself. */

#include "command.h"
#include "json.h"
#include "output.h"
#include "segment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A path a line. */
static json_t *status_files(const char *lines)
{
	json_t *files = json_array();

	while (*lines) {
		size_t length = strcspn(lines, "\n");
		char *path = strndup(lines, length);

		json_array_append_new(files, json_text(path));
		free(path);
		lines += length + (lines[length] != 0);
	}
	return files;
}

static int status_visit(const struct shmb_broker_status *status, void *user)
{
	const struct command_options *options = user;
	char text[OUTPUT_UNIT_SIZE];

	if (options->json)
		return json_line(json_pack("{s:o, s:i, s:o, s:I, s:I, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "version",
					   json_text(status->version), "pid", (int)status->pid, "started_ns", json_u64(status->started_ns),
					   "segments", (json_int_t)status->segments, "clients", (json_int_t)status->clients, "bytes",
					   json_u64(status->bytes), "protocol_version", (json_int_t)status->protocol_version,
					   "layout_version", (json_int_t)status->layout_version, "shm_dir", json_text(status->shm_dir),
					   "linger_ns", json_u64(status->linger_ns), "deaths", json_u64(status->deaths), "repairs",
					   json_u64(status->repairs), "reaps", json_u64(status->reaps), "adopted",
					   json_u64(status->adopted), "config_files", status_files(status->config_files), "config_error",
					   status->config_error[0] ? json_text(status->config_error) : json_null()));
	printf("%sshmbrokerd ", output_on(OUTPUT_BOLD));
	output_text(status->version);
	printf("%s, pid %d, up %s\n", output_off(OUTPUT_BOLD), (int)status->pid, output_duration(text, segment_age_ns(status->started_ns)));
	printf("  segments   %u, %s\n", status->segments, output_bytes(text, status->bytes));
	printf("  clients    %u, this command among them\n", status->clients);
	printf("  memory in  ");
	output_text(status->shm_dir);
	printf("\n  linger     %s\n", status->linger_ns > INT64_MAX ? "infinite" : output_duration(text, status->linger_ns));
	printf("  counts     %" PRIu64 " deaths of writers, %" PRIu64 " repairs, %" PRIu64 " segments reaped, %" PRIu64
	       " adopted, since its start\n",
	       status->deaths, status->repairs, status->reaps, status->adopted);
	if (status->config_files[0])
		output_lines(status->config_files, "  configured ");
	if (status->config_error[0]) {
		printf("  %sREFUSED    ", output_on(OUTPUT_BAD));
		output_text(status->config_error);
		printf("%s; what was loaded before holds\n", output_off(OUTPUT_BAD));
	}
	printf("  speaks     protocol %u, memory layout %u\n", status->protocol_version, status->layout_version);
	return 0;
}

int command_status(struct shmb *broker, const struct command_options *options)
{
	int r = shmb_status(broker, status_visit, (void *)options);

	return r < 0 ? command_fail(NULL, r) : COMMAND_OK;
}
