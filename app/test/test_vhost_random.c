/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random messages, most of them nearly right, against what must always hold:
 * vhost_invariant(), every descriptor accounted for, a refusal that changes
 * nothing, and memory and rings as a model has them that keeps one number a
 * page and one a ring.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "test.h"
#include "vhost_talk.h"

#define ROUNDS 40u
#define MESSAGES 400u

/* Memory of which the messages speak, in pages of the model. */
#define PAGES 64
#define PAGE 4096

/* What should be: the file's page that a guest page shows, plus one; 0: none. */
struct model {
	uint16_t page[PAGES];
	bool started[4];
	bool enabled[4];
};

static uint64_t seed;

static uint64_t
below(uint64_t n)
{
	return test_rand(&seed) % n;
}

static bool
one_in(uint64_t n)
{
	return below(n) == 0;
}

/* A region that is in order more often than not. */
static struct weir_vhost_wire_region
region_rand(void)
{
	struct weir_vhost_wire_region r = {
		.gpa = below(PAGES) * PAGE,
		.len = (1 + below(24)) * PAGE,
		.mmap_offset = below(PAGES) * PAGE,
	};

	r.user = TALK_USER + (one_in(20) ? below(PAGES) * PAGE : r.gpa);
	if (one_in(50))
		r.len = one_in(2) ? 0 : UINT64_MAX - r.gpa;
	if (one_in(50))
		r.gpa += 1 + below(PAGE);
	return r;
}

static void
fds_rand(struct weir_vhost_msg *msg, uint32_t want, enum talk_fds kind)
{
	if (one_in(30))
		want = (uint32_t)below(4);
	for (uint32_t i = 0; i < want; i++)
		msg->fds[msg->nr_fds++] =
			talk_fd(one_in(50) ? TALK_EVENT + below(3) : kind);
}

static void
table_rand(struct weir_vhost_msg *msg)
{
	struct weir_vhost_wire_table *t = &msg->payload.table;

	t->nr_regions = (uint32_t)below(6);
	msg->hdr.size = 8 + t->nr_regions * (uint32_t)sizeof(t->region[0]);
	for (uint32_t i = 0; i < t->nr_regions; i++)
		t->region[i] = region_rand();
	fds_rand(msg, t->nr_regions, TALK_FILE);
}

static void
ring_rand(struct weir_vhost_msg *msg)
{
	struct vhost_vring_addr *a = &msg->payload.addr;
	uint32_t idx = (uint32_t)below(one_in(20) ? 6 : 4);
	bool nofd;

	switch (msg->hdr.request) {
	case WEIR_VHOST_SET_VRING_KICK:
	case WEIR_VHOST_SET_VRING_CALL:
	case WEIR_VHOST_SET_VRING_ERR:
		nofd = one_in(4);
		msg->payload.u64 = idx | (nofd ? WEIR_VHOST_RING_NOFD : 0);
		msg->hdr.size = sizeof(msg->payload.u64);
		fds_rand(msg, nofd ? 0 : 1, TALK_EVENT);
		return;
	case WEIR_VHOST_SET_VRING_ADDR:
		*a = (struct vhost_vring_addr){
			.index = idx,
			.flags = (unsigned int)below(one_in(20) ? 3 : 2),
			.desc_user_addr = TALK_USER + below(PAGES) * PAGE,
			.avail_user_addr = TALK_USER + below(PAGES) * PAGE,
			.used_user_addr = TALK_USER + below(PAGES) * PAGE + below(8),
		};
		msg->hdr.size = sizeof(*a);
		return;
	case WEIR_VHOST_SET_VRING_NUM:
		msg->payload.state.num =
			one_in(10) ? (uint32_t)below(100) : 1u << below(9);
		break;
	case WEIR_VHOST_SET_VRING_BASE:
		msg->payload.state.num = (uint32_t)below(one_in(10) ? UINT32_MAX : 20);
		break;
	default:
		msg->payload.state.num = (uint32_t)below(one_in(20) ? 3 : 2);
		break;
	}
	msg->payload.state.index = idx;
	msg->hdr.size = sizeof(msg->payload.state);
}

/* Bits that are mostly the ones before, so that rings come to run. */
static void
features_rand(struct weir_vhost_msg *msg)
{
	uint64_t bits = TALK_PF | BIT(VIRTIO_F_VERSION_1);

	if (msg->hdr.request == WEIR_VHOST_SET_PROTOCOL_FEATURES)
		bits = WEIR_VHOST_PF_SUPPORTED;
	if (one_in(4))
		bits ^= BIT(below(35));
	msg->payload.u64 = bits;
	msg->hdr.size = sizeof(bits);
}

