/* SPDX-License-Identifier: MIT */
/* The command line. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void options_help(FILE *out)
{
	fputs("Usage: shmbrokerd [OPTION]...\n"
	      "\n"
	      "Supervises shared-memory segments between the processes of this host: creates and names\n"
	      "them, knows who writes and who reads each one, repairs what a dead writer left half done,\n"
	      "and removes what nobody needs. Data never passes through it: it may be stopped, killed and\n"
	      "started again while others read and write.\n"
	      "\n"
	      "  --runtime-dir DIR  where the control socket lies; made (mode 0700) if it is missing\n"
	      "                     default: /run/shmbroker for root, else $XDG_RUNTIME_DIR/shmbroker\n"
	      "  --socket PATH      the control socket, for every user where its directory is not private\n"
	      "                     default: control.sock in the runtime directory\n"
	      "  --shm-dir DIR      where the segments lie, on a tmpfs; made (mode 0700) if it is missing,\n"
	      "                     and served by one daemon only\n"
	      "                     default: /dev/shm/shmbroker for root, else /dev/shm/shmbroker-UID\n"
	      "  --linger TIME      how long a segment stays that nobody has open for writing or reading:\n"
	      "                     500ms, 10s, 2min, 1h, 0, infinity; instead of [broker] linger\n"
	      "                     default: 10s\n"
	      "  --config FILE      the configuration, with drop-ins FILE.d/*.conf; '' for none\n"
	      "                     default: /etc/shmbroker/shmbrokerd.conf for root and for services,\n"
	      "                     else $XDG_CONFIG_HOME/shmbroker/shmbrokerd.conf; may be missing\n"
	      "  --check-config [FILE]\n"
	      "                     read the configuration, or FILE, say what is wrong with it, and end\n"
	      "                     with 0 or 1\n"
	      "  --help             show this and end\n"
	      "  --version          show the version and end\n"
	      "\n"
	      "It stays in the foreground, logs to stderr, and takes its socket from systemd where that\n"
	      "passes one. SIGTERM ends it in order; segments stay for the next start. SIGHUP reads the\n"
	      "configuration again; a file with a mistake is refused whole, and the old one stays.\n"
	      "\n"
	      "Example: a private broker for a test, in a directory of its own\n"
	      "  shmbrokerd --runtime-dir /tmp/mytest --shm-dir /dev/shm/mytest --linger 500ms &\n"
	      "  SHMBROKER_SOCKET=/tmp/mytest/control.sock shmbctl list\n",
	      out);
}

int options_parse_time(const char *text, uint64_t *out_ns)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = { { "ms", 1e6 }, { "s", 1e9 }, { "sec", 1e9 }, { "min", 60e9 }, { "h", 3600e9 }, { "us", 1e3 }, { "ns", 1 } };
	char *end;
	double number;

	if (strcmp(text, "infinity") == 0) {
		*out_ns = UINT64_MAX;
		return 0;
	}
	if (text[0] < '0' || text[0] > '9' || text[strspn(text, "0123456789.")] == 'e' || text[1] == 'x' || text[1] == 'X')
		return -EINVAL;
	number = strtod(text, &end);
	if (strcmp(text, "0") == 0) {
		*out_ns = 0;
		return 0;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		number *= units[i].ns;
		/* A hundred years: added to any clock it does not wrap. */
		if (number > 100. * 366 * 86400 * 1e9)
			return -EINVAL;
		*out_ns = (uint64_t)(number + 0.5);
		return 0;
	}
	return -EINVAL;
}

static bool set_path(char *field, const char *option, const char *value, size_t most, char *message)
{
	if (value[0] == '\0') {
		snprintf(message, OPTIONS_MESSAGE_MAX, "%s needs a path", option);
		return false;
	}
	if (strlen(value) > most) {
		snprintf(message, OPTIONS_MESSAGE_MAX, "%s: a path there has at most %zu bytes, this one has %zu", option, most,
			 strlen(value));
		return false;
	}
	strcpy(field, value);
	return true;
}

/*
 * Which configuration. That of the host for root and for the services of other users, who have no runtime directory of a login; else the
 * user's own; none where no home is known.
 */
static bool set_config(struct options *options, const struct options_surroundings *surroundings, char *message)
{
	const char *runtime = surroundings->xdg_runtime_dir;
	const char *config = surroundings->xdg_config_home;
	const char *home = surroundings->home;
	char path[2 * OPTIONS_PATH_MAX] = "";

	if (options->config_given)
		return true;
	if (surroundings->uid == 0 || runtime == NULL || runtime[0] == '\0')
		snprintf(path, sizeof(path), "%s", OPTIONS_SYSTEM_CONFIG);
	else if (config != NULL && config[0] == '/')
		snprintf(path, sizeof(path), "%s/shmbroker/shmbrokerd.conf", config);
	else if (home != NULL && home[0] == '/')
		snprintf(path, sizeof(path), "%s/.config/shmbroker/shmbrokerd.conf", home);
	return path[0] == '\0' || set_path(options->config, "the user's configuration", path, OPTIONS_PATH_MAX, message);
}

