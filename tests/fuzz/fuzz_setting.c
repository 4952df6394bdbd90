/* SPDX-License-Identifier: MIT */
/* A setting's value: what is read and printed is read as the same again. And patterns against names. */
#include "fuzz.h"

#include "daemon/pattern.h"
#include "daemon/policy.h"
#include "daemon/setting.h"

#include <errno.h>

static int look_up(const char *name, uint32_t *id)
{
	if (name[0] == 'x')
		return -ENOENT;
	*id = (uint32_t)strlen(name);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static const struct setting_names names = { .user = look_up, .group = look_up };
	enum policy_setting setting;
	struct pattern_name name;
	struct policy policy;
	struct policy again;
	char why[SETTING_WHY_MAX] = "";
	char text[256];
	char value[SETTING_VALUE_MAX];
	char value_again[SETTING_VALUE_MAX];
	size_t half;
	uint64_t number;
	bool yes;

	if (length < 1)
		return 0;
	setting = (enum policy_setting)(bytes[0] % SETTING_COUNT);
	length = length - 1 < sizeof(text) - 1 ? length - 1 : sizeof(text) - 1;
	memcpy(text, bytes + 1, length);
	text[length] = '\0';
	memset(&policy, 0, sizeof(policy));
	memset(&again, 0, sizeof(again));
	if (setting_parse(setting, text, &names, &policy, why) < 0) {
		FUZZ_HOLDS(why[0] != '\0' && memchr(why, '\0', sizeof(why)) != NULL);
	} else {
		setting_format(setting, &policy, value);
		FUZZ_HOLDS(strlen(value) < sizeof(value));
		/* Lists are printed by the names that are known here, which are other ones. */
		if (!setting_is_list(setting)) {
			FUZZ_HOLDS(setting_parse(setting, value, &names, &again, why) == 0);
			setting_format(setting, &again, value_again);
			FUZZ_HOLDS(strcmp(value, value_again) == 0);
		}
	}
	if (setting_parse_bytes(text, &number) == 0)
		FUZZ_HOLDS(text[0] != '\0');
	setting_parse_yes(text, &yes);
	half = length / 2;
	text[half] = '\0';
	pattern_name_init(&name, half < length ? text + half + 1 : "");
	pattern_meets(text, &name);
	return 0;
}
