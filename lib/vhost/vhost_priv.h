/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VHOST_PRIV_H
#define VHOST_PRIV_H
/**
 * @file
 * Inside a vhost-user session.
 *
 * check.c looks at one message and what it is told, and knows no session:
 * syntax. mem.c, ring.c and dispatch.c have the handlers, which know the rules
 * between messages: semantics. session.c is what goes around a handler. A handler checks
 * first and changes last; after its first change it cannot fail.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "weir_vhost.h"

/** Why something was refused. */
struct vhost_why {
	const char *name; /**< the message it is about */
	char text[192];	  /**< "NAME: reason", or empty */
};

/** Note the reason. @return @p err, for `return vhost_why(...)`. */
int vhost_why(struct vhost_why *why, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** When a message may be sent. */
enum vhost_gate {
	VHOST_GATE_NONE,       /**< always */
	VHOST_GATE_PROTOCOL,   /**< protocol features as such are offered */
	VHOST_GATE_OFFERED,    /**< the protocol feature is offered */
	VHOST_GATE_NEGOTIATED, /**< the protocol feature was set */
};

/** Where a message names the ring it is about. */
enum vhost_index {
	VHOST_INDEX_NONE,
	VHOST_INDEX_STATE, /**< payload.state.index */
	VHOST_INDEX_ADDR,  /**< payload.addr.index */
	VHOST_INDEX_FD,	   /**< low byte of payload.u64, one descriptor or none */
};

/** All there is to know of a message before its handler looks at it. */
struct vhost_desc {
	const char *name;
	uint16_t len_min, len_max; /**< bytes of payload */
	uint8_t fds_min, fds_max;
	enum vhost_index index;
	enum vhost_gate gate;
	enum weir_vhost_pf pf; /**< of the gate */
	enum weir_vhost_answer answer;
	/** NULL: not implemented. @return 0 or -errno with nothing changed. */
	int (*handle)(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		      struct weir_vhost_event *ev);
};

/** Regions sorted by guest address. */
struct vhost_table {
	uint32_t nr;
	struct weir_vhost_region region[];
};

/** What reply() has to finish or take back. */
enum vhost_undo_kind {
	VHOST_UNDO_NONE,
	VHOST_UNDO_SET, /**< all of the new table's files came with it */
	VHOST_UNDO_ADD, /**< one file came */
	VHOST_UNDO_DEL, /**< one file goes */
};

/** The table before the last message about memory. */
struct vhost_undo {
	enum vhost_undo_kind kind;
	struct vhost_table *old;
	int fd; /**< ADD, DEL: the file that came or goes */
};

/** How far a postcopy migration is. */
enum vhost_postcopy {
	VHOST_POSTCOPY_NONE,
	VHOST_POSTCOPY_ADVISED,
	VHOST_POSTCOPY_LISTENING,
};

struct weir_vhost_session {
	struct weir_vhost_config offer;
	uint64_t features;
	uint64_t protocol_features;
	bool has_features; /**< SET_FEATURES was seen since the last reset */
	uint16_t mtu;
	uint8_t status;
	enum vhost_postcopy postcopy;
	int backend_fd;
	struct weir_vhost_log log;
	struct weir_vhost_inflight inflight;
	struct vhost_table *mem; /**< NULL: no region */
	struct vhost_undo undo;
	struct vhost_why why;
	uint32_t nr_rings;
	uint32_t nr_retired;
	int *retired;		       /**< replaced, closed by reply() */
	struct weir_vhost_ring ring[]; /**< nr_rings of them */
};

/* check.c: syntax */

/** Payload length and number of descriptors. */
int vhost_check_shape(const struct vhost_desc *d, const struct weir_vhost_msg *msg,
		      struct vhost_why *why);

/** SET_MEM_TABLE: as many regions as its length and its descriptors say. */
int vhost_check_table(const struct weir_vhost_msg *msg, struct vhost_why *why);

/** A region as such. @param out Its ranges and offset, written on success. */
int vhost_check_region(const struct weir_vhost_wire_region *wire,
		       struct weir_vhost_region *out, struct vhost_why *why);

/** A stretch of a file that is to be mapped. @param st Of the file, written. */
int vhost_check_file(int fd, uint64_t offset, uint64_t len, struct stat *st,
		     struct vhost_why *why);

/** SET_BACKEND_REQ_FD: what messages can be sent over. */
int vhost_check_channel(int fd, struct vhost_why *why);

/** SET_VRING_KICK, _CALL, _ERR: no unknown bit, a descriptor or NOFD. */
int vhost_check_ring_fd(const struct weir_vhost_msg *msg, struct vhost_why *why);

/** The size of a ring. */
int vhost_check_ring_num(uint32_t idx, uint32_t num, bool packed, struct vhost_why *why);

/** A base. @param num 0: not known yet. */
int vhost_check_ring_base(uint32_t idx, uint32_t base, uint32_t num, bool packed,
			  struct vhost_why *why);

/** Alignment of a ring's addresses, and no unknown flag. */
int vhost_check_ring_addr(const struct vhost_vring_addr *addr, bool packed,
			  struct vhost_why *why);

/** GET_CONFIG, SET_CONFIG. @param len Of the configuration space. */
int vhost_check_config(const struct weir_vhost_msg *msg, uint32_t len,
		       struct vhost_why *why);

/**
 * GET_INFLIGHT_FD, SET_INFLIGHT_FD: rings and entries.
 *
 * @param nr_rings  That are offered.
 * @param out       What the message asks for, and how long an area has to be;
 *                  its fd is -1. Written on success.
 */
int vhost_check_inflight(const struct weir_vhost_msg *msg, uint32_t nr_rings, bool packed,
			 struct weir_vhost_inflight *out, struct vhost_why *why);

/** A ring's three areas. */
struct vhost_areas {
	struct weir_range desc, avail, used;
};

/**
 * Where a ring with size and addresses lies.
 *
 * @return 0; -EOVERFLOW: one of the areas wraps.
 */
int vhost_ring_areas(const struct weir_vhost_ring *r, uint64_t features,
		     struct vhost_areas *a);

/* mem.c */
int vhost_set_mem_table(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			struct weir_vhost_event *ev);
int vhost_add_mem_reg(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		      struct weir_vhost_event *ev);
int vhost_rem_mem_reg(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		      struct weir_vhost_event *ev);

/** Keep or take back the last change of memory. */
void vhost_mem_settle(struct weir_vhost_session *s, bool keep);

/** Close all files and free the table. */
void vhost_mem_free(struct vhost_table *t);

/** A log of @p len bytes: it reaches to the last of the memory there is. */
int vhost_check_log(struct weir_vhost_session *s, uint64_t len);

/** True if one region has all of @p user. */
bool vhost_mem_has_user(const struct weir_vhost_session *s, struct weir_range user);

/* ring.c */
int vhost_set_vring_num(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			struct weir_vhost_event *ev);
int vhost_set_vring_addr(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			 struct weir_vhost_event *ev);
int vhost_set_vring_base(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			 struct weir_vhost_event *ev);
int vhost_get_vring_base(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			 struct weir_vhost_event *ev);
int vhost_set_vring_kick(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			 struct weir_vhost_event *ev);
int vhost_vring_kick(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		     struct weir_vhost_event *ev);
int vhost_set_vring_call(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			 struct weir_vhost_event *ev);
int vhost_set_vring_err(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			struct weir_vhost_event *ev);
int vhost_set_vring_enable(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			   struct weir_vhost_event *ev);

/** A ring as it is at the start of a session. */
void vhost_ring_init(struct weir_vhost_ring *r);

/** True if size and base of the ring cannot change now. */
bool vhost_ring_runs(const struct weir_vhost_ring *r);

/** Stop and forget a ring. @param keep_call Keep its call and error descriptors. */
void vhost_ring_reset(struct weir_vhost_session *s, struct weir_vhost_ring *r,
		      bool keep_call);

/** What all rings work with has changed: they start anew. */
void vhost_rings_touch(struct weir_vhost_session *s);

/**
 * Take the message's descriptor, if it has one, for an eventfd that does not block:
 * whoever writes to it may be a polling lcore, and a peer could fill it. The flag is the
 * open file's, so a peer that keeps it can take it away again.
 * @return 0; -EBADF: it is something else, which may block or raise SIGPIPE.
 */
int vhost_check_event(const struct weir_vhost_msg *msg, struct vhost_why *why);

/** Enable or disable all rings. @return true: at least one was not so before. */
bool vhost_rings_enable(struct weir_vhost_session *s, bool enable);

/* inflight.c */
int vhost_get_inflight_fd(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			  struct weir_vhost_event *ev);
int vhost_set_inflight_fd(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			  struct weir_vhost_event *ev);

/* iotlb.c */
int vhost_iotlb_msg(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		    struct weir_vhost_event *ev);

/* postcopy.c */

/** True if a message says that faults are served from now on. */
bool vhost_is_postcopy_ready(const struct weir_vhost_session *s,
			     const struct weir_vhost_msg *msg);

int vhost_postcopy_advise(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			  struct weir_vhost_event *ev);
int vhost_postcopy_listen(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			  struct weir_vhost_event *ev);
int vhost_postcopy_end(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
		       struct weir_vhost_event *ev);

/* dispatch.c */

/** What a request needs. @return NULL: there is no such request. */
const struct vhost_desc *vhost_desc_find(uint32_t request);

/* session.c */

/** close(2) but for -1. */
void vhost_close(int fd);

/** Keep a descriptor open until reply(). -1 is allowed. */
void vhost_retire(struct weir_vhost_session *s, int fd);

/** Take the message's only descriptor, or -1 if there is none. */
int vhost_take_fd(struct weir_vhost_msg *msg);

#endif /* VHOST_PRIV_H */
