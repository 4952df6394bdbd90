/* SPDX-License-Identifier: MIT */
#ifndef SHMBCTL_SCREEN_H
#define SHMBCTL_SCREEN_H

/* The whole terminal, for verbs that redraw it: ncurses set up, colours where they are wanted, foreign text escaped, and the terminal as it was
 * at the end, whatever ends it. */

#include "output.h"

#include <stdbool.h>

/* -ENOTTY: standard input and output are no terminal; -ENOTSUP: $TERM is not known to ncurses. Say so, and nothing has changed. */
int screen_begin(void);
void screen_end(void);

/* screen_begin(), with what is wrong said on stderr: 0 or an exit status. */
int command_screen(void);

/* Waits up to `timeout_ms` for a key; ERR none. KEY_RESIZE when the terminal has another size. */
int screen_key(int timeout_ms);

/* Prints at (y, x), cut at the right edge; what is not printable ASCII is escaped. */
void screen_print(int y, int x, enum output_style style, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The attributes of a style, for ncurses. */
int screen_attributes(enum output_style style);
/* Can the terminal show braille? */
bool screen_has_braille(void);

#endif
