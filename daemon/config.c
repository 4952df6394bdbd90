/* SPDX-License-Identifier: MIT */
/*
 * Reading the text of a configuration file (config.h).
 *
 * libinih splits lines into names and values, takes comments away and continues lists. It gives its handler no line numbers and cuts the names
 * of sections after 49 bytes, so lines go to it through line_give(), which counts them, reads headings itself and passes on "[s]" in
 * their place.
 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "proto/name.h"

enum place { PLACE_NONE, PLACE_BROKER, PLACE_USER, PLACE_SEGMENT };

enum broker_setting { BROKER_LINGER, BROKER_FOREIGN, BROKER_FOREIGN_DIR, BROKER_FOREIGN_INTERVAL, BROKER_HELLO_TIME, BROKER_SETTINGS };

static const char *const broker_settings[BROKER_SETTINGS] = {
	[BROKER_LINGER] = "linger",	      [BROKER_FOREIGN] = "foreign",
	[BROKER_FOREIGN_DIR] = "foreign-dir", [BROKER_FOREIGN_INTERVAL] = "foreign-interval",
	[BROKER_HELLO_TIME] = "hello-time",
};

/* Windows' editors begin a text with it. libinih passes over it, but headings are not left to libinih. */
static const char byte_order_mark[] = { '\xef', '\xbb', '\xbf' };

static const uint64_t foreign_interval_default = UINT64_C(60000000000);
static const uint64_t hello_default = UINT64_C(30000000000);

struct parser {
	struct config *config;
	const struct setting_names *names;
	const char *file; /* the set's */
	const char *text;
	size_t length;
	size_t at;
	unsigned line;	/* being read */
	bool continues; /* it begins with a blank */
	enum place place;
	char pattern[POLICY_PATTERN_MAX + 1];
	size_t user; /* of PLACE_USER */
	unsigned said[SETTING_COUNT + BROKER_SETTINGS +
		      LIMIT_COUNT]; /* in this section: in which line; those of [broker], then limits, behind the others */
	char *why;
	bool failed;
};

__attribute__((format(printf, 2, 3))) static void fail(struct parser *parser, const char *format, ...)
{
	char text[CONFIG_WHY_MAX / 2];
	va_list args;

	if (parser->failed)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(parser->why, CONFIG_WHY_MAX, "%s:%u: %s", parser->file, parser->line, text);
	parser->failed = true;
}

/* ---- headings ---- */

static bool pattern_check(struct parser *parser, const char *pattern)
{
	char name[POLICY_PATTERN_MAX + 1];
	const char *why = "";

	if (strlen(pattern) > POLICY_PATTERN_MAX) {
		fail(parser, "a pattern has at most %d bytes", POLICY_PATTERN_MAX);
		return false;
	}
	/* With letters for its wildcards it must be a name: so nobody waits for a pattern that none can match. */
	strcpy(name, pattern);
	for (char *c = name; *c != '\0'; c++) {
		if (*c == '*' || *c == '?')
			*c = 'x';
	}
	if (shmb_name_check(name, strlen(name), &why) < 0) {
		fail(parser, "no segment's name matches '%.100s': %s ('*' matches any bytes, '?' one)", pattern, why);
		return false;
	}
	return true;
}

