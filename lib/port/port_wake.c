/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sleep until a guest has sent something.
 *
 * What the application sleeps on is an epoll descriptor of the queue's own. In
 * it are the guest's kick descriptor, which comes and goes with the ring, and an
 * eventfd for whatever else is a reason to look. So the application keeps one
 * descriptor across peers, and a kick reaches it without a thread in between.
 *
 * Both are in there edge-triggered: to forget what has happened the epoll
 * descriptor is asked for its events. The guest's descriptor is never read; it
 * need not be an eventfd, and whoever else has it could make a read block.
 *
 * Who sleeps first arms, then looks whether the ring runs; a ring that starts
 * first runs, then looks whether somebody armed. One of the two sees the other.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "port.h"
#include "port_wake.h"

static int
wake_add(struct weir_queue *q, int fd)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };

	return epoll_ctl(q->wake_fd, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : -errno;
}

static int
wake_open(struct weir_queue *q)
{
	int ret;

	q->nudge_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->nudge_fd < 0)
		return -errno;
	q->wake_fd = epoll_create1(EPOLL_CLOEXEC);
	if (q->wake_fd < 0) {
		ret = -errno;
		goto err_close;
	}
	ret = wake_add(q, q->nudge_fd);
	if (ret == 0)
		return 0;
	close(q->wake_fd);
err_close:
	close(q->nudge_fd);
	q->wake_fd = -1;
	return ret;
}

static void
nudge(struct weir_queue *q)
{
	(void)!eventfd_write(q->nudge_fd, 1);
}

int
port_wake_start(struct port_ring *r, int kick_fd)
{
	int ret;

	if (r->q.wake_fd < 0 || kick_fd < 0)
		return 0;
	ret = port_fd_take(kick_fd, &r->q.kick_fd);
	if (ret != 0)
		return ret;
	ret = wake_add(&r->q, r->q.kick_fd);
	if (ret == 0)
		return 0;
	close(r->q.kick_fd);
	r->q.kick_fd = -1;
	/* a file that cannot be waited for: the queue is polled */
	return ret == -EPERM ? 0 : ret;
}

void
port_wake_started(struct port_ring *r)
{
	if (r->q.wake_fd >= 0 && atomic_load(&r->q.armed))
		nudge(&r->q);
}

void
port_wake_stop(struct port_ring *r)
{
	if (r->q.kick_fd < 0)
		return;
	/* the guest has the same file: closing ours does not take it out */
	epoll_ctl(r->q.wake_fd, EPOLL_CTL_DEL, r->q.kick_fd, NULL);
	close(r->q.kick_fd);
	r->q.kick_fd = -1;
}

void
port_wake_free(struct port_ring *r)
{
	if (r->q.wake_fd < 0)
		return;
	close(r->q.wake_fd);
	close(r->q.nudge_fd);
	r->q.wake_fd = -1;
}

/* A queue that is to be woken, on its way to the control thread. */
struct wake {
	struct weir_port *p;
	struct weir_queue *q;
	int ret;
};

static void
do_wake_open(void *arg)
{
	struct wake *w = arg;

	w->ret = 0;
	if (w->q->wake_fd < 0)
		w->ret = w->p->started ? -EBUSY : wake_open(w->q);
}

int
weir_port_rxq_wake_fd(struct weir_port *p, uint16_t pair, int *fd)
{
	struct wake w = { .p = p, .q = weir_port_rxq(p, pair) };

	if (w.q == NULL)
		return pair < p->conf.nr_pairs ? -ENOENT : -ERANGE;
	ctl_run(do_wake_open, &w);
	if (w.ret == 0)
		*fd = w.q->wake_fd;
	return w.ret;
}

int
weir_queue_wake_arm(struct weir_queue *q)
{
	struct epoll_event e[2];
	struct weir_vring_at at;
	bool look;

	if (q->wake_fd < 0)
		return -ENOTSUP;
	/* what has happened so far is looked at below */
	(void)!epoll_wait(q->wake_fd, e, RTE_DIM(e), 0);
	atomic_store(&q->armed, true);
	if (!queue_enter(q))
		return 0;
	weir_vring_want_kick(&q->vr, q->vr.packed, true);
	queue_log_wishes(q);
	/* a ring that is broken is for the burst to find */
	look = weir_vring_open(&q->vr, q->vr.packed, &at) != 0 ||
	       weir_vring_has(&q->vr, q->vr.packed, &at) || q->kick_fd < 0 ||
	       queue_in_flight(q) != 0 || queue_announces(q);
	queue_leave(q);
	if (look)
		nudge(q);
	return 0;
}

int
weir_queue_wake_disarm(struct weir_queue *q)
{
	if (q->wake_fd < 0)
		return -ENOTSUP;
	atomic_store(&q->armed, false);
	if (queue_enter(q)) {
		weir_vring_want_kick(&q->vr, q->vr.packed, false);
		queue_log_wishes(q);
		queue_leave(q);
	}
	return 0;
}
