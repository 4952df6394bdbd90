/* SPDX-License-Identifier: MIT */
/* What the verbs share: how they fail and the words they use. */

#include "command.h"

#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int command_fail(const char *subject, int error)
{
	char *name = subject ? output_escape(subject) : NULL;
	char *text = output_escape(shmb_text());

	if (error == -EPIPE) { /* whoever read our output has seen enough */
		free(name);
		free(text);
		return COMMAND_OK;
	}
	fflush(stdout);
	/* the sentence of a request names the segment; errors of our own have none */
	if (error != -ENOMEM && error != -EIO && text && *text)
		fprintf(stderr, "shmbctl: %s\n", text);
	else
		fprintf(stderr, "shmbctl: %s%s%s\n", name ? name : "", name ? ": " : "", shmb_strerror(error));
	free(name);
	free(text);
	switch (error) {
	case -ENOENT:
		return subject ? COMMAND_NO_SEGMENT : COMMAND_NO_DAEMON;
	case -ECONNREFUSED:
	case -ECONNRESET:
		return COMMAND_NO_DAEMON;
	case -EINVAL:
	case -ENAMETOOLONG:
		return COMMAND_USAGE;
	default:
		return COMMAND_FAILED;
	}
}

int command_ended(const char *name, int error)
{
	if (error != -ESTALE)
		return command_fail(name, error);
	fflush(stdout);
	fprintf(stderr, "shmbctl: the segment was removed\n");
	return COMMAND_NO_SEGMENT;
}

const char *command_writer_word(enum shmb_writer_condition condition)
{
	switch (condition) {
	case SHMB_WRITER_IS_NONE:
		return "none";
	case SHMB_WRITER_IS_ALIVE:
		return "alive";
	case SHMB_WRITER_IS_CLOSED:
		return "closed";
	case SHMB_WRITER_IS_DEAD:
		return "dead";
	case SHMB_WRITER_IS_GONE:
		return "gone";
	case SHMB_WRITER_IS_STOPPED:
		return "stopped";
	case SHMB_WRITER_IS_TRACED:
		return "traced";
	case SHMB_WRITER_IS_HUNG:
		return "hung";
	case SHMB_WRITER_IS_DUMPING:
		return "dumping";
	}
	return "unknown";
}
