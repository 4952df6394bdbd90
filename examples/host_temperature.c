/* SPDX-License-Identifier: MIT */
/*
 * The sensors under /sys/class/hwmon (temperatures, fans, voltages, currents, power) and /sys/class/thermal. Which there are is known at
 * run time only, so the payload's type is made then: one float64 for each, named after chip, label and unit, for instance
 * `coretemp_core_0_celsius`. Sensors are listed in the order of their directories' numbers, so that two runs on one host make the same type.
 * A sensor that cannot be read gives NaN and is asked again the next time.
 */

#include "host_source_impl.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	HOST_SENSORS_MAX = 128,
	HOST_FIELD_MAX = 64, /* a field's name with its NUL */
	HOST_WORD_MAX = 64,
	HOST_PATH_MAX = 512,
};
#define HOST_SENSORS_RATE_MAX 10.0 /* a second: heat is slow, and so are chips behind I2C */

struct host_sensor {
	char field[HOST_FIELD_MAX];
	int fd;
	double scale;
};

struct host_temperature {
	struct host_source base;
	struct shmb_type *type;
	struct host_sensor sensors[HOST_SENSORS_MAX];
	size_t count;
};

/* Kinds of reading by the beginning of the file's name; what the kernel counts in thousandths or millionths. */
static const struct {
	const char *prefix;
	const char *unit;
	double scale;
} host_kinds[] = {
	{ "temp", "celsius", 1e-3 }, { "fan", "rpm", 1 }, { "in", "volt", 1e-3 }, { "curr", "ampere", 1e-3 }, { "power", "watt", 1e-6 },
};

/* The first line of DIRECTORY/FILE; false when there is none. */
static bool host_word(const char *directory, const char *file, char *out)
{
	char path[HOST_PATH_MAX];
	ssize_t length;
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", directory, file) >= (int)sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	length = read(fd, out, HOST_WORD_MAX - 1);
	close(fd);
	if (length <= 0)
		return false;
	out[length] = 0;
	out[strcspn(out, "\n")] = 0;
	return *out != 0;
}

/* Appends `word` in the letters a field's name may have; runs of others become one underscore. */
static void host_field_append(char *field, const char *word)
{
	size_t length = strlen(field);

	if (length && length + 1 < HOST_FIELD_MAX)
		field[length++] = '_';
	for (; *word && length + 1 < HOST_FIELD_MAX; word++) {
		if (isalnum((unsigned char)*word))
			field[length++] = (char)tolower((unsigned char)*word);
		else if (length && field[length - 1] != '_')
			field[length++] = '_';
	}
	while (length && field[length - 1] == '_')
		length--;
	field[length] = 0;
}

static bool host_field_is_taken(const struct host_temperature *sensors, const char *field)
{
	for (size_t i = 0; i < sensors->count; i++)
		if (strcmp(sensors->sensors[i].field, field) == 0)
			return true;
	return false;
}

/* Adds DIRECTORY/FILE if it can be read, under a name made of chip, label and unit. */
static void host_sensor_add(struct host_temperature *sensors, const char *directory, const char *file, const char *chip, const char *label,
			    const char *unit, double scale)
{
	struct host_sensor *sensor = &sensors->sensors[sensors->count];
	char stem[HOST_FIELD_MAX - 16] = ""; /* room for unit and counter */
	char whole[HOST_FIELD_MAX] = "";
	char path[HOST_PATH_MAX];

	if (sensors->count == HOST_SENSORS_MAX || snprintf(path, sizeof(path), "%s/%s", directory, file) >= (int)sizeof(path))
		return;
	if (!isalpha((unsigned char)*chip)) /* a name begins with a letter */
		host_field_append(whole, "chip");
	host_field_append(whole, chip);
	host_field_append(whole, label);
	snprintf(stem, sizeof(stem), "%.*s", (int)sizeof(stem) - 1, whole);
	snprintf(sensor->field, sizeof(sensor->field), "%s_%s", stem, unit);
	for (unsigned n = 2; host_field_is_taken(sensors, sensor->field); n++)
		snprintf(sensor->field, sizeof(sensor->field), "%s_%u_%s", stem, n, unit);
	sensor->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (sensor->fd < 0)
		return;
	sensor->scale = scale;
	sensors->count++;
}

/* Numbers in names count as numbers: hwmon2 before hwmon10. */
static int host_directory_order(const struct dirent **a, const struct dirent **b)
{
	return strverscmp((*a)->d_name, (*b)->d_name);
}