/* "[user NAME]": a user's limits, made if they are not there. */
static void user_heading(struct parser *parser, const char *name)
{
	struct config *config = parser->config;
	bool is_everybody = strcmp(name, "*") == 0;
	struct policy_who who = { 0 };
	struct policy ignored = { 0 };
	struct user_limits *users;
	char why[SETTING_WHY_MAX];

	if (!is_everybody) {
		if (name[0] == '@' || strchr(name, ' ') != NULL || strchr(name, '\t') != NULL || strchr(name, ',') != NULL ||
		    strcmp(name, "none") == 0) {
			fail(parser, "[user %.60s]: one user, by name or number, or *", name);
			return;
		}
		if (setting_parse(SETTING_READERS, name, parser->names, &ignored, why) < 0) {
			fail(parser, "[user %.60s]: %s", name, why);
			return;
		}
		who = ignored.readers;
	}
	parser->place = PLACE_USER;
	for (size_t i = 0; i < config->user_count; i++) {
		parser->user = i;
		if (config->users[i].is_everybody == is_everybody && (is_everybody || config->users[i].uid == who.uids[0]))
			return;
	}
	users = realloc(config->users, (config->user_count + 1) * sizeof(*users));
	if (users == NULL) {
		fail(parser, "no memory");
		return;
	}
	config->users = users;
	parser->user = config->user_count++;
	users[parser->user] = (struct user_limits){ .is_everybody = is_everybody, .uid = who.uids[0] };
	limits_init(&users[parser->user].limits);
}

static void heading(struct parser *parser, char *line)
{
	char *end = strrchr(line, ']');
	char *name = line + 1;
	char *pattern;

	memset(parser->said, 0, sizeof(parser->said));
	if (end == NULL) {
		fail(parser, "a section's heading ends with ']'");
		return;
	}
	if (end[1 + strspn(end + 1, " \t\r\n")] != '\0') {
		fail(parser, "there is something behind the section's heading");
		return;
	}
	*end = '\0';
	if (strcmp(name, "broker") == 0) {
		parser->place = PLACE_BROKER;
		return;
	}
	if (strncmp(name, "user", 4) == 0 && (name[4] == ' ' || name[4] == '\t')) {
		name += 4 + strspn(name + 4, " \t");
		for (size_t length = strlen(name); length > 0 && isspace((unsigned char)name[length - 1]); length--)
			name[length - 1] = '\0';
		user_heading(parser, name);
		return;
	}
	if (strncmp(name, "segment", 7) != 0 || (name[7] != ' ' && name[7] != '\t')) {
		fail(parser, "there is no section [%.100s]: it is [broker], [user NAME] or [segment PATTERN]", name);
		return;
	}
	pattern = name + 7 + strspn(name + 7, " \t");
	for (size_t length = strlen(pattern); length > 0 && isspace((unsigned char)pattern[length - 1]); length--)
		pattern[length - 1] = '\0';
	if (!pattern_check(parser, pattern))
		return;
	parser->place = PLACE_SEGMENT;
	strcpy(parser->pattern, pattern);
	if (policy_set_section(parser->config->policies, pattern, (struct policy_origin){ parser->file, parser->line }) == NULL)
		fail(parser, "there are more than %d patterns, or no memory for one more", POLICY_SECTIONS_MAX);
}

/* The reader of ini_parse_stream(): like fgets(3). NULL at the end, and after an error. */
static char *line_give(char *out, int size, void *user)
{
	struct parser *parser = user;
	const char *from = parser->text + parser->at;
	size_t left = parser->length - parser->at;
	const char *newline = memchr(from, '\n', left);
	size_t length = newline != NULL ? (size_t)(newline - from) + 1 : left;

	if (left == 0 || parser->failed)
		return NULL;
	parser->line++;
	parser->at += length;
	if (memchr(from, '\0', length) != NULL) {
		fail(parser, "a byte 0: this is no text");
		return NULL;
	}
	parser->continues = *from == ' ' || *from == '\t';
	if (length >= (size_t)size) {
		fail(parser, "a line has at most %d bytes; a list goes on in the next line, after a blank", size - 2);
		return NULL;
	}
	memcpy(out, from, length);
	out[length] = '\0';
	if (out[strspn(out, " \t")] == '[') {
		heading(parser, out + strspn(out, " \t"));
		strcpy(out, "[s]\n");
	}
	return parser->failed ? NULL : out;
}

/* ---- settings ---- */

