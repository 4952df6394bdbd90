/* SPDX-License-Identifier: MIT */
/* `shmbctl reload`, `shmbctl policy NAME`, `shmbctl gc`: what an operator asks of the daemon. */

#include "command.h"
#include "json.h"
#include "output.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reload ---- */

static int reload_visit(const struct shmb_reload_result *result, void *user)
{
	const struct command_options *options = user;

	if (options->json)
		return json_line(json_pack("{s:I, s:I, s:I, s:I, s:o}", "files", (json_int_t)result->files, "patterns",
					   (json_int_t)result->patterns, "segments", (json_int_t)result->segments, "not_applied",
					   (json_int_t)result->not_applied, "notes", json_text(result->notes)));
	if (!options->no_legend)
		printf("reloaded: %u file%s, %u pattern%s; applied to %u segment%s\n", result->files, result->files == 1 ? "" : "s",
		       result->patterns, result->patterns == 1 ? "" : "s", result->segments, result->segments == 1 ? "" : "s");
	if (result->not_applied > 0) {
		printf("not for what is there already (%u):\n", result->not_applied);
		output_lines(result->notes, "  ");
	}
	return 0;
}

int command_reload(struct shmb *broker, const struct command_options *options)
{
	int r = shmb_reload(broker, reload_visit, (void *)options);

	/* A mistake in the configuration is no wrong usage of this command. */
	if (r < 0)
		return command_fail(NULL, r) == COMMAND_NO_DAEMON ? COMMAND_NO_DAEMON : COMMAND_FAILED;
	return COMMAND_OK;
}

/* ---- policy ---- */

struct policy_view {
	const struct command_options *options;
	const char *name;
	const char *user; /* asked about; NULL: the caller */
};

static json_t *policy_json(const struct shmb_policy_info *info, const char *name)
{
	json_t *patterns = json_array();
	json_t *settings = json_object();

	for (uint32_t i = 0; i < info->pattern_count; i++)
		json_array_append_new(patterns, json_pack("{s:o, s:o}", "pattern", json_text(info->patterns[i].pattern), "source",
							  json_text(info->patterns[i].source)));
	for (uint32_t i = 0; i < info->setting_count; i++)
		json_object_set_new(settings, info->settings[i].name,
				    json_pack("{s:o, s:o}", "value", json_text(info->settings[i].value), "source",
					      json_text(info->settings[i].source)));
	return json_pack("{s:o, s:b, s:I, s:b, s:o, s:b, s:o, s:o, s:o}", "name", json_text(name), "exists", info->is_there, "uid",
			 (json_int_t)info->uid, "may_read", info->may_read, "read_why", json_text(info->read_why), "may_write",
			 info->may_write, "write_why", json_text(info->write_why), "patterns", patterns, "settings", settings);
}

static void policy_rights(const char *verb, int may, const char *why)
{
	printf("  %s%s %s%s: ", output_on(may ? OUTPUT_GOOD : OUTPUT_BAD), may ? "may" : "may not", verb,
	       output_off(may ? OUTPUT_GOOD : OUTPUT_BAD));
	output_text(why);
	putchar('\n');
}

static int policy_visit(const struct shmb_policy_info *info, void *user)
{
	static const struct output_column columns[] = { { "SETTING", false }, { "VALUE", false }, { "FROM", false } };
	const struct policy_view *view = user;
	struct output_table *table;
	int r;

	if (view->options->json)
		return json_line(policy_json(info, view->name));
	table = output_table_new(columns, 3);
	if (!table)
		return -ENOMEM;
	output_text(view->name);
	printf("%s\n", info->is_there ? "" : " (no such segment now, or not for you to see)");
	if (info->pattern_count == 0)
		puts("  no section matches: everything is built in");
	for (uint32_t i = 0; i < info->pattern_count; i++) {
		printf("  %-10s [segment ", i == 0 ? "decided by" : "then");
		output_text(info->patterns[i].pattern);
		fputs("]  ", stdout);
		output_text(info->patterns[i].source);
		putchar('\n');
	}
	for (uint32_t i = 0; i < info->setting_count; i++) {
		output_table_cell(table, OUTPUT_PLAIN, "%s", info->settings[i].name);
		output_table_cell(table, OUTPUT_PLAIN, "%s", info->settings[i].value);
		output_table_cell(table, OUTPUT_DIM, "%s", info->settings[i].source);
	}
	r = output_table_print(table, !view->options->no_legend);
	output_table_free(table);
	if (view->user) {
		fputs("user ", stdout);
		output_text(view->user);
	} else {
		fputs("you", stdout);
	}
	printf(" (uid %u)\n", info->uid);
	policy_rights("read", info->may_read, info->read_why);
	policy_rights("write", info->may_write, info->write_why);
	return r;
}

