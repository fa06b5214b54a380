/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_BACKEND_H
#define WEIR_PORT_PORT_BACKEND_H
/*
 * Messages of ours to the frontend, see port_backend.c. Control thread.
 */
#include "ctl.h"
#include "weir_vhost_msg.h"

struct weir_port;

/* What becomes of a message of ours: 0: the frontend took it; -EIO: it did not;
 * -ECONNRESET: the channel is gone, and whether it did nobody knows. */
typedef void (*port_backend_done_t)(struct weir_port *p, void *arg, int result);

/* Messages of ours that are not answered, at most. */
#define PORT_BACKEND_CALLS 64u

/* The channel for messages of ours. */
struct port_backend {
	struct ctl_fd chan; /* the session's; -1: there is none */
	struct weir_vhost_msg rx, tx;
	uint32_t head, tail; /* of call, running */
	struct port_backend_call {
		uint32_t request;
		port_backend_done_t done;
		void *arg;
	} call[PORT_BACKEND_CALLS]; /* to be answered, in order */
};

/* Use the session's channel from now on. 0; -errno: there is none then. */
int port_backend_open(struct weir_port *p);

/* Forget it; whoever waits for an answer is told. */
void port_backend_close(struct weir_port *p);

/*
 * Send a message, enum weir_vhost_backend_request. It never waits.
 *
 * done  NULL, or what is called later, once, on the control thread, if the call
 *       returns 0. It may send, and must not close the connection. Without
 *       REPLY_ACK it is called before the return: that it was sent is all there is
 *       to know.
 *
 * 0; -ENOENT: there is no channel; -EAGAIN: the frontend does not read, or has
 * PORT_BACKEND_CALLS to answer: try it later; -EMSGSIZE; or what sendmsg(2)
 * answered: there is no channel any more.
 */
int port_backend_send(struct weir_port *p, uint32_t request, const void *payload,
		      uint32_t len, port_backend_done_t done, void *arg);

#endif /* WEIR_PORT_PORT_BACKEND_H */
