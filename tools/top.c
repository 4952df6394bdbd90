/* SPDX-License-Identifier: MIT */
/*
 * `shmbctl top`: what flows, on a screen that is renewed each second. Where the daemon goes away the last figures stay, a line says so, and it goes
 * on when a daemon is back. With --json each look is a line and there is no screen.
 */

#include "command.h"
#include "json.h"
#include "output.h"
#include "screen.h"
#include "segment.h"
#include "source.h"
#include "topclients.h"
#include "topdata.h"
#include "topusers.h"

#include <errno.h>
#include <inttypes.h>
#include <ncurses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOP_INTERVAL_NS UINT64_C(1000000000)

enum { TOP_KEY_MS = 50, TOP_HEAD_ROWS = 3 };

struct top {
	const struct command_options *options;
	struct shmb *broker;
	struct top_data data;
	struct top_clients clients; /* looked at while they are shown */
	struct top_users users;	    /* likewise, and with --json */
	enum { TOP_SEGMENTS, TOP_CLIENTS, TOP_USERS } view;
	uint64_t interval_ns;
	size_t first;	/* row shown at the top */
	int error;	/* of the last look, 0 */
	bool is_typing; /* the filter */
	bool is_help;
	struct {
		uint32_t clients;
		int32_t pid;
		uint64_t started_ns;
		uint64_t deaths;
		uint64_t repairs;
		char version[32];
	} daemon;
};

static int top_status(const struct shmb_broker_status *status, void *user)
{
	struct top *top = user;

	top->daemon.clients = status->clients;
	top->daemon.pid = status->pid;
	top->daemon.started_ns = status->started_ns;
	top->daemon.deaths = status->deaths;
	top->daemon.repairs = status->repairs;
	snprintf(top->daemon.version, sizeof(top->daemon.version), "%s", status->version);
	return 0;
}

static void top_look(struct top *top)
{
	top->error = shmb_status(top->broker, top_status, top);
	if (top->error == 0)
		top->error = top_data_look(&top->data, top->broker);
	if (top->error == 0 && top->view == TOP_CLIENTS)
		top->error = top_clients_look(&top->clients, top->broker);
	if (top->error == 0 && (top->view == TOP_USERS || top->options->json))
		top->error = top_users_look(&top->users, top->broker);
}

/* ---- the screen --------------------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *title;
	int width; /* of what stands right-aligned under it */
	enum top_sort sort;
} top_columns[] = {
	{ "RATE/s", 10, TOP_BY_RATE }, { "BYTES/s", 10, TOP_BY_BYTES }, { "READERS", 8, TOP_BY_READERS },
	{ "LAG", 8, TOP_BY_LAG },      { "LOST/s", 8, TOP_BY_LOST },	{ "MEMORY", 10, TOP_BY_MEMORY },
};

enum { TOP_COLUMNS = sizeof(top_columns) / sizeof(top_columns[0]), TOP_NAME_MIN = 12, TOP_WRITER = 26, TOP_KIND = 7 };

/* What is left for the names, between 12 and 60. */
static int top_name_width(void)
{
	int width = COLS - TOP_KIND - TOP_WRITER - 2;

	for (int i = 0; i < TOP_COLUMNS; i++)
		width -= top_columns[i].width;
	return width < TOP_NAME_MIN ? TOP_NAME_MIN : width > 60 ? 60 : width;
}

static const char *top_number(char *out, double value)
{
	snprintf(out, OUTPUT_UNIT_SIZE,
		 value >= 1e6		      ? "%.3gM"
		 : value >= 100 || value == 0 ? "%.0f"
					      : "%.1f",
		 value >= 1e6 ? value / 1e6 : value);
	return out;
}

static void top_cell(char *out, const struct top_row *row, enum top_sort column)
{
	bool has_rate = row->has_rate;

	strcpy(out, "-");
	switch (column) {
	case TOP_BY_RATE:
		if (has_rate)
			top_number(out, row->per_s);
		break;
	case TOP_BY_BYTES:
		if (has_rate)
			output_bytes(out, (uint64_t)row->bytes_per_s);
		break;
	case TOP_BY_READERS:
		snprintf(out, OUTPUT_UNIT_SIZE, "%u", row->readers);
		break;
	case TOP_BY_LAG:
		if (row->lag != UINT64_MAX)
			snprintf(out, OUTPUT_UNIT_SIZE, "%" PRIu64, row->lag);
		break;
	case TOP_BY_LOST:
		if (has_rate)
			top_number(out, row->lost_per_s);
		break;
	default:
		output_bytes(out, row->memory);
		break;
	}
}

