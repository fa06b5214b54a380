/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_VHOST_MSG_H
#define WEIR_VHOST_MSG_H
/**
 * @file
 * Carrying vhost-user messages over a UNIX stream socket.
 *
 * The transport knows where a message ends and which descriptors came with it,
 * and nothing of what it says. It never blocks: a peer that sends half a header
 * and sleeps costs its own connection's buffer, not the thread's time. So a
 * message is received into a struct that outlives the call:
 *
 *     weir_vhost_msg_init(&c->rx);                  // once a connection
 *     while ((ret = weir_vhost_msg_recv(c->fd, &c->rx)) == 0)
 *             ... use c->rx, take its descriptors ...
 *     if (ret == -EAGAIN) ... poll for POLLIN, call again
 *     else ... log c->rx.why, close the connection
 *     weir_vhost_msg_reset(&c->rx);                 // at the connection's end
 *
 * It never reads past the message it is at, so descriptors of the next one
 * cannot be taken for this one's.
 *
 * **Descriptors.** Those received are close-on-exec and belong to the struct
 * until somebody takes them (weir_vhost_session_input() takes all); whatever is
 * left is closed by the next call or by weir_vhost_msg_reset(). An error has
 * closed them already. Those sent stay the caller's.
 *
 * **Threads.** One at a time for one socket and direction.
 */
#include <stdint.h>

#include "vhost_proto.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A message and the descriptors beside it, whole or on its way in. */
struct weir_vhost_msg {
	struct weir_vhost_hdr hdr;
	union weir_vhost_payload payload; /**< hdr.size bytes are valid */
	int fds[WEIR_VHOST_FDS_MAX];
	uint32_t nr_fds;
	uint32_t got;	 /**< bytes received of it, header included */
	const char *why; /**< after an error of recv: what was wrong; static */
};

/** Make an empty message. What it held before is not looked at. */
void weir_vhost_msg_init(struct weir_vhost_msg *msg);

/** Close the descriptors that are left and make the message empty. */
void weir_vhost_msg_reset(struct weir_vhost_msg *msg);

/** Check a request's flags: version 1, no unknown one. @return NULL, or why not. */
const char *weir_vhost_msg_check(const struct weir_vhost_hdr *hdr);

/**
 * Receive a message, or go on receiving one.
 *
 * @param fd   A stream socket; it need not be non-blocking.
 * @param msg  Initialised; the same one until the call returns 0.
 * @return 0: @p msg is whole;
 *         -EAGAIN: not yet, call again when there is more to read;
 *         -ECONNRESET: the peer closed between two messages;
 *         -EPROTO: it closed within one, or sent a header that is none of a
 *         request's (version, flags), or more than 253 descriptors;
 *         -EMSGSIZE: a payload longer than any message has;
 *         -EMFILE: descriptors were lost, the process has too many open;
 *         or what recvmsg(2) answered. After all but 0 and -EAGAIN the stream
 *         has no known position: close it. msg->why says which it was.
 */
int weir_vhost_msg_recv(int fd, struct weir_vhost_msg *msg);

/**
 * Receive the answer to a request of ours, over the backend's channel. As
 * weir_vhost_msg_recv(), and -EPROTO as well: it is a request.
 */
int weir_vhost_msg_recv_answer(int fd, struct weir_vhost_msg *msg);

/**
 * Send a message: header, hdr.size bytes of payload, descriptors.
 *
 * Never blocks and never raises SIGPIPE.
 *
 * @return 0; -EAGAIN: the peer does not read what it asked for, and the socket
 *         is full; -EMSGSIZE: hdr.size or nr_fds is too large; or what
 *         sendmsg(2) answered. After an error close the connection.
 */
int weir_vhost_msg_send(int fd, const struct weir_vhost_msg *msg);

/**
 * Listen on a path: non-blocking, close-on-exec.
 *
 * A socket that a dead process left behind is removed; one that somebody has, which
 * he does not notice, or a file that is no socket, is not.
 *
 * @return 0; -EINVAL: empty path; -ENAMETOOLONG: more than 107 bytes;
 *         -EADDRINUSE: somebody has it; -EEXIST: there is something
 *         else; or what socket(2), bind(2), listen(2) answered.
 */
int weir_vhost_listen(const char *path, int *out);

/**
 * Accept a connection: non-blocking, close-on-exec.
 *
 * @return 0; -EAGAIN: none is waiting, or it went away; or what accept4(2)
 *         answered (-EMFILE: stop polling for a while).
 */
int weir_vhost_accept(int listen_fd, int *out);

/**
 * Connect to a listening frontend: non-blocking, close-on-exec.
 *
 * @return 0; -ENOENT, -ECONNREFUSED: nobody listens (yet); -EAGAIN: its backlog
 *         is full; try all three again later; -EINVAL, -ENAMETOOLONG: as for
 *         weir_vhost_listen(); or what socket(2), connect(2) answered.
 */
int weir_vhost_connect(const char *path, int *out);

/** A request's name, "SET_OWNER"; "request" if it is not known. */
const char *weir_vhost_request_name(uint32_t request);

/** A protocol feature's name, "MQ"; "?" if it is not known. */
const char *weir_vhost_pf_name(unsigned int bit);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_VHOST_MSG_H */
