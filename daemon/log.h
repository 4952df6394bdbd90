/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_LOG_H
#define SHMB_DAEMON_LOG_H

/*
 * Log lines on stderr, or entries of the journal where stderr is its. Never blocks: what nobody takes at once is counted and said later. Foreign
 * text is escaped.
 */

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_NOTICE = 5, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

void log_init(enum log_level most);
bool log_is_wanted(enum log_level level);
/* Under the journal `fields` (LOG_FIELDS_MAX at most) go with the line, escaped like it; elsewhere only the line is shown. */
struct journal_field;
enum { LOG_FIELDS_MAX = 8 };
void log_entry(enum log_level level, const struct journal_field *fields, unsigned count, const char *text);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