static void top_head(const struct top *top)
{
	char memory[OUTPUT_UNIT_SIZE];
	char age[OUTPUT_UNIT_SIZE];
	int width = top_name_width();
	int x = width + 1 + TOP_KIND;

	screen_print(0, 0, OUTPUT_PLAIN,
		     "shmbrokerd %s, pid %d, up %s   %zu segment%s, %s   %u client%s   %" PRIu64 " died, %" PRIu64 " repaired",
		     top->daemon.version, (int)top->daemon.pid, output_duration(age, segment_age_ns(top->daemon.started_ns)),
		     top->data.count, top->data.count == 1 ? "" : "s", output_bytes(memory, top->data.memory), top->daemon.clients,
		     top->daemon.clients == 1 ? "" : "s", top->daemon.deaths, top->daemon.repairs);
	if (top->error < 0)
		screen_print(1, 0, OUTPUT_BAD, "the daemon does not answer (%s); these figures are old; trying again",
			     shmb_strerror(top->error));
	else if (top->is_typing)
		screen_print(1, 0, OUTPUT_BOLD, "names with: %s_", top->data.filter);
	else if (top->data.filter[0])
		screen_print(1, 0, OUTPUT_WARN, "names with: %s", top->data.filter);
	if (top->view != TOP_SEGMENTS)
		return; /* they have a head of their own, and help opened from there has none */
	screen_print(2, 0, top->data.sort == TOP_BY_NAME ? OUTPUT_BOLD : OUTPUT_DIM, "NAME");
	screen_print(2, width + 1, OUTPUT_DIM, "KIND");
	for (int i = 0; i < TOP_COLUMNS; i++) {
		screen_print(2, x, top->data.sort == top_columns[i].sort ? OUTPUT_BOLD : OUTPUT_DIM, "%*s", top_columns[i].width,
			     top_columns[i].title);
		x += top_columns[i].width;
	}
	screen_print(2, x + 2, OUTPUT_DIM, "WRITER");
}

static void top_row_draw(const struct top *top, int y, const struct top_row *row)
{
	char text[OUTPUT_UNIT_SIZE];
	int width = top_name_width();
	int x = width + 1 + TOP_KIND;
	size_t length = strlen(row->name);
	/* the end of a long name tells more than its beginning */
	const char *name = length > (size_t)width ? row->name + length - (size_t)width : row->name;

	(void)top;
	screen_print(y, 0, OUTPUT_PLAIN, "%s", name);
	screen_print(y, width + 1, OUTPUT_PLAIN, "%s", row->kind);
	for (int i = 0; i < TOP_COLUMNS; i++) {
		top_cell(text, row, top_columns[i].sort);
		screen_print(y, x, top_columns[i].sort == TOP_BY_LOST && row->has_rate && row->lost_per_s > 0 ? OUTPUT_BAD : OUTPUT_PLAIN,
			     "%*s", top_columns[i].width, text);
		x += top_columns[i].width;
	}
	if (row->writer_pid)
		screen_print(y, x + 2, segment_writer_style(row->writer), "%s %d %s", command_writer_word(row->writer),
			     (int)row->writer_pid, row->writer_comm);
	else
		screen_print(y, x + 2, segment_writer_style(row->writer), "%s", command_writer_word(row->writer));
}

