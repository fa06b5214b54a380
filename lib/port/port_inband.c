/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kicks and calls as messages, for frontends that cannot use eventfds: a simulation
 * whose time stands still until a call was taken, for one.
 *
 * Nothing of it reaches a polling lcore. The session has eventfds in place of those
 * that the frontend does not give; lcores write to the one and sleep on the other as
 * ever, and the control thread turns them into messages and back. Of each ring one call
 * is under way at a time: those that come before its answer are one more.
 */
#include <errno.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "port.h"
#include "port_inband.h"

/* When the channel is full, or not there yet. */
#define AGAIN_US UINT64_C(10000)

static void call_send(struct port_inband *b);

static void
call_done(struct weir_port *p, void *arg, int result)
{
	struct port_inband *b = arg;

	(void)p;
	b->sent = false;
	/* without a channel nobody is called */
	b->more &= result != -ECONNRESET;
	if (b->more)
		call_send(b);
}

/* Send a call, or remember that it is to be sent. */
static void
call_send(struct port_inband *b)
{
	const struct vhost_vring_state call = { .index = b->ring };
	struct weir_port *p = b->p;
	int ret;

	b->more = b->sent;
	if (b->sent)
		return;
	b->sent = true;
	ret = port_backend_send(p, WEIR_VHOST_BACKEND_VRING_CALL, &call, sizeof(call),
				call_done, b);
	if (ret == 0)
		return;
	b->sent = false;
	b->more = ret == -EAGAIN || ret == -ENOENT;
	if (b->more && !p->inband_again.armed)
		ctl_timer_set(&p->inband_again, AGAIN_US);
}

/* Somebody has written to the ring's call descriptor. */
static void
call_ready(struct ctl_fd *f)
{
	struct port_inband *b =
		(struct port_inband *)((char *)f - offsetof(struct port_inband, call));
	eventfd_t n;

	if (eventfd_read(f->fd, &n) == 0)
		call_send(b);
}

int
port_inband_start(struct weir_port *p, struct port_inband *b, uint32_t i,
		  const struct weir_vhost_ring *want)
{
	int ret;

	if (!want->call_inband)
		return 0;
	b->p = p;
	b->ring = i;
	b->call = (struct ctl_fd){ .ready = call_ready };
	ret = port_fd_take(want->call_fd, &b->call.fd);
	if (ret != 0)
		return ret;
	ret = ctl_watch(&b->call);
	if (ret != 0)
		ctl_close(&b->call);
	b->on = ret == 0;
	return ret;
}

void
port_inband_stop(struct port_inband *b)
{
	if (!b->on)
		return;
	call_ready(&b->call);
	ctl_close(&b->call);
	b->on = false;
}

void
port_inband_clear(struct weir_port *p)
{
	for (uint32_t i = 0; i < p->nr_rings; i++)
		p->ring[i].inband.more = false;
	p->ctrl.inband.more = false;
	ctl_timer_clear(&p->inband_again);
}

void
port_inband_kick(struct weir_port *p, uint32_t i)
{
	const struct weir_vhost_ring *r = weir_vhost_ring(p->session, i);

	(void)!eventfd_write(r->kick_fd, 1);
}

static void
again(struct port_inband *b)
{
	if (b->more && !b->sent)
		call_send(b);
}

void
port_inband_expired(struct ctl_timer *t)
{
	struct weir_port *p = (struct weir_port *)((char *)t - offsetof(struct weir_port,
									inband_again));

	if (p->state != PORT_CONNECTED)
		return;
	for (uint32_t i = 0; i < p->nr_rings; i++)
		again(&p->ring[i].inband);
	again(&p->ctrl.inband);
}