/* The first time in this section, or a list that goes on? */
static bool check_once(struct parser *parser, unsigned index, const char *name, bool is_list)
{
	if (parser->said[index] == 0) {
		parser->said[index] = parser->line;
		return true;
	}
	if (parser->continues && is_list)
		return true;
	if (parser->continues)
		fail(parser, "%s takes one value; this line continues it, because it begins with a blank", name);
	else
		fail(parser, "%s has been said in line %u, in the same section", name, parser->said[index]);
	return false;
}

static void segment_setting(struct parser *parser, const char *name, const char *value)
{
	struct policy_section *section =
		policy_set_section(parser->config->policies, parser->pattern, (struct policy_origin){ parser->file, parser->line });
	char why[SETTING_WHY_MAX];
	int found = setting_find(name);
	enum policy_setting setting = (enum policy_setting)found;

	if (found < 0) {
		fail(parser, "[segment] has no setting '%.60s'", name);
		return;
	}
	if (!check_once(parser, (unsigned)found, name, setting_is_list(setting)))
		return;
	if (parser->said[found] == parser->line) { /* a list begins anew in each section */
		static const struct policy nothing;

		setting_copy(setting, &section->values, &nothing);
		section->values.at[setting] = (struct policy_origin){ parser->file, parser->line };
		section->is_set |= 1u << found;
	}
	if (setting_parse(setting, value, parser->names, &section->values, why) < 0)
		fail(parser, "%s: %s", name, why);
}

static void broker_linger(struct parser *parser, const char *value)
{
	struct policy *builtin = &parser->config->policies->builtin;
	uint64_t ns;

	if (options_parse_time(value, &ns) < 0) {
		fail(parser, "linger: '%.60s' is no time: write it like 500ms, 10s, 2min, 1h, 0 or infinity", value);
	} else if (!parser->config->linger_fixed) {
		builtin->linger_ns = ns;
		builtin->at[SETTING_LINGER] = (struct policy_origin){ parser->file, parser->line };
	}
}

static void broker_foreign(struct parser *parser, const char *value)
{
	if (strcmp(value, "ignore") == 0)
		parser->config->foreign = CONFIG_FOREIGN_IGNORE;
	else if (strcmp(value, "list") == 0)
		parser->config->foreign = CONFIG_FOREIGN_LIST;
	else if (strcmp(value, "reap") == 0)
		parser->config->foreign = CONFIG_FOREIGN_REAP;
	else
		fail(parser, "foreign: '%.60s' is none of ignore, list, reap", value);
}

/* Of all, or of a user. False: it is none. */
static bool limit_setting(struct parser *parser, struct limits *limits, const char *name, const char *value)
{
	char why[SETTING_WHY_MAX];
	int found = limits_find(name);

	if (found < 0)
		return false;
	if (!check_once(parser, (unsigned)(SETTING_COUNT + BROKER_SETTINGS + found), name, false))
		return true;
	if (limits_parse((enum limit)found, value, &limits->max[found], why) < 0) {
		fail(parser, "%s: %s", name, why);
		return true;
	}
	limits->at[found] = (struct policy_origin){ parser->file, parser->line };
	limits->is_set |= 1u << found;
	return true;
}

static void user_setting(struct parser *parser, const char *name, const char *value)
{
	if (!limit_setting(parser, &parser->config->users[parser->user].limits, name, value))
		fail(parser, "[user] has no setting '%.60s'", name);
}

