/* SPDX-License-Identifier: MIT */
/* The text of a configuration: what it becomes, which section counts for a name, and every mistake with its line. No files are read. */
#include "daemon/access.h"
#include "daemon/capacity.h"
#include "daemon/config.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static char why[CONFIG_WHY_MAX];

static int find_user(const char *name, uint32_t *uid)
{
	if (strcmp(name, "broken") == 0)
		return -EIO;
	*uid = 1001;
	return strcmp(name, "alice") == 0 ? 0 : -ENOENT;
}

static int find_group(const char *name, uint32_t *gid)
{
	*gid = 44;
	return strcmp(name, "camera") == 0 ? 0 : -ENOENT;
}

static const struct setting_names names = { .user = find_user, .group = find_group };

static struct config *empty(void)
{
	struct config *config = NULL;

	ck_assert_int_eq(config_new(&config, 10000000000, false), 0);
	return config;
}

static void add(struct config *config, const char *file, const char *text)
{
	int r = config_add(config, file, text, strlen(text), &names, why);

	ck_assert_msg(r == 0, "%s", why);
}

static struct config *config_of(const char *text)
{
	struct config *config = empty();

	add(config, "a.conf", text);
	config_finish(config);
	return config;
}

static const struct policy *found(const struct config *config, const char *name)
{
	return policy_find(config->policies, name);
}

START_TEST(nothing_said)
{
	struct config *config = config_of("");
	const struct policy *policy = found(config, "any/thing");

	ck_assert_uint_eq(policy->linger_ns, 10000000000);
	ck_assert_uint_eq(policy->stale_ns, UINT64_MAX);
	ck_assert(policy->keep_while_read && !policy->writers.is_set && !policy->readers.is_set);
	ck_assert_int_eq(policy->on_exit, POLICY_REAP);
	ck_assert_int_eq(policy->on_hang, POLICY_MARK);
	ck_assert_int_eq(policy->on_never, POLICY_REAP);
	ck_assert_uint_eq(policy->areas, 4);
	ck_assert_uint_eq(policy->bytes_max, UINT64_MAX);
	ck_assert_int_eq(config->foreign, CONFIG_FOREIGN_LIST);
	ck_assert_str_eq(config->foreign_dir, "/dev/shm");
	config_free(config);
}
END_TEST

START_TEST(every_setting)
{
	struct config *config = config_of("# a comment\n"
					  "[broker]\n"
					  "linger = 2min ; behind a value\n"
					  "foreign = reap\n"
					  "foreign-dir = /dev/shm/x\n"
					  "foreign-interval = infinity\n"
					  "\n"
					  "[segment camera/*]\n"
					  "stale-time = 500ms\n"
					  "linger = 0\n"
					  "keep-while-read = no\n"
					  "on-exit = keep\n"
					  "on-hang = reap\n"
					  "on-never = keep\n"
					  "backing = sealed\n"
					  "reader-areas = 6\n"
					  "prefault = yes\n"
					  "lock = on\n"
					  "bytes-max = 64M\n"
					  "capacity-max = 1024\n"
					  "writers = alice, 7\n"
					  "  @camera @9\n"
					  "readers = *");
	const struct policy *policy = found(config, "camera/front");

	ck_assert_uint_eq(config->policies->builtin.linger_ns, 120000000000);
	ck_assert_int_eq(config->foreign, CONFIG_FOREIGN_REAP);
	ck_assert_str_eq(config->foreign_dir, "/dev/shm/x");
	ck_assert_uint_eq(config->foreign_interval_ns, UINT64_MAX);
	ck_assert_uint_eq(policy->stale_ns, 500000000);
	ck_assert_uint_eq(policy->linger_ns, 0);
	ck_assert(!policy->keep_while_read && policy->prefault && policy->lock);
	ck_assert_int_eq(policy->on_exit, POLICY_KEEP);
	ck_assert_int_eq(policy->on_hang, POLICY_REAP);
	ck_assert_int_eq(policy->on_never, POLICY_KEEP);
	ck_assert_int_eq(policy->backing, SHMB_BACKING_SEALED);
	ck_assert_uint_eq(policy->areas, 6);
	ck_assert_uint_eq(policy->bytes_max, 64 << 20);
	ck_assert_uint_eq(policy->capacity_max, 1024);
	ck_assert(policy->writers.is_set && policy->writers.uid_count == 2 && policy->writers.gid_count == 2);
	ck_assert(policy->writers.uids[0] == 1001 && policy->writers.uids[1] == 7 && policy->writers.gids[0] == 44 &&
		  policy->writers.gids[1] == 9);
	ck_assert(policy->readers.anyone);
	ck_assert_str_eq(policy->pattern, "camera/*");
	ck_assert_str_eq(policy->source, "a.conf:8");
	ck_assert_uint_eq(policy->at[SETTING_ON_HANG].line, 13);
	ck_assert_uint_eq(found(config, "imu")->linger_ns, 120000000000);
	ck_assert_uint_eq(found(config, "imu")->at[SETTING_LINGER].line, 3);
	config_free(config);
}
END_TEST

