/* SPDX-License-Identifier: BSD-3-Clause */
/* size: the structures of all messages that a port acts on. */
#ifndef WEIR_VHOST_H
#define WEIR_VHOST_H
/**
 * @file
 * One frontend's session: what it asked for, and nothing that was done about it.
 *
 * The session holds the state that a vhost-user frontend has set: features,
 * memory regions, and for each ring its size, base, addresses, descriptors, and
 * whether it is started and enabled. It checks a message whole before it
 * changes anything. It maps no memory, touches no ring, and calls nobody; the
 * port does, after each message, by comparing what the session says now with
 * what it runs:
 *
 *     ret = weir_vhost_session_input(s, &rx, &ev);
 *     if (ret == 0)
 *             ret = ... act on ev, then bring each ring in line with
 *                   weir_vhost_ring_ready() ...
 *     if (weir_vhost_session_reply(s, &ev, ret, &tx))
 *             weir_vhost_msg_send(fd, &tx);
 *     if (ev.close) close the connection, destroy the session
 *
 * The event says where to look; a port that looks at everything each time is
 * right too, for the state is level-triggered.
 *
 * **Descriptors.** input() takes all descriptors of the message, also when it
 * fails. The session owns them until they are replaced or it is destroyed. One
 * that was replaced, and the files of a region that went, stay open until
 * reply(), so that between the two the port can take them from whoever uses
 * them (a polling lcore writing to a call descriptor).
 *
 * **All or nothing.** A refused message has changed nothing. One about memory
 * that the port could not carry out (reply() with a result below 0) is undone:
 * the table is again that before it, and the port has kept it mapped till then.
 * Anything else the port cannot do stays as the frontend asked for it.
 *
 * **States of a ring.** *Configured* by SET_VRING_NUM, _BASE, _ADDR in any
 * order. *Started* by SET_VRING_KICK, with a descriptor or without, stopped by
 * GET_VRING_BASE, which keeps everything but the kick descriptor. *Enabled* by
 * SET_VRING_ENABLE, or all at once by SET_FEATURES without
 * WEIR_VHOST_F_PROTOCOL_FEATURES. While it is configured and started, its size
 * and base cannot change (-EBUSY); addresses and descriptors can. It is *ready*
 * when features are set, all of the above is, and its addresses lie in memory.
 *
 * **Recovery.** The area of SET_INFLIGHT_FD counts from then on, for rings that
 * start later; one of GET_INFLIGHT_FD is made by the port and comes back by
 * SET_INFLIGHT_FD. Its parts are of packed rings if VIRTIO_F_RING_PACKED is set
 * when either comes, so features come first.
 *
 * **Notifications as messages.** With INBAND_NOTIFICATIONS a kick or call descriptor
 * that the frontend does not give is an eventfd of the session's, so that whoever uses
 * it need not know: VRING_KICK is an event to write to the one, and what is written to
 * the other the port sends as BACKEND_VRING_CALL.
 *
 * **Postcopy.** Between POSTCOPY_LISTEN and _END memory that comes is answered with
 * where the port has mapped it, and is not to be touched before
 * WEIR_VHOST_EV_POSTCOPY_READY.
 *
 * **Order.** What can be taken in any order is: QEMU enables rings before it
 * sets features, and sends both again for each queue pair; virtio-user as a
 * server begins a second connection by disabling and stopping rings, without
 * SET_OWNER. Refused is a message of a feature that was not offered, or not
 * negotiated where the specification asks for that; features other than
 * VHOST_F_LOG_ALL changing while a ring runs; a ring above the offered ones;
 * GET_VRING_BASE_INFLIGHT set without INFLIGHT_SHMFD, INBAND_NOTIFICATIONS without
 * BACKEND_REQ and REPLY_ACK.
 * QEMU up to 7.2 adds, and later removes, each region once a queue pair: adding
 * the very same region again is counted, and the last removal removes it.
 *
 * **vIOMMU.** Translations come and go by IOTLB_MSG, and the session keeps none of
 * them: they are the port's. Each is an event; an invalidation is answered when
 * nobody uses the translation any more.
 *
 * **Resets.** RESET_OWNER disables all rings. RESET_DEVICE, and a SET_STATUS of
 * 0, take features, rings, MTU and status back to the start (the latter leaves
 * call and error descriptors). Memory, log, protocol features and the backend's
 * channel stay: frontends do not send them again. GET_VRING_BASE after a reset
 * is answered with what the ring had reached: QEMU 7.2 stops a device by status 0
 * first, and then asks each ring where to go on.
 *
 * **Errnos of a refusal.** -EPROTO: no such message, or its length or number of
 * descriptors is wrong. -EPROTONOSUPPORT: not implemented, not offered, not
 * negotiated. -EINVAL: a field's value. -ERANGE: a ring or slot that is not
 * there, or a region beyond its file. -EOVERFLOW: a range wraps. -EEXIST:
 * regions overlap. -ENOENT: no such region. -ENOSPC: no slot left, or too much memory.
 * -EFAULT: a started ring lies outside memory. -EBUSY: the ring runs. -EBADF: a
 * descriptor that cannot serve. -ENOMEM, -EMFILE, -ENFILE.
 *
 * **Threads.** One at a time; a session has no lock. What it returns is valid
 * until the next call that is not a getter.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "weir_range.h"
#include "weir_vhost_msg.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_vhost_session;

/** Slots of guest memory that a port offers unless it has a reason not to. */
#define WEIR_VHOST_MEM_SLOTS 509u

