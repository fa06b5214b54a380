/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sv_clock.h"

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) != 0)
		return UINT64_MAX;
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

void
sv_moment_note(struct sv_moment *m)
{
	m->tid = (pid_t)syscall(SYS_gettid);
	if (pthread_getcpuclockid(pthread_self(), &m->clock) != 0)
		m->clock = CLOCK_THREAD_CPUTIME_ID;
	m->ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* The state letter follows the name, which stands in brackets and may hold any. */
static bool
thread_runs(pid_t tid)
{
	char path[48], text[256];
	const char *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	p = strrchr(text, ')');
	return p != NULL && p[1] == ' ' && p[2] == 'R';
}

bool
sv_moment_passed(const struct sv_moment *m, uint64_t ns)
{
	uint64_t now = clock_ns(m->clock);

	/* the thread's number may have passed to another one: then time stands
	 * before the moment, or is anything, and it is not worth waiting for */
	return now < m->ns || now - m->ns >= ns || !thread_runs(m->tid);
}