static int host_directory_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void host_hwmon_chip(struct host_temperature *sensors, const char *directory)
{
	static const char suffix[] = "_input";
	struct dirent **files = NULL;
	char chip[HOST_WORD_MAX];
	int count = scandir(directory, &files, host_directory_visible, host_directory_order);

	if (!host_word(directory, "name", chip))
		snprintf(chip, sizeof(chip), "hwmon");
	for (int i = 0; i < count; i++) {
		const char *file = files[i]->d_name;
		size_t length = strlen(file);
		char stem[HOST_WORD_MAX];
		char label_file[HOST_WORD_MAX + 8];
		char label[HOST_WORD_MAX];

		if (length <= sizeof(suffix) - 1 || length >= sizeof(stem) || strcmp(file + length - (sizeof(suffix) - 1), suffix) != 0)
			continue;
		snprintf(stem, sizeof(stem), "%.*s", (int)(length - (sizeof(suffix) - 1)), file);
		snprintf(label_file, sizeof(label_file), "%s_label", stem);
		if (!host_word(directory, label_file, label))
			snprintf(label, sizeof(label), "%s", stem);
		for (size_t k = 0; k < sizeof(host_kinds) / sizeof(host_kinds[0]); k++) {
			size_t prefix = strlen(host_kinds[k].prefix);

			if (strncmp(stem, host_kinds[k].prefix, prefix) == 0 && isdigit((unsigned char)stem[prefix]))
				host_sensor_add(sensors, directory, file, chip, label, host_kinds[k].unit, host_kinds[k].scale);
		}
	}
	for (int i = 0; i < count; i++)
		free(files[i]);
	free(files);
}

static void host_thermal_zone(struct host_temperature *sensors, const char *directory)
{
	char type[HOST_WORD_MAX];

	if (!host_word(directory, "type", type))
		snprintf(type, sizeof(type), "zone");
	host_sensor_add(sensors, directory, "temp", "thermal", type, "celsius", 1e-3);
}

/* Calls `add` for each directory ROOT/CLASS/PREFIX*. */
static void host_class(struct host_temperature *sensors, const char *root, const char *class, const char *prefix,
		       void (*add)(struct host_temperature *sensors, const char *directory))
{
	struct dirent **entries = NULL;
	char path[HOST_PATH_MAX];
	int count;

	if (snprintf(path, sizeof(path), "%s%s", root, class) >= (int)sizeof(path))
		return;
	count = scandir(path, &entries, host_directory_visible, host_directory_order);
	for (int i = 0; i < count; i++) {
		if (strncmp(entries[i]->d_name, prefix, strlen(prefix)) == 0 &&
		    snprintf(path, sizeof(path), "%s%s/%s", root, class, entries[i]->d_name) < (int)sizeof(path))
			add(sensors, path);
		free(entries[i]);
	}
	free(entries);
}

/* stamp_ns, one double for each sensor, checksum: all of 8 bytes, so the payload is an array of 64-bit words. */
static int host_temperature_type(struct host_temperature *sensors)
{
	char *schema = NULL;
	size_t size = 0;
	FILE *text = open_memstream(&schema, &size);
	int r;

	if (!text)
		return -ENOMEM;
	fputs("uint64 stamp_ns\n", text);
	for (size_t i = 0; i < sensors->count; i++)
		fprintf(text, "float64 %s\n", sensors->sensors[i].field);
	fputs("uint64 checksum\n", text);
	r = fclose(text) == 0 ? shmb_type_parse(&sensors->type, "host_temperature", schema) : -ENOMEM;
	free(schema);
	return r;
}

static int host_temperature_read(struct host_source *source, void *payload)
{
	struct host_temperature *sensors = (struct host_temperature *)source;
	uint64_t stamp = shmb_now_ns();
	char *at = payload;

	memset(payload, 0, sensors->type->size);
	memcpy(at, &stamp, sizeof(stamp));
	for (size_t i = 0; i < sensors->count; i++) {
		const struct host_sensor *sensor = &sensors->sensors[i];
		char text[HOST_WORD_MAX];
		ssize_t length = pread(sensor->fd, text, sizeof(text) - 1, 0);
		double value = (double)NAN;

		if (length > 0) {
			char *end;
			double number;

			text[length] = 0;
			number = strtod(text, &end);
			if (end != text)
				value = number * sensor->scale;
		}
		at += sizeof(value);
		memcpy(at, &value, sizeof(value));
	}
	return 0;
}

static void host_temperature_close(struct host_source *source)
{
	struct host_temperature *sensors = (struct host_temperature *)source;

	for (size_t i = 0; i < sensors->count; i++)
		close(sensors->sensors[i].fd);
	shmb_type_free(sensors->type);
	free(sensors);
}

int host_temperature_open(struct host_source **out, const char *root)
{
	struct host_temperature *sensors = calloc(1, sizeof(*sensors));
	int r = -ENODEV;

	if (!sensors)
		return -ENOMEM;
	host_class(sensors, root, "/sys/class/hwmon", "hwmon", host_hwmon_chip);
	host_class(sensors, root, "/sys/class/thermal", "thermal_zone", host_thermal_zone);
	if (sensors->count)
		r = host_temperature_type(sensors);
	sensors->base = (struct host_source){
		.type = sensors->type,
		.rate_max = HOST_SENSORS_RATE_MAX,
		.read = host_temperature_read,
		.close = host_temperature_close,
	};
	if (r < 0) {
		host_temperature_close(&sensors->base);
		return r;
	}
	*out = &sensors->base;
	return 0;
}