static void top_help(void)
{
	static const char *const lines[] = {
		"n  by name        r  by rate         b  by bytes",
		"l  by lag         o  by losses       d  by readers",
		"m  by memory      <  >  by the column to the left, to the right",
		"i  the other way round",
		"c  clients, and back to segments      u  users, and back",
		"/  only names with this text (Enter ends, Escape clears)",
		"arrows, Page Up, Page Down, Home, End  move",
		"h  this            q  quit",
		"",
		"RATE    writes a second           BYTES   that times the payload's size",
		"LAG     elements that the reader furthest behind has not read",
		"LOST    elements overwritten before a reader read them",
		"-       not known yet, or the kind has none",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		screen_print(TOP_HEAD_ROWS + 1 + (int)i, 4, OUTPUT_PLAIN, "%s", lines[i]);
}

/* Rows of what is shown. */
static size_t top_count(const struct top *top)
{
	return top->view == TOP_CLIENTS ? top->clients.count : top->view == TOP_USERS ? top->users.count : top->data.count;
}

static void top_draw(struct top *top)
{
	size_t room = LINES > TOP_HEAD_ROWS + 1 ? (size_t)(LINES - TOP_HEAD_ROWS - 1) : 0;
	size_t count = top_count(top);

	if (count <= room)
		top->first = 0;
	else if (top->first > count - room)
		top->first = count - room;
	erase();
	top_head(top);
	if (top->is_help) {
		top_help();
	} else if (top->view == TOP_CLIENTS) {
		top_clients_draw(&top->clients, TOP_HEAD_ROWS - 1, room, top->first);
	} else if (top->view == TOP_USERS) {
		top_users_draw(&top->users, TOP_HEAD_ROWS - 1, room, top->first);
	} else {
		for (size_t i = 0; i < room && top->first + i < top->data.count; i++)
			top_row_draw(top, TOP_HEAD_ROWS + (int)i, &top->data.rows[top->first + i]);
		if (top->data.count == 0 && top->error == 0)
			screen_print(TOP_HEAD_ROWS + 1, 4, OUTPUT_DIM, "no segments");
	}
	if (top->view == TOP_CLIENTS)
		screen_print(LINES - 1, 0, OUTPUT_DIM, "clients, by requests   c segments   u users   h help   q quit");
	else if (top->view == TOP_USERS)
		screen_print(LINES - 1, 0, OUTPUT_DIM, "users, by memory   u segments   c clients   h help   q quit");
	else
		screen_print(LINES - 1, 0, OUTPUT_DIM,
			     "sort: %s%s   n r b l o d m < > i   / filter   c clients   u users   h help   q quit",
			     top_sort_name(top->data.sort), top->data.is_reversed ? ", reversed" : "");
	refresh();
}

static void top_sort_step(struct top *top, int step)
{
	top->data.sort = (enum top_sort)(((int)top->data.sort + step + TOP_SORTS) % TOP_SORTS);
}

/* While the filter is being typed. */
static void top_type(struct top *top, int key)
{
	size_t length = strlen(top->data.filter);

	if (key == '\n' || key == KEY_ENTER) {
		top->is_typing = false;
	} else if (key == 27) {
		top->is_typing = false;
		top->data.filter[0] = '\0';
	} else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && length > 0) {
		top->data.filter[length - 1] = '\0';
	} else if (key >= 0x20 && key < 0x7f && length + 1 < sizeof(top->data.filter)) {
		top->data.filter[length] = (char)key;
		top->data.filter[length + 1] = '\0';
	}
	top_look(top);
}

/* Shows that, or where it is shown already the segments again. */
static void top_view(struct top *top, unsigned view)
{
	top->view = top->view == view ? TOP_SEGMENTS : view;
	top->first = 0;
	top_look(top);
}

/* True: the end. */
static bool top_key(struct top *top, int key)
{
	static const char letters[] = "nrblodm";
	static const enum top_sort sorts[] = { TOP_BY_NAME, TOP_BY_RATE,    TOP_BY_BYTES, TOP_BY_LAG,
					       TOP_BY_LOST, TOP_BY_READERS, TOP_BY_MEMORY };
	size_t page = LINES > TOP_HEAD_ROWS + 2 ? (size_t)(LINES - TOP_HEAD_ROWS - 2) : 1;
	const char *letter = key > 0 && key < 0x7f ? strchr(letters, key) : NULL;

	if (top->is_typing) {
		top_type(top, key);
		return false;
	}
	if (letter)
		top->data.sort = sorts[letter - letters];
	switch (key) {
	case 'q':
		return true;
	case 'h':
	case '?':
		top->is_help = !top->is_help;
		break;
	case 27:
		top->is_help = false;
		top->data.filter[0] = '\0';
		break;
	case '/':
		top->is_typing = true;
		break;
	case 'c':
	case 'u':
		top_view(top, key == 'c' ? TOP_CLIENTS : TOP_USERS);
		break;
	case 'i':
		top->data.is_reversed = !top->data.is_reversed;
		break;
	case '<':
	case KEY_LEFT:
		top_sort_step(top, -1);
		break;
	case '>':
	case KEY_RIGHT:
		top_sort_step(top, 1);
		break;
	case KEY_UP:
		top->first -= top->first > 0;
		break;
	case KEY_DOWN:
		top->first++;
		break;
	case KEY_PPAGE:
		top->first -= top->first > page ? page : top->first;
		break;
	case KEY_NPAGE:
		top->first += page;
		break;
	case KEY_HOME:
		top->first = 0;
		break;
	case KEY_END:
		top->first = top_count(top);
		break;
	default:
		break;
	}
	top_data_sort(&top->data);
	return false;
}