/* A name or number, with all its groups as they would be at a login. */
static int user_find(const char *text, struct shmb_user *user, gid_t *groups, int space)
{
	const struct passwd *entry = getpwnam(text);
	int count = space;
	char *end;
	unsigned long uid = strtoul(text, &end, 10);

	if (!entry && *text >= '0' && *text <= '9' && *end == 0 && uid < UINT32_MAX)
		entry = getpwuid((uid_t)uid);
	else if (!entry)
		return -ENOENT;
	if (!entry) { /* a number without a name: it has no groups that we could know */
		*user = (struct shmb_user){ .uid = (uint32_t)uid, .gids = groups };
		return 0;
	}
	if (getgrouplist(entry->pw_name, entry->pw_gid, groups, &count) < 0)
		return -E2BIG;
	*user = (struct shmb_user){ .uid = entry->pw_uid, .gids = groups, .gid_count = (uint32_t)count };
	return 0;
}

int command_policy(struct shmb *broker, const struct command_options *options)
{
	struct policy_view view = { .options = options, .name = options->names[0], .user = options->user };
	struct shmb_user user;
	gid_t groups[64];
	int r;

	_Static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups go as they are");
	if (options->user) {
		r = user_find(options->user, &user, groups, 64);
		if (r < 0) {
			char *text = output_escape(options->user);

			fprintf(stderr,
				r == -ENOENT ? "shmbctl: there is no user %s on this host: give a name, or a number\n"
					     : "shmbctl: user %s has more than 64 groups, which is more than can be asked about\n",
				text ? text : "?");
			free(text);
			return COMMAND_FAILED;
		}
	}
	r = shmb_policy(broker, options->names[0], options->user ? &user : NULL, policy_visit, &view);
	return r < 0 ? command_fail(options->names[0], r) : COMMAND_OK;
}

/* ---- gc ---- */

struct gc_view {
	const struct command_options *options;
	uint64_t bytes;
	unsigned count; /* would go, or went */
	bool failed;
};

static const char *const outcomes[] = {
	[SHMB_GC_IT_STAYS] = "stays",
	[SHMB_GC_WOULD_GO] = "would go",
	[SHMB_GC_IS_REMOVED] = "removed",
	[SHMB_GC_NOT_REMOVED] = "failed",
};

static int gc_visit(const struct shmb_gc_info *info, void *user)
{
	struct gc_view *view = user;
	unsigned outcome = (unsigned)info->outcome;
	const char *word = outcome <= SHMB_GC_NOT_REMOVED ? outcomes[outcome] : "unknown";
	char text[OUTPUT_UNIT_SIZE];

	view->failed |= info->outcome == SHMB_GC_NOT_REMOVED;
	if (info->outcome == SHMB_GC_WOULD_GO || info->outcome == SHMB_GC_IS_REMOVED) {
		view->count++;
		view->bytes += info->bytes;
	}
	if (view->options->json)
		return json_line(json_pack("{s:o, s:b, s:s, s:o, s:o, s:o, s:I, s:i}", "name", json_text(info->name), "foreign",
					   info->is_foreign, "outcome", word, "reason", json_text(info->reason), "bytes",
					   json_u64(info->bytes), "due_ns", json_u64(info->due_ns), "uid", (json_int_t)info->uid, "pid",
					   (int)info->pid));
	printf("%-8s  ", word);
	output_text(info->name);
	printf("  %s  ", output_bytes(text, info->bytes));
	output_text(info->reason);
	if (info->outcome == SHMB_GC_WOULD_GO && !info->is_foreign)
		printf("; %s%s", info->due_ns > INT64_MAX ? "never by itself" : "by itself in ",
		       info->due_ns > INT64_MAX ? "" : output_duration(text, info->due_ns));
	putchar('\n');
	return 0;
}

int command_gc(struct shmb *broker, const struct command_options *options)
{
	struct gc_view view = { .options = options };
	unsigned tell = options->dry_run ? SHMB_GC_TELL : 0;
	char text[OUTPUT_UNIT_SIZE];
	int r = shmb_gc(broker, tell, gc_visit, &view);

	if (r == 0)
		r = shmb_gc(broker, tell | SHMB_GC_FOREIGN_FILES, gc_visit, &view);
	if (r < 0)
		return command_fail(NULL, r);
	if (!options->json && !options->no_legend)
		printf("%u %s, %s\n", view.count, options->dry_run ? "would go" : "removed", output_bytes(text, view.bytes));
	return view.failed ? COMMAND_FAILED : COMMAND_OK;
}
