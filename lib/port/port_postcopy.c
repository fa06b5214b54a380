/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that arrives before its memory does.
 *
 * Its memory is registered with a userfaultfd(2) of this process, which the frontend
 * has as well: whoever touches a page that is not there sleeps until the frontend has
 * fetched it and says so. An lcore sleeps in the middle of a burst, the control thread
 * where it looks at a ring. A device cannot sleep, and an IOMMU pins what it maps, which
 * is all of the guest: so as long as pages are missing nothing is mapped for DMA, and
 * queues that have a channel copy by CPU.
 *
 * A frontend that dies leaves everybody asleep, the control thread too, which would be
 * the one to notice. So a thread of its own watches the connection while pages are
 * missing: when that ends, the memory is unregistered, the missing pages are zeroes, and
 * everybody goes on, to find that the peer has gone.
 *
 * One that lives and does not serve its faults must not hold up the control thread, which
 * has other ports to look after. So that thread also sees whether the control thread has
 * been at this port, whose own memory is all that it touches then, for too long: the
 * memory is unregistered likewise, and the port parts with the peer. That guest is lost;
 * it is the only one.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "dpdk_thread.h"
#include "port.h"
#include "port_mem.h"
#include "weir_errno.h"
#include "weir_fail.h"
#include "weir_log.h"

/* Looks at rings, 10 ms apart, that an lcore in want of a page does not leave: a
 * frontend that we part with lives on, and may still serve its faults. */
#define LOOKS 1000u

/* How long the control thread waits for a page, and how often that is looked at. */
#define PAGE_US UINT64_C(10000000)
#define PAGE_LOOK_MS 500

/* Kernels before 5.11 know no such flag. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

static int
uffd_open(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	int ret;

	/* without privileges: nothing here has the kernel touch guest memory */
	if (fd < 0 && errno == EPERM)
		fd = syscall(SYS_userfaultfd,
			     O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (fd < 0)
		return -errno;
	if (ioctl((int)fd, UFFDIO_API, &api) == 0)
		return (int)fd;
	ret = -errno;
	close((int)fd);
	return ret;
}

