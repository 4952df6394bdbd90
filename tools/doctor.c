/* SPDX-License-Identifier: MIT */
/*
 * `shmbctl doctor`: looks at what usually goes wrong on a host, one line a check: ok, warn or fail, what was found, and what to do about it. It
 * changes nothing. It runs without a daemon too: that is then its first finding. What it may not look at as this user is left out.
 */

#include "command.h"
#include "json.h"
#include "output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
	DOCTOR_SPACE_WARN = 10, /* percent free of the file system */
	DOCTOR_FDS_WARN = 4096, /* the daemon's limit */
	DOCTOR_FDS_EACH = 8,	/* it reckons with so many for each client, and serves */
	DOCTOR_CLIENTS = 1024,	/* so many at the most (shmbrokerd(8)) */
	DOCTOR_SYSTEM_UIDS = 1000,
};

/* safe-shm's header, which programs leave in /dev/shm themselves. */
#define DOCTOR_SAFE_SHM_MAGIC UINT32_C(0x53484d48)
#define DOCTOR_SAFE_SHM_PID_AT 16

enum doctor_state { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
	const struct command_options *options;
	int worst;
	int error; /* of writing */
	struct shmb_broker_status status;
	char shm_dir[256];
	char version[32];
	unsigned dead; /* segments whose last writer died */
	unsigned hung; /* hung, stopped or traced */
	unsigned gone;
};

