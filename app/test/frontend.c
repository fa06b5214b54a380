/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "frontend.h"

/* Of each ring: table, avail, used, and room for indirect tables; then buffers. */
#define RING_AREA 0x4000u
#define AVAIL_OFF 0x1000u
#define USED_OFF 0x2000u
#define TABLE_OFF 0x3000u
#define RING_LEN (RING_AREA + FE_RING * FE_BUF)

/* Protocol features that each test needs. */
#define FE_PF                                                                         \
	(WEIR_VHOST_BIT(WEIR_VHOST_PF_MQ) | WEIR_VHOST_BIT(WEIR_VHOST_PF_REPLY_ACK) | \
	 WEIR_VHOST_BIT(WEIR_VHOST_PF_CONFIGURE_MEM_SLOTS))

/* Every send uses this many descriptors of the table, at a fixed place each. */
#define PER_SEND 4u

uint64_t
fe_gpa(const struct fe *f, const void *p)
{
	return (f->iova != 0 ? f->iova : FE_GPA) +
	       (uint64_t)((const uint8_t *)p - f->mem);
}

/* A backend that never answers is a failed test, not one that hangs. */
static void
sock_limit(int s)
{
	const struct timeval limit = { .tv_sec = 10 };

	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static int
sock_connect(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return -errno;
	strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
	if (connect(s, (struct sockaddr *)&a, sizeof(a)) != 0) {
		int ret = -errno;

		close(s);
		return ret;
	}
	return s;
}

static void
rings_lay_out(struct fe *f)
{
	for (unsigned int i = 0; i < 2 * f->nr_pairs; i++) {
		struct fe_ring *r = &f->ring[i];
		uint8_t *area = f->mem + i * RING_LEN;

		r->desc = (void *)area;
		r->avail = (void *)(area + AVAIL_OFF);
		r->used = (void *)(area + USED_OFF);
		r->buf = area + RING_AREA;
		r->avail_idx = 0;
		r->used_idx = 0;
		r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
}

int
fe_connect(struct fe *f, const char *path, unsigned int nr_pairs)
{
	return fe_adopt(f, sock_connect(path), nr_pairs);
}

int
fe_adopt(struct fe *f, int sock, unsigned int nr_pairs)
{
	*f = (struct fe){ .nr_pairs = nr_pairs, .mem_fd = -1, .sock = sock };
	if (sock < 0)
		return sock;
	sock_limit(sock);
	f->mem_len = (2 * nr_pairs * RING_LEN + 0xfffff) & ~(size_t)0xfffff;
	f->mem_fd = memfd_create(FE_MEM_NAME, MFD_CLOEXEC);
	if (f->mem_fd < 0 || ftruncate(f->mem_fd, (off_t)f->mem_len) != 0)
		return -errno;
	f->mem = mmap(NULL, f->mem_len, PROT_READ | PROT_WRITE, MAP_SHARED, f->mem_fd, 0);
	if (f->mem == MAP_FAILED)
		return -errno;
	rings_lay_out(f);
	return 0;
}

void
fe_rings_anew(struct fe *f)
{
	for (unsigned int i = 0; i < 2 * f->nr_pairs; i++) {
		close(f->ring[i].kick);
		close(f->ring[i].call);
		f->ring[i] = (struct fe_ring){ 0 };
	}
	memset(f->mem, 0, f->mem_len);
	rings_lay_out(f);
}

int
fe_connect_again(struct fe *f, const char *path)
{
	close(f->sock);
	f->sock = sock_connect(path);
	if (f->sock < 0)
		return f->sock;
	sock_limit(f->sock);
	return 0;
}

void
fe_close(struct fe *f)
{
	if (f->sock >= 0)
		close(f->sock);
	f->sock = -1;
	if (f->mem_fd < 0)
		return;
	for (unsigned int i = 0; i < 2 * f->nr_pairs; i++) {
		close(f->ring[i].kick);
		close(f->ring[i].call);
	}
	munmap(f->mem, f->mem_len);
	close(f->mem_fd);
	f->mem_fd = -1;
}

static int
msg_send(int sock, uint32_t request, uint32_t flags, const void *payload, uint32_t len,
	 const int *fds, unsigned int nr_fds)
{
	struct weir_vhost_hdr h = { request, WEIR_VHOST_VERSION | flags, len };
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)(uintptr_t)payload, len } };
	char control[CMSG_SPACE(sizeof(int) * 16)] = { 0 };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = len != 0 ? 2 : 1 };

	if (nr_fds != 0) {
		struct cmsghdr *c;

		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nr_fds);
	}
	return sendmsg(sock, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int
msg_recv(int sock, uint32_t request, void *payload, uint32_t len)
{
	struct weir_vhost_hdr h;
	ssize_t n = recv(sock, &h, sizeof(h), MSG_WAITALL);

	if (n == 0)
		return -ECONNRESET;
	if (n != sizeof(h))
		return n < 0 ? -errno : -EPROTO;
	if (h.request != request || h.size != len ||
	    (h.flags & WEIR_VHOST_FLAG_REPLY) == 0)
		return -EPROTO;
	return recv(sock, payload, len, MSG_WAITALL) == (ssize_t)len ? 0 : -EPROTO;
}

int
fe_msg(struct fe *f, uint32_t request, const void *payload, uint32_t len, const int *fds,
       unsigned int nr_fds, void *reply, uint32_t reply_len)
{
	int ret = msg_send(f->sock, request, 0, payload, len, fds, nr_fds);

	if (ret != 0 || reply == NULL)
		return ret;
	return msg_recv(f->sock, request, reply, reply_len);
}

int64_t
fe_msg_ack(struct fe *f, uint32_t request, const void *payload, uint32_t len,
	   const int *fds, unsigned int nr_fds)
{
	uint64_t answer = 0;
	int ret = msg_send(f->sock, request, WEIR_VHOST_FLAG_NEED_REPLY, payload, len,
			   fds, nr_fds);

	if (ret == 0)
		ret = msg_recv(f->sock, request, &answer, sizeof(answer));
	return ret != 0 ? ret : (int64_t)answer;
}

#define POS_WRAP 0x8000u

void
fe_ring_clear(struct fe_ring *r)
{
	r->avail_idx = 0;
	r->used_idx = 0;
	r->avail_pos = POS_WRAP;
	r->used_pos = POS_WRAP;
	if (r->packed != NULL) {
		memset(r->packed, 0, FE_RING * sizeof(*r->packed));
		return;
	}
	memset(r->avail, 0, sizeof(*r->avail) + FE_RING * sizeof(r->avail->ring[0]));
	memset(r->used, 0, sizeof(*r->used) + FE_RING * sizeof(r->used->ring[0]));
}

/* The parts lie where a split ring's do. */
static void
rings_pack(struct fe *f)
{
	for (unsigned int i = 0; i < 2 * f->nr_pairs; i++) {
		struct fe_ring *r = &f->ring[i];

		/* another backend's, and they go on */
		if (r->packed != NULL)
			continue;
		r->packed = (void *)r->desc;
		r->driver = (void *)r->avail;
		r->device = (void *)r->used;
		r->desc = r->table;
		r->avail = NULL;
		r->used = NULL;
		r->avail_pos = POS_WRAP;
		r->used_pos = POS_WRAP;
	}
}

static uint16_t
pos_next(uint16_t pos, uint16_t n)
{
	uint16_t idx = (uint16_t)((pos & ~POS_WRAP) + n);

	if (idx < FE_RING)
		return idx | (pos & POS_WRAP);
	return (uint16_t)(idx - FE_RING) | (~pos & POS_WRAP);
}

int
fe_protocol(struct fe *f, uint64_t more)
{
	const uint64_t pf = more | FE_PF;

	return (int)fe_msg_ack(f, WEIR_VHOST_SET_PROTOCOL_FEATURES, &pf, sizeof(pf), NULL,
			       0);
}

int
fe_channel(struct fe *f)
{
	const struct timeval limit = { .tv_sec = 10 };
	int64_t ret;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0)
		return -errno;
	setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ret = fe_msg_ack(f, WEIR_VHOST_SET_BACKEND_REQ_FD, NULL, 0, &sv[1], 1);
	close(sv[1]);
	if (ret == 0)
		return sv[0];
	close(sv[0]);
	return ret < 0 ? (int)ret : -EPROTO;
}