/* Whatever can be written can be printed, and printed it means the same. */
START_TEST(values_are_printed_as_they_are_written)
{
	static const char *const values[SETTING_COUNT][8] = {
		[SETTING_STALE_TIME] = { "1ms", "1500us", "90s", "2min", "1h", "infinity" },
		[SETTING_LINGER] = { "0", "500ms", "infinity" },
		[SETTING_KEEP_WHILE_READ] = { "yes", "no" },
		[SETTING_ON_EXIT] = { "keep", "reap", "replace" },
		[SETTING_ON_HANG] = { "keep", "mark", "reap", "replace" },
		[SETTING_ON_NEVER] = { "keep", "reap" },
		[SETTING_BACKING] = { "named", "sealed" },
		[SETTING_READER_AREAS] = { "0", "6" },
		[SETTING_PREFAULT] = { "yes", "no" },
		[SETTING_LOCK] = { "yes", "no" },
		[SETTING_BYTES_MAX] = { "4097", "64K", "3M", "2G", "5T", "infinity" },
		[SETTING_CAPACITY_MAX] = { "2", "1048576" },
		[SETTING_PINS] = { "1", "8" },
		[SETTING_HUGE_PAGES] = { "yes", "no" },
		[SETTING_WRITERS] = { "*", "none", "1 2 @3", "4294967294" },
		[SETTING_READERS] = { "*", "none", "@3" },
	};

	for (unsigned s = 0; s < SETTING_COUNT; s++) {
		for (unsigned i = 0; i < 8 && values[s][i] != NULL; i++) {
			struct policy policy = { 0 };
			struct policy again = { 0 };
			char text[SETTING_VALUE_MAX];
			char once_more[SETTING_VALUE_MAX];

			ck_assert_int_eq(setting_parse((enum policy_setting)s, values[s][i], &names, &policy, why), 0);
			setting_format((enum policy_setting)s, &policy, text);
			ck_assert_int_eq(setting_parse((enum policy_setting)s, text, &names, &again, why), 0);
			ck_assert_str_eq(setting_format((enum policy_setting)s, &again, once_more), text);
			if (s != SETTING_STALE_TIME)
				ck_assert_str_eq(text, values[s][i]);
			ck_assert(setting_is_same((enum policy_setting)s, &policy, &again));
		}
		ck_assert_int_eq(setting_find(setting_name((enum policy_setting)s)), (int)s);
	}
}
END_TEST