/** Bytes of guest memory that a session takes: 16 guests as large have room here. */
#define WEIR_VHOST_MEM_BYTES (UINT64_C(8) << 40)

/** Protocol features that a session carries out; a port offers a subset. */
#define WEIR_VHOST_PF_SUPPORTED                                                         \
	(WEIR_VHOST_BIT(WEIR_VHOST_PF_MQ) | WEIR_VHOST_BIT(WEIR_VHOST_PF_LOG_SHMFD) |   \
	 WEIR_VHOST_BIT(WEIR_VHOST_PF_RARP) | WEIR_VHOST_BIT(WEIR_VHOST_PF_REPLY_ACK) | \
	 WEIR_VHOST_BIT(WEIR_VHOST_PF_NET_MTU) |                                        \
	 WEIR_VHOST_BIT(WEIR_VHOST_PF_BACKEND_REQ) |                                    \
	 WEIR_VHOST_BIT(WEIR_VHOST_PF_PAGEFAULT) |                                      \
	 WEIR_VHOST_BIT(WEIR_VHOST_PF_CONFIG) |                                         \
	 WEIR_VHOST_BIT(WEIR_VHOST_PF_INFLIGHT_SHMFD) |                                 \
	 WEIR_VHOST_BIT(WEIR_VHOST_PF_RESET_DEVICE) |                                   \
	 WEIR_VHOST_BIT(WEIR_VHOST_PF_CONFIGURE_MEM_SLOTS) |                            \
	 WEIR_VHOST_BIT(WEIR_VHOST_PF_STATUS) |                                         \
	 WEIR_VHOST_BIT(WEIR_VHOST_PF_INBAND_NOTIFICATIONS) |                           \
	 WEIR_VHOST_BIT(WEIR_VHOST_PF_GET_VRING_BASE_INFLIGHT))

/** What a session offers to its frontend. */
struct weir_vhost_config {
	uint64_t features;	    /**< virtio's, and WEIR_VHOST_F_PROTOCOL_FEATURES */
	uint64_t protocol_features; /**< within WEIR_VHOST_PF_SUPPORTED */
	uint16_t nr_queue_pairs;    /**< 1 to 128: the protocol counts rings in a byte */
	bool ctrl_queue;	    /**< one ring more, then up to 127 pairs */
	uint16_t nr_mem_slots;	    /**< 8 to 32764; 0: WEIR_VHOST_MEM_SLOTS */
	uint32_t config_len;	    /**< bytes of configuration space, up to 256 */
	uint64_t max_mem;	    /**< bytes of guest memory; 0: WEIR_VHOST_MEM_BYTES */
};

/** A region of guest memory. */
struct weir_vhost_region {
	struct weir_range gpa;	/**< where the guest sees it, 4 KiB aligned */
	struct weir_range user; /**< where the frontend sees it, 4 KiB aligned */
	uint64_t mmap_offset;	/**< in the file; the session checked its length */
	dev_t dev;		/**< with ino: which file it is, whatever its fd */
	ino_t ino;
	int fd;		  /**< the session's; -1: weir_vhost_mem_close_fds() was called */
	uint32_t nr_adds; /**< ADD_MEM_REGs of it, as many REM_MEM_REGs remove it */
};

