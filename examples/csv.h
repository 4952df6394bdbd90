/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_CSV_H
#define EXAMPLES_CSV_H

/*
 * Recorded logs: comma-separated values with one line of headings, as payloads with a time.
 *
 * A heading becomes a ROS field name so:
 *
 *   1. a '#' before the first heading is dropped, so is a unit in brackets: "#timestamp [ns]" is "timestamp"
 *   2. letters become lower case; every other character than a letter or digit becomes '_', several of them one, those at the ends none:
 *      "w_RS_S_x [rad s^-1]" is "w_rs_s_x", "Temp. (C)" is "temp_c"
 *   3. a name that begins with a digit gets "f_" before it; one longer than 60 characters is cut
 *   4. without a name, it is "column_N", N from 1; a name that was there before gets "_2", "_3", ...
 *
 * The time is the first column named "timestamp", or else "time", "stamp" or "t", or else the first whose name begins or ends with one of
 * the first three. It becomes `uint64` nanoseconds, exactly: its unit [ns], [us], [ms] or [s] says what the numbers are; without a unit,
 * numbers with a decimal point are seconds and others nanoseconds. All other columns become `float64`; an empty cell is not-a-number.
 */

#include "shmb.h"

#include <stdint.h>

struct csv;

/* -ENOENT, -EACCES, ...; -EINVAL with csv_text(). */
int csv_open(struct csv **out, const char *path);
struct csv *csv_close(struct csv *csv);

/* The type of a row, and the name of its time; both belong to the csv. */
const struct shmb_type *csv_type(const struct csv *csv);
const char *csv_key_field(const struct csv *csv);

/* The next row: csv_type()->size bytes and its time. 0; -ENODATA at the end; -EINVAL with csv_text(). */
int csv_read(struct csv *csv, void *payload, uint64_t *time_ns);
/* To the first row again. */
int csv_rewind(struct csv *csv);
/* What was wrong, with file and line. */
const char *csv_text(void);

/* Steps 1 to 3 of the rule; "" where nothing is left. `out` has CSV_NAME_SIZE bytes. */
enum { CSV_NAME_SIZE = 64 };
void csv_name(char *out, const char *heading);

#endif
