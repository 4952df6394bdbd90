/* SPDX-License-Identifier: MIT */
/* The table of settings (setting.h). */
#include "setting.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

enum type { TIME, YES, ACTION, BACKING, NUMBER, BYTES, WHO };

#define ACTIONS_NEVER (1u << POLICY_KEEP | 1u << POLICY_REAP)
#define ACTIONS_EXIT (ACTIONS_NEVER | 1u << POLICY_REPLACE)
#define ACTIONS_HANG (1u << POLICY_KEEP | 1u << POLICY_MARK | 1u << POLICY_REAP | 1u << POLICY_REPLACE)

static const struct {
	const char *name;
	enum type type;
	size_t offset;
	uint64_t least; /* of times and numbers; of actions a bit for each that is allowed */
	uint64_t most;
	bool is_for_new;
} settings[SETTING_COUNT] = {
#define AT(field) offsetof(struct policy, field)
	[SETTING_STALE_TIME] = { "stale-time", TIME, AT(stale_ns), 1000000, UINT64_MAX, false },
	[SETTING_LINGER] = { "linger", TIME, AT(linger_ns), 0, UINT64_MAX, false },
	[SETTING_KEEP_WHILE_READ] = { "keep-while-read", YES, AT(keep_while_read), 0, 0, false },
	[SETTING_ON_EXIT] = { "on-exit", ACTION, AT(on_exit), ACTIONS_EXIT, 0, false },
	[SETTING_ON_HANG] = { "on-hang", ACTION, AT(on_hang), ACTIONS_HANG, 0, false },
	[SETTING_ON_NEVER] = { "on-never", ACTION, AT(on_never), ACTIONS_NEVER, 0, false },
	[SETTING_BACKING] = { "backing", BACKING, AT(backing), 0, 0, true },
	[SETTING_READER_AREAS] = { "reader-areas", NUMBER, AT(areas), 0, SHMB_AREAS_MAX, true },
	[SETTING_PREFAULT] = { "prefault", YES, AT(prefault), 0, 0, true },
	[SETTING_LOCK] = { "lock", YES, AT(lock), 0, 0, true },
	[SETTING_BYTES_MAX] = { "bytes-max", BYTES, AT(bytes_max), SHMB_PAGE, UINT64_MAX, true },
	[SETTING_CAPACITY_MAX] = { "capacity-max", NUMBER, AT(capacity_max), SHMB_CAPACITY_MIN, SHMB_CAPACITY_MAX, true },
	[SETTING_PINS] = { "pins", NUMBER, AT(pins), 1, SHMB_PINS_PER_CELL, true },
	[SETTING_HUGE_PAGES] = { "huge-pages", YES, AT(huge_pages), 0, 0, true },
	[SETTING_WRITERS] = { "writers", WHO, AT(writers), 0, 0, false },
	[SETTING_READERS] = { "readers", WHO, AT(readers), 0, 0, false },
#undef AT
};

static const char *const actions[] = {
	[POLICY_KEEP] = "keep",
	[POLICY_MARK] = "mark",
	[POLICY_REAP] = "reap",
	[POLICY_REPLACE] = "replace",
};

enum { ACTIONS = sizeof(actions) / sizeof(actions[0]) };

static void *field_of(enum policy_setting setting, struct policy *policy)
{
	return (char *)policy + settings[setting].offset;
}

static const void *value_of(enum policy_setting setting, const struct policy *policy)
{
	return (const char *)policy + settings[setting].offset;
}

static size_t size_of(enum policy_setting setting)
{
	switch (settings[setting].type) {
	case TIME:
	case BYTES:
		return sizeof(uint64_t);
	case YES:
		return sizeof(bool);
	case ACTION:
		return sizeof(enum policy_action);
	case BACKING:
		return sizeof(enum shmb_backing);
	case NUMBER:
		return sizeof(uint32_t);
	case WHO:
		break;
	}
	return sizeof(struct policy_who);
}

int setting_find(const char *name)
{
	for (int i = 0; i < SETTING_COUNT; i++) {
		if (strcmp(settings[i].name, name) == 0)
			return i;
	}
	return -ENOENT;
}

const char *setting_name(enum policy_setting setting)
{
	return settings[setting].name;
}

bool setting_is_list(enum policy_setting setting)
{
	return settings[setting].type == WHO;
}

bool setting_is_for_new(enum policy_setting setting)
{
	return settings[setting].is_for_new;
}

void setting_copy(enum policy_setting setting, struct policy *to, const struct policy *from)
{
	memcpy(field_of(setting, to), value_of(setting, from), size_of(setting));
	to->at[setting] = from->at[setting];
}