/** The dirty log. */
struct weir_vhost_log {
	uint64_t len;	      /**< bytes of bitmap, a bit each 4 KiB from address 0 */
	uint64_t mmap_offset; /**< in the file */
	int fd;		      /**< the session's; -1: there is none */
	int event_fd;	      /**< SET_LOG_FD's, the session's; -1: there is none */
};

/** The area that outlives a backend, see weir_inflight.h. */
struct weir_vhost_inflight {
	uint64_t len;	      /**< bytes; the session checked the file's length */
	uint64_t mmap_offset; /**< in the file */
	int fd;		      /**< the session's; -1: there is none */
	uint16_t nr_rings;    /**< that have a part of it, from ring 0 on */
	uint16_t size;	      /**< entries that each part has room for */
	bool packed;	      /**< its parts are of packed rings */
};

/** A translation of the guest's IOMMU. */
struct weir_vhost_iotlb {
	struct weir_range iova;
	uint64_t user; /**< update: the frontend's address of iova.start */
	uint8_t perm;  /**< update: VHOST_ACCESS_RO, _WO or _RW */
};

/** A ring, as its frontend wants it. */
struct weir_vhost_ring {
	uint64_t gen;	  /**< goes up with each change of anything below */
	uint64_t desc;	  /**< a user address, or with weir_vhost_iotlb() an iova, as all
			     three */
	uint64_t avail;	  /**< packed: the driver's event suppression */
	uint64_t used;	  /**< packed: the device's event suppression */
	uint64_t log_gpa; /**< where writes to `used` are logged */
	uint32_t num;	  /**< entries; 0: not set yet */
	uint32_t base;	  /**< as on the wire, see weir_vhost_base_split() */
	int kick_fd;	  /**< -1: poll */
	int call_fd;	  /**< -1: do not notify */
	bool kick_inband; /**< kick_fd is the session's own: see EV_RING_KICK */
	bool call_inband; /**< likewise: what is written to it is to be sent as a message
			   */
	int err_fd;	  /**< -1: do not notify */
	bool has_addr;	  /**< SET_VRING_ADDR was seen */
	bool has_base;	  /**< SET_VRING_BASE was since the last reset, or a stop */
	bool log_used;	  /**< writes to `used` are to be logged */
	bool started;	  /**< SET_VRING_KICK was, and no GET_VRING_BASE since */
	bool enabled;	  /**< SET_VRING_ENABLE */
};

/** A base taken apart. */
struct weir_vhost_base {
	uint16_t avail_idx;
	uint16_t used_idx; /**< packed only; a split ring's is in memory */
	bool avail_wrap;
	bool used_wrap;
};

/** What a message was about. */
enum weir_vhost_event_type {
	WEIR_VHOST_EV_NONE,	 /**< nothing changed that anybody need act on */
	WEIR_VHOST_EV_FEATURES,	 /**< virtio features; any ring may be ready now */
	WEIR_VHOST_EV_MEM_TABLE, /**< all regions: see weir_vhost_mem() */
	WEIR_VHOST_EV_MEM_ADD,	 /**< ev.region has come */
	WEIR_VHOST_EV_MEM_DEL,	 /**< ev.region has gone; its fd is open until reply() */
	WEIR_VHOST_EV_RING,	 /**< ring ev.ring changed */
	WEIR_VHOST_EV_RING_STOP, /**< stop ev.ring, put what it has reached in ev.base */
	WEIR_VHOST_EV_RESET,	 /**< all rings changed, features may have gone */
	WEIR_VHOST_EV_LOG,	 /**< the dirty log was replaced */
	WEIR_VHOST_EV_BACKEND_REQ,  /**< weir_vhost_backend_fd() was replaced */
	WEIR_VHOST_EV_MTU,	    /**< ev.mtu */
	WEIR_VHOST_EV_STATUS,	    /**< ev.status */
	WEIR_VHOST_EV_RARP,	    /**< announce ev.mac */
	WEIR_VHOST_EV_GET_CONFIG,   /**< fill ev.config.data */
	WEIR_VHOST_EV_SET_CONFIG,   /**< ev.config was written */
	WEIR_VHOST_EV_GET_INFLIGHT, /**< make ev.inflight, put its file in ev.fd */
	WEIR_VHOST_EV_IOTLB_UPDATE, /**< ev.iotlb was translated by the guest's IOMMU */
	WEIR_VHOST_EV_IOTLB_INVALIDATE, /**< ... is not any more; see reply() */
	WEIR_VHOST_EV_POSTCOPY_ADVISE,	/**< make a userfaultfd, put it in ev.fd */
	WEIR_VHOST_EV_POSTCOPY_LISTEN,	/**< memory that comes is registered with it */
	WEIR_VHOST_EV_POSTCOPY_READY,	/**< it may be touched: faults are served */
	WEIR_VHOST_EV_POSTCOPY_END,	/**< all pages are there */
	WEIR_VHOST_EV_INFLIGHT,		/**< weir_vhost_inflight() was replaced */
	WEIR_VHOST_EV_RING_KICK,	/**< write to ring ev.ring's kick_fd */
};

