/* SPDX-License-Identifier: MIT */
/*
 * Log lines on stderr.
 *
 * A line is made in a buffer, everything that is not printable ASCII in it is escaped as \xNN (names, commands and paths come from other
 * processes), and it is written in one piece or not at all: who reads our stderr may have stopped doing so, and the daemon must not wait
 * for it. The flag O_NONBLOCK is no way, because it belongs to the open file that we share with whoever started us; so each kind of file
 * is asked in its own manner. Lines that did not fit are counted, and the count is told with the next one that does.
 *
 * Under systemd (stderr is the journal's stream, $JOURNAL_STREAM says so) a line becomes an entry with fields (journal.h). While there is no
 * journal (it is being restarted) it goes to the stream, whose other end systemd holds, with its level as <N> instead of our name.
 */
#include "log.h"
#include "journal.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum {
	LOG_LINE_MAX = 1024,
	ENTRY_FIELD_MAX = 288,
};

static struct {
	enum log_level most;
	mode_t type; /* S_IFMT of stderr */
	bool journal;
	unsigned lost;
} logger = { .most = LOG_LEVEL_INFO };

static bool stderr_is_journal(const struct stat *st)
{
	const char *stream = getenv("JOURNAL_STREAM"); /* DEVICE:INODE */
	char *end;

	if (stream == NULL || strtoull(stream, &end, 10) != st->st_dev || *end != ':')
		return false;
	return strtoull(end + 1, &end, 10) == st->st_ino && *end == '\0';
}

void log_init(enum log_level most)
{
	struct stat st;

	logger.most = most;
	if (fstat(STDERR_FILENO, &st) < 0)
		return;
	logger.type = st.st_mode & S_IFMT;
	logger.journal = stderr_is_journal(&st);
}

bool log_is_wanted(enum log_level level)
{
	return level <= logger.most;
}

/* Writes without waiting; false when the line is lost. */
static bool write_now(const char *line, size_t length)
{
	struct pollfd poll_fd = { .fd = STDERR_FILENO, .events = POLLOUT };
	ssize_t written;

	if (logger.type == S_IFSOCK)
		return send(STDERR_FILENO, line, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length;
	if (logger.type == S_IFIFO) {
		struct iovec iov = { .iov_base = (void *)(uintptr_t)line, .iov_len = length };

		written = pwritev2(STDERR_FILENO, &iov, 1, -1, RWF_NOWAIT);
		if (written >= 0 || errno != EOPNOTSUPP)
			return written == (ssize_t)length;
	}
	/* A terminal, a file, or a pipe of an old kernel: writable means that a line of this size fits. */
	if (poll(&poll_fd, 1, 0) != 1 || (poll_fd.revents & POLLOUT) == 0)
		return false;
	written = write(STDERR_FILENO, line, length);
	return written == (ssize_t)length;
}

static size_t escape(const char *text, char *out, size_t size)
{
	size_t at = 0;

	for (; *text != '\0' && at + 5 < size; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte >= 0x20 && byte < 0x7f)
			out[at++] = (char)byte;
		else
			at += (size_t)snprintf(out + at, size - at, "\\x%02x", byte);
	}
	out[at] = '\0';
	return at;
}

/* The line as an entry. Results as journal_send(). */
static int emit_entry(enum log_level level, const struct journal_field *fields, unsigned count, const char *text)
{
	static char escaped[LOG_FIELDS_MAX][ENTRY_FIELD_MAX]; /* one thread logs */
	char message[LOG_LINE_MAX + 64];
	char priority[4];
	struct journal_field all[3 + LOG_FIELDS_MAX] = {
		{ "MESSAGE", message },
		{ "PRIORITY", priority },
		{ "SYSLOG_IDENTIFIER", "shmbrokerd" },
	};

	assert(count <= LOG_FIELDS_MAX);
	escape(text, message, sizeof(message));
	snprintf(priority, sizeof(priority), "%d", (int)level);
	for (unsigned i = 0; i < count; i++) {
		escape(fields[i].value, escaped[i], sizeof(escaped[i]));
		all[3 + i] = (struct journal_field){ fields[i].name, escaped[i] };
	}
	return journal_send(all, 3 + count);
}

static bool emit(enum log_level level, const struct journal_field *fields, unsigned count, const char *text)
{
	char line[LOG_LINE_MAX + 64];
	size_t at;
	int r = logger.journal ? emit_entry(level, fields, count, text) : -ENOENT;

	if (r == 0 || r == -EAGAIN)
		return r == 0;
	if (logger.journal)
		at = (size_t)snprintf(line, sizeof(line), "<%d>", (int)level);
	else
		at = (size_t)snprintf(line, sizeof(line), "shmbrokerd: ");
	at += escape(text, line + at, sizeof(line) - at - 1);
	line[at++] = '\n';
	return write_now(line, at);
}

void log_entry(enum log_level level, const struct journal_field *fields, unsigned count, const char *text)
{
	int error = errno;

	if (level > logger.most)
		return;
	if (logger.lost != 0) {
		char lost[80];

		snprintf(lost, sizeof(lost), "%u log lines were lost because nobody took them", logger.lost);
		if (emit(LOG_LEVEL_WARNING, NULL, 0, lost))
			logger.lost = 0;
	}
	if (!emit(level, fields, count, text))
		logger.lost++;
	errno = error;
}

void log_line(enum log_level level, const char *format, ...)
{
	char text[LOG_LINE_MAX];
	int error = errno;
	va_list args;

	if (level > logger.most)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	errno = error;
	log_entry(level, NULL, 0, text);
}