bool setting_is_same(enum policy_setting setting, const struct policy *left, const struct policy *right)
{
	char one[SETTING_VALUE_MAX];
	char other[SETTING_VALUE_MAX];

	return strcmp(setting_format(setting, left, one), setting_format(setting, right, other)) == 0;
}

/* ---- reading ---- */

__attribute__((format(printf, 2, 3))) static int fail(char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, SETTING_WHY_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

int setting_parse_bytes(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	uint64_t number;
	unsigned shift = 0;

	if (strcmp(text, "infinity") == 0) {
		*out = UINT64_MAX;
		return 0;
	}
	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0)
		return -EINVAL;
	if (*end != '\0') {
		unit = strchr(units, *end);
		if (unit == NULL || end[1] != '\0')
			return -EINVAL;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (number > UINT64_MAX >> 1 >> shift)
		return -EINVAL;
	*out = number << shift;
	return 0;
}

int setting_parse_yes(const char *text, bool *out)
{
	static const char *const words[][2] = { { "no", "yes" }, { "false", "true" }, { "off", "on" }, { "0", "1" } };

	for (unsigned i = 0; i < 8; i++) {
		if (strcmp(words[i / 2][i % 2], text) == 0) {
			*out = i % 2 != 0;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_action(const char *text, uint64_t allowed, enum policy_action *out, char *why)
{
	char list[64] = "";

	for (unsigned i = 0; i < ACTIONS; i++) {
		if ((allowed >> i & 1) == 0)
			continue;
		if (strcmp(actions[i], text) == 0) {
			*out = (enum policy_action)i;
			return 0;
		}
		strcat(list, list[0] != '\0' ? ", " : "");
		strcat(list, actions[i]);
	}
	return fail(why, "'%.60s' is none of %s", text, list);
}

static int parse_backing(const char *text, enum shmb_backing *out, char *why)
{
	if (strcmp(text, "named") == 0)
		*out = SHMB_BACKING_NAMED;
	else if (strcmp(text, "sealed") == 0)
		*out = SHMB_BACKING_SEALED;
	else
		return fail(why, "'%.60s' is none of named, sealed", text);
	return 0;
}

static int parse_number(const char *text, uint64_t least, uint64_t most, uint32_t *out, char *why)
{
	char *end;
	uint64_t number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < least || number > most)
		return fail(why, "'%.60s' is no whole number from %" PRIu64 " to %" PRIu64, text, least, most);
	*out = (uint32_t)number;
	return 0;
}

/* One word of a list: USER, UID, @GROUP, @GID. */
static int who_add(const char *word, const struct setting_names *names, struct policy_who *who, char *why)
{
	bool is_group = word[0] == '@';
	unsigned *count = is_group ? &who->gid_count : &who->uid_count;
	const char *name = word + is_group;
	uint32_t id = 0;
	int r;

	if (*count == POLICY_USERS_MAX)
		return fail(why, "a list has at most %d %s: use a group", POLICY_USERS_MAX, is_group ? "groups" : "users");
	if (name[0] == '\0')
		return fail(why, "'@' needs the name of a group behind it");
	if (name[strspn(name, "0123456789")] == '\0') {
		r = parse_number(name, 0, UINT32_MAX - 1, &id, why);
		if (r < 0)
			return r;
	} else {
		r = is_group ? names->group(name, &id) : names->user(name, &id);
		if (r == -ENOENT)
			return fail(why, "there is no %s '%.60s' on this host", is_group ? "group" : "user", name);
		if (r < 0)
			return fail(why, "the %s '%.60s' cannot be looked up: %s", is_group ? "group" : "user", name, strerror(-r));
	}
	(is_group ? who->gids : who->uids)[(*count)++] = id;
	return 0;
}

static int parse_who(const char *text, const struct setting_names *names, struct policy_who *who, char *why)
{
	char copy[1024];
	char *rest = copy;
	char *word;
	int r;

	if (strlen(text) >= sizeof(copy))
		return fail(why, "the list is too long");
	strcpy(copy, text);
	while ((word = strsep(&rest, " \t,")) != NULL) {
		if (word[0] == '\0')
			continue;
		if (who->anyone || (who->is_set && (who->uid_count + who->gid_count == 0 || strcmp(word, "none") == 0 || word[0] == '*')))
			return fail(why, "'*' (everybody) and 'none' stand alone");
		who->is_set = true;
		if (strcmp(word, "*") == 0) {
			who->anyone = true;
		} else if (strcmp(word, "none") != 0) {
			r = who_add(word, names, who, why);
			if (r < 0)
				return r;
		}
	}
	if (!who->is_set)
		return fail(why, "the list is empty: write users, @groups, ids, '*' or 'none'");
	return 0;
}

int setting_parse(enum policy_setting setting, const char *text, const struct setting_names *names, struct policy *policy,
		  char why[SETTING_WHY_MAX])
{
	void *field = field_of(setting, policy);
	uint64_t least = settings[setting].least;
	uint64_t number = 0;

	switch (settings[setting].type) {
	case TIME:
		if (options_parse_time(text, &number) < 0)
			return fail(why, "'%.60s' is no time: write it like 500ms, 10s, 2min, 1h, 0 or infinity", text);
		if (number < least)
			return fail(why, "'%.60s' is too short: at least 1ms", text);
		*(uint64_t *)field = number;
		return 0;
	case BYTES:
		if (setting_parse_bytes(text, &number) < 0)
			return fail(why, "'%.60s' is no size: write it like 4096, 512K, 64M, 2G or infinity", text);
		if (number < least)
			return fail(why, "'%.60s' is too small: at least %" PRIu64, text, least);
		*(uint64_t *)field = number;
		return 0;
	case YES:
		if (setting_parse_yes(text, field) < 0)
			return fail(why, "'%.60s' is neither yes nor no", text);
		return 0;
	case ACTION:
		return parse_action(text, least, field, why);
	case BACKING:
		return parse_backing(text, field, why);
	case NUMBER:
		return parse_number(text, least, settings[setting].most, field, why);
	case WHO:
		break;
	}
	return parse_who(text, names, field, why);
}

/* ---- printing ---- */

const char *setting_format_time(uint64_t ns, char out[SETTING_VALUE_MAX])
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = { { "h", UINT64_C(3600000000000) },
		      { "min", UINT64_C(60000000000) },
		      { "s", UINT64_C(1000000000) },
		      { "ms", 1000000 },
		      { "us", 1000 },
		      { "ns", 1 } };
	unsigned i = 0;

	if (ns == UINT64_MAX || ns == 0) {
		strcpy(out, ns == 0 ? "0" : "infinity");
		return out;
	}
	while (ns % units[i].ns != 0)
		i++;
	snprintf(out, SETTING_VALUE_MAX, "%" PRIu64 "%s", ns / units[i].ns, units[i].unit);
	return out;
}

static void format_bytes(uint64_t bytes, char *out)
{
	static const char units[] = "TGMK";
	unsigned shift = 40;

	if (bytes == UINT64_MAX) {
		strcpy(out, "infinity");
		return;
	}
	for (unsigned i = 0; i < 4; i++, shift -= 10) {
		if (bytes != 0 && bytes % (UINT64_C(1) << shift) == 0) {
			snprintf(out, SETTING_VALUE_MAX, "%" PRIu64 "%c", bytes >> shift, units[i]);
			return;
		}
	}
	snprintf(out, SETTING_VALUE_MAX, "%" PRIu64, bytes);
}

static void format_who(const struct policy_who *who, bool may_write, char *out)
{
	size_t at = 0;

	if (!who->is_set)
		strcpy(out, may_write ? "(owner)" : "(everybody)");
	else if (who->anyone)
		strcpy(out, "*");
	else if (who->uid_count + who->gid_count == 0)
		strcpy(out, "none");
	if (!who->is_set || who->anyone)
		return;
	/* Ids of ten digits, 32 of them, with a sign and a blank each: they fit. */
	for (unsigned i = 0; i < who->uid_count; i++)
		at += (size_t)snprintf(out + at, SETTING_VALUE_MAX - at, "%s%u", at > 0 ? " " : "", who->uids[i]);
	for (unsigned i = 0; i < who->gid_count; i++)
		at += (size_t)snprintf(out + at, SETTING_VALUE_MAX - at, "%s@%u", at > 0 ? " " : "", who->gids[i]);
}

_Static_assert(POLICY_USERS_MAX *(11 + 12) < SETTING_VALUE_MAX, "a list of ids fits its text");

const char *setting_format(enum policy_setting setting, const struct policy *policy, char out[SETTING_VALUE_MAX])
{
	const void *value = value_of(setting, policy);

	switch (settings[setting].type) {
	case TIME:
		return setting_format_time(*(const uint64_t *)value, out);
	case BYTES:
		format_bytes(*(const uint64_t *)value, out);
		break;
	case YES:
		strcpy(out, *(const bool *)value ? "yes" : "no");
		break;
	case BACKING:
		strcpy(out, *(const enum shmb_backing *)value == SHMB_BACKING_SEALED ? "sealed" : "named");
		break;
	case ACTION:
		strcpy(out, actions[*(const enum policy_action *)value]);
		break;
	case NUMBER:
		if (*(const uint32_t *)value == UINT32_MAX)
			strcpy(out, "(none)");
		else
			snprintf(out, SETTING_VALUE_MAX, "%u", *(const uint32_t *)value);
		break;
	case WHO:
		format_who(value, setting == SETTING_WRITERS, out);
		break;
	}
	return out;
}