/* The order of specificity, and what is not said comes from the next section that matches. */
START_TEST(the_most_specific_wins)
{
	struct config *config = config_of("[segment *]\nlinger = 1s\nbytes-max = 1M\non-exit = keep\n"
					  "[segment camera/front]\nlinger = 2s\n"
					  "[segment camera/*]\nlinger = 3s\nstale-time = 3s\n"
					  "[segment camera/front*]\nlinger = 4s\nstale-time = 4s\n"
					  "[segment */front]\nlinger = 5s\n"
					  "[segment c?mera/*x*]\nlinger = 6s\n"
					  "[segment camera/b*]\nlinger = 7s\n"
					  "[segment camera/b?*]\nlinger = 8s\n"
					  "[segment z*a]\nlinger = 9s\n"
					  "[segment z*b*]\nlinger = 10s\n"
					  "[segment y?*]\nlinger = 11s\n"
					  "[segment y*?]\nlinger = 12s\n");
	static const struct {
		const char *name;
		uint64_t linger_s;
	} cases[] = {
		{ "camera/front", 2 },			    /* the whole name */
		{ "camera/front2", 4 },			    /* the longest beginning */
		{ "camera/rear", 3 },	{ "imu/front", 5 }, /* nothing before the star, but longer than "*" */
		{ "camera/xx", 3 },			    /* seven bytes before the star beat one */
		{ "camera/bx", 7 },			    /* the same beginning, one wildcard beats two */
		{ "z-b-a", 9 },				    /* the same beginning, one wildcard beats two */
		{ "y2", 12 },				    /* all the same: the later */
		{ "other", 1 },		{ "camera", 1 },
	};
	const struct policy *policy;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(found(config, cases[i].name)->linger_ns == cases[i].linger_s * 1000000000, "%s: %.3g s", cases[i].name,
			      (double)found(config, cases[i].name)->linger_ns / 1e9);
	policy = found(config, "camera/front");
	ck_assert_uint_eq(policy->stale_ns, 4000000000); /* of camera/front* */
	ck_assert_uint_eq(policy->bytes_max, 1 << 20);	 /* of * */
	ck_assert_int_eq(policy->on_exit, POLICY_KEEP);
	ck_assert_int_eq(policy->on_hang, POLICY_MARK); /* built in */
	ck_assert_ptr_null(policy->at[SETTING_ON_HANG].file);
	/* The same sections give the same policy: segments share it. */
	ck_assert_ptr_eq(found(config, "camera/rear"), found(config, "camera/left"));
	ck_assert_ptr_ne(found(config, "camera/rear"), found(config, "imu"));
	config_free(config);
}
END_TEST

START_TEST(explained)
{
	struct config *config = config_of("[segment *]\nlinger = 1s\n[segment a/*]\nlinger = 2s\n[segment b]\nlinger = 3s\n");
	const struct policy_section *matching[POLICY_SECTIONS_MAX];
	char text[POLICY_SOURCE_MAX];
	struct policy policy;

	ck_assert_uint_eq(policy_explain(config->policies, "a/x", &policy, matching), 2);
	ck_assert_str_eq(matching[0]->pattern, "a/*");
	ck_assert_str_eq(matching[1]->pattern, "*");
	ck_assert_str_eq(policy_origin_text(&policy.at[SETTING_LINGER], text), "a.conf:4");
	ck_assert_str_eq(policy_origin_text(&policy.at[SETTING_LOCK], text), "built in");
	config_free(config);
}
END_TEST

/* Drop-ins: a section of the same pattern goes on; what is said again counts; a list is replaced, not added to. */
START_TEST(later_files)
{
	struct config *config = empty();
	const struct policy *policy;

	add(config, "main", "[broker]\nlinger = 1s\n[segment a]\nlinger = 2s\nwriters = 1\nlock = yes\n");
	add(config, "drop", "[broker]\nlinger = 3s\n[segment a]\nwriters = 2\n[segment b]\nlock = yes\n");
	config_finish(config);
	policy = found(config, "a");
	ck_assert_uint_eq(policy->linger_ns, 2000000000);
	ck_assert(policy->writers.uid_count == 1 && policy->writers.uids[0] == 2 && policy->lock);
	ck_assert_str_eq(policy->at[SETTING_WRITERS].file, "drop");
	ck_assert_str_eq(policy->at[SETTING_LINGER].file, "main");
	ck_assert_uint_eq(found(config, "c")->linger_ns, 3000000000);
	ck_assert_uint_eq(config->policies->count, 2);
	ck_assert_uint_eq(config->policies->file_count, 2);
	config_free(config);
}
END_TEST

