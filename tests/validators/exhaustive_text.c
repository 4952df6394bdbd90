/* SPDX-License-Identifier: MIT */
/*
 * Names, over all texts of up to six bytes of ten that stand for all that a name's grammar tells apart, and all pairs of bytes: a regular expression
 * is the second opinion. A name and its file's name are one to one.
 */
#include "proto/name.h"
#include "tests/support/unit.h"

#include <regex.h>
#include <stdbool.h>
#include <string.h>

enum { LONGEST = 6 };

static const char letters[] = { 'a', 'Z', '5', '_', '-', '.', '/', '%', ' ', (char)0xc3 };

static regex_t grammar;
static unsigned long tried, accepted;

static void grammar_init(void)
{
	const char *text = "^[a-zA-Z0-9_-][a-zA-Z0-9_.-]*(/[a-zA-Z0-9_-][a-zA-Z0-9_.-]*)*$";

	ck_assert_int_eq(regcomp(&grammar, text, REG_EXTENDED | REG_NOSUB), 0);
}

static void try_name(const char *name, size_t length)
{
	const char *why = NULL;
	bool good = shmb_name_check(name, length, &why) == 0;
	char file[SHMB_NAME_MAX + 1], back[SHMB_NAME_MAX + 1];

	tried++;
	if (good != (regexec(&grammar, name, 0, NULL, 0) == 0) || good != (why == NULL))
		ck_abort_msg("'%s': the check says %s", name, good ? "yes" : why);
	if (!good)
		return;
	accepted++;
	shmb_name_encode(name, file);
	if (strchr(file, '/') != NULL || shmb_name_decode(file, length, back) < 0 || strcmp(back, name) != 0)
		ck_abort_msg("'%s': its file is '%s', and that is '%s'", name, file, back);
}

/* All that is no file of a name is refused. */
static void try_file(const char *file, size_t length)
{
	char name[SHMB_NAME_MAX + 1], again[SHMB_NAME_MAX + 1];

	if (shmb_name_decode(file, length, name) < 0) {
		if (name[0] != '\0')
			ck_abort_msg("'%s' is refused, and a name of it is left", file);
		return;
	}
	shmb_name_encode(name, again);
	if (strcmp(again, file) != 0 || regexec(&grammar, name, 0, NULL, 0) != 0)
		ck_abort_msg("'%s' is the file of '%s', and that one's is '%s'", file, name, again);
}

START_TEST(all_short_texts)
{
	grammar_init();
	for (unsigned length = 0, texts = 1; length <= LONGEST; length++, texts *= sizeof(letters)) {
		for (unsigned n = 0; n < texts; n++) {
			char text[LONGEST + 1] = "";
			unsigned rest = n;

			for (unsigned i = 0; i < length; i++, rest /= sizeof(letters))
				text[i] = letters[rest % sizeof(letters)];
			try_name(text, length);
			try_file(text, length);
		}
	}
	printf("names: %lu texts, %lu of them names\n", tried, accepted);
	fflush(stdout);
	ck_assert_uint_gt(accepted, 1000);
	regfree(&grammar);
}
END_TEST

START_TEST(all_pairs_of_bytes)
{
	grammar_init();
	for (unsigned n = 0; n < 65536; n++) {
		char text[] = { (char)n, (char)(n >> 8), 'x', '\0' };

		if (text[0] == '\0' || text[1] == '\0')
			continue;
		try_name(text, 3);
	}
	ck_assert_uint_gt(accepted, 1000);
	regfree(&grammar);
}
END_TEST

/* A field: the name, its end, and nothing behind it. */
START_TEST(all_fields)
{
	static const char bytes[] = { 'a', '.', '/', '\0', '%' };
	unsigned good = 0;

	grammar_init();
	for (unsigned n = 0; n < 5 * 5 * 5 * 5 * 5 * 5; n++) {
		char field[LONGEST], text[LONGEST + 1] = "";
		unsigned rest = n;
		bool may_be;

		for (unsigned i = 0; i < LONGEST; i++, rest /= 5)
			field[i] = bytes[rest % 5];
		memcpy(text, field, LONGEST);
		may_be = strlen(text) < LONGEST && regexec(&grammar, text, 0, NULL, 0) == 0;
		for (size_t i = strlen(text); i < LONGEST; i++)
			may_be = may_be && field[i] == '\0';
		if ((shmb_name_check_field(field, LONGEST, NULL) == 0) != may_be)
			ck_abort_msg("the field that begins with '%s' should%s be good", text, may_be ? "" : " not");
		good += may_be;
	}
	ck_assert_uint_gt(good, 10);
	regfree(&grammar);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exhaustive_text");

	unit_add(suite, all_short_texts, 300);
	unit_add(suite, all_pairs_of_bytes, 300);
	unit_add(suite, all_fields, 300);
	return unit_run(suite);
}
