/* SPDX-License-Identifier: MIT */
/* Schema text: what parses lies in order, aligned, without overlap, inside the payload. */
#include "fuzz.h"

#include "proto/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct shmb_schema schema;
	unsigned line = 0;
	const char *why = NULL;
	uint64_t end = 0;
	int r = shmb_schema_parse((const char *)bytes, length, &schema, &line, &why);

	if (r < 0) {
		FUZZ_HOLDS(why != NULL);
		return 0;
	}
	FUZZ_HOLDS(schema.hash == shmb_schema_hash((const char *)bytes, length));
	FUZZ_HOLDS(schema.field_count > 0 && schema.field_count <= SHMB_FIELDS_MAX && schema.size <= SHMB_PAYLOAD_MAX);
	FUZZ_HOLDS(schema.align > 0 && (schema.align & (schema.align - 1)) == 0 && schema.size % schema.align == 0);
	for (uint32_t i = 0; i < schema.field_count; i++) {
		const struct shmb_field *field = &schema.fields[i];

		FUZZ_HOLDS(shmb_primitive_name(field->primitive) != NULL && field->size > 0 && field->count > 0);
		FUZZ_HOLDS(field->offset >= end && field->offset % field->size == 0);
		FUZZ_HOLDS(field->count <= schema.size / field->size);
		FUZZ_HOLDS(memchr(field->name, '\0', sizeof(field->name)) != NULL);
		end = field->offset + field->size * field->count;
		FUZZ_HOLDS(end <= schema.size);
	}
	shmb_schema_deinit(&schema);
	return 0;
}