/* What was not given on the command line. */
static bool set_defaults(struct options *options, const struct options_surroundings *surroundings, char *message)
{
	const char *xdg = surroundings->xdg_runtime_dir;
	char path[2 * OPTIONS_PATH_MAX];

	if (options->runtime_dir[0] == '\0' && options->socket[0] == '\0') {
		if (surroundings->uid == 0) {
			strcpy(options->runtime_dir, "/run/shmbroker");
		} else if (xdg == NULL || xdg[0] == '\0') {
			snprintf(message, OPTIONS_MESSAGE_MAX,
				 "XDG_RUNTIME_DIR is not set: say where the socket shall lie with --runtime-dir DIR");
			return false;
		} else {
			snprintf(path, sizeof(path), "%s/shmbroker", xdg);
			if (!set_path(options->runtime_dir, "XDG_RUNTIME_DIR", path, OPTIONS_PATH_MAX, message))
				return false;
		}
	}
	if (options->socket[0] == '\0') {
		snprintf(path, sizeof(path), "%s/control.sock", options->runtime_dir);
		if (!set_path(options->socket, "--runtime-dir with /control.sock behind it", path, OPTIONS_SOCKET_MAX, message))
			return false;
	}
	if (options->shm_dir[0] == '\0') {
		if (surroundings->uid == 0)
			strcpy(options->shm_dir, "/dev/shm/shmbroker");
		else
			snprintf(options->shm_dir, sizeof(options->shm_dir), "/dev/shm/shmbroker-%u", surroundings->uid);
	}
	return true;
}

enum options_verdict options_parse(struct options *options, int argc, char **argv, const struct options_surroundings *surroundings,
				   char *message)
{
	enum { RUNTIME_DIR = 256, SOCKET, SHM_DIR, LINGER, CONFIG, CHECK_CONFIG, HELP, VERSION };
	static const struct option known[] = {
		{ "runtime-dir", required_argument, NULL, RUNTIME_DIR },
		{ "socket", required_argument, NULL, SOCKET },
		{ "shm-dir", required_argument, NULL, SHM_DIR },
		{ "linger", required_argument, NULL, LINGER },
		{ "config", required_argument, NULL, CONFIG },
		{ "check-config", no_argument, NULL, CHECK_CONFIG },
		{ "help", no_argument, NULL, HELP },
		{ "version", no_argument, NULL, VERSION },
		{ NULL, 0, NULL, 0 },
	};
	bool check = false;
	int option;

	*options = (struct options){ .linger_ns = OPTIONS_LINGER_DEFAULT };
	optind = 0; /* glibc: start anew, whatever was parsed before */
	opterr = 0;
	while ((option = getopt_long(argc, argv, "+:", known, NULL)) != -1) {
		switch (option) {
		case RUNTIME_DIR:
			if (!set_path(options->runtime_dir, "--runtime-dir", optarg, OPTIONS_PATH_MAX, message))
				return OPTIONS_BAD;
			break;
		case SOCKET:
			if (!set_path(options->socket, "--socket", optarg, OPTIONS_SOCKET_MAX, message))
				return OPTIONS_BAD;
			break;
		case SHM_DIR:
			if (!set_path(options->shm_dir, "--shm-dir", optarg, OPTIONS_PATH_MAX, message))
				return OPTIONS_BAD;
			break;
		case LINGER:
			if (options_parse_time(optarg, &options->linger_ns) < 0) {
				snprintf(message, OPTIONS_MESSAGE_MAX,
					 "--linger: '%.100s' is no time; write it like 500ms, 10s, 2min, 1h, 0 or infinity", optarg);
				return OPTIONS_BAD;
			}
			options->linger_given = true;
			break;
		case CONFIG:
			options->config[0] = '\0';
			if (optarg[0] != '\0' && !set_path(options->config, "--config", optarg, OPTIONS_PATH_MAX, message))
				return OPTIONS_BAD;
			options->config_given = true;
			break;
		case CHECK_CONFIG:
			check = true;
			break;
		case HELP:
			return OPTIONS_HELP;
		case VERSION:
			return OPTIONS_VERSION;
		case ':':
			snprintf(message, OPTIONS_MESSAGE_MAX, "%.100s needs a value", argv[optind - 1]);
			return OPTIONS_BAD;
		default:
			if (optopt != 0 && optopt < 256)
				snprintf(message, OPTIONS_MESSAGE_MAX, "there is no option -%c", optopt);
			else
				snprintf(message, OPTIONS_MESSAGE_MAX, "there is no such option, or not in this form: %.100s",
					 argv[optind - 1]);
			return OPTIONS_BAD;
		}
	}
	/* `--check-config FILE` is what people type. */
	if (check && optind == argc - 1 && !options->config_given) {
		if (!set_path(options->config, "--check-config", argv[optind], OPTIONS_PATH_MAX, message))
			return OPTIONS_BAD;
		options->config_given = true;
		optind++;
	}
	if (optind < argc) {
		snprintf(message, OPTIONS_MESSAGE_MAX,
			 check ? "--check-config takes one file, and none where --config names it: '%.100s' is too much"
			       : "'%.100s' is no option",
			 argv[argc - 1]);
		return OPTIONS_BAD;
	}
	if (!set_config(options, surroundings, message))
		return OPTIONS_BAD;
	if (check)
		return OPTIONS_CHECK;
	return set_defaults(options, surroundings, message) ? OPTIONS_RUN : OPTIONS_BAD;
}
