/* SPDX-License-Identifier: MIT */
/*
 * The hooks (inject.h).
 *
 * A call of a foreign function goes through a word in the calling object that the dynamic loader fills. inject_hook() puts wrappers into those words
 * whose symbols stand in calls.h. All wrappers have one shape: these functions take at most seven whole numbers or pointers and return one, and the
 * calling conventions of x86-64 and arm64 pass those alike, whatever their types.
 */
#include "inject.h"

#include "calls.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <linux/futex.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { SLOT_CALL = R_X86_64_JUMP_SLOT, SLOT_DATA = R_X86_64_GLOB_DAT };
#elif defined(__aarch64__)
enum { SLOT_CALL = R_AARCH64_JUMP_SLOT, SLOT_DATA = R_AARCH64_GLOB_DAT };
#endif

/* Newer than the headers. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif
enum { SYS_FUTEX_WAITV = 449 };

enum how { FAIL_MINUS, FAIL_NULL, FAIL_CODE, FAIL_NEGATIVE, FAIL_DONE, FAIL_MEMORY, FAIL_NEVER };

#define ROW(name, how, ...) CALL_##name,
enum { INJECT_CALLS(ROW) CALL_COUNT };
#undef ROW

typedef long wide_fn(long, long, long, long, long, long, long);

static const struct call {
	const char *name;
	enum how how;
	int errors[INJECT_ERRORS]; /* 0-terminated */
} calls[] = {
#define ROW(name, how, ...) { #name, how, { __VA_ARGS__, 0 } },
	INJECT_CALLS(ROW)
#undef ROW
};

static wide_fn *real[CALL_COUNT];
static struct inject_page *page;
static uintptr_t object_base;
static uintptr_t object_end;

const char *inject_call_name(uint32_t call)
{
	return call < CALL_COUNT ? calls[call].name : "?";
}

const char *inject_error_name(int error)
{
	if (error == INJECT_END)
		return "nothing more";
	if (error == INJECT_SHORT)
		return "a part";
	return error != 0 ? strerrorname_np(error < 0 ? -error : error) : "";
}

bool inject_is_memory(uint32_t call)
{
	return call < CALL_COUNT && calls[call].how == FAIL_MEMORY;
}

/* ---- a call ---- */

static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static const int *errors_of(unsigned call, long a, long b, long c)
{
#define ROW(name, of, condition, ...)                                                                                                      \
	if (call == CALL_##of && (condition)) {                                                                                            \
		static const int errors[] = { __VA_ARGS__, 0 };                                                                            \
		return errors;                                                                                                             \
	}
	INJECT_VARIANTS(ROW)
#undef ROW
	(void)a;
	(void)b;
	(void)c;
	return calls[call].errors;
}

/* What a kernel of Debian 12 and older ones say to what they do not know; 0: they know it. */
static int unknown_to_old(unsigned call, long a, long b, long c)
{
	if (call == CALL_setsockopt && b == SOL_SOCKET && c == SO_PASSRIGHTS)
		return ENOPROTOOPT;
	if (call == CALL_getsockopt && b == SOL_SOCKET && c == SO_PEERPIDFD)
		return ENOPROTOOPT;
	if (call == CALL_syscall && a == SYS_FUTEX_WAITV)
		return ENOSYS;
	if (call == CALL_memfd_create && (b & MFD_NOEXEC_SEAL) != 0)
		return EINVAL;
	return 0;
}

static void credentials_hide(struct ucred *credentials)
{
	credentials->pid = 0;
}

enum { FDS_MAX = 4096 };

/* What a kernel says of somebody who has no number here: of who connects while it is counted or forced. */
static void peer_hide(unsigned call, long a, long b, long c, long d)
{
	static bool hidden[FDS_MAX]; /* by descriptor */
	struct cmsghdr *control = NULL;
	struct msghdr *message = NULL;

	if (call == CALL_getsockopt && b == SOL_SOCKET && c == SO_PEERCRED && a >= 0 && a < FDS_MAX) {
		hidden[a] = atomic_load(&page->mode) != INJECT_OFF;
		if (hidden[a])
			credentials_hide((void *)d);
	}
	if (call != CALL_recvmsg || a < 0 || a >= FDS_MAX || !hidden[a])
		return;
	message = (void *)b;
	for (control = CMSG_FIRSTHDR(message); control != NULL; control = CMSG_NXTHDR(message, control))
		if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_CREDENTIALS)
			credentials_hide((void *)CMSG_DATA(control));
}