START_TEST(the_command_line_wins)
{
	struct config *config = NULL;
	char text[POLICY_SOURCE_MAX];

	ck_assert_int_eq(config_new(&config, 5000000000, true), 0);
	add(config, "a.conf", "[broker]\nlinger = 1s\n[segment b]\nlinger = 7s\n");
	config_finish(config);
	ck_assert_uint_eq(found(config, "a")->linger_ns, 5000000000);
	ck_assert_str_eq(policy_origin_text(&found(config, "a")->at[SETTING_LINGER], text), "the command line");
	ck_assert_uint_eq(found(config, "b")->linger_ns, 7000000000); /* the more specific one */
	config_free(config);
}
END_TEST

static const struct {
	const char *text;
	unsigned line;
	const char *word;
} mistakes[] = {
	{ "linger = 1s\n", 1, "no section" },
	{ "\n\n[brocker]\n", 3, "no section [brocker]" },
	{ "[segment]\n", 1, "no section" },
	{ "[segments a]\n", 1, "no section" },
	{ "[segment a\n", 1, "']'" },
	{ "[segment a] b\n", 1, "behind" },
	{ "[segment ]\n", 1, "no segment's name" },
	{ "[segment a b]\n", 1, "no segment's name" },
	{ "[segment /a]\n", 1, "no segment's name" },
	{ "[segment a[bc]*]\n", 1, "no segment's name" },
	{ "[broker]\nlingr = 1s\n", 2, "no setting 'lingr'" },
	{ "[broker]\nlinger\n", 2, "NAME = VALUE" },
	{ "[broker]\nlinger = soon\n", 2, "no time" },
	{ "[broker]\nlinger = -1s\n", 2, "no time" },
	{ "[broker]\nlinger =\n", 2, "no time" },
	{ "[broker]\nlinger = 1s # now\n", 2, "no time" },
	{ "[broker]\nlinger = 1s\nlinger = 2s\n", 3, "line 2" },
	{ "[broker]\nlinger = 1s\n  linger = 2s\n", 3, "begins with a blank" },
	{ "[broker]\nforeign = kill\n", 2, "ignore, list, reap" },
	{ "[broker]\nforeign-dir = dev\n", 2, "absolute" },
	{ "[broker]\nforeign-interval = 0\n", 2, "1ms" },
	{ "[broker]\nhello-time = 0\n", 2, "1ms" },
	{ "[broker]\nbytes-max = much\n", 2, "no size" },
	{ "[broker]\nsegments-max = -1\n", 2, "whole number" },
	{ "[broker]\nsegments-max = 1\nsegments-max = 2\n", 3, "line 2" },
	{ "[user]\n", 1, "no section" },
	{ "[user @staff]\n", 1, "one user" },
	{ "[user a, b]\n", 1, "one user" },
	{ "[user none]\n", 1, "one user" },
	{ "[user bob]\n", 1, "no user 'bob'" },
	{ "[user *]\nrequest-rate = 0\n", 2, "from 1" },
	{ "[user *]\nconnections-max = 5000000000\n", 2, "whole number" },
	{ "[user *]\nlinger = 1s\n", 2, "no setting" },
	{ "[broker]\nstale-time = 1s\n", 2, "no setting" },
	{ "[segment a]\nforeign = list\n", 2, "no setting" },
	{ "[segment a]\n\nstale-time = 0\n", 3, "1ms" },
	{ "[segment a]\nstale-time = 10 s\n", 2, "no time" },
	{ "[segment a]\nkeep-while-read = maybe\n", 2, "yes nor no" },
	{ "[segment a]\non-exit = mark\n", 2, "keep, reap, replace" },
	{ "[segment a]\non-exit = REAP\n", 2, "keep, reap, replace" },
	{ "[segment a]\non-never = replace\n", 2, "keep, reap" },
	{ "[segment a]\non-hang = kill\n", 2, "keep, mark, reap, replace" },
	{ "[segment a]\non-never =\n", 2, "none of" },
	{ "[segment a]\nbacking = disk\n", 2, "named, sealed" },
	{ "[segment a]\nreader-areas = 7\n", 2, "0 to 6" },
	{ "[segment a]\nreader-areas = -1\n", 2, "0 to 6" },
	{ "[segment a]\nreader-areas = 2x\n", 2, "0 to 6" },
	{ "[segment a]\nbytes-max = 64Q\n", 2, "no size" },
	{ "[segment a]\nbytes-max = 64 M\n", 2, "no size" },
	{ "[segment a]\nbytes-max = 99999999999999999999\n", 2, "no size" },
	{ "[segment a]\nbytes-max = 9999999999T\n", 2, "no size" },
	{ "[segment a]\nbytes-max = 1\n", 2, "too small" },
	{ "[segment a]\ncapacity-max = 1\n", 2, "2 to" },
	{ "[segment a]\nwriters = bob\n", 2, "no user 'bob'" },
	{ "[segment a]\nwriters = @staff\n", 2, "no group 'staff'" },
	{ "[segment a]\nwriters = broken\n", 2, "looked up" },
	{ "[segment a]\nwriters = 4294967295\n", 2, "whole number" },
	{ "[segment a]\nwriters = @\n", 2, "'@'" },
	{ "[segment a]\nwriters =\n", 2, "empty" },
	{ "[segment a]\nwriters = ,\n", 2, "empty" },
	{ "[segment a]\nwriters = alice *\n", 2, "alone" },
	{ "[segment a]\nwriters = none alice\n", 2, "alone" },
	{ "[segment a]\nwriters = none\n alice\n", 3, "alone" },
	{ "[segment a]\nwriters = 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n 17\n", 3, "16 users" },
	{ "[segment a]\nwriters = alice\n bob\n", 3, "no user 'bob'" },
	{ "[segment a]\nlinger = 1s\njust words\n", 3, "NAME = VALUE" },
};

