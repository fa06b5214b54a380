/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of our own to the frontend, over the channel that it gives for them
 * (SET_BACKEND_REQ_FD).
 *
 * A frontend may read them late: QEMU does so in the thread that at that moment
 * waits for our answer on the connection. So nothing here waits. Answers come in
 * the order of the messages, if REPLY_ACK was negotiated and somebody wants to know.
 *
 * A frontend that breaks the rules loses the channel, not the connection: its rings
 * do not need it.
 */
#include <errno.h>
#include <string.h>

#include "port.h"
#include "weir_errno.h"
#include "weir_log.h"

#define PORT_OF(f, member) \
	((struct weir_port *)((char *)(f)-offsetof(struct weir_port, member)))

void
port_backend_close(struct weir_port *p)
{
	struct port_backend *b = &p->backend;

	if (b->chan.fd < 0)
		return;
	ctl_unwatch(&b->chan);
	b->chan.fd = -1;
	weir_vhost_msg_reset(&b->rx);
	while (b->tail != b->head) {
		struct port_backend_call c = b->call[b->tail++ % PORT_BACKEND_CALLS];

		c.done(p, c.arg, -ECONNRESET);
	}
}

static void
chan_lost(struct weir_port *p, const char *why)
{
	weir_log(WEIR_LOG_ERR, "%s: no more messages to the frontend: %s", p->name, why);
	port_backend_close(p);
}

/* The frontend has answered the oldest message. @return NULL, or why it has not. */
static const char *
answered(struct weir_port *p)
{
	struct port_backend *b = &p->backend;
	const struct weir_vhost_msg *rx = &b->rx;
	struct port_backend_call c;

	if (b->tail == b->head)
		return "an answer to nothing";
	c = b->call[b->tail % PORT_BACKEND_CALLS];
	if (rx->hdr.request != c.request)
		return "an answer to another message";
	if (rx->hdr.size != sizeof(rx->payload.u64) || rx->nr_fds != 0)
		return "an answer of the wrong length";
	b->tail++;
	c.done(p, c.arg, rx->payload.u64 == 0 ? 0 : -EIO);
	return NULL;
}

static void
chan_ready(struct ctl_fd *f)
{
	struct weir_port *p = PORT_OF(f, backend.chan);
	int ret = weir_vhost_msg_recv_answer(f->fd, &p->backend.rx);
	const char *why = NULL;

	if (ret == -EAGAIN)
		return;
	if (ret == -ECONNRESET) {
		/* as some do when they have no use for it */
		weir_log(WEIR_LOG_INFO, "%s: the frontend closed the backend's channel",
			 p->name);
		port_backend_close(p);
		return;
	}
	why = ret == 0 ? answered(p) : p->backend.rx.why;
	if (why != NULL)
		chan_lost(p, why);
}

int
port_backend_open(struct weir_port *p)
{
	struct port_backend *b = &p->backend;
	int ret;

	port_backend_close(p);
	b->chan = (struct ctl_fd){
		.fd = weir_vhost_backend_fd(p->session),
		.ready = chan_ready,
	};
	weir_vhost_msg_init(&b->rx);
	ret = ctl_watch(&b->chan);
	if (ret != 0)
		b->chan.fd = -1;
	return ret;
}

int
port_backend_send(struct weir_port *p, uint32_t request, const void *payload,
		  uint32_t len, port_backend_done_t done, void *arg)
{
	struct port_backend *b = &p->backend;
	bool ack;
	int ret;

	if (b->chan.fd < 0)
		return -ENOENT;
	if (len > sizeof(b->tx.payload))
		return -EMSGSIZE;
	ack = done != NULL && (weir_vhost_protocol_features(p->session) &
			       WEIR_VHOST_BIT(WEIR_VHOST_PF_REPLY_ACK)) != 0;
	if (ack && b->head - b->tail == PORT_BACKEND_CALLS)
		return -EAGAIN;
	weir_vhost_msg_init(&b->tx);
	b->tx.hdr.request = request;
	b->tx.hdr.flags = WEIR_VHOST_VERSION | (ack ? WEIR_VHOST_FLAG_NEED_REPLY : 0);
	b->tx.hdr.size = len;
	if (len != 0)
		memcpy(&b->tx.payload, payload, len);
	/* one this short is taken whole or not at all */
	ret = weir_vhost_msg_send(b->chan.fd, &b->tx);
	if (ret != 0 && ret != -EAGAIN)
		chan_lost(p, weir_strerror(ret));
	if (ret != 0)
		return ret;
	if (ack)
		b->call[b->head++ % PORT_BACKEND_CALLS] =
			(struct port_backend_call){ request, done, arg };
	else if (done != NULL)
		done(p, arg, 0);
	return 0;
}