/* The call was made: what the host is like shows in what it says. */
static void host_shape(unsigned call, long a, long b, long c, long d, long result)
{
	static const struct timespec longer_than_a_turn = { .tv_nsec = 3000000 };

	if (page->host.unseen && result >= 0)
		peer_hide(call, a, b, c, d);
	if (page->host.untyped && call == CALL_readdir && result != 0)
		((struct dirent *)result)->d_type = DT_UNKNOWN;
	if (page->host.slow && call == CALL_clock_gettime && atomic_load(&page->mode) != INJECT_OFF)
		nanosleep(&longer_than_a_turn, NULL);
}

/* The site's place in the page; INJECT_SITES when there is no room. */
static unsigned site_note(unsigned call, uint32_t key)
{
	for (unsigned i = 0, at = (key ^ call * 40503u) % INJECT_SITES; i < INJECT_SITES; i++, at = (at + 1) % INJECT_SITES) {
		struct inject_site *site = &page->sites[at];
		unsigned none = 0;

		if (atomic_load(&site->key) == key && site->call == call) {
			atomic_fetch_add(&site->count, 1);
			return at;
		}
		if (atomic_compare_exchange_strong(&site->key, &none, key)) {
			site->call = call;
			atomic_fetch_add(&site->count, 1);
			return at;
		}
	}
	return INJECT_SITES;
}

enum { CONTEXT_CALLERS = 2, STACK_MAX = 16 };

/* Of the callers of the function that calls: where they go on. */
static uint32_t context_of(uint32_t key)
{
	void *stack[STACK_MAX];
	int depth = backtrace(stack, STACK_MAX);
	unsigned callers = 0;
	uint32_t context = 2166136261u; /* FNV-1a over whole words */
	bool inside = false;

	for (int i = 0; i < depth && callers < CONTEXT_CALLERS; i++) {
		uintptr_t at = (uintptr_t)stack[i];

		if (inside && at >= object_base && at < object_end) {
			context = (context ^ (uint32_t)(at - object_base)) * 16777619u;
			callers++;
		}
		inside = inside || at - object_base == key;
	}
	return context;
}

static void trace_note(unsigned site, uint32_t key, unsigned errors)
{
	unsigned number = atomic_fetch_add(&page->calls, 1);

	if (number >= INJECT_TRACE)
		return;
	page->trace[number] = (uint16_t)(site + 1);
	page->errors[number] = (uint8_t)errors;
	page->contexts[number] = context_of(key);
}

/* The error with which this call fails; 0: it does not. */
static int decide(unsigned call, uint32_t key, const int *errors)
{
	enum inject_mode mode = atomic_load(&page->mode);
	struct inject_fault *fault;
	unsigned count = 0;
	unsigned fired;
	unsigned site;

	if (mode == INJECT_OFF || calls[call].how == FAIL_NEVER)
		return 0;
	site = site_note(call, key);
	while (errors[count] != 0)
		count++;
	fired = atomic_load(&page->fired);
	if (mode == INJECT_COUNT || fired == page->fault_count) {
		trace_note(site, key, count);
		return 0;
	}
	fault = &page->faults[fired];
	if (call != fault->call || key != fault->key || atomic_fetch_add(&page->seen, 1) != fault->number)
		return 0;
	fault->error = fault->which < count ? errors[fault->which] : 0;
	atomic_store(&page->seen, 0);
	atomic_store(&page->fired, fired + 1);
	if (mode == INJECT_KILL && fired + 1 == page->fault_count)
		kill(getpid(), SIGKILL);
	return fault->error;
}

static void count_memory(unsigned call, long given, long had)
{
	if (call == CALL_free)
		atomic_fetch_sub(&page->memory, given != 0);
	else if (call == CALL_realloc || call == CALL_reallocarray)
		atomic_fetch_add(&page->memory, given == 0 && had != 0);
	else
		atomic_fetch_add(&page->memory, had != 0);
}

static long pass(unsigned call, void *from, long a, long b, long c, long d, long e, long f, long g)
{
	int error = decide(call, (uint32_t)((uintptr_t)from - object_base), errors_of(call, a, b, c));
	int before = errno;
	long result;

	if (error == 0 && page->host.old_kernel)
		error = unknown_to_old(call, a, b, c);
	if (error == INJECT_END)
		return 0;
	if (error == INJECT_SHORT)
		return real[call](a, b, c / 2, d, e, f, g);
	if (error != 0) {
		if (calls[call].how == FAIL_DONE)
			real[call](a, b, c, d, e, f, g);
		if (calls[call].how == FAIL_CODE)
			return error;
		if (calls[call].how == FAIL_NEGATIVE)
			return -error;
		errno = error;
		return calls[call].how == FAIL_MINUS || calls[call].how == FAIL_DONE ? -1 : 0;
	}
	errno = before;
	result = real[call](a, b, c, d, e, f, g);
	if (calls[call].how == FAIL_MEMORY || call == CALL_free)
		count_memory(call, a, result);
	host_shape(call, a, b, c, d, result);
	return result;
}

