/* SPDX-License-Identifier: MIT */
/* Comparing names with patterns (pattern.h). */
#include "pattern.h"

#include <string.h>

void pattern_name_init(struct pattern_name *out, const char *name)
{
	size_t length = strnlen(name, SHMB_NAME_MAX + 1);

	memset(out, 0, sizeof(*out));
	if (length > SHMB_NAME_MAX)
		return; /* no place in it: words is 0 */
	out->length = (unsigned)length;
	out->words = out->length / 64 + 1;
	for (unsigned i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)name[i];

		if (byte < PATTERN_BYTES)
			out->at[byte][i / 64] |= UINT64_C(1) << i % 64;
	}
}

/* One byte of the name is taken: at places where it may be (NULL: anywhere). Is any place left? */
static bool step(uint64_t *places, const uint64_t *where, unsigned words)
{
	uint64_t carry = 0;
	uint64_t any = 0;

	for (unsigned i = 0; i < words; i++) {
		uint64_t taken = where != NULL ? places[i] & where[i] : places[i];

		places[i] = taken << 1 | carry;
		carry = taken >> 63;
		any |= places[i];
	}
	return any != 0;
}

/* Any number of them: every place from the first one on. */
static void spread(uint64_t *places, unsigned words)
{
	uint64_t rest = 0;

	for (unsigned i = 0; i < words; i++) {
		uint64_t first = places[i] & -places[i];

		places[i] |= rest != 0 ? rest : -first;
		if (places[i] != 0)
			rest = UINT64_MAX;
	}
}

bool pattern_meets(const char *pattern, const struct pattern_name *name)
{
	uint64_t places[PATTERN_WORDS] = { 1 };
	unsigned words = name->words;

	if (words == 0)
		return false;
	for (; *pattern != '\0'; pattern++) {
		unsigned char byte = (unsigned char)*pattern;

		if (byte == '*')
			spread(places, words);
		else if (byte >= PATTERN_BYTES || !step(places, byte == '?' ? NULL : name->at[byte], words))
			return false;
	}
	return (places[name->length / 64] >> name->length % 64 & 1) != 0;
}