START_TEST(mistakes_are_refused_with_their_line)
{
	for (unsigned i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct config *config = empty();
		int r = config_add(config, "x.conf", mistakes[i].text, strlen(mistakes[i].text), &names, why);
		char where[32];

		snprintf(where, sizeof(where), "x.conf:%u: ", mistakes[i].line);
		ck_assert_msg(r == -EINVAL, "taken: %s", mistakes[i].text);
		ck_assert_msg(strncmp(why, where, strlen(where)) == 0, "%s for %s", why, mistakes[i].text);
		ck_assert_msg(strstr(why, mistakes[i].word) != NULL, "'%s' does not say '%s'", why, mistakes[i].word);
		config_free(config);
	}
}
END_TEST

START_TEST(odd_texts)
{
	char text[1024];
	struct config *config = empty();

	/* a long pattern, which libinih alone would cut */
	memset(text, 0, sizeof(text));
	strcpy(text, "[segment ");
	memset(text + 9, 'n', 150);
	strcat(text, "]\nlinger = 7s\n");
	add(config, "long", text);
	config_finish(config);
	text[9 + 150] = '\0';
	ck_assert_uint_eq(found(config, text + 9)->linger_ns, 7000000000);
	text[9 + 149] = '\0';
	ck_assert_uint_eq(found(config, text + 9)->linger_ns, 10000000000);
	config_free(config);

	config = empty();
	ck_assert_int_eq(config_add(config, "x", "[broker]\nlin\0ger = 1s\n", 22, &names, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "x:2: a byte 0"));
	config_free(config);

	config = empty();
	memset(text, 'x', 600);
	memcpy(text, "[broker]\n# ", 11);
	text[600] = '\0';
	ck_assert_int_eq(config_add(config, "x", text, 600, &names, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "x:2: a line has at most"));
	config_free(config);

	/* a byte-order mark, before a heading, before a mistake and alone */
	config = empty();
	add(config, "mark", "\xef\xbb\xbf[segment a]\r\nlinger = 7s\r\n");
	add(config, "mark alone", "\xef\xbb\xbf");
	config_finish(config);
	ck_assert_uint_eq(found(config, "a")->linger_ns, 7000000000);
	config_free(config);
	config = empty();
	ck_assert_int_eq(config_add(config, "x", "\xef\xbb\xbf[segmnt a]\n", 14, &names, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "x:1: there is no section [segmnt a]"));
	config_free(config);

	config = empty();
	add(config, "crlf", "[segment a]\r\nlinger = 7s\r\n");
	config_finish(config);
	ck_assert_uint_eq(found(config, "a")->linger_ns, 7000000000);
	config_free(config);
}
END_TEST