#define ROW(name, how, ...)                                                                                                                \
	static long wrap_##name(long a, long b, long c, long d, long e, long f, long g)                                                    \
	{                                                                                                                                  \
		return pass(CALL_##name, __builtin_return_address(0), a, b, c, d, e, f, g);                                                \
	}
INJECT_CALLS(ROW)
#undef ROW

static wide_fn *const wrappers[] = {
#define ROW(name, how, ...) wrap_##name,
	INJECT_CALLS(ROW)
#undef ROW
};

/* ---- the tables ---- */

static int call_find(const char *symbol)
{
	char name[64];
	size_t at = 0;

	for (const char *byte = symbol; *byte != '\0' && at + 1 < sizeof(name); byte++) {
		if (byte[0] == '6' && byte[1] == '4')
			byte += byte[2] == 'v' ? 2 : 1; /* pwritev64v2 is pwritev2 */
		else
			name[at++] = *byte;
	}
	name[at] = '\0';
	for (int i = 0; i < CALL_COUNT; i++)
		if (strcmp(calls[i].name, name) == 0)
			return i;
	return -1;
}

static bool slot_set(uintptr_t slot, wide_fn *function)
{
	uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE);

	if (mprotect((void *)(slot & ~(size - 1)), size, PROT_READ | PROT_WRITE) < 0)
		return false;
	memcpy((void *)slot, &function, sizeof(function));
	return true;
}

struct tables {
	uintptr_t base;
	const char *strings;
	const ElfW(Sym) * symbols;
};

static unsigned relocations_hook(const struct tables *tables, const ElfW(Rela) * rela, size_t bytes)
{
	unsigned hooked = 0;

	for (; bytes >= sizeof(*rela); rela++, bytes -= sizeof(*rela)) {
		unsigned long kind = ELF64_R_TYPE(rela->r_info);
		const char *symbol = tables->strings + tables->symbols[ELF64_R_SYM(rela->r_info)].st_name;
		int call = kind == SLOT_CALL || kind == SLOT_DATA ? call_find(symbol) : -1;
		void *address = call >= 0 ? dlsym(RTLD_DEFAULT, symbol) : NULL;

		if (address == NULL)
			continue;
		memcpy(&real[call], &address, sizeof(address));
		hooked += slot_set(tables->base + rela->r_offset, wrappers[call]);
	}
	return hooked;
}

struct search {
	const char *object;
	unsigned hooked;
	bool found;
};

static int object_hook(struct dl_phdr_info *info, size_t size, void *user)
{
	struct search *search = user;
	struct tables tables = { .base = info->dlpi_addr };
	const ElfW(Rela) * rela[2] = { NULL, NULL };
	size_t bytes[2] = { 0, 0 };

	(void)size;
	/* The program itself comes first and has no name. */
	if (search->found || (search->object[0] != '\0' && strstr(info->dlpi_name, search->object) == NULL))
		return 0;
	search->found = true;
	object_base = info->dlpi_addr;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type == PT_LOAD)
			object_end = object_base + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
		if (info->dlpi_phdr[i].p_type != PT_DYNAMIC)
			continue;
		for (const ElfW(Dyn) *entry = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr); entry->d_tag != DT_NULL;
		     entry++) {
			switch (entry->d_tag) {
			case DT_STRTAB:
				tables.strings = (const void *)entry->d_un.d_ptr;
				break;
			case DT_SYMTAB:
				tables.symbols = (const void *)entry->d_un.d_ptr;
				break;
			case DT_RELA:
				rela[0] = (const void *)entry->d_un.d_ptr;
				break;
			case DT_RELASZ:
				bytes[0] = entry->d_un.d_val;
				break;
			case DT_JMPREL:
				rela[1] = (const void *)entry->d_un.d_ptr;
				break;
			case DT_PLTRELSZ:
				bytes[1] = entry->d_un.d_val;
				break;
			default:
				break;
			}
		}
	}
	for (unsigned i = 0; i < 2; i++)
		search->hooked += relocations_hook(&tables, rela[i], bytes[i]);
	return 0;
}

unsigned inject_hook(struct inject_page *where, const char *object)
{
	struct search search = { .object = object };

	page = where;
	dl_iterate_phdr(object_hook, &search);
	return search.hooked;
}

/* In the daemon: loaded before it runs. */
static void __attribute__((constructor)) preloaded(void)
{
	const char *path = getenv("SHMB_INJECT");
	struct inject_page *shared;
	int fd;

	if (path == NULL || strcmp(program_invocation_short_name, "shmbrokerd") != 0)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	shared = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		abort();
	close(fd);
	atomic_store(&shared->memory, 0);
	inject_hook(shared, "");
}
