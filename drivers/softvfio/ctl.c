/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands to the devices of a running process, over a socket of type
 * SOCK_SEQPACKET: a packet is a command, the next one back its answer.
 *
 *     devices                     the devices' addresses and models
 *     BDF stats                   counters, name=value, a line each
 *     BDF fail N:CODE[+N:CODE]    plan faults, counted from the next descriptor
 *     BDF delay N:US[+N:US]
 *     BDF stall N[+N]
 *     BDF fail @N:CODE ...        the next one at place N, from 0, of what the device
 *                                 is given at once; delay and stall likewise
 *     BDF cost US                 what every descriptor takes
 *     BDF clear                   drop what is planned
 *     BDF resume                  end a stall
 *     BDF request                 ask the driver to let go of the device
 *     BDF unplug                  it is gone at once, and the driver is asked
 *     BDF plug                    it is there again; not before it has been let go
 *
 * The answer is "ok", what was asked for, or "error: " and why.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sv_vfio.h"
#include "weir_args.h"
#include "weir_log.h"

#define MAX_COMMAND 512
#define MAX_ANSWER 4096
#define NS_PER_US 1000
#define MAX_COST_US UINT64_C(3600000000)

/* Where an answer is put together. */
struct answer {
	char *text;
	size_t len, at;
};

__attribute__((format(printf, 2, 3))) static void
say(struct answer *a, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(a->text + a->at, a->len - a->at, fmt, ap);
	va_end(ap);
	if (n > 0)
		a->at += (size_t)n < a->len - a->at ? (size_t)n : a->len - a->at - 1;
}

/* A command to a device. @return 0 and an answer, none is "ok"; or -errno. */
typedef int (*command_fn)(struct sv_dev *d, const char *arg, struct answer *a);

static int
do_stats(struct sv_dev *d, const char *arg, struct answer *a)
{
	const struct sv_counters *c = &d->counters;

	(void)arg;
	say(a, "work=%" PRIu64 "\nbytes=%" PRIu64 "\nerrors=%" PRIu64 "\n",
	    atomic_load(&c->work), atomic_load(&c->bytes), atomic_load(&c->errors));
	say(a, "resets=%" PRIu64 "\nstores=%" PRIu64 "\nfaults=%" PRIu64 "\n",
	    atomic_load(&c->resets), atomic_load(&c->stores), atomic_load(&c->faults));
	say(a, "begun=%" PRIu64 "\nstalled=%d\n", atomic_load(&d->faults.count),
	    atomic_load(&d->faults.stalled));
	return 0;
}

static int
plan(struct sv_dev *d, const char *arg, enum sv_fault_kind kind)
{
	struct sv_fault fault[SV_MAX_FAULTS];
	unsigned int nr = 0;
	int ret = sv_spec_faults(arg, kind, fault, &nr, SV_MAX_FAULTS);

	for (unsigned int i = 0; i < nr && ret == 0; i++)
		ret = sv_faults_add(&d->faults, &fault[i]);
	return ret;
}

static int
do_fail(struct sv_dev *d, const char *arg, struct answer *a)
{
	(void)a;
	return plan(d, arg, SV_FAULT_FAIL);
}

static int
do_delay(struct sv_dev *d, const char *arg, struct answer *a)
{
	(void)a;
	return plan(d, arg, SV_FAULT_DELAY);
}

static int
do_stall(struct sv_dev *d, const char *arg, struct answer *a)
{
	(void)a;
	return plan(d, arg, SV_FAULT_STALL);
}

static int
do_cost(struct sv_dev *d, const char *arg, struct answer *a)
{
	uint64_t us;
	int ret = weir_arg_number(arg, 0, MAX_COST_US, &us);

	(void)a;
	if (ret == 0)
		atomic_store(&d->faults.each_ns, us * NS_PER_US);
	return ret;
}

static int
do_clear(struct sv_dev *d, const char *arg, struct answer *a)
{
	(void)arg;
	(void)a;
	sv_faults_clear(&d->faults);
	return 0;
}

static int
do_resume(struct sv_dev *d, const char *arg, struct answer *a)
{
	(void)arg;
	(void)a;
	sv_faults_resume(&d->faults);
	sv_dev_kick(d);
	return 0;
}

static int
do_request(struct sv_dev *d, const char *arg, struct answer *a)
{
	(void)arg;
	(void)a;
	sv_dev_request(d);
	return 0;
}

static int
do_unplug(struct sv_dev *d, const char *arg, struct answer *a)
{
	(void)arg;
	(void)a;
	return sv_fd_plug(d, false);
}

static int
do_plug(struct sv_dev *d, const char *arg, struct answer *a)
{
	(void)arg;
	(void)a;
	return sv_fd_plug(d, true);
}

static const struct {
	const char *name;
	command_fn run;
} commands[] = {
	{ "stats", do_stats },	 { "fail", do_fail },	    { "delay", do_delay },
	{ "stall", do_stall },	 { "cost", do_cost },	    { "clear", do_clear },
	{ "resume", do_resume }, { "request", do_request }, { "unplug", do_unplug },
	{ "plug", do_plug },
};

static void
list_devices(struct answer *a)
{
	struct sv_dev *d;

	for (unsigned int i = 0; (d = sv_machine_nth(i)) != NULL; i++)
		say(a, "%s %s\n", d->spec.bdf, d->spec.model->name);
}

static void
device_command(struct sv_dev *d, const char *name, const char *arg, struct answer *a)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		int ret;

		if (strcmp(commands[i].name, name) != 0)
			continue;
		ret = commands[i].run(d, arg, a);
		if (ret != 0)
			say(a, "error: %s '%s': errno %d\n", name, arg, -ret);
		return;
	}
	say(a, "error: no command '%s'\n", name);
}

void
sv_ctl_command(char *command, char *answer, size_t answer_len)
{
	struct answer a = { .text = answer, .len = answer_len };
	char *save = NULL, *first = strtok_r(command, " \n", &save);
	const char *name = strtok_r(NULL, " \n", &save);
	const char *arg = strtok_r(NULL, " \n", &save);
	struct sv_dev *d;

	answer[0] = '\0';
	if (first != NULL && strcmp(first, "devices") == 0) {
		list_devices(&a);
		return;
	}
	d = first != NULL ? sv_machine_dev(first, NULL) : NULL;
	if (d == NULL)
		say(&a, "error: no device '%s'\n", first != NULL ? first : "");
	else
		device_command(d, name != NULL ? name : "", arg != NULL ? arg : "", &a);
	if (a.at == 0)
		say(&a, "ok\n");
}

static void
serve(int fd)
{
	char command[MAX_COMMAND], answer[MAX_ANSWER];
	ssize_t n;

	while ((n = recv(fd, command, sizeof(command) - 1, 0)) > 0) {
		command[n] = '\0';
		sv_ctl_command(command, answer, sizeof(answer));
		if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
			break;
	}
	close(fd);
}

static void *
listen_main(void *arg)
{
	int fd = (int)(intptr_t)arg, client;

	pthread_setname_np(pthread_self(), "softvfio-ctl");
	while ((client = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EINTR)
		if (client >= 0)
			serve(client);
	close(fd);
	return NULL;
}

static int
thread_start(int fd)
{
	sigset_t all, old;
	pthread_t thread;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&thread, NULL, listen_main, (void *)(intptr_t)fd);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret == 0)
		pthread_detach(thread);
	return -ret;
}

int
sv_ctl_start(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 4) != 0) {
		ret = -errno;
		goto err_close;
	}
	ret = thread_start(fd);
	if (ret == 0)
		return 0;

err_close:
	close(fd);
	return ret;
}