/* What makes a ring run comes far more often than what stops all of them. */
static uint32_t
request_rand(void)
{
	static const uint8_t often[] = {
		WEIR_VHOST_SET_FEATURES,   WEIR_VHOST_SET_PROTOCOL_FEATURES,
		WEIR_VHOST_SET_MEM_TABLE,  WEIR_VHOST_ADD_MEM_REG,
		WEIR_VHOST_ADD_MEM_REG,	   WEIR_VHOST_REM_MEM_REG,
		WEIR_VHOST_SET_VRING_NUM,  WEIR_VHOST_SET_VRING_ADDR,
		WEIR_VHOST_SET_VRING_KICK, WEIR_VHOST_SET_VRING_ENABLE,
	};

	return one_in(8) ? (uint32_t)below(WEIR_VHOST_REQUEST_COUNT + 1)
			 : often[below(sizeof(often))];
}

static void
msg_rand(struct weir_vhost_msg *msg)
{
	msg_make(msg, request_rand(), one_in(2) ? WEIR_VHOST_FLAG_NEED_REPLY : 0, NULL,
		 0);
	switch (msg->hdr.request) {
	case WEIR_VHOST_SET_FEATURES:
	case WEIR_VHOST_SET_PROTOCOL_FEATURES:
		features_rand(msg);
		break;
	case WEIR_VHOST_SET_MEM_TABLE:
		table_rand(msg);
		break;
	case WEIR_VHOST_ADD_MEM_REG:
	case WEIR_VHOST_REM_MEM_REG:
		msg->payload.mem_reg.region = region_rand();
		msg->hdr.size = sizeof(msg->payload.mem_reg);
		fds_rand(msg, msg->hdr.request == WEIR_VHOST_ADD_MEM_REG, TALK_FILE);
		break;
	case WEIR_VHOST_SET_LOG_BASE:
		msg->payload.log.len = below(4) * PAGE;
		msg->payload.log.mmap_offset = below(4);
		msg->hdr.size = sizeof(msg->payload.log);
		fds_rand(msg, 1, TALK_FILE);
		break;
	case WEIR_VHOST_GET_INFLIGHT_FD:
	case WEIR_VHOST_SET_INFLIGHT_FD:
		msg->payload.inflight = (struct weir_vhost_wire_inflight){
			.len = below(4) * 0x2000,
			.mmap_offset = below(4) * 64,
			.nr_rings = (uint16_t)below(6),
			.size = (uint16_t)below(300),
		};
		msg->hdr.size = 20 + 4 * (uint32_t)below(2);
		fds_rand(msg, msg->hdr.request == WEIR_VHOST_SET_INFLIGHT_FD, TALK_FILE);
		break;
	case WEIR_VHOST_IOTLB_MSG:
		msg->payload.iotlb = (struct vhost_iotlb_msg){
			.iova = below(4) * PAGE,
			.size = below(4) * PAGE,
			.uaddr = TALK_USER + below(4) * PAGE,
			.perm = (uint8_t)below(5),
			.type = (uint8_t)below(5),
		};
		msg->hdr.size = sizeof(msg->payload.iotlb);
		break;
	case WEIR_VHOST_SET_BACKEND_REQ_FD:
		fds_rand(msg, 1, TALK_SOCK);
		break;
	case WEIR_VHOST_SET_LOG_FD:
		fds_rand(msg, 1, TALK_EVENT);
		break;
	case WEIR_VHOST_SET_STATUS:
		msg->payload.u64 = below(200) / 10;
		msg->hdr.size = sizeof(msg->payload.u64);
		break;
	default:
		ring_rand(msg);
		break;
	}
	if (one_in(40))
		msg->hdr.size = (uint32_t)below(64);
	if (one_in(100))
		msg->hdr.flags ^= 1u << below(6);
}

/* Remove the region a session was asked to remove from one that exists. */
static void
msg_aim(const struct weir_vhost_session *s, struct weir_vhost_msg *msg)
{
	const struct weir_vhost_region *r;
	uint32_t nr;

	r = weir_vhost_mem(s, &nr);
	if (msg->hdr.request != WEIR_VHOST_REM_MEM_REG || nr == 0)
		return;
	r += below(nr);
	msg->payload.mem_reg.region.gpa = r->gpa.start;
	msg->payload.mem_reg.region.len = weir_range_len(r->gpa);
	msg->payload.mem_reg.region.user = r->user.start;
}

static void
model_map(struct model *m, const struct weir_vhost_wire_region *r, bool map)
{
	for (uint64_t i = 0; i < r->len / PAGE; i++) {
		uint64_t at = r->gpa / PAGE + i;

		if (at < PAGES)
			m->page[at] = map ? (uint16_t)(r->mmap_offset / PAGE + i + 1) : 0;
	}
}