/* One finding. `advice` NULL: nothing to do. */
static void doctor_say(struct doctor *doctor, enum doctor_state state, const char *check, const char *advice, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

static void doctor_say(struct doctor *doctor, enum doctor_state state, const char *check, const char *advice, const char *format, ...)
{
	static const char *const words[] = { "ok", "warn", "fail" };
	static const enum output_style styles[] = { OUTPUT_GOOD, OUTPUT_WARN, OUTPUT_BAD };
	char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	if ((int)state > doctor->worst)
		doctor->worst = state;
	if (doctor->options->json) {
		int r = json_line(json_pack("{s:s, s:s, s:o, s:o}", "check", check, "state", words[state], "found", json_text(text),
					    "advice", json_text(advice)));

		if (doctor->error == 0)
			doctor->error = r;
	} else {
		printf("%s%-4s%s  %-10s  ", output_on(styles[state]), words[state], output_off(styles[state]), check);
		output_text(text ? text : "?");
		putchar('\n');
		if (advice) {
			printf("                  -> ");
			output_text(advice);
			putchar('\n');
		}
	}
	free(text);
}

/* ---- the daemon ------------------------------------------------------------------------------------------------------------------------ */

static int doctor_status(const struct shmb_broker_status *status, void *user)
{
	struct doctor *doctor = user;

	doctor->status = *status;
	snprintf(doctor->shm_dir, sizeof(doctor->shm_dir), "%s", status->shm_dir);
	snprintf(doctor->version, sizeof(doctor->version), "%s", status->version);
	return 0;
}

static int doctor_segment(const struct shmb_segment_info *info, void *user)
{
	struct doctor *doctor = user;

	doctor->dead += info->writer == SHMB_WRITER_IS_DEAD;
	doctor->gone += info->writer == SHMB_WRITER_IS_GONE;
	doctor->hung +=
		info->writer == SHMB_WRITER_IS_HUNG || info->writer == SHMB_WRITER_IS_STOPPED || info->writer == SHMB_WRITER_IS_TRACED;
	return 0;
}

/* False: there is none. `error` is that of connecting. */
static bool doctor_daemon(struct doctor *doctor, struct shmb *broker, int error)
{
	int r = broker ? shmb_status(broker, doctor_status, doctor) : error;

	if (r < 0) {
		doctor_say(doctor, DOCTOR_FAIL, "daemon",
			   r == -EACCES ? "run this as a user that may connect, or name another socket with --socket"
					: "start it (systemctl start shmbrokerd, or shmbrokerd), or name its socket with --socket or "
					  "$SHMBROKER_SOCKET",
			   "%s", *shmb_text() ? shmb_text() : shmb_strerror(r));
		return false;
	}
	doctor_say(doctor, DOCTOR_OK, "daemon", NULL, "answers, pid %d; segments %u, clients %u", (int)doctor->status.pid,
		   doctor->status.segments, doctor->status.clients);
	if (strcmp(doctor->version, shmb_version()) != 0)
		doctor_say(doctor, DOCTOR_WARN, "versions", "restart the daemon after an upgrade: clients and segments stay",
			   "the daemon is %s, the library %s", doctor->version, shmb_version());
	else
		doctor_say(doctor, DOCTOR_OK, "versions", NULL, "daemon and library %s, protocol %u, layout %u", shmb_version(),
			   doctor->status.protocol_version, doctor->status.layout_version);
	return true;
}

static void doctor_segments(struct doctor *doctor, struct shmb *broker)
{
	int r = shmb_list(broker, doctor_segment, doctor);

	if (r < 0) {
		doctor_say(doctor, DOCTOR_FAIL, "segments", "see the daemon's log", "cannot be listed: %s",
			   *shmb_text() ? shmb_text() : shmb_strerror(r));
		return;
	}
	if (doctor->dead + doctor->hung + doctor->gone == 0)
		doctor_say(doctor, DOCTOR_OK, "segments", NULL, "no writer is dead or hung");
	if (doctor->dead)
		doctor_say(doctor, DOCTOR_WARN, "segments", "`shmbctl list` shows which; start their programs, or `shmbctl remove` them",
			   "%u with a dead writer", doctor->dead);
	if (doctor->hung)
		doctor_say(doctor, DOCTOR_WARN, "segments", "`shmbctl list` shows which, and whether they are stopped or in a debugger",
			   "%u whose writer does not write", doctor->hung);
	if (doctor->gone)
		doctor_say(doctor, DOCTOR_WARN, "segments", "end those processes, or restart them",
			   "%u whose writer let go of the daemon but lives", doctor->gone);
}

/* ---- memory ---------------------------------------------------------------------------------------------------------------------------- */

static void doctor_space(struct doctor *doctor, const char *path)
{
	char size[OUTPUT_UNIT_SIZE];
	char left[OUTPUT_UNIT_SIZE];
	struct statfs fs;
	unsigned percent;

	if (statfs(path, &fs) < 0)
		return;
	if (fs.f_type != TMPFS_MAGIC) {
		doctor_say(doctor, DOCTOR_FAIL, "space", "give the daemon a directory on a tmpfs (--shm-dir), such as one in /dev/shm",
			   "%s is no tmpfs: every write would go to a disk", path);
		return;
	}
	output_bytes(size, (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize);
	output_bytes(left, (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize);
	percent = fs.f_blocks ? (unsigned)(100 * (uint64_t)fs.f_bavail / (uint64_t)fs.f_blocks) : 0;
	doctor_say(doctor, percent < DOCTOR_SPACE_WARN ? DOCTOR_WARN : DOCTOR_OK, "space",
		   percent < DOCTOR_SPACE_WARN ? "make it larger (mount -o remount,size=...), or see what fills it (du -sh /dev/shm/*)"
					       : NULL,
		   "%s of %s are free in %s", left, size, path);
	if (fs.f_files && fs.f_ffree * 100 < fs.f_files * DOCTOR_SPACE_WARN)
		doctor_say(doctor, DOCTOR_WARN, "inodes", "each segment takes up to nine files: mount -o remount,nr_inodes=...",
			   "%" PRIu64 " of %" PRIu64 " are free in %s", (uint64_t)fs.f_ffree, (uint64_t)fs.f_files, path);
}

/* The last RemoveIPC= of logind's configuration; its default is yes. */
static void doctor_remove_ipc_file(const char *path, bool *removes)
{
	FILE *file = fopen(path, "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		char *at = line + strspn(line, " \t");

		if (strncmp(at, "RemoveIPC=", 10) == 0)
			*removes = at[10] != 'n' && at[10] != 'f' && at[10] != '0';
	}
	if (file)
		fclose(file);
}

static void doctor_remove_ipc(struct doctor *doctor, const char *path)
{
	static const char *const folders[] = { "/usr/lib/systemd/logind.conf.d", "/run/systemd/logind.conf.d",
					       "/etc/systemd/logind.conf.d" };
	struct stat st;
	bool removes = true;

	if (strncmp(path, "/dev/shm/", 9) != 0 || stat(path, &st) < 0 || access("/usr/lib/systemd/systemd-logind", F_OK) < 0)
		return;
	if (st.st_uid < DOCTOR_SYSTEM_UIDS) {
		doctor_say(doctor, DOCTOR_OK, "RemoveIPC", NULL, "%s belongs to a system user: logind leaves it alone", path);
		return;
	}
	doctor_remove_ipc_file("/etc/systemd/logind.conf", &removes);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		DIR *folder = opendir(folders[i]);
		const struct dirent *entry;

		while (folder && (entry = readdir(folder)) != NULL) {
			char file[512];

			snprintf(file, sizeof(file), "%s/%s", folders[i], entry->d_name);
			doctor_remove_ipc_file(file, &removes);
		}
		if (folder)
			closedir(folder);
	}
	doctor_say(doctor, removes ? DOCTOR_WARN : DOCTOR_OK, "RemoveIPC",
		   removes ? "run the daemon as a system user, set RemoveIPC=no in logind.conf, or `loginctl enable-linger` for that user"
			   : NULL,
		   removes ? "%s belongs to uid %u: logind removes it when that user logs out"
			   : "%s belongs to uid %u, and logind leaves it alone",
		   path, st.st_uid);
}

/* Files in /dev/shm that begin with safe-shm's header. */
static void doctor_stale(struct doctor *doctor)
{
	DIR *folder = opendir("/dev/shm");
	const struct dirent *entry;
	char example[256] = "";
	unsigned live = 0;
	unsigned stale = 0;

	while (folder && (entry = readdir(folder)) != NULL) {
		int fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
		uint32_t magic = 0;
		int32_t pid = 0;

		if (fd < 0)
			continue;
		if (pread(fd, &magic, sizeof(magic), 0) == sizeof(magic) && magic == DOCTOR_SAFE_SHM_MAGIC &&
		    pread(fd, &pid, sizeof(pid), DOCTOR_SAFE_SHM_PID_AT) == sizeof(pid)) {
			/* only "no such process" says that it is dead; one of another pid namespace cannot be told */
			if (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH) {
				stale++;
				snprintf(example, sizeof(example), "%s", entry->d_name);
			} else {
				live++;
			}
		}
		close(fd);
	}
	if (folder)
		closedir(folder);
	if (stale)
		doctor_say(doctor, DOCTOR_WARN, "leftovers", "if no container uses them, remove them: `fuser` shows who has them open",
			   "%u file%s of safe-shm in /dev/shm with no such writer here, /dev/shm/%s for one", stale, stale == 1 ? "" : "s",
			   example);
	else
		doctor_say(doctor, DOCTOR_OK, "leftovers", NULL, "no file of safe-shm in /dev/shm without its writer, %u with", live);
}

/* ---- limits ---------------------------------------------------------------------------------------------------------------------------- */

static void doctor_limits(struct doctor *doctor)
{
	char text[OUTPUT_UNIT_SIZE];
	struct rlimit limit;

	if (doctor->status.pid > 0 && prlimit(doctor->status.pid, RLIMIT_NOFILE, NULL, &limit) == 0) {
		bool few = limit.rlim_cur < DOCTOR_FDS_WARN;
		uint64_t clients = (uint64_t)limit.rlim_cur / DOCTOR_FDS_EACH;

		doctor_say(doctor, few ? DOCTOR_WARN : DOCTOR_OK, "limits", few ? "LimitNOFILE= in the unit, or ulimit -n" : NULL,
			   "the daemon may have %" PRIu64 " descriptors open: %" PRIu64 " clients at a time, at the most",
			   (uint64_t)limit.rlim_cur, clients < DOCTOR_CLIENTS ? clients : DOCTOR_CLIENTS);
	}
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
		bool little = limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur <= UINT64_C(8) << 20;

		if (limit.rlim_cur == RLIM_INFINITY)
			doctor_say(doctor, DOCTOR_OK, "limits", NULL, "this user may lock any amount of memory");
		else
			doctor_say(doctor, little ? DOCTOR_WARN : DOCTOR_OK, "limits",
				   little ? "where loops lock their segments (SHMB_LOCK): LimitMEMLOCK=, or memlock in limits.conf" : NULL,
				   "this user may lock %s of memory", output_bytes(text, (uint64_t)limit.rlim_cur));
	}
}

static void doctor_kernel(struct doctor *doctor)
{
	/* What works without, but less well. */
	static const struct {
		unsigned minor; /* of 6 */
		const char *what;
	} later[] = {
		{ 1, "huge pages on any tmpfs" },
		{ 9, "reading by clients in a pid namespace that the daemon does not see into" },
		{ 12, "short turns of the daemon on a busy host" },
		{ 16, "descriptors that clients send kept away from the daemon" },
	};
	struct utsname name;
	unsigned long major, minor;
	char missing[320] = "";
	size_t at = 0;
	char *end;

	if (uname(&name) < 0)
		return;
	major = strtoul(name.release, &end, 10);
	if (*end != '.')
		return;
	minor = strtoul(end + 1, NULL, 10);
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		if (major < 6 || (major == 6 && minor < later[i].minor))
			at += (size_t)snprintf(missing + at, sizeof(missing) - at, "%s%s (6.%u)", at ? ", " : "", later[i].what,
					       later[i].minor);
	}
	if (major < 5 || (major == 5 && minor < 16))
		doctor_say(doctor, DOCTOR_WARN, "kernel", "5.16 or newer has it",
			   "%s has no futex_waitv: waits for several segments look every 5 ms", name.release);
	else if (at > 0)
		doctor_say(doctor, DOCTOR_OK, "kernel", NULL, "%s; newer ones have %s", name.release, missing);
	else
		doctor_say(doctor, DOCTOR_OK, "kernel", NULL, "%s has all that is used", name.release);
}

int command_doctor(struct shmb *broker, const struct command_options *options)
{
	struct doctor doctor = { .options = options };
	const char *folder = "/dev/shm";

	if (doctor_daemon(&doctor, broker, options->error)) {
		doctor_segments(&doctor, broker);
		/* the directory itself is the daemon's alone; in another mount namespace there is none of that name */
		if (access(doctor.shm_dir, F_OK) == 0)
			folder = doctor.shm_dir;
	}
	doctor_space(&doctor, folder);
	doctor_remove_ipc(&doctor, folder);
	doctor_stale(&doctor);
	doctor_limits(&doctor);
	doctor_kernel(&doctor);
	if (doctor.error < 0)
		return command_fail(NULL, doctor.error);
	return doctor.worst == DOCTOR_FAIL ? COMMAND_FAILED : COMMAND_OK;
}