static void broker_setting(struct parser *parser, const char *name, const char *value)
{
	struct config *config = parser->config;
	unsigned setting = 0;

	while (setting < BROKER_SETTINGS && strcmp(broker_settings[setting], name) != 0)
		setting++;
	if (setting == BROKER_SETTINGS && limit_setting(parser, &config->total, name, value))
		return;
	if (setting == BROKER_SETTINGS) {
		fail(parser, "[broker] has no setting '%.60s'", name);
		return;
	}
	if (!check_once(parser, SETTING_COUNT + setting, name, false))
		return;
	switch ((enum broker_setting)setting) {
	case BROKER_LINGER:
		broker_linger(parser, value);
		break;
	case BROKER_FOREIGN:
		broker_foreign(parser, value);
		break;
	case BROKER_FOREIGN_DIR:
		if (value[0] != '/' || strlen(value) > CONFIG_PATH_MAX)
			fail(parser, "foreign-dir: '%.60s' is no absolute path of at most %d bytes", value, CONFIG_PATH_MAX);
		else
			strcpy(config->foreign_dir, value);
		break;
	case BROKER_FOREIGN_INTERVAL:
		if (options_parse_time(value, &config->foreign_interval_ns) < 0 || config->foreign_interval_ns < 1000000)
			fail(parser, "foreign-interval: '%.60s' is no time from 1ms on: write it like 10s, 2min, 1h or infinity", value);
		break;
	case BROKER_HELLO_TIME:
		if (options_parse_time(value, &config->hello_ns) < 0 || config->hello_ns < 1000000)
			fail(parser, "hello-time: '%.60s' is no time from 1ms on: write it like 500ms, 10s, 2min or infinity", value);
		break;
	case BROKER_SETTINGS:
		break;
	}
}

/* ini.h: other than 0 is good. */
static int on_setting(void *user, const char *section, const char *name, const char *value)
{
	struct parser *parser = user;

	(void)section;
	if (parser->failed)
		return 0;
	if (parser->place == PLACE_BROKER)
		broker_setting(parser, name, value);
	else if (parser->place == PLACE_USER)
		user_setting(parser, name, value);
	else if (parser->place == PLACE_SEGMENT)
		segment_setting(parser, name, value);
	else
		fail(parser, "'%.60s' stands in no section: begin with [broker], [user NAME] or [segment PATTERN]", name);
	return parser->failed ? 0 : 1;
}

/* ---- from outside ---- */

int config_new(struct config **out, uint64_t linger_ns, bool linger_fixed)
{
	struct config *config = calloc(1, sizeof(*config));
	int r;

	if (config == NULL)
		return -ENOMEM;
	r = policy_set_new_default(&config->policies, linger_ns);
	if (r < 0) {
		free(config);
		return r;
	}
	if (linger_fixed)
		config->policies->builtin.at[SETTING_LINGER] = (struct policy_origin){ "the command line", 0 };
	config->linger_fixed = linger_fixed;
	config->foreign = CONFIG_FOREIGN_LIST;
	config->foreign_interval_ns = foreign_interval_default;
	config->hello_ns = hello_default;
	limits_init(&config->total);
	strcpy(config->foreign_dir, "/dev/shm");
	*out = config;
	return 0;
}

struct config *config_free(struct config *config)
{
	if (config != NULL) {
		policy_set_free(config->policies);
		free(config->users);
	}
	free(config);
	return NULL;
}

int config_add(struct config *config, const char *file, const char *text, size_t length, const struct setting_names *names,
	       char why[CONFIG_WHY_MAX])
{
	struct parser parser = { .config = config, .names = names, .text = text, .length = length, .why = why };
	int r;

	parser.file = policy_set_file(config->policies, file);
	if (parser.file == NULL) {
		snprintf(why, CONFIG_WHY_MAX, "%s: no memory", file);
		return -ENOMEM;
	}
	if (length >= sizeof(byte_order_mark) && memcmp(text, byte_order_mark, sizeof(byte_order_mark)) == 0)
		parser.at = sizeof(byte_order_mark);
	r = ini_parse_stream(line_give, &parser, on_setting, &parser);
	if (!parser.failed && r != 0) {
		parser.line = r > 0 ? (unsigned)r : parser.line;
		fail(&parser, r < 0 ? "no memory" : "neither [SECTION] nor NAME = VALUE");
	}
	return parser.failed ? -EINVAL : 0;
}

void config_finish(struct config *config)
{
	policy_set_finish(config->policies);
}
