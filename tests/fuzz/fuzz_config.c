/* SPDX-License-Identifier: MIT */
/* The text of a configuration file. What is accepted has a policy for every name. */
#include "fuzz.h"

#include "daemon/config.h"

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
	static const char *const asked[] = { "camera/front", "a", "x/y/z" };
	char why[CONFIG_WHY_MAX] = "";
	struct config *config;
	char *text = malloc(length + 1);

	memcpy(text, bytes, length);
	FUZZ_HOLDS(config_new(&config, 1000, false) == 0);
	if (config_add(config, "fuzz.conf", text, length, &names, why) < 0) {
		FUZZ_HOLDS(why[0] != '\0' && memchr(why, '\0', sizeof(why)) != NULL);
	} else {
		config_finish(config);
		for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
			const struct policy *policy = policy_find(config->policies, asked[i]);

			FUZZ_HOLDS(policy != NULL && policy->areas <= SHMB_AREAS_MAX);
			for (unsigned setting = 0; setting < SETTING_COUNT; setting++) {
				char value[SETTING_VALUE_MAX];

				FUZZ_HOLDS(strlen(setting_format((enum policy_setting)setting, policy, value)) < sizeof(value));
			}
		}
	}
	config_free(config);
	free(text);
	return 0;
}