int
fe_channel_recv(int chan, struct weir_vhost_hdr *hdr, void *payload, uint32_t room)
{
	ssize_t n = recv(chan, hdr, sizeof(*hdr), MSG_WAITALL);

	if (n == 0)
		return -ECONNRESET;
	if (n != sizeof(*hdr))
		return n < 0 ? -errno : -EPROTO;
	if (hdr->size > room)
		return -EMSGSIZE;
	n = hdr->size != 0 ? recv(chan, payload, hdr->size, MSG_WAITALL) : 0;
	return n == (ssize_t)hdr->size ? 0 : -EPROTO;
}

int
fe_channel_waiting(int chan)
{
	int n;

	return ioctl(chan, FIONREAD, &n) == 0 ? n : -errno;
}

int
fe_channel_answer(int chan, const struct weir_vhost_hdr *hdr, uint64_t result)
{
	const struct {
		struct weir_vhost_hdr hdr;
		uint8_t result[8];
	} m = { { hdr->request, WEIR_VHOST_VERSION | WEIR_VHOST_FLAG_REPLY, 8 },
		{ (uint8_t)result } };

	return send(chan, &m, sizeof(m), MSG_NOSIGNAL) == sizeof(m) ? 0 : -errno;
}

int
fe_inflight_get(struct fe *f, struct weir_vhost_wire_inflight *area, int *fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct weir_vhost_hdr h;
	struct iovec iov[2] = { { &h, sizeof(h) }, { area, sizeof(*area) } };
	struct msghdr m = { .msg_iov = iov,
			    .msg_iovlen = 2,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	int ret;

	*area = (struct weir_vhost_wire_inflight){
		.nr_rings = (uint16_t)(2 * f->nr_pairs),
		.size = FE_RING,
	};
	ret = msg_send(f->sock, WEIR_VHOST_GET_INFLIGHT_FD, 0, area, sizeof(*area), NULL,
		       0);
	if (ret != 0)
		return ret;
	if (recvmsg(f->sock, &m, MSG_WAITALL | MSG_CMSG_CLOEXEC) !=
	    sizeof(h) + sizeof(*area))
		return -EPROTO;
	c = CMSG_FIRSTHDR(&m);
	if (c == NULL || c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EPROTO;
	memcpy(fd, CMSG_DATA(c), sizeof(int));
	return 0;
}

int
fe_features(struct fe *f, uint64_t want)
{
	const uint64_t pf = FE_PF;
	uint64_t offered = 0, pf_offered = 0;
	int ret;

	ret = fe_msg(f, WEIR_VHOST_GET_FEATURES, NULL, 0, NULL, 0, &offered,
		     sizeof(offered));
	if (ret == 0)
		ret = fe_msg(f, WEIR_VHOST_GET_PROTOCOL_FEATURES, NULL, 0, NULL, 0,
			     &pf_offered, sizeof(pf_offered));
	if (ret != 0 || (pf_offered & pf) != pf)
		return ret != 0 ? ret : -ENOTSUP;
	ret = fe_msg(f, WEIR_VHOST_SET_PROTOCOL_FEATURES, &pf, sizeof(pf), NULL, 0, NULL,
		     0);
	if (ret == 0)
		ret = fe_msg(f, WEIR_VHOST_SET_OWNER, NULL, 0, NULL, 0, NULL, 0);
	f->features = offered & (want | WEIR_VHOST_BIT(WEIR_VHOST_F_PROTOCOL_FEATURES));
	if (ret == 0)
		ret = fe_msg(f, WEIR_VHOST_SET_FEATURES, &f->features,
			     sizeof(f->features), NULL, 0, NULL, 0);
	if ((f->features & WEIR_VHOST_BIT(VIRTIO_F_RING_PACKED)) != 0)
		rings_pack(f);
	return ret;
}

int
fe_share(struct fe *f)
{
	struct {
		uint32_t nr_regions, pad;
		struct weir_vhost_wire_region region;
	} t = {
		.nr_regions = 1,
		.region = { FE_GPA, f->mem_len, (uintptr_t)f->mem, 0 },
	};
	int64_t ret =
		fe_msg_ack(f, WEIR_VHOST_SET_MEM_TABLE, &t, sizeof(t), &f->mem_fd, 1);

	return ret > 0 ? -EPROTO : (int)ret;
}

int
fe_mem_open(struct fe_mem *m, const char *name, uint64_t gpa, size_t len)
{
	*m = (struct fe_mem){ .gpa = gpa, .len = len };
	m->fd = memfd_create(name, MFD_CLOEXEC);
	if (m->fd < 0 || ftruncate(m->fd, (off_t)len) != 0)
		return -errno;
	m->mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	return m->mem != MAP_FAILED ? 0 : -errno;
}

void
fe_mem_close(struct fe_mem *m)
{
	munmap(m->mem, m->len);
	close(m->fd);
}

static int64_t
mem_reg(struct fe *f, const struct fe_mem *m, uint32_t request, unsigned int nr_fds)
{
	const struct weir_vhost_wire_mem_reg r = {
		.region = { m->gpa, m->len, (uintptr_t)m->mem, 0 },
	};

	return fe_msg_ack(f, request, &r, sizeof(r), &m->fd, nr_fds);
}

int64_t
fe_mem_add(struct fe *f, const struct fe_mem *m)
{
	return mem_reg(f, m, WEIR_VHOST_ADD_MEM_REG, 1);
}

int64_t
fe_mem_del(struct fe *f, const struct fe_mem *m)
{
	return mem_reg(f, m, WEIR_VHOST_REM_MEM_REG, 0);
}

static uint64_t
ring_part(const struct fe *f, const uint8_t *p)
{
	return f->iova != 0 ? fe_gpa(f, p) : (uintptr_t)p;
}

struct vhost_vring_addr
fe_ring_addr(const struct fe *f, unsigned int i)
{
	const uint8_t *area = f->mem + i * RING_LEN;

	return (struct vhost_vring_addr){
		.index = i,
		.flags = f->log_used ? 1u << VHOST_VRING_F_LOG : 0,
		.log_guest_addr = f->log_used ? fe_gpa(f, area + USED_OFF) : 0,
		.desc_user_addr = ring_part(f, area),
		.avail_user_addr = ring_part(f, area + AVAIL_OFF),
		.used_user_addr = ring_part(f, area + USED_OFF),
	};
}

int
fe_ring_start(struct fe *f, unsigned int i, uint32_t base)
{
	struct fe_ring *r = &f->ring[i];
	uint32_t first = r->packed != NULL ? POS_WRAP : 0;
	const struct vhost_vring_state num = { i, FE_RING }, on = { i, 1 },
				       at = { i, base == FE_BASE_NEW ? first : base };
	const struct vhost_vring_addr addr = fe_ring_addr(f, i);
	const uint64_t idx = i;
	int64_t ret;

	if (r->packed != NULL)
		r->driver->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
	else if (r->avail != NULL)
		r->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	ret = fe_msg(f, WEIR_VHOST_SET_VRING_NUM, &num, sizeof(num), NULL, 0, NULL, 0);
	if (ret == 0)
		ret = fe_msg(f, WEIR_VHOST_SET_VRING_BASE, &at, sizeof(at), NULL, 0, NULL,
			     0);
	if (ret == 0)
		ret = fe_msg(f, WEIR_VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0,
			     NULL, 0);
	if (ret == 0)
		ret = fe_msg(f, WEIR_VHOST_SET_VRING_CALL, &idx, sizeof(idx), &r->call, 1,
			     NULL, 0);
	if (ret == 0)
		ret = fe_msg(f, WEIR_VHOST_SET_VRING_KICK, &idx, sizeof(idx), &r->kick, 1,
			     NULL, 0);
	if (ret == 0)
		ret = fe_msg_ack(f, WEIR_VHOST_SET_VRING_ENABLE, &on, sizeof(on), NULL,
				 0);
	return ret > 0 ? -EPROTO : (int)ret;
}

int
fe_open(struct fe *f, const char *path, unsigned int nr_pairs, uint64_t want)
{
	int ret = fe_connect(f, path, nr_pairs);

	if (ret == 0)
		ret = fe_features(f, want);
	if (ret == 0)
		ret = fe_share(f);
	for (unsigned int i = 0; i < 2 * nr_pairs && ret == 0; i++)
		ret = fe_ring_start(f, i, FE_BASE_NEW);
	if (ret != 0)
		fe_close(f);
	return ret;
}

/* Write a chain into a packed ring, its first descriptor's flags last. */
static void
offer_packed(struct fe_ring *r, uint16_t head)
{
	struct vring_packed_desc *first = &r->packed[r->avail_pos & ~POS_WRAP];
	uint16_t first_flags = 0, at = head, n = 0;

	do {
		const struct vring_desc *s = &r->desc[at % FE_RING];
		struct vring_packed_desc *d = &r->packed[r->avail_pos & ~POS_WRAP];
		uint16_t owner = (r->avail_pos & POS_WRAP) != 0
					 ? 1u << VRING_PACKED_DESC_F_AVAIL
					 : 1u << VRING_PACKED_DESC_F_USED;

		d->addr = s->addr;
		d->len = s->len;
		d->id = head;
		if (d == first)
			first_flags = s->flags | owner;
		else
			d->flags = s->flags | owner;
		r->avail_pos = pos_next(r->avail_pos, 1);
		at = s->next;
		n++;
		if ((s->flags & VRING_DESC_F_NEXT) == 0)
			break;
		/* a loop fills the ring */
	} while (n < FE_RING);
	r->nr[head % FE_RING] = n;
	__atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
}

void
fe_offer(struct fe_ring *r, uint16_t head)
{
	if (r->packed != NULL) {
		r->avail_idx++;
		offer_packed(r, head);
		return;
	}
	r->avail->ring[r->avail_idx % FE_RING] = head;
	r->avail_idx++;
	__atomic_store_n(&r->avail->idx, r->avail_idx, __ATOMIC_RELEASE);
}

void
fe_post(struct fe *f, unsigned int pair)
{
	struct fe_ring *r = &f->ring[2 * pair];

	while ((uint16_t)(r->avail_idx - r->used_idx) < FE_RING) {
		uint16_t at = r->avail_idx % FE_RING;

		r->desc[at] = (struct vring_desc){
			.addr = fe_gpa(f, r->buf + at * FE_BUF),
			.len = FE_BUF,
			.flags = VRING_DESC_F_WRITE,
		};
		fe_offer(r, at);
	}
}

static bool
used_next_packed(struct fe_ring *r, struct vring_used_elem *e)
{
	const struct vring_packed_desc *d = &r->packed[r->used_pos & ~POS_WRAP];
	uint16_t flags = __atomic_load_n(&d->flags, __ATOMIC_ACQUIRE);
	bool avail = (flags >> VRING_PACKED_DESC_F_AVAIL & 1) != 0;
	bool used = (flags >> VRING_PACKED_DESC_F_USED & 1) != 0;

	if (avail != used || used != ((r->used_pos & POS_WRAP) != 0))
		return false;
	*e = (struct vring_used_elem){ d->id, d->len };
	r->used_pos = pos_next(r->used_pos, r->nr[d->id % FE_RING]);
	r->used_idx++;
	return true;
}

static bool
used_next(struct fe_ring *r, struct vring_used_elem *e)
{
	if (r->packed != NULL)
		return used_next_packed(r, e);
	if (__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE) == r->used_idx)
		return false;
	*e = r->used->ring[r->used_idx++ % FE_RING];
	return true;
}

size_t
fe_recv(struct fe *f, unsigned int pair, uint8_t *buf)
{
	struct fe_ring *r = &f->ring[2 * pair];
	struct virtio_net_hdr_mrg_rxbuf h;
	struct vring_used_elem e;
	size_t len;

	if (!used_next(r, &e))
		return 0;
	memcpy(&h, r->buf + e.id * FE_BUF, sizeof(h));
	len = e.len - FE_HDR;
	memcpy(buf, r->buf + e.id * FE_BUF + FE_HDR, len);
	for (unsigned int i = 1; i < h.num_buffers; i++) {
		if (!used_next(r, &e))
			return 0;
		memcpy(buf + len, r->buf + e.id * FE_BUF, e.len);
		len += e.len;
	}
	return len;
}

/* Cut [buf, buf + len) into pieces at the given descriptors. */
static unsigned int
pieces(struct fe *f, struct vring_desc *d, unsigned int first, const uint8_t *buf,
       size_t len, unsigned int nr)
{
	size_t off = 0;

	for (unsigned int i = 0; i < nr; i++) {
		size_t n = i + 1 == nr ? len - off : (len - off) / (nr - i);

		/* the header on its own, as most drivers have it */
		if (nr == 2 && i == 0)
			n = FE_HDR;
		d[i] = (struct vring_desc){
			.addr = fe_gpa(f, buf + off),
			.len = (uint32_t)n,
			.flags = i + 1 < nr ? VRING_DESC_F_NEXT : 0,
			.next = (uint16_t)(first + i + 1),
		};
		off += n;
	}
	return nr;
}

bool
fe_send(struct fe *f, unsigned int pair, const uint8_t *data, size_t len,
	enum fe_shape shape)
{
	struct fe_ring *r = &f->ring[2 * pair + 1];
	unsigned int nr_slots = FE_RING / PER_SEND;
	unsigned int slot = r->avail_idx % nr_slots, head = slot * PER_SEND;
	/* each slot has the buffers of its descriptors, one after the other */
	uint8_t *buf = r->buf + head * FE_BUF;
	struct vring_desc *table =
		(void *)(r->buf - RING_AREA + TABLE_OFF + head * sizeof(*table));

	if ((uint16_t)(r->avail_idx - r->used_idx) >= nr_slots ||
	    len + FE_HDR > PER_SEND * FE_BUF)
		return false;
	memset(buf, 0, FE_HDR);
	memcpy(buf + FE_HDR, data, len);
	switch (shape) {
	case FE_ONE:
		pieces(f, &r->desc[head], head, buf, len + FE_HDR, 1);
		break;
	case FE_TWO:
		pieces(f, &r->desc[head], head, buf, len + FE_HDR, 2);
		break;
	case FE_SCATTERED:
		pieces(f, &r->desc[head], head, buf, len + FE_HDR, PER_SEND);
		break;
	case FE_INDIRECT:
		pieces(f, table, 0, buf, len + FE_HDR, 3);
		/* what is next follows, and the field is an id that nobody reads */
		for (unsigned int i = 0; i < 3 && r->packed != NULL; i++)
			((struct vring_packed_desc *)table)[i] =
				(struct vring_packed_desc){ table[i].addr, table[i].len,
							    0xbad, 0 };
		r->desc[head] = (struct vring_desc){ fe_gpa(f, table), 3 * 16,
						     VRING_DESC_F_INDIRECT, 0 };
		break;
	}
	fe_offer(r, (uint16_t)head);
	return true;
}

unsigned int
fe_reap(struct fe *f, unsigned int pair)
{
	struct fe_ring *r = &f->ring[2 * pair + 1];
	struct vring_used_elem e;
	unsigned int n = 0;

	while (used_next(r, &e))
		n++;
	return n;
}
