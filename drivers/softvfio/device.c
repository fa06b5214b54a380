/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/futex.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sv_clock.h"
#include "sv_dev.h"
#include "sv_view.h"
#include "weir_fail.h"
#include "weir_log.h"

/* A waiting thread looks this often, about 30 us, before it goes to sleep. */
#define SPINS 1000
#define NS_PER_S UINT64_C(1000000000)

cpu_set_t sv_home_cpus;

static int
regs_create(struct sv_dev *d)
{
	const uint64_t *len = d->spec.model->pci.bar_len;

	for (unsigned int i = 0; i < SV_NR_BARS; i++) {
		d->bar_off[i] = d->regs_len;
		d->regs_len += len[i];
	}
	d->regs_fd = memfd_create(d->spec.bdf, MFD_CLOEXEC);
	if (d->regs_fd < 0)
		return -errno;
	if (ftruncate(d->regs_fd, (off_t)d->regs_len) != 0)
		goto err_close;
	d->regs = mmap(NULL, d->regs_len, PROT_READ | PROT_WRITE, MAP_SHARED, d->regs_fd,
		       0);
	if (d->regs != MAP_FAILED)
		return 0;

err_close:;
	int ret = -errno;

	close(d->regs_fd);
	return ret;
}

int
sv_dev_create(const struct sv_spec *spec, struct sv_dev **out)
{
	struct sv_dev *d = weir_zalloc_aligned(_Alignof(struct sv_dev), sizeof(*d));
	int ret;

	if (d == NULL)
		return -ENOMEM;
	d->spec = *spec;
	ret = regs_create(d);
	if (ret != 0)
		goto err_free;
	ret = sv_irqs_init(d);
	if (ret != 0)
		goto err_regs;
	sv_pci_init(d);
	sv_faults_init(&d->faults);
	atomic_store(&d->faults.each_ns, spec->cost_ns);
	for (unsigned int i = 0; i < spec->nr_faults && ret == 0; i++)
		ret = sv_faults_add(&d->faults, &spec->fault[i]);
	if (ret == 0)
		ret = spec->model->create(d, &d->ctx);
	if (ret != 0)
		goto err_irqs;
	*out = d;
	return 0;

err_irqs:
	sv_irqs_fini(d);
err_regs:
	munmap(d->regs, d->regs_len);
	close(d->regs_fd);
err_free:
	free(d);
	return ret;
}

void
sv_dev_destroy(struct sv_dev *d)
{
	if (d == NULL)
		return;
	d->spec.model->destroy(d->ctx);
	sv_irqs_fini(d);
	munmap(d->regs, d->regs_len);
	close(d->regs_fd);
	free(d);
}

void
sv_dev_kick(struct sv_dev *d)
{
	atomic_fetch_add(&d->kicks, 1);
	if (atomic_load(&d->asleep) != 0)
		syscall(SYS_futex, &d->kicks, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void
sv_dev_store(struct sv_dev *d, unsigned int bar, uint64_t off, const void *data,
	     uint32_t len)
{
	atomic_fetch_add_explicit(&d->counters.stores, 1, memory_order_relaxed);
	if (!atomic_load(&d->gone))
		d->spec.model->store(d->ctx, bar, off, data, len);
}

/* Wait until the kicks are not `seen` any more, @p ns at most. */
static void
kick_wait(struct sv_dev *d, uint32_t seen, uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S) };

	for (unsigned int i = 0; i < SPINS; i++) {
		if (atomic_load_explicit(&d->kicks, memory_order_relaxed) != seen)
			return;
		__builtin_ia32_pause();
	}
	/* who kicks after this wakes us; who did before has changed the number,
	 * which the kernel compares */
	atomic_store(&d->asleep, 1);
	syscall(SYS_futex, &d->kicks, FUTEX_WAIT_PRIVATE, seen,
		ns == SV_IDLE ? NULL : &ts, NULL, 0);
	atomic_store(&d->asleep, 0);
}

static void
thread_place(const struct sv_dev *d)
{
	cpu_set_t cpus = sv_home_cpus;
	char name[16];

	/* a thread starts where its maker is bound to: on the lcore it serves */
	if (d->spec.cpu >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET(d->spec.cpu, &cpus);
	}
	if (CPU_COUNT(&cpus) != 0 &&
	    pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus) != 0)
		weir_log(WEIR_LOG_WARN, "softvfio: %s: cannot run on CPU %d", d->spec.bdf,
			 d->spec.cpu);
	/* "0000:00:04.0" without its domain, so that all of it is seen */
	snprintf(name, sizeof(name), "%.6s-%s", d->spec.model->name, d->spec.bdf + 5);
	pthread_setname_np(pthread_self(), name);
	prctl(PR_SET_TIMERSLACK, 1);
}

static void *
thread_main(void *arg)
{
	struct sv_dev *d = arg;

	thread_place(d);
	while (!atomic_load(&d->stop)) {
		uint32_t seen = atomic_load(&d->kicks);
		uint64_t wait =
			atomic_load(&d->gone) ? SV_IDLE : d->spec.model->run(d->ctx);

		if (wait != 0)
			kick_wait(d, seen, wait);
	}
	return NULL;
}

/* The thread takes no signal that is not its own fault. */
static int
thread_start(struct sv_dev *d)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT };
	sigset_t set, old;
	int ret;

	sigfillset(&set);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&set, own[i]);
	atomic_store(&d->stop, false);
	pthread_sigmask(SIG_SETMASK, &set, &old);
	ret = pthread_create(&d->thread, NULL, thread_main, d);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -ret;
}

int
sv_dev_open(struct sv_dev *d, struct weir_sim *sim)
{
	int ret;

	if (d->nr_open != 0)
		goto opened;
	weir_sim_attach(sim, &d->dma);
	ret = thread_start(d);
	if (ret != 0) {
		weir_sim_detach(&d->dma);
		return ret;
	}
opened:
	d->nr_open++;
	return 0;
}

void
sv_dev_close(struct sv_dev *d)
{
	if (--d->nr_open != 0)
		return;
	atomic_store(&d->stop, true);
	sv_dev_kick(d);
	pthread_join(d->thread, NULL);
	weir_sim_detach(&d->dma);
	sv_irqs_disable(d);
	sv_dev_reset(d);
	sv_pci_disable(d);
}

void
sv_dev_reset(struct sv_dev *d)
{
	atomic_fetch_add_explicit(&d->counters.resets, 1, memory_order_relaxed);
	if (!atomic_load(&d->gone))
		d->spec.model->reset(d->ctx);
}

void
sv_dev_unplug(struct sv_dev *d)
{
	if (atomic_exchange(&d->gone, true))
		return;
	sv_pci_plug(d, false);
	/* ends what is under way; who came before finds nothing to do afterwards */
	d->spec.model->reset(d->ctx);
	memset(d->regs, 0xff, d->regs_len);
}

void
sv_dev_plug(struct sv_dev *d)
{
	if (!atomic_load(&d->gone))
		return;
	memset(d->regs, 0, d->regs_len);
	d->spec.model->reset(d->ctx);
	sv_pci_plug(d, true);
	atomic_store(&d->gone, false);
}

void
sv_dev_regs_open(struct sv_dev *d, bool open)
{
	if (atomic_load(&d->regs_open) != open)
		sv_views_open(d, open);
}
