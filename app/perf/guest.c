/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/memfd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "guest_ring.h"
#include "vhost_proto.h"

/* Where the guest sees its memory: not at 0, so that no address is an offset. */
#define GUEST_GPA UINT64_C(0x100000000)
#define GUEST_RX_STRIDE 2368u
#define HUGE_PAGE ((size_t)2 << 20)

#define ANSWER_S 10

static int
sock_connect(const char *path)
{
	const struct timeval limit = { .tv_sec = ANSWER_S };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	if (s < 0)
		return -errno;
	strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
	if (connect(s, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0) {
		ret = -errno;
		close(s);
		return ret;
	}
	return s;
}

static int
msg_send(const struct guest *g, uint32_t request, uint32_t flags, const void *payload,
	 uint32_t len, int fd)
{
	struct weir_vhost_hdr h = { request, WEIR_VHOST_VERSION | flags, len };
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)(uintptr_t)payload, len } };
	union {
		struct cmsghdr c;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = len != 0 ? 2 : 1 };

	if (fd >= 0) {
		control.c = (struct cmsghdr){
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof(int)),
		};
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		memcpy(CMSG_DATA(&control.c), &fd, sizeof(fd));
	}
	return sendmsg(g->sock, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int
msg_answer(const struct guest *g, uint32_t request, uint64_t *value)
{
	struct {
		struct weir_vhost_hdr h;
		uint64_t value;
	} __attribute__((packed)) m;
	ssize_t n = recv(g->sock, &m, sizeof(m), MSG_WAITALL);

	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (n != (ssize_t)sizeof(m))
		return -ECONNRESET;
	if (m.h.request != request || m.h.size != sizeof(m.value) ||
	    (m.h.flags & WEIR_VHOST_FLAG_REPLY) == 0)
		return -EPROTO;
	*value = m.value;
	return 0;
}

static int
msg_ask(const struct guest *g, uint32_t request, uint64_t *value)
{
	int ret = msg_send(g, request, 0, NULL, 0, -1);

	return ret != 0 ? ret : msg_answer(g, request, value);
}

/* Tell, and wait until it is done. */
static int
msg_tell(const struct guest *g, uint32_t request, const void *payload, uint32_t len,
	 int fd)
{
	uint64_t failed = 0;
	int ret = msg_send(g, request, WEIR_VHOST_FLAG_NEED_REPLY, payload, len, fd);

	if (ret == 0)
		ret = msg_answer(g, request, &failed);
	if (ret == 0 && failed != 0)
		ret = -EPROTO;
	return ret;
}

/* Until REPLY_ACK is agreed upon, and for what ends it: no answer. */
static int
features(struct guest *g, uint64_t want)
{
	const uint64_t pf = WEIR_VHOST_BIT(WEIR_VHOST_PF_REPLY_ACK);
	uint64_t offered = 0, pf_offered = 0;
	int ret = msg_ask(g, WEIR_VHOST_GET_FEATURES, &offered);

	if (ret != 0)
		return ret;
	want |= WEIR_VHOST_BIT(WEIR_VHOST_F_PROTOCOL_FEATURES);
	if ((offered & want) != want)
		return -ENOTSUP;
	ret = msg_ask(g, WEIR_VHOST_GET_PROTOCOL_FEATURES, &pf_offered);
	if (ret == 0 && (pf_offered & pf) != pf)
		ret = -ENOTSUP;
	if (ret == 0)
		ret = msg_send(g, WEIR_VHOST_SET_PROTOCOL_FEATURES, 0, &pf, sizeof(pf),
			       -1);
	if (ret == 0)
		ret = msg_tell(g, WEIR_VHOST_SET_OWNER, NULL, 0, -1);
	if (ret == 0)
		ret = msg_tell(g, WEIR_VHOST_SET_FEATURES, &want, sizeof(want), -1);
	g->features = want;
	return ret;
}

static int
memory_share(const struct guest *g)
{
	const struct {
		uint32_t nr_regions, pad;
		struct weir_vhost_wire_region region;
	} t = {
		.nr_regions = 1,
		.region = { GUEST_GPA, g->mem_len, (uintptr_t)g->mem, 0 },
	};

	return msg_tell(g, WEIR_VHOST_SET_MEM_TABLE, &t, sizeof(t), g->mem_fd);
}

static int
ring_start(const struct guest *g, unsigned int i)
{
	const struct guest_ring *r = &g->ring[i];
	const struct vhost_vring_state num = { i, r->size }, enable = { i, 1 };
	/* a packed ring's base is an index below a bit that says "first lap" */
	const struct vhost_vring_state base = { i, r->packed ? 1u << 15 : 0 };
	const struct vhost_vring_addr addr = {
		.index = i,
		.desc_user_addr = (uintptr_t)r->desc,
		.avail_user_addr = (uintptr_t)r->driver,
		.used_user_addr = (uintptr_t)r->device,
	};
	const uint64_t idx = i;
	int ret;

	ret = msg_tell(g, WEIR_VHOST_SET_VRING_NUM, &num, sizeof(num), -1);
	if (ret == 0)
		ret = msg_tell(g, WEIR_VHOST_SET_VRING_BASE, &base, sizeof(base), -1);
	if (ret == 0)
		ret = msg_tell(g, WEIR_VHOST_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	if (ret == 0)
		ret = msg_tell(g, WEIR_VHOST_SET_VRING_CALL, &idx, sizeof(idx), r->call);
	if (ret == 0)
		ret = msg_tell(g, WEIR_VHOST_SET_VRING_KICK, &idx, sizeof(idx), r->kick);
	if (ret == 0)
		ret = msg_tell(g, WEIR_VHOST_SET_VRING_ENABLE, &enable, sizeof(enable),
			       -1);
	return ret;
}

static int
memory_open(struct guest *g, size_t len, bool huge)
{
	void *p;
	int ret;

	g->mem_len = (len + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	g->mem_fd = memfd_create("weir-perf", MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0));
	if (g->mem_fd < 0)
		return -errno;
	if (ftruncate(g->mem_fd, (off_t)g->mem_len) != 0)
		goto err_close;
	p = mmap(NULL, g->mem_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		 g->mem_fd, 0);
	if (p == MAP_FAILED)
		goto err_close;
	g->mem = p;
	return 0;

err_close:
	ret = -errno;
	close(g->mem_fd);
	return ret;
}

/* Ring areas first, then the buffers of one ring and of the other. */
static int
memory_lay_out(struct guest *g, const struct guest_conf *conf)
{
	const size_t area = GUEST_RING_AREA(conf->size);
	size_t at = 2 * area;
	int ret = memory_open(
		g, at + (size_t)conf->size * (GUEST_RX_STRIDE + conf->tx_piece),
		conf->huge);

	if (ret != 0)
		return ret;
	for (unsigned int i = 0; i < 2; i++) {
		struct guest_ring *r = &g->ring[i];

		*r = (struct guest_ring){
			.packed =
				(conf->want & WEIR_VHOST_BIT(VIRTIO_F_RING_PACKED)) != 0,
			.rx = i == 0,
			.size = conf->size,
			.pieces = i == 0 ? 1 : conf->pieces,
			.buf_len = i == 0 ? GUEST_RX_STRIDE : conf->tx_piece,
			.buf = g->mem + at,
			.buf_gpa = GUEST_GPA + at,
			.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			.call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		};
		guest_ring_init(r, g->mem + i * area);
		at += (size_t)r->size * r->buf_len;
	}
	return 0;
}

static void
memory_close(struct guest *g)
{
	for (unsigned int i = 0; i < 2; i++) {
		close(g->ring[i].kick);
		close(g->ring[i].call);
	}
	munmap(g->mem, g->mem_len);
	close(g->mem_fd);
}

int
guest_open(struct guest *g, const struct guest_conf *conf)
{
	int ret = memory_lay_out(g, conf);

	if (ret != 0)
		return ret;
	g->sock = sock_connect(conf->path);
	ret = g->sock;
	if (g->sock < 0)
		goto err_memory;
	ret = features(g, conf->want);
	if (ret == 0)
		ret = memory_share(g);
	for (unsigned int i = 0; i < 2 && ret == 0; i++)
		ret = ring_start(g, i);
	if (ret != 0)
		goto err_sock;
	return 0;

err_sock:
	close(g->sock);
err_memory:
	memory_close(g);
	return ret;
}

void
guest_close(struct guest *g)
{
	close(g->sock);
	memory_close(g);
}

void
guest_rx_post(struct guest *g)
{
	struct guest_ring *r = &g->ring[0];

	while (r->posted - r->taken < r->size)
		guest_ring_post(r, GUEST_RX_LEN);
}

unsigned int
guest_rx_drop(struct guest *g)
{
	unsigned int n = 0;
	uint32_t at, len;

	while (guest_ring_take(&g->ring[0], &at, &len) == 1)
		n++;
	return n;
}

int
guest_rx_frame(struct guest *g, uint8_t *hdr, uint8_t *buf, size_t room)
{
	const struct guest_ring *r = &g->ring[0];
	struct virtio_net_hdr_mrg_rxbuf h;
	uint32_t at, len, skip = GUEST_HDR;
	size_t got = 0;
	int ret = guest_ring_take(&g->ring[0], &at, &len);

	if (ret != 1)
		return ret;
	memcpy(&h, r->buf + (size_t)at * r->buf_len + GUEST_HEAD, sizeof(h));
	memcpy(hdr, &h, sizeof(h));
	for (uint16_t i = 0; i < h.num_buffers; i++) {
		if (i != 0 && guest_ring_take(&g->ring[0], &at, &len) != 1)
			return -EPROTO;
		if (len < skip || len > GUEST_RX_LEN)
			return -EPROTO;
		if (len - skip > room - got)
			return -EMSGSIZE;
		memcpy(buf + got, r->buf + (size_t)at * r->buf_len + GUEST_HEAD + skip,
		       len - skip);
		got += len - skip;
		skip = 0;
	}
	return (int)got;
}

void
guest_tx_write(struct guest *g, unsigned int nr, const void *hdr, const uint8_t *buf,
	       size_t len)
{
	const struct guest_ring *r = &g->ring[1];
	uint8_t *to = guest_frame(r, r->posted + nr);
	/* the pieces of a chain lie one behind the other */
	memcpy(to - GUEST_HDR, hdr, GUEST_HDR);
	memcpy(to, buf, len);
}

void
guest_tx_post(struct guest *g, unsigned int n, size_t len)
{
	while (n-- != 0)
		guest_ring_post(&g->ring[1], (uint32_t)(len + GUEST_HDR));
}

void
guest_flush(const struct guest_ring *r, uint32_t first, unsigned int n, size_t len)
{
	for (uint32_t i = 0; i < n; i++)
		guest_lines_flush(guest_frame(r, first + i) - GUEST_HDR, GUEST_HDR + len);
	guest_ring_flush(r, first, n);
}

int
guest_tx_take(struct guest *g)
{
	uint32_t at, len;
	int n = 0, ret;

	while ((ret = guest_ring_take(&g->ring[1], &at, &len)) == 1)
		n++;
	return ret != 0 ? ret : n;
}
