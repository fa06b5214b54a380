/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_COPY_IMPL_H
#define WEIR_COPY_IMPL_H
/*
 * The devices that are in use, and how each is.
 *
 *     UP ---- fails, or stands still ----> STOPPING
 *      ^                                      |  stopped; what was under way
 *      |                                      |  is copied by CPU
 *      | test copies arrive                   v
 *     PROBED <---- after a pause ---------- DOWN
 *      |                                      ^
 *      '---- they do not ---------------------'
 *
 * A device that was unplugged, or pulled out (copy_pci.c), cannot write any more, and
 * counts as stopped; one of its name that is plugged in later takes its place. One
 * that is about to be (weir_copy_unplug()) is stopped and GONE, and not called again:
 * it is DOWN when its place is seen empty, or has another in it.
 *
 * While a device is not UP its channels are `down`: no lcore calls the device or
 * moves `done`, both are the tending thread's. A device that does not let itself
 * be stopped stays STOPPING, and what it may still write to stays under way.
 */
#include <pthread.h>
#include <string.h>

#include "weir_copy.h"

/* More vchans than any port has queues would be memory for nothing. */
#define COPY_MAX_VCHANS 64

enum copy_health { COPY_UP, COPY_STOPPING, COPY_DOWN, COPY_PROBED, COPY_GONE };

/* What one vchan is to its users, and to the watch over it. */
struct copy_vchan {
	struct weir_copy_chan chan;
	unsigned int users;
	uint64_t seen_done; /* chan.done at the last look */
	uint64_t since;	    /* when `done` moved last, or nothing was under way */
	uint64_t looked_at;
	/* from where on failures are counted: chan.done and .errors then, and when */
	uint64_t base_done, base_errors, base_at;
	bool probed; /* its test copy has come back */
};

/* A dmadev that we have configured and started. */
struct copy_dev {
	struct copy_dev *next;
	char name[64]; /* by which it is found again after it was unplugged */
	int16_t dev_id;
	uint16_t nr_vchans;
	unsigned int users;
	enum copy_health health;
	bool idxd;	/* DPDK's driver of DSA, which has quirks: copy_idxd.c */
	bool halted;	/* it has been told to stop, and has agreed */
	bool announced; /* somebody has said that it is there, whole */
	uint64_t
		found_at; /* since when its place was seen taken, if nobody has; 0: not */
	uint64_t look_at; /* GONE: when its place is looked at next */
	uint64_t retry_at; /* time of the next step, unless UP */
	uint64_t pause;	   /* how long the next one is DOWN */
	uint64_t up_at;	   /* when it came back last */
	uint64_t resets;   /* times that it went down */
	uint64_t rescued;  /* copies under way then, made by CPU */
	uint8_t *probe;	   /* what test copies are made of; NULL: none is */
	struct copy_vchan vchan[];
};

/* copy.c: the list, and its lock, which guards all but channels' data plane. */
extern pthread_mutex_t copy_devs_lock;
extern struct copy_dev *copy_devs;

/* The device is plugged in, and its id is still its own. */
bool copy_dev_there(const struct copy_dev *d);

/* Configure a stopped device and all its vchans, and start it. 0, -errno. */
int copy_dev_up(struct copy_dev *d);

/* Do a copy by CPU that the device has not, or not right. */
static inline void
copy_repeat(const struct weir_copy_op *op)
{
	memcpy(op->dst, op->src, op->len);
}

/* A device that was out of use sees what is copied, or sees it again now. 0, -errno. */
int copy_dev_rejoin(const struct copy_dev *d);

/* Stop it. 0: it is stopped and writes no more, or it is not there; -errno. */
int copy_dev_halt(struct copy_dev *d);

/* copy_idxd.c: is a dmadev of this name a work queue of DSA? */
bool copy_name_is_idxd(const char *name);

/* copy_idxd.c: has one that took the stop still something to write? */
bool copy_idxd_writes(const struct copy_dev *d);

/* copy_pci.c: is a dmadev of this name a PCI device that has been pulled out? False if
 * that is not known. */
bool copy_pci_gone(const char *name);

/* copy_unplug.c: hear of removals from EAL. Under the lock. */
void copy_events_on(void);

/* copy_tend.c: a device of this name has been plugged in. Under the lock. */
void copy_dev_plugged(const char *name);

/* copy_tend.c: take all lcores out of a device, stop it, and be GONE. Under the
 * lock. 0; -EBUSY: it does not stop. */
int copy_dev_leave(struct copy_dev *d);

/* copy_tend.c: forget test copies; the device is stopped, or done with them. */
void copy_probe_end(struct copy_dev *d);

#endif /* WEIR_COPY_IMPL_H */