static int
uffd_register(int fd, struct weir_range r)
{
	struct uffdio_register reg = {
		.range = { r.start, weir_range_len(r) },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	/* a huge page that khugepaged makes of small ones has no page that is missing */
	(void)!madvise((void *)(uintptr_t)r.start, weir_range_len(r), MADV_NOHUGEPAGE);
	return ioctl(fd, UFFDIO_REGISTER, &reg) == 0 ? 0 : -errno;
}

/* Nobody sleeps there any more, nor will. */
static void
uffd_unregister(int fd, struct weir_range r)
{
	struct uffdio_range range = { r.start, weir_range_len(r) };

	(void)!ioctl(fd, UFFDIO_UNREGISTER, &range);
	(void)!madvise((void *)(uintptr_t)r.start, weir_range_len(r), MADV_HUGEPAGE);
}

/* Let everybody go on, with what is there. Any thread. */
static void
release(struct port_postcopy *pc)
{
	pthread_mutex_lock(&pc->lock);
	for (uint32_t i = 0; i < pc->nr; i++)
		uffd_unregister(pc->ufd, pc->mem[i]);
	pc->nr = 0;
	pc->released = true;
	pthread_mutex_unlock(&pc->lock);
}

/* The control thread has been at this port for so long. */
static bool
waits_for_page(const struct port_postcopy *pc)
{
	const struct weir_port *p =
		(const struct weir_port *)((const char *)pc -
					   offsetof(struct weir_port, postcopy));

	return ctl_busy_us(p, sizeof(*p) + p->nr_rings * sizeof(p->ring[0])) > PAGE_US;
}

static dpdk_thread_ret
watch(void *arg)
{
	struct port_postcopy *pc = arg;
	struct pollfd fds[2] = {
		{ .fd = pc->end_fd, .events = POLLIN },
		{ .fd = pc->conn_fd, .events = POLLRDHUP },
	};

	int n;

	do {
		n = poll(fds, RTE_DIM(fds), PAGE_LOOK_MS);
		atomic_store(&pc->tired, n == 0 && waits_for_page(pc));
	} while ((n == 0 && !atomic_load(&pc->tired)) || (n < 0 && errno == EINTR));
	if (fds[0].revents != 0)
		return 0;
	release(pc);
	if (atomic_load(&pc->tired))
		(void)!eventfd_write(pc->fault_fd, 1);
	return 0;
}

static int
watch_start(struct weir_port *p)
{
	struct port_postcopy *pc = &p->postcopy;
	int ret;

	pc->end_fd = eventfd(0, EFD_CLOEXEC);
	if (pc->end_fd < 0)
		return -errno;
	/* of its own: the port closes its one while the thread may look at it */
	pc->conn_fd = fcntl(p->conn.fd, F_DUPFD_CLOEXEC, 0);
	if (pc->conn_fd < 0) {
		ret = -errno;
		goto err_end;
	}
	ret = dpdk_control_thread(&pc->watcher, "weir-postcopy", watch, pc);
	if (ret == 0)
		return 0;
	close(pc->conn_fd);
err_end:
	close(pc->end_fd);
	return ret;
}

int
port_postcopy_advise(struct weir_port *p, struct weir_vhost_event *ev)
{
	struct port_postcopy *pc = &p->postcopy;
	int fd = uffd_open();

	if (fd < 0) {
		weir_log(WEIR_LOG_ERR, "%s: no userfaultfd: %s", p->name,
			 weir_strerror(fd));
		return fd;
	}
	ev->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (ev->fd < 0) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	if (pc->ufd >= 0)
		close(pc->ufd);
	pc->ufd = fd;
	return 0;
}

int
port_postcopy_listen(struct weir_port *p)
{
	struct port_postcopy *pc = &p->postcopy;
	int ret;

	pc->released = false;
	pc->ready = false;
	pc->looks = 0;
	pc->fault_fd = p->fault.fd;
	atomic_store(&pc->tired, false);
	ret = watch_start(p);
	if (ret != 0)
		return ret;
	pc->listening = true;
	pc->by_cpu = true;
	weir_log(WEIR_LOG_NOTICE, "%s: a guest arrives whose memory comes later",
		 p->name);
	return 0;
}

void
port_postcopy_ready(struct weir_port *p)
{
	p->postcopy.ready = true;
}

bool
port_postcopy_holds(const struct weir_port *p)
{
	return p->postcopy.listening && !p->postcopy.ready;
}

/* With the lock. */
static int
mem_add(struct port_postcopy *pc, struct weir_range r)
{
	struct weir_range *more;
	int ret;

	if (pc->nr == pc->room) {
		more = weir_calloc(2 * (size_t)pc->room + 8, sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		for (uint32_t i = 0; i < pc->nr; i++)
			more[i] = pc->mem[i];
		free(pc->mem);
		pc->mem = more;
		pc->room = 2 * pc->room + 8;
	}
	/* the peer has gone: the port will see it */
	if (pc->released)
		return 0;
	ret = uffd_register(pc->ufd, r);
	if (ret == 0)
		pc->mem[pc->nr++] = r;
	return ret;
}

int
port_postcopy_enter(struct weir_port *p, const struct weir_gmem *g,
		    const struct weir_gmem *old)
{
	struct port_postcopy *pc = &p->postcopy;
	int ret = 0;

	if (!pc->listening)
		return 0;
	pthread_mutex_lock(&pc->lock);
	for (uint32_t i = 0; i < g->nr_slots && ret == 0; i++)
		if (!port_table_has(old, &g->slot[i]))
			ret = mem_add(pc, weir_gmem_mapping(&g->slot[i]));
	pthread_mutex_unlock(&pc->lock);
	if (ret != 0)
		weir_log(WEIR_LOG_ERR, "%s: guest memory that comes later: %s", p->name,
			 weir_strerror(ret));
	return ret;
}

void
port_postcopy_leave(struct weir_port *p, const struct weir_gmem *g,
		    const struct weir_gmem *keep)
{
	struct port_postcopy *pc = &p->postcopy;

	if (!pc->listening)
		return;
	pthread_mutex_lock(&pc->lock);
	for (uint32_t i = 0; i < g->nr_slots; i++) {
		const struct weir_range r = weir_gmem_mapping(&g->slot[i]);

		if (port_table_has(keep, &g->slot[i]))
			continue;
		for (uint32_t at = 0; at < pc->nr; at++) {
			if (pc->mem[at].start != r.start)
				continue;
			uffd_unregister(pc->ufd, r);
			pc->mem[at] = pc->mem[--pc->nr];
			break;
		}
	}
	pthread_mutex_unlock(&pc->lock);
}

/* Where the port has mapped what begins there for the guest; 0: nowhere. */
static uint64_t
mapped_at(const struct weir_port *p, uint64_t gpa)
{
	for (uint32_t i = 0; i < p->gmem->nr_slots; i++)
		if (p->gmem->slot[i].gpa.start == gpa)
			return p->gmem->slot[i].hva;
	return 0;
}

void
port_postcopy_answer(const struct weir_port *p, const struct weir_vhost_msg *msg,
		     struct weir_vhost_msg *answer)
{
	struct weir_vhost_wire_table *t = &answer->payload.table;
	struct weir_vhost_wire_region *r = &answer->payload.mem_reg.region;

	memcpy(&answer->payload, &msg->payload, msg->hdr.size);
	if (msg->hdr.request == WEIR_VHOST_ADD_MEM_REG) {
		r->user = mapped_at(p, r->gpa);
		return;
	}
	/* in the frontend's order, by which it knows them */
	for (uint32_t i = 0; i < t->nr_regions; i++)
		t->region[i].user = mapped_at(p, t->region[i].gpa);
}

void
port_postcopy_close(struct weir_port *p)
{
	struct port_postcopy *pc = &p->postcopy;

	if (pc->listening) {
		(void)!eventfd_write(pc->end_fd, 1);
		pthread_join(pc->watcher, NULL);
		release(pc);
		close(pc->end_fd);
		close(pc->conn_fd);
		atomic_store(&pc->tired, false);
		free(pc->mem);
		pc->mem = NULL;
		pc->room = 0;
	}
	pc->listening = false;
	if (pc->ufd >= 0)
		close(pc->ufd);
	pc->ufd = -1;
}

void
port_postcopy_tire(struct weir_port *p)
{
	struct port_postcopy *pc = &p->postcopy;

	if (!pc->listening || ++pc->looks < LOOKS)
		return;
	weir_log(WEIR_LOG_ERR,
		 "%s: pages of the guest's do not come: they are zeroes now", p->name);
	port_postcopy_close(p);
}

int
port_postcopy_end(struct weir_port *p)
{
	struct port_postcopy *pc = &p->postcopy;
	int ret;

	port_postcopy_close(p);
	if (!pc->by_cpu)
		return 0;
	ret = port_rings_stop(p, port_drain_us());
	if (ret != 0)
		return ret;
	weir_log(WEIR_LOG_NOTICE, "%s: all of the guest's memory is there", p->name);
	pc->by_cpu = false;
	ret = port_mem_map(p);
	if (ret == 0)
		return 0;
	pc->by_cpu = true;
	weir_log(WEIR_LOG_WARN, "%s: this guest's packets go on being copied by CPU",
		 p->name);
	return 0;
}
