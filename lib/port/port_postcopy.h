/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_POSTCOPY_H
#define WEIR_PORT_PORT_POSTCOPY_H
/*
 * Postcopy migration: a guest that runs here while its memory is elsewhere, see
 * port_postcopy.c. Control thread.
 */
#include <pthread.h>
#include <stdbool.h>

#include "weir_gmem.h"
#include "weir_vhost.h"

struct weir_port;

struct port_postcopy {
	int ufd;	/* userfaultfd(2); -1: not advised */
	bool listening; /* what comes below is in force */
	bool ready;	/* the frontend serves faults */
	bool by_cpu;	/* no DMA for this guest, also after the end if that failed */
	int end_fd;	/* eventfd: the watcher is to end */
	int conn_fd;
	int fault_fd; /* the port's */
	pthread_t watcher;
	pthread_mutex_t lock;	/* of the rest */
	struct weir_range *mem; /* registered mappings, nr of them */
	uint32_t nr, room;
	uint32_t looks;	    /* at rings that do not stop */
	bool released;	    /* by the watcher: nobody fetches pages any more */
	_Atomic bool tired; /* because the control thread waited too long for one */
};

/* Make a userfaultfd and put it in ev->fd. 0; -errno. */
int port_postcopy_advise(struct weir_port *p, struct weir_vhost_event *ev);

/* From now on memory that comes is to be registered. 0; -errno. */
int port_postcopy_listen(struct weir_port *p);

/* It may be touched. */
void port_postcopy_ready(struct weir_port *p);

/* True if rings may not run yet. */
bool port_postcopy_holds(const struct weir_port *p);

/* Register what is in g and not in old, before anybody can touch it. 0; -errno. */
int port_postcopy_enter(struct weir_port *p, const struct weir_gmem *g,
			const struct weir_gmem *old);

/* What is in g and not in keep is about to be unmapped. */
void port_postcopy_leave(struct weir_port *p, const struct weir_gmem *g,
			 const struct weir_gmem *keep);

/* Answer a message about memory with where that is mapped here. */
void port_postcopy_answer(const struct weir_port *p, const struct weir_vhost_msg *msg,
			  struct weir_vhost_msg *answer);

/*
 * All pages are there: map them for DMA, which may begin; if that fails it does not.
 * 0; -EBUSY: a ring does not stop.
 */
int port_postcopy_end(struct weir_port *p);

/* A ring still does not stop: wake who sleeps, if that has been said often enough. */
void port_postcopy_tire(struct weir_port *p);

/* The peer has gone, wake who sleeps. */
void port_postcopy_close(struct weir_port *p);

#endif /* WEIR_PORT_PORT_POSTCOPY_H */