START_TEST(many_patterns)
{
	struct config *config = empty();
	char text[64];

	for (unsigned i = 0; i < POLICY_SECTIONS_MAX; i++) {
		snprintf(text, sizeof(text), "[segment s%u]\nlinger = %us\n", i, i + 1);
		add(config, "many", text);
	}
	ck_assert_int_eq(config_add(config, "x", "[segment more]\n", 15, &names, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "x:1: there are more than 256"));
	config_finish(config);
	ck_assert_uint_eq(found(config, "s255")->linger_ns, 256000000000);
	ck_assert_uint_eq(found(config, "s0")->linger_ns, 1000000000);
	config_free(config);
}
END_TEST

/* Random bytes, and good text with bytes changed: refused or taken, never worse. */
START_TEST(random_texts)
{
	static const char good[] = "[broker]\nlinger = 1s\n[segment a/*]\nwriters = 1, @2\n 3\nreaders = *\nbytes-max = 5M\n";
	uint64_t random = 17;
	char text[sizeof(good)];
	unsigned taken = 0;

	for (unsigned round = 0; round < 20000; round++) {
		struct config *config = empty();

		if (round % 4 == 0)
			unit_random_fill(&random, text, sizeof(text));
		else
			memcpy(text, good, sizeof(text));
		for (uint64_t n = unit_random(&random) % 4; n > 0; n--)
			text[unit_random(&random) % sizeof(text)] = (char)unit_random(&random);
		why[0] = '\0';
		if (config_add(config, "random", text, unit_random(&random) % sizeof(text), &names, why) == 0) {
			config_finish(config);
			policy_find(config->policies, "a/b");
			taken++;
		} else {
			ck_assert_str_ne(why, "");
		}
		config_free(config);
	}
	ck_assert_uint_gt(taken, 100);
}
END_TEST

/* ---- the example that is installed ---- */

/* It names every setting, and what it says is what holds without it. */
START_TEST(the_example_says_the_defaults)
{
	FILE *in = fopen(DOCS_DIR "/shmbrokerd.conf", "r");
	struct config *config = empty();
	struct config *nothing = config_of("");
	static char text[65536];
	size_t length;

	ck_assert_ptr_nonnull(in);
	length = fread(text, 1, sizeof(text) - 1, in);
	fclose(in);
	ck_assert_msg(config_add(config, "shmbrokerd.conf", text, length, &names, why) == 0, "%s", why);
	config_finish(config);
	for (unsigned s = 0; s < SETTING_COUNT; s++) {
		enum policy_setting setting = (enum policy_setting)s;
		char line[80];

		ck_assert_msg(setting_is_same(setting, found(config, "any"), found(nothing, "any")), "%s", setting_name(setting));
		snprintf(line, sizeof(line), "\n%s = ", setting_name(setting));
		if (strstr(text, line) == NULL)
			snprintf(line, sizeof(line), "\n# %s = ", setting_name(setting));
		ck_assert_msg(strstr(text, line) != NULL, "%s is not in it", setting_name(setting));
	}
	ck_assert_int_eq(config->foreign, nothing->foreign);
	ck_assert_str_eq(config->foreign_dir, nothing->foreign_dir);
	ck_assert_uint_eq(config->foreign_interval_ns, nothing->foreign_interval_ns);
	ck_assert_uint_eq(config->policies->builtin.linger_ns, nothing->policies->builtin.linger_ns);
	config_free(config);
	config_free(nothing);
}
END_TEST