/* What an accepted message means. */
static void
model_apply(struct model *m, const struct weir_vhost_msg *msg,
	    const struct weir_vhost_event *ev)
{
	switch (msg->hdr.request) {
	case WEIR_VHOST_SET_MEM_TABLE:
		memset(m->page, 0, sizeof(m->page));
		for (uint32_t i = 0; i < msg->payload.table.nr_regions; i++)
			model_map(m, &msg->payload.table.region[i], true);
		break;
	case WEIR_VHOST_ADD_MEM_REG:
	case WEIR_VHOST_REM_MEM_REG:
		/* one of several additions of a region, or removals */
		if (ev->type == WEIR_VHOST_EV_NONE)
			break;
		model_map(m, &msg->payload.mem_reg.region,
			  msg->hdr.request == WEIR_VHOST_ADD_MEM_REG);
		break;
	case WEIR_VHOST_SET_VRING_KICK:
	case WEIR_VHOST_GET_VRING_BASE:
		m->started[ev->ring] = msg->hdr.request == WEIR_VHOST_SET_VRING_KICK;
		break;
	case WEIR_VHOST_SET_VRING_ENABLE:
		m->enabled[ev->ring] = msg->payload.state.num != 0;
		break;
	case WEIR_VHOST_SET_FEATURES:
		if ((msg->payload.u64 & TALK_PF) == 0)
			memset(m->enabled, true, sizeof(m->enabled));
		break;
	case WEIR_VHOST_SET_STATUS:
		if (msg->payload.u64 != 0)
			break;
		/* fall through */
	case WEIR_VHOST_RESET_DEVICE:
		memset(m->started, false, sizeof(m->started));
		/* fall through */
	case WEIR_VHOST_RESET_OWNER:
		memset(m->enabled, false, sizeof(m->enabled));
		break;
	default:
		break;
	}
}

static bool
model_agrees(const struct model *m, const struct weir_vhost_session *s)
{
	const struct weir_vhost_region *r;
	uint16_t page[PAGES] = { 0 };
	uint32_t nr;

	r = weir_vhost_mem(s, &nr);
	for (uint32_t i = 0; i < nr; i++) {
		struct weir_vhost_wire_region wire = { r[i].gpa.start,
						       weir_range_len(r[i].gpa), 0,
						       r[i].mmap_offset };
		struct model one = { .page = { 0 } };

		model_map(&one, &wire, true);
		for (size_t p = 0; p < PAGES; p++)
			page[p] = one.page[p] != 0 ? one.page[p] : page[p];
	}
	for (uint32_t i = 0; i < 4; i++)
		if (weir_vhost_ring(s, i)->started != m->started[i] ||
		    weir_vhost_ring(s, i)->enabled != m->enabled[i])
			return false;
	return memcmp(page, m->page, sizeof(page)) == 0;
}

static enum test_result
random_step(struct weir_vhost_session *s, struct model *m, unsigned int base_fds,
	    unsigned int *accepted, unsigned int *ready)
{
	static struct weir_vhost_msg msg, sent, reply;
	static struct vhost_snapshot then, now;
	struct weir_vhost_event ev;
	const char *broken;
	int ret, result;

	vhost_snapshot(s, &then);
	msg_rand(&msg);
	msg_aim(s, &msg);
	sent = msg;
	ret = weir_vhost_session_input(s, &msg, &ev);
	TEST_EQ(msg.nr_fds, 0);
	TEST_EQ(ret != 0, weir_vhost_session_error(s)[0] != '\0');
	/* now and then the port cannot do it */
	result = ret == 0 && one_in(8) ? -EBUSY : ret;
	weir_vhost_session_reply(s, &ev, result, &reply);
	vhost_snapshot(s, &now);
	if (ret != 0 || (result != 0 && ev.type >= WEIR_VHOST_EV_MEM_TABLE &&
			 ev.type <= WEIR_VHOST_EV_MEM_DEL))
		TEST_EQ(memcmp(&then, &now, sizeof(now)), 0);
	else
		model_apply(m, &sent, &ev);
	broken = vhost_invariant(s, &talk_offer);
	if (broken != NULL)
		printf("    %s: %s\n", weir_vhost_request_name(ev.request), broken);
	TEST_ASSERT(broken == NULL);
	TEST_ASSERT(model_agrees(m, s));
	TEST_EQ(open_fds(), base_fds + vhost_held_fds(s));
	*accepted += ret == 0;
	for (uint32_t i = 0; i < 4; i++)
		*ready += weir_vhost_ring_ready(s, i);
	return TEST_OK;
}

static enum test_result
session_random_messages_hold_invariants(void)
{
	unsigned int before, accepted = 0, ready = 0;
	struct weir_vhost_session *s;

	close(talk_file());
	before = open_fds();
	seed = test_seed();
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct model m = { .page = { 0 } };

		TEST_EQ(weir_vhost_session_create(&talk_offer, &s), 0);
		for (unsigned int j = 0; j < MESSAGES; j++) {
			enum test_result r =
				random_step(s, &m, before, &accepted, &ready);

			if (r != TEST_OK) {
				printf("    round %u, message %u\n", i, j);
				return r;
			}
		}
		weir_vhost_session_destroy(s);
		TEST_EQ(open_fds(), before);
	}
	printf("    %u of %u accepted, %u times a ring was ready\n", accepted,
	       ROUNDS * MESSAGES, ready);
	/* else it shows nothing */
	TEST_ASSERT(accepted > ROUNDS * MESSAGES / 10 && ready > ROUNDS);
	return TEST_OK;
}

static const struct test_case random_cases[] = {
	{ "session_random_messages_hold_invariants",
	  session_random_messages_hold_invariants },
};
AUTOTEST(vhost_random_autotest, random_cases);
