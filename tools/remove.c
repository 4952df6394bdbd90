/* SPDX-License-Identifier: MIT */
/* `shmbctl remove NAME...`: removes segments; goes on after one that cannot be removed and ends with the first failure's status. */

#include "command.h"
#include "json.h"
#include "output.h"

#include <stdio.h>

int command_remove(struct shmb *broker, const struct command_options *options)
{
	int status = COMMAND_OK;

	for (int i = 0; i < options->name_count; i++) {
		int r = shmb_remove(broker, options->names[i]);

		if (r == 0) {
			if (options->json) {
				r = json_line(json_pack("{s:o, s:b}", "name", json_text(options->names[i]), "removed", 1));
			} else if (!options->no_legend) {
				fputs("removed ", stdout);
				output_text(options->names[i]);
				putchar('\n');
			}
		}
		if (r < 0) {
			int failure = command_fail(options->names[i], r);

			status = status == COMMAND_OK ? failure : status;
		}
	}
	return status;
}