/* ---- who may ---- */

START_TEST(who_may_read_and_write)
{
	static const uint32_t groups[] = { 5, 44 };
	static const struct {
		const char *text;
		uint32_t uid, owner;
		bool reads, writes;
	} cases[] = {
		{ "", 0, ACCESS_NO_OWNER, true, true },
		{ "", 7, ACCESS_NO_OWNER, true, true },
		{ "", 7, 7, true, true },
		{ "", 7, 8, true, false },
		{ "[segment *]\nwriters = none\nreaders = none\n", 0, 8, true, true },
		{ "[segment *]\nwriters = none\nreaders = none\n", 99, 8, true, true }, /* the daemon's */
		{ "[segment *]\nwriters = none\nreaders = none\n", 7, ACCESS_NO_OWNER, false, false },
		{ "[segment *]\nwriters = none\nreaders = none\n", 7, 7, true, false }, /* its own it may look at */
		{ "[segment *]\nwriters = 7\nreaders = none\n", 7, 8, true, true },
		{ "[segment *]\nwriters = 8\nreaders = 7\n", 7, 8, true, false },
		{ "[segment *]\nwriters = @44\nreaders = none\n", 7, ACCESS_NO_OWNER, true, true },
		{ "[segment *]\nreaders = @43 @5\n", 7, 8, true, false },
		{ "[segment *]\nreaders = @43\n", 7, 8, false, false },
		{ "[segment *]\nreaders = @43\n", 7, ACCESS_NO_OWNER, false, false }, /* nor does it make what it could not read */
		{ "[segment *]\nreaders = @43 @5\n", 7, ACCESS_NO_OWNER, true, true },
		{ "[segment *]\nwriters = 8\n", 7, 8, true, false },
		{ "[segment *]\nwriters = *\n", 7, 8, true, true },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config = config_of(cases[i].text);
		const struct access_who who = { .uid = cases[i].uid, .gids = groups, .gid_count = 2, .daemon_uid = 99 };
		const struct policy *policy = found(config, "a");
		char text[SHMB_TEXT_MAX] = "";

		ck_assert_msg(access_judge(policy, ACCESS_READ, cases[i].owner, &who, text) == cases[i].reads, "%u read: %s", i, text);
		ck_assert_str_ne(text, "");
		if (!cases[i].reads)
			ck_assert_ptr_nonnull(strstr(text, "a.conf:"));
		ck_assert_msg(access_judge(policy, ACCESS_WRITE, cases[i].owner, &who, text) == cases[i].writes, "%u write: %s", i, text);
		config_free(config);
	}
}
END_TEST

static void text_write(const char *directory, const char *file, const char *text)
{
	char path[256];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	out = fopen(path, "we");
	ck_assert_ptr_nonnull(out);
	fputs(text, out);
	fclose(out);
}

