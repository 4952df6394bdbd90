/* SPDX-License-Identifier: MIT */
/*
 * `shmbctl tree`: segments by the parts of their names, as folders are shown, each with what it is and who writes and reads it. The list is
 * sorted by name, so that everything below one prefix lies together, and printed by looking at what a name has in common with the one before.
 */

#include "command.h"
#include "json.h"
#include "output.h"
#include "segment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tree_entry {
	char *name;
	char *about; /* for people */
	json_t *json;
	enum output_style style;
};

struct tree {
	struct tree_entry *entries;
	size_t count;
	size_t space;
};

static int tree_visit(const struct shmb_segment_info *info, void *user)
{
	struct tree *tree = user;
	struct tree_entry *entry;
	char writer[64] = "";

	if (tree->count == tree->space) {
		size_t space = tree->space ? 2 * tree->space : 64;
		struct tree_entry *entries = realloc(tree->entries, space * sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		tree->entries = entries;
		tree->space = space;
	}
	entry = &tree->entries[tree->count];
	*entry = (struct tree_entry){ .style = segment_writer_style(info->writer) };
	if (info->writer_pid) {
		char *comm = output_escape(info->writer_comm);

		snprintf(writer, sizeof(writer), " %d %s", (int)info->writer_pid, comm ? comm : "?");
		free(comm);
	}
	if (asprintf(&entry->about, "%s %s, writer %s%s, %u reader%s", info->kind, info->type, command_writer_word(info->writer), writer,
		     info->readers, info->readers == 1 ? "" : "s") < 0) {
		entry->about = NULL;
		return -ENOMEM;
	}
	entry->name = strdup(info->name);
	entry->json = segment_json(info);
	tree->count++; /* what it holds is freed with it */
	return entry->name && entry->json ? 0 : -ENOMEM;
}

static void tree_deinit(struct tree *tree)
{
	for (size_t i = 0; i < tree->count; i++) {
		free(tree->entries[i].name);
		free(tree->entries[i].about);
		json_decref(tree->entries[i].json);
	}
	free(tree->entries);
}

/* As the parts of a path: "a/b" comes before "a-b". */
static int tree_compare(const void *a, const void *b)
{
	const char *x = ((const struct tree_entry *)a)->name;
	const char *y = ((const struct tree_entry *)b)->name;

	while (*x && *x == *y) {
		x++;
		y++;
	}
	return (*x == '/' ? 1 : (unsigned char)*x) - (*y == '/' ? 1 : (unsigned char)*y);
}

/* Do both begin with the same `parts` parts, and have at least as many? */
static bool tree_shares(const char *a, const char *b, unsigned parts)
{
	for (; parts > 0; a++, b++) {
		bool a_ends = *a == '/' || *a == '\0';
		bool b_ends = *b == '/' || *b == '\0';

		if (a_ends && b_ends)
			parts--;
		else if (*a != *b)
			return false;
		if (*a == '\0' || *b == '\0')
			return parts == 0;
	}
	return true;
}

/* Is there a later entry that has the first `depth` parts of entry i in common, but not `depth + 1`? Then its line goes on downwards. */
static bool tree_goes_on(const struct tree *tree, size_t i, unsigned depth)
{
	for (size_t later = i + 1; later < tree->count; later++) {
		if (!tree_shares(tree->entries[i].name, tree->entries[later].name, depth))
			return false;
		if (!tree_shares(tree->entries[i].name, tree->entries[later].name, depth + 1))
			return true;
	}
	return false;
}

static void tree_branch(const struct tree *tree, size_t i, unsigned depth)
{
	for (unsigned level = 0; level < depth; level++)
		fputs(tree_goes_on(tree, i, level) ? "|   " : "    ", stdout);
	fputs(tree_goes_on(tree, i, depth) ? "|-- " : "`-- ", stdout);
}

static void tree_print(const struct tree *tree)
{
	for (size_t i = 0; i < tree->count; i++) {
		const struct tree_entry *entry = &tree->entries[i];
		const char *part = entry->name;
		unsigned depth = 0;

		for (;; depth++) {
			size_t length = strcspn(part, "/");
			bool is_last = part[length] == '\0';

			/* folders that the entry before has opened already are not named again */
			if (is_last || i == 0 || !tree_shares(tree->entries[i - 1].name, entry->name, depth + 1)) {
				tree_branch(tree, i, depth);
				printf("%s%.*s%s", output_on(OUTPUT_BOLD), (int)length, part, output_off(OUTPUT_BOLD));
				if (is_last)
					printf("  %s%s%s", output_on(entry->style), entry->about, output_off(entry->style));
				putchar('\n');
			}
			if (is_last)
				break;
			part += length + 1;
		}
	}
}

/* {"name": part, "segment": null or as `list`, "children": [...]} for all entries from *at on that share `depth` parts. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as a name has parts, at most 100 */
static json_t *tree_json(const struct tree *tree, size_t *at, unsigned depth)
{
	json_t *nodes = json_array();

	while (nodes && *at < tree->count) {
		const char *name = tree->entries[*at].name;
		const char *part = name;
		size_t first = *at;
		json_t *segment = NULL;
		json_t *children;
		json_t *node;

		for (unsigned level = 0; level < depth; level++)
			part += strcspn(part, "/") + 1;
		if (strchr(part, '/') == NULL)
			segment = json_incref(tree->entries[(*at)++].json);
		/* what follows below this very part */
		children = *at < tree->count && tree_shares(name, tree->entries[*at].name, depth + 1) ? tree_json(tree, at, depth + 1)
												      : json_array();
		node = json_pack("{s:o, s:o, s:o}", "name", json_stringn(part, strcspn(part, "/")), "segment",
				 segment ? segment : json_null(), "children", children);
		if (!node || json_array_append_new(nodes, node) != 0) {
			json_decref(nodes);
			return NULL;
		}
		if (*at < tree->count && !tree_shares(tree->entries[first].name, tree->entries[*at].name, depth))
			break;
	}
	return nodes;
}

int command_tree(struct shmb *broker, const struct command_options *options)
{
	struct tree tree = { 0 };
	size_t at = 0;
	int r = shmb_list(broker, tree_visit, &tree);

	if (r == 0 && tree.count)
		qsort(tree.entries, tree.count, sizeof(*tree.entries), tree_compare);
	if (r == 0 && options->json)
		r = json_line(json_pack("{s:o}", "segments", tree_json(&tree, &at, 0)));
	else if (r == 0 && tree.count)
		tree_print(&tree);
	else if (r == 0 && !options->no_legend)
		puts("no segments");
	tree_deinit(&tree);
	return r < 0 ? command_fail(NULL, r) : COMMAND_OK;
}
