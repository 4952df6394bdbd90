/* SPDX-License-Identifier: MIT */
/* Patterns of names: what they match, against the plainest way to tell. */
#include "daemon/pattern.h"
#include "tests/support/unit.h"

#include <stdlib.h>
#include <string.h>

static bool meets(const char *pattern, const char *text)
{
	struct pattern_name name;

	pattern_name_init(&name, text);
	return pattern_meets(pattern, &name);
}

/* Tries everything. */
static bool meets_plainly(const char *pattern, const char *name)
{
	if (*pattern == '\0')
		return *name == '\0';
	if (*pattern == '*')
		return meets_plainly(pattern + 1, name) || (*name != '\0' && meets_plainly(pattern, name + 1));
	return *name != '\0' && (*pattern == '?' || *pattern == *name) && meets_plainly(pattern + 1, name + 1);
}

START_TEST(what_matches)
{
	static const struct {
		const char *pattern, *name;
		bool matches;
	} cases[] = {
		{ "*", "a", true },    { "*", "a/b", true },	    { "a", "a", true },		 { "a", "ab", false },
		{ "a*", "a", true },   { "a?", "a", false },	    { "a?", "ab", true },	 { "*b", "aab", true },
		{ "*b", "ba", false }, { "a*b*c", "axbybc", true }, { "a*b*c", "axcyb", false }, { "a**", "a", true },
		{ "?*", "a", true },   { "a/*/c", "a/b/c", true },  { "a/*/c", "a/c", false },	 { "", "a", false },
		{ "", "", true },      { "*", "", true },	    { "?", "", false },		 { "a\x80", "a\x80", false },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(meets(cases[i].pattern, cases[i].name) == cases[i].matches, "%s %s", cases[i].pattern, cases[i].name);
}
END_TEST

START_TEST(as_tried_plainly)
{
	static const char letters[] = "ab?*";
	unsigned met = 0;

	srand(7);
	for (unsigned i = 0; i < 200000; i++) {
		char pattern[12], name[12];
		unsigned pattern_length = (unsigned)rand() % 9;
		unsigned length = (unsigned)rand() % 10;

		for (unsigned j = 0; j < pattern_length; j++)
			pattern[j] = letters[rand() % 4];
		for (unsigned j = 0; j < length; j++)
			name[j] = letters[rand() % 2];
		pattern[pattern_length] = name[length] = '\0';
		met += meets(pattern, name);
		ck_assert_msg(meets(pattern, name) == meets_plainly(pattern, name), "%s %s", pattern, name);
	}
	ck_assert_uint_gt(met, 1000);
}
END_TEST

/* Across the words that hold the places, and up to the longest name there is. */
START_TEST(long_names)
{
	char name[SHMB_NAME_MAX + 2], pattern[2 * SHMB_NAME_MAX];

	for (unsigned length = 1; length <= SHMB_NAME_MAX; length++) {
		memset(name, 'a', length);
		name[length - 1] = 'b';
		name[length] = '\0';
		ck_assert(meets(name, name));
		ck_assert(meets("*b", name) && meets("*?", name) && !meets("*a", name));
		memset(pattern, '?', length);
		pattern[length] = '\0';
		ck_assert(meets(pattern, name));
		strcpy(pattern + length, "?");
		ck_assert(!meets(pattern, name));
		strcpy(pattern + length, "*");
		ck_assert(meets(pattern, name));
		strcpy(pattern + length - 1, "b");
		ck_assert(meets(pattern, name));
	}
	memset(name, 'a', SHMB_NAME_MAX + 1);
	name[SHMB_NAME_MAX + 1] = '\0';
	ck_assert(!meets("*", name));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pattern");

	unit_add(suite, what_matches, 5);
	unit_add(suite, as_tried_plainly, 20);
	unit_add(suite, long_names, 5);
	return unit_run(suite);
}