/* The lowest limit on the way up counts, of either version of cgroups; "max" and what v1 says for it are none. */
START_TEST(limits_of_cgroups)
{
	static const char *const directories[] = { "/a", "/a/b", "/unified", "/unified/c", "/memory", "/memory/d", "/memory/d/e" };
	char top[64] = "/tmp/shmb-cgroup-XXXXXX";
	char command[96];
	char file[256];
	char path[128];

	ck_assert_ptr_nonnull(mkdtemp(top));
	for (unsigned i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", top, directories[i]);
		ck_assert_int_eq(mkdir(path, 0700), 0);
	}
	text_write(top, "a/memory.max", "4096\n");
	text_write(top, "a/b/memory.max", "8192\n");
	text_write(top, "unified/c/memory.max", "max\n");
	text_write(top, "memory/memory.limit_in_bytes", "9223372036854771712\n");
	text_write(top, "memory/d/memory.limit_in_bytes", "65536\n");
	text_write(top, "memory/d/e/memory.limit_in_bytes", "9223372036854771712\n");
	ck_assert_uint_eq(capacity_cgroup("0::/a/b\n", top, file, sizeof(file)), 4096);
	ck_assert_ptr_nonnull(strstr(file, "/a/memory.max"));
	ck_assert_uint_eq(capacity_cgroup("0::/c\n", top, file, sizeof(file)), UINT64_MAX);
	ck_assert_uint_eq(capacity_cgroup("3:cpu:/a\n2:memory:/d/e\n0::/c\n", top, file, sizeof(file)), 65536);
	ck_assert_ptr_nonnull(strstr(file, "/d/memory.limit_in_bytes"));
	ck_assert_uint_eq(capacity_cgroup("2:memory:/\n0::/\n", top, file, sizeof(file)), UINT64_MAX);
	ck_assert_uint_eq(capacity_cgroup("", top, file, sizeof(file)), UINT64_MAX);
	ck_assert_uint_eq(capacity_cgroup("rubbish\n\n", top, file, sizeof(file)), UINT64_MAX);
	snprintf(command, sizeof(command), "rm -r %s", top);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

/* What a cgroup can hold besides the daemon's own, whatever else there would be room for; also where nothing else ends it. */
START_TEST(what_a_cgroup_can_hold)
{
	const uint64_t limit = UINT64_C(1) << 30, room = limit - (8 << 20) - limit / 64;
	struct limits limits = { .max[LIMIT_BYTES] = UINT64_MAX };

	ck_assert(!capacity_lower(&limits, UINT64_MAX, UINT64_MAX, "f"));
	ck_assert(!capacity_lower(&limits, room, limit, "f"));
	ck_assert_uint_eq(limits.max[LIMIT_BYTES], UINT64_MAX);
	ck_assert_ptr_null(limits.at[LIMIT_BYTES].file);
	ck_assert(capacity_lower(&limits, room + 1, limit, "f"));
	ck_assert_uint_eq(limits.max[LIMIT_BYTES], room);
	ck_assert_str_eq(limits.at[LIMIT_BYTES].file, "f");
	ck_assert(capacity_lower(&limits, UINT64_MAX, 65536, "g"));
	ck_assert_uint_eq(limits.max[LIMIT_BYTES], 0);
	limits.max[LIMIT_BYTES] = UINT64_MAX;
	ck_assert(capacity_lower(&limits, UINT64_MAX, limit, "g"));
	ck_assert_uint_eq(limits.max[LIMIT_BYTES], room);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");

	unit_add(suite, nothing_said, 5);
	unit_add(suite, every_setting, 5);
	unit_add(suite, values_are_printed_as_they_are_written, 5);
	unit_add(suite, the_most_specific_wins, 5);
	unit_add(suite, explained, 5);
	unit_add(suite, later_files, 5);
	unit_add(suite, the_command_line_wins, 5);
	unit_add(suite, mistakes_are_refused_with_their_line, 5);
	unit_add(suite, odd_texts, 5);
	unit_add(suite, many_patterns, 5);
	unit_add(suite, random_texts, 20);
	unit_add(suite, the_example_says_the_defaults, 5);
	unit_add(suite, who_may_read_and_write, 5);
	unit_add(suite, what_a_cgroup_can_hold, 5);
	unit_add(suite, limits_of_cgroups, 10);
	return unit_run(suite);
}
