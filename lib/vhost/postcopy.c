/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Postcopy migration, as its destination sees it.
 *
 *     ADVISE   the port makes a userfaultfd(2), the frontend gets it
 *     LISTEN   memory that comes from now on is registered with it
 *     memory   SET_MEM_TABLE or ADD_MEM_REGs, each answered with where the port has
 *              mapped what it names
 *     ready    the frontend serves faults from now on: nobody touches that memory
 *              before. A message about memory with no more than eight zeroes:
 *              QEMU sends SET_MEM_TABLE, ADD_MEM_REG, or 0 if nothing has changed
 *     END      all pages are there
 */
#include <errno.h>
#include <stddef.h>

#include "vhost_priv.h"

bool
vhost_is_postcopy_ready(const struct weir_vhost_session *s,
			const struct weir_vhost_msg *msg)
{
	switch (msg->hdr.request) {
	case 0:
	case WEIR_VHOST_SET_MEM_TABLE:
	case WEIR_VHOST_ADD_MEM_REG:
	case WEIR_VHOST_REM_MEM_REG:
		return s->postcopy == VHOST_POSTCOPY_LISTENING && msg->nr_fds == 0 &&
		       (msg->hdr.size == 0 ||
			(msg->hdr.size == sizeof(msg->payload.u64) &&
			 msg->payload.u64 == 0));
	default:
		return false;
	}
}

int
vhost_postcopy_advise(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		      struct weir_vhost_event *ev)
{
	(void)msg;
	if (s->postcopy == VHOST_POSTCOPY_LISTENING)
		return vhost_why(&s->why, -EBUSY, "a postcopy is under way");
	s->postcopy = VHOST_POSTCOPY_ADVISED;
	ev->type = WEIR_VHOST_EV_POSTCOPY_ADVISE;
	return 0;
}

int
vhost_postcopy_listen(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		      struct weir_vhost_event *ev)
{
	(void)msg;
	if (s->postcopy != VHOST_POSTCOPY_ADVISED)
		return vhost_why(&s->why, -EINVAL, "without POSTCOPY_ADVISE");
	/* what is mapped may have been touched, and the frontend knows not where it is */
	if (s->mem != NULL && s->mem->nr != 0)
		return vhost_why(&s->why, -EBUSY, "there is memory already");
	s->postcopy = VHOST_POSTCOPY_LISTENING;
	ev->type = WEIR_VHOST_EV_POSTCOPY_LISTEN;
	return 0;
}

int
vhost_postcopy_end(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		   struct weir_vhost_event *ev)
{
	(void)msg;
	s->postcopy = VHOST_POSTCOPY_NONE;
	ev->type = WEIR_VHOST_EV_POSTCOPY_END;
	return 0;
}