/** How a message is answered when it succeeds; the session's, for reply(). */
enum weir_vhost_answer {
	WEIR_VHOST_ANSWER_ACK,	   /**< only if NEED_REPLY asks: 0 or not 0 */
	WEIR_VHOST_ANSWER_U64,	   /**< ev.u64 */
	WEIR_VHOST_ANSWER_BASE,	   /**< ev.ring and ev.base */
	WEIR_VHOST_ANSWER_CONFIG,  /**< ev.config, or nothing of it on failure */
	WEIR_VHOST_ANSWER_FD,	   /**< ev.fd and nothing else */
	WEIR_VHOST_ANSWER_REGIONS, /**< the message, with the port's addresses in place of
				      the frontend's: reply() leaves them to the port */
	WEIR_VHOST_ANSWER_INFLIGHT, /**< ev.inflight and ev.fd; zeroes on failure */
};

/** What input() says; the port fills in what the type asks for. */
struct weir_vhost_event {
	enum weir_vhost_event_type type;
	enum weir_vhost_answer answer;
	uint32_t request; /**< enum weir_vhost_request, or whatever the peer sent */
	bool need_reply;
	bool close; /**< after reply(): the connection is of no more use */
	uint32_t ring;
	uint32_t base;	/**< RING_STOP: in, the session's; out, the one reached */
	uint64_t u64;	/**< a GET's answer */
	uint16_t mtu;	/**< bytes, 68 to 65535 */
	uint8_t status; /**< virtio's device status */
	uint8_t mac[6];
	uint32_t len; /**< bytes of the message's payload */
	int fd;	      /**< -1, or what the port wants sent; the port's */
	struct weir_vhost_region region;
	struct weir_vhost_inflight inflight; /**< all but its fd */
	struct weir_vhost_iotlb iotlb;
	struct weir_vhost_wire_config config;
};

/**
 * Make a session, for one connection.
 *
 * @return 0; -EINVAL: queue pairs, slots or config_len out of their limits,
 *         protocol features without WEIR_VHOST_F_PROTOCOL_FEATURES,
 *         or VIRTIO_F_ACCESS_PLATFORM without REPLY_ACK and BACKEND_REQ, which
 *         an IOTLB needs; -EPROTONOSUPPORT: protocol features outside
 *         WEIR_VHOST_PF_SUPPORTED; -ENOMEM.
 */
int weir_vhost_session_create(const struct weir_vhost_config *config,
			      struct weir_vhost_session **out);

/** Close every descriptor and free the session. NULL is allowed. */
void weir_vhost_session_destroy(struct weir_vhost_session *s);

/**
 * Check a message and take it in.
 *
 * @param msg  Whole. Its descriptors are taken or closed in any case.
 * @param ev   Written in any case; of type WEIR_VHOST_EV_NONE on failure.
 * @return 0; or an errno as listed above, with the reason in
 *         weir_vhost_session_error() and the session as it was.
 */
int weir_vhost_session_input(struct weir_vhost_session *s, struct weir_vhost_msg *msg,
			     struct weir_vhost_event *ev);