static int top_show(struct top *top)
{
	uint64_t due = 0;
	int key = ERR;

	while (!source_is_interrupted()) {
		if (shmb_now_ns() >= due) {
			top_look(top);
			due = shmb_now_ns() + top->interval_ns;
			top_draw(top);
		} else if (key != ERR) {
			top_draw(top);
		}
		key = screen_key(TOP_KEY_MS);
		if (key != ERR && top_key(top, key))
			break;
	}
	return 0;
}

/* ---- lines -------------------------------------------------------------------------------------------------------------------------- */

static json_t *top_json_rate(const struct top_row *row, double value)
{
	return row->has_rate ? json_real(value) : json_null();
}

static int top_line(struct top *top)
{
	json_t *segments = json_array();
	json_t *users = json_array();

	for (size_t i = 0; i < top->data.count && segments; i++) {
		const struct top_row *row = &top->data.rows[i];
		json_t *object = json_pack(
			"{s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:s, s:o}", "name", json_text(row->name), "kind",
			json_text(row->kind), "per_s", top_json_rate(row, row->per_s), "bytes_per_s", top_json_rate(row, row->bytes_per_s),
			"next", json_u64(row->next), "readers", (json_int_t)row->readers, "lag", json_u64(row->lag), "lost",
			json_u64(row->lost), "lost_per_s", top_json_rate(row, row->lost_per_s), "bytes", json_u64(row->memory), "condition",
			command_writer_word(row->writer), "writer_pid", row->writer_pid ? json_integer(row->writer_pid) : json_null());

		if (!object || json_array_append_new(segments, object) != 0) {
			json_decref(segments);
			json_decref(users);
			return -ENOMEM;
		}
	}
	for (size_t i = 0; i < top->users.count; i++)
		json_array_append_new(users, command_user_json(&top->users.rows[i].info));
	return json_line(json_pack("{s:o, s:I, s:I, s:o, s:o}", "time_ns", json_u64(shmb_now_ns()), "clients",
				   (json_int_t)top->daemon.clients, "daemon_pid", (json_int_t)top->daemon.pid, "segments", segments,
				   "users", users));
}

static int top_lines(struct top *top)
{
	int r = 0;

	/* The first look has no rates, so it is not printed. */
	top_look(top);
	for (uint64_t i = 0; r == 0 && !source_is_interrupted() && (!top->options->count || i < top->options->count); i++) {
		source_sleep_until(shmb_now_ns() + top->interval_ns);
		if (source_is_interrupted())
			break;
		top_look(top);
		if (top->error == 0)
			r = top_line(top);
		else if (top->error != -ECONNREFUSED && top->error != -ECONNRESET && top->error != -ENOENT)
			r = top->error;
		if (r == 0 && output_is_closed())
			r = -EPIPE;
	}
	return r < 0 ? command_fail(NULL, r) : 0;
}

int command_top(struct shmb *broker, const struct command_options *options)
{
	struct top top = { .options = options, .broker = broker, .interval_ns = TOP_INTERVAL_NS };
	int r;

	if (options->interval_ns)
		top.interval_ns = options->interval_ns;
	if (options->sort && top_sort_find(options->sort, &top.data.sort) < 0) {
		char *sort = output_escape(options->sort);

		fprintf(stderr, "shmbctl: --sort takes name, rate, bytes, lag, lost, readers or memory, not '%s'\n", sort ? sort : "?");
		free(sort);
		return COMMAND_USAGE;
	}
	source_catch_signals();
	if (options->json) {
		r = top_lines(&top);
	} else {
		r = command_screen();
		if (r == 0) {
			r = top_show(&top);
			screen_end();
		}
	}
	top_clients_deinit(&top.clients);
	top_users_deinit(&top.users);
	top_data_deinit(&top.data);
	return r;
}
