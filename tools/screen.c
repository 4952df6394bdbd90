/* SPDX-License-Identifier: MIT */
/* ncurses, begun and ended. */

#include "screen.h"

#include "command.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static SCREEN *screen; /* NULL: off */
static bool screen_colors;

int screen_begin(void)
{
	const char *no_color = getenv("NO_COLOR");

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return -ENOTTY;
	setlocale(LC_CTYPE, "");
	/* initscr() ends the program where it does not know the terminal, and is this otherwise. */
	screen = newterm(NULL, stdout, stdin);
	if (screen == NULL)
		return -ENOTSUP;
	def_prog_mode();
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	set_escdelay(50);
	screen_colors = (!no_color || !*no_color) && has_colors();
	if (screen_colors) {
		start_color();
		use_default_colors();
		init_pair(OUTPUT_GOOD, COLOR_GREEN, -1);
		init_pair(OUTPUT_BAD, COLOR_RED, -1);
		init_pair(OUTPUT_WARN, COLOR_YELLOW, -1);
	}
	return 0;
}

void screen_end(void)
{
	if (screen == NULL)
		return;
	endwin();
	delscreen(screen);
	screen = NULL;
}

int command_screen(void)
{
	int r = screen_begin();

	if (r == 0)
		return 0;
	if (r == -ENOTTY)
		fputs("shmbctl: this needs a terminal; --json prints lines instead\n", stderr);
	else
		fputs("shmbctl: the terminal ($TERM) is not known; --json prints lines instead\n", stderr);
	return COMMAND_FAILED;
}

int screen_key(int timeout_ms)
{
	timeout(timeout_ms);
	return getch();
}

int screen_attributes(enum output_style style)
{
	switch (style) {
	case OUTPUT_PLAIN:
		return A_NORMAL;
	case OUTPUT_BOLD:
		return A_BOLD;
	case OUTPUT_DIM:
		return A_DIM;
	default:
		return screen_colors ? (int)COLOR_PAIR(style) : (int)A_NORMAL;
	}
}

void screen_print(int y, int x, enum output_style style, const char *format, ...)
{
	int room = COLS - x;
	char *raw = NULL;
	char *text;
	va_list arguments;

	if (y < 0 || y >= LINES || room <= 0)
		return;
	va_start(arguments, format);
	if (vasprintf(&raw, format, arguments) < 0)
		raw = NULL;
	va_end(arguments);
	text = raw ? output_escape(raw) : NULL;
	free(raw);
	if (!text)
		return;
	attrset(screen_attributes(style));
	mvaddnstr(y, x, text, room);
	attrset(A_NORMAL);
	free(text);
}

bool screen_has_braille(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}