/**
 * Finish a message: commit or undo it, close what was replaced, answer.
 *
 * To be called once after each input(), also after one that failed.
 *
 * @param ev      Input()'s, with what the port filled in.
 * @param result  0, or the -errno of input() or of the port.
 * @param reply   Written if the call returns true. It carries ev.fd, if there is
 *                one and the message succeeded, which stays the port's.
 * @return true: @p reply is to be sent. ev->close says whether the connection
 *         can go on: it cannot if the message failed and the peer did not ask
 *         to be told, or if it was no message at all.
 */
bool weir_vhost_session_reply(struct weir_vhost_session *s, struct weir_vhost_event *ev,
			      int result, struct weir_vhost_msg *reply);

/** Why the last input() failed, "SET_VRING_NUM: ring 3: 7 is not a power of two". */
const char *weir_vhost_session_error(const struct weir_vhost_session *s);

/** Virtio features that were set; 0 before that. */
uint64_t weir_vhost_features(const struct weir_vhost_session *s);
/** Protocol features that were set; 0 before that. */
uint64_t weir_vhost_protocol_features(const struct weir_vhost_session *s);

/** Rings that the frontend may name: two for each queue pair. */
uint32_t weir_vhost_nr_rings(const struct weir_vhost_session *s);

/** The frontend's regions, sorted by guest address. @param nr Written. */
const struct weir_vhost_region *weir_vhost_mem(const struct weir_vhost_session *s,
					       uint32_t *nr);

/**
 * Close the files of all regions, whose fd is -1 then; what is mapped needs no
 * file. With 509 slots a port, descriptors run out before memory does. Counts
 * as a reply() with 0 where memory is concerned.
 */
void weir_vhost_mem_close_fds(struct weir_vhost_session *s);

/** True if both show the same bytes of the same file at the same addresses. */
bool weir_vhost_region_same(const struct weir_vhost_region *a,
			    const struct weir_vhost_region *b);

/**
 * The guest address of a stretch of the frontend's address space.
 *
 * @return 0; -EINVAL: @p len is 0; -EOVERFLOW: it wraps; -EFAULT: no one region
 *         has all of it.
 */
int weir_vhost_user_to_gpa(const struct weir_vhost_session *s, uint64_t user,
			   uint64_t len, uint64_t *gpa);

/** A ring. @return NULL if @p idx is not below weir_vhost_nr_rings(). */
const struct weir_vhost_ring *weir_vhost_ring(const struct weir_vhost_session *s,
					      uint32_t idx);

/** True if a ring is to be processed. */
bool weir_vhost_ring_ready(const struct weir_vhost_session *s, uint32_t idx);
/** The same, whether or not it is enabled. */
bool weir_vhost_ring_started(const struct weir_vhost_session *s, uint32_t idx);
/** What a ring still needs to be ready ("SET_VRING_KICK"). @return NULL: nothing. */
const char *weir_vhost_ring_waits_for(const struct weir_vhost_session *s, uint32_t idx);

/**
 * Take a base apart.
 *
 * DPDK's frontend and backend leave the upper half of a packed base, the used
 * index, 0: their rings are at rest then and both are the same. So an upper
 * half of 0 is taken to say that.
 */
struct weir_vhost_base weir_vhost_base_split(uint32_t base, bool packed);
/** Put a base together, a packed one with both halves. */
uint32_t weir_vhost_base_join(struct weir_vhost_base base, bool packed);

/** The dirty log. */
const struct weir_vhost_log *weir_vhost_log(const struct weir_vhost_session *s);

/** The area of SET_INFLIGHT_FD; its fd is -1 if there is none. */
const struct weir_vhost_inflight *weir_vhost_inflight(const struct weir_vhost_session *s);

/**
 * True if addresses of rings and buffers are those of the guest's IOMMU: it is what
 * VIRTIO_F_ACCESS_PLATFORM and BACKEND_REQ together mean. A frontend without the
 * latter, such as DPDK's virtio-user, has nobody to ask for a translation and uses
 * guest addresses whatever it has agreed to.
 */
bool weir_vhost_iotlb(const struct weir_vhost_session *s);

/** The backend's own channel, the session's; -1: there is none. */
int weir_vhost_backend_fd(const struct weir_vhost_session *s);
/** What NET_SET_MTU said, in bytes; 0: nothing yet. */
uint16_t weir_vhost_mtu(const struct weir_vhost_session *s);
/** What SET_STATUS said; 0: nothing yet. */
uint8_t weir_vhost_status(const struct weir_vhost_session *s);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_VHOST_H */
