/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The in-flight area of a packed ring. weir's own functions run in a child that is
 * stepped instruction by instruction: each state that its stores leave in shared
 * memory is one in which it may have died, and is taken over. Against a backend that
 * uses chains in any order the area is filled as the specification has it done.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"
#include "weir_fail.h"
#include "weir_inflight.h"
#include "weir_vring_ops.h"

#define SIZE 11u      /* of the ring: no power of two */
#define AREA_SIZE 12u /* entries of the area, more than the ring has */
#define AREA_LEN 448u
#define MEM_LEN 0x10000u
#define UVA UINT64_C(0x7f0000000000)
#define DRIVER 0x1000u
#define DEVICE 0x2000u
#define DATA 0x3000u
#define START 0x8000u
#define NX VRING_DESC_F_NEXT
#define WR VRING_DESC_F_WRITE
#define MAX_STATES 4096u

/* What outlives a backend. */
struct state {
	struct vring_packed_desc desc[SIZE];
	uint8_t area[AREA_LEN] __attribute__((aligned(64)));
};

static const struct weir_gmem *gmem;
static struct weir_inflight_packed *area;
static struct vring_packed_desc *desc;
static struct weir_vring vr;
static struct weir_vring_used shadow[16];
static struct state states[MAX_STATES];
static unsigned int nr_states;

/* The driver: chains are named by the order in which they were offered, their ids
 * are that modulo SIZE, and of each length there is one. */
static struct {
	uint16_t avail, used;	/* places */
	uint16_t offered, seen; /* chains */
	uint16_t room;
	uint16_t nr[UINT8_MAX + 1];
	/* those given back, in order */
	uint16_t back[UINT8_MAX + 1];
} drv;

static int
ring_find(uint16_t base)
{
	const struct weir_vring_addr a = {
		.desc_uva = UVA,
		.avail_uva = UVA + DRIVER,
		.used_uva = UVA + DEVICE,
		.size = SIZE,
		.base = base,
		.packed = true,
		.shadow = shadow,
	};

	return weir_vring_init(&vr, gmem, &a);
}

static int
rig_make(void)
{
	const struct weir_gmem_region r = { 0, MEM_LEN, UVA, 0 };
	int fd = memfd_create("test_inflight_packed", MFD_CLOEXEC), ret;
	struct weir_gmem *g;

	if (fd < 0 || ftruncate(fd, MEM_LEN) != 0)
		return -errno;
	ret = weir_gmem_add(&weir_gmem_empty, &r, fd, &g);
	close(fd);
	if (ret != 0)
		return ret;
	gmem = g;
	area = mmap(NULL, AREA_LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		    -1, 0);
	if (area == MAP_FAILED || weir_inflight_len(AREA_SIZE, true) > AREA_LEN)
		return -ENOMEM;
	ret = ring_find(START);
	desc = vr.packed_desc;
	return ret;
}

static void
rig_free(void)
{
	munmap(area, AREA_LEN);
	weir_gmem_put(gmem);
}

/* A new ring, at a place. */
static void
rig_reset(uint16_t at)
{
	memset(desc, 0, SIZE * sizeof(*desc));
	for (uint16_t i = 0; i < SIZE; i++)
		/* used in the round before */
		desc[i].flags = (i < (at & 0x7fff)) == ((at & START) != 0)
					? VRING_PACKED_AVAIL | VRING_PACKED_USED
					: 0;
	memset(area, 0, AREA_LEN);
	memset(&drv, 0, sizeof(drv));
	drv.avail = drv.used = at;
	drv.room = SIZE;
}

static void
state_keep(struct state *s)
{
	memset(s, 0, sizeof(*s));
	memcpy(s->desc, desc, sizeof(s->desc));
	memcpy(s->area, area, AREA_LEN);
}

static void
state_restore(const struct state *s)
{
	memcpy(desc, s->desc, sizeof(s->desc));
	memcpy(area, s->area, AREA_LEN);
}

/* Which of the chains that are out has an id; UINT16_MAX: none. */
static uint16_t
chain_of(uint16_t id)
{
	for (uint16_t i = 0; i < drv.offered; i++) {
		bool back = false;

		for (uint16_t j = 0; j < drv.seen; j++)
			back |= drv.back[j] == i;
		if (!back && i % SIZE == id)
			return i;
	}
	return UINT16_MAX;
}

static bool
offer(uint16_t nr)
{
	const uint16_t id = drv.offered % SIZE;

	if (nr > drv.room || chain_of(id) != UINT16_MAX)
		return false;
	for (uint16_t i = 0; i < nr; i++) {
		struct vring_packed_desc *d = &desc[drv.avail & 0x7fff];

		d->addr = DATA + 256u * drv.offered + 64u * i;
		d->len = 1u + drv.offered * 3u + i;
		d->id = i + 1 < nr ? 0xbad : id;
		d->flags = vring_packed_offer(drv.avail) | WR | (i + 1 < nr ? NX : 0);
		drv.avail = vring_packed_pos(&vr, drv.avail, 1);
	}
	drv.nr[drv.offered++] = nr;
	drv.room = (uint16_t)(drv.room - nr);
	return true;
}

/* Take back what can be seen. False: it is none of those that are out. */
static bool
reap(void)
{
	for (;;) {
		const struct vring_packed_desc *d = &desc[drv.used & 0x7fff];
		const bool avail = (d->flags & VRING_PACKED_AVAIL) != 0;
		const bool used = (d->flags & VRING_PACKED_USED) != 0;
		uint16_t chain;

		if (avail != used || used != ((drv.used & START) != 0))
			return true;
		chain = chain_of(d->id);
		if (chain == UINT16_MAX)
			return false;
		drv.back[drv.seen++] = chain;
		drv.used = vring_packed_pos(&vr, drv.used, drv.nr[chain]);
		drv.room = (uint16_t)(drv.room + drv.nr[chain]);
	}
}

/* Take the next chain. @return which it is, whole; UINT16_MAX: there is none. */
static uint16_t
take(void)
{
	struct weir_vring_at at;
	struct weir_chain chain;
	struct weir_iov iov[4];
	uint64_t len, first;
	uint16_t which;
	int nr;

	if (weir_vring_open(&vr, true, &at) != 0 || !weir_vring_has(&vr, true, &at))
		return UINT16_MAX;
	nr = weir_vring_take(&vr, true, &at, WR, iov, 4, &chain, &len);
	if (nr < 0)
		return UINT16_MAX - 1;
	first = (uint64_t)((char *)iov[0].hva - (char *)desc);
	which = (uint16_t)((first - DATA) / 256);
	if (first % 64 != 0 || which >= drv.offered || chain.nr != drv.nr[which] ||
	    nr != chain.nr || chain.id != which % SIZE)
		return UINT16_MAX - 1;
	for (int i = 0; i < nr; i++)
		if (iov[i].len != 1u + which * 3u + (unsigned int)i)
			return UINT16_MAX - 1;
	weir_vring_use(&vr, true, chain, (uint32_t)len);
	weir_vring_next(&vr, true, &at, chain);
	weir_vring_close(&vr, &at);
	return which;
}

/* Take over, knowing nothing; the base is of long ago. */
static int
take_over(uint16_t *nr)
{
	int ret = ring_find(START | 1);

	return ret != 0 ? ret : weir_inflight_packed_take(area, AREA_SIZE, &vr, nr);
}

/* What weir gives back in one go: chains, and how. */
enum how { UNIT, RUN };
struct give {
	uint16_t nr;
	enum how how;
};

static void
give(const struct give *g)
{
	struct weir_vring_at at;
	struct weir_vring_run run;
	uint16_t nr;

	if (g->how == UNIT) {
		for (uint16_t i = 0; i < g->nr; i++)
			take();
		weir_vring_publish_kept(&vr, g->nr);
		return;
	}
	weir_vring_open(&vr, true, &at);
	nr = weir_vring_run(&vr, true, &at, WR, 1, UINT32_MAX, &run, g->nr);
	weir_vring_run_publish_kept(&vr, &at, WR, &run, nr);
	weir_vring_close(&vr, &at);
}

/* What a child does. */
static const struct give *gives;

static void
do_gives(void)
{
	for (const struct give *g = gives; g->nr != 0; g++)
		give(g);
}

static void
do_take_over(void)
{
	uint16_t nr;

	if (take_over(&nr) != 0)
		_exit(1);
}

/* Keep the state if it is another. */
static void
state_look(void)
{
	static struct state now;

	state_keep(&now);
	if (nr_states != 0 && memcmp(&now, &states[nr_states - 1], sizeof(now)) == 0)
		return;
	if (nr_states < MAX_STATES)
		states[nr_states] = now;
	nr_states++;
}

/*
 * Run a function in a child, step by step, and keep each state that shared memory is
 * in. 0; -errno: it cannot be stepped.
 */
static int
step(void (*fn)(void))
{
	int status;
	pid_t pid;

	nr_states = 0;
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(2);
		raise(SIGSTOP);
		fn();
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	if (!WIFSTOPPED(status))
		return -EPERM;
	while (WIFSTOPPED(status)) {
		state_look();
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0 ||
		    waitpid(pid, &status, 0) != pid)
			break;
	}
	if (!WIFEXITED(status)) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return -EIO;
	}
	if (nr_states > MAX_STATES)
		return -ENOSPC;
	return WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

/* The chains seen end with one of these. */
static bool
seen_in_whole(void)
{
	uint16_t n = 0;

	if (drv.seen == 0)
		return true;
	for (const struct give *g = gives; g->nr != 0; g++) {
		if (g->how == RUN && drv.seen > n && drv.seen <= n + g->nr)
			return true;
		n = (uint16_t)(n + g->nr);
		if (drv.seen == n)
			return true;
	}
	return false;
}

/* From a state on nothing is lost, and nothing comes twice. */
static enum test_result
state_goes_on(const struct state *s)
{
	uint16_t nr, place;

	state_restore(s);
	TEST_ASSERT(reap());
	for (uint16_t i = 0; i < drv.seen; i++)
		TEST_EQ(drv.back[i], i);
	TEST_ASSERT(seen_in_whole());
	TEST_EQ(take_over(&nr), 0);
	TEST_EQ(vr.used_pos, drv.used);
	TEST_EQ(vr.last_avail, drv.used);
	place = vr.used_pos;
	/* once more, as if it had died then */
	TEST_EQ(take_over(&nr), 0);
	TEST_EQ(nr, 0);
	TEST_EQ(vr.used_pos, place);
	for (uint16_t i = drv.seen; i < drv.offered; i++)
		TEST_EQ(take(), i);
	TEST_EQ(take(), UINT16_MAX);
	weir_vring_publish_kept(&vr, weir_vring_unpublished(&vr));
	TEST_ASSERT(reap());
	TEST_EQ(drv.seen, drv.offered);
	return TEST_OK;
}

/* Each state that giving back so, from a place, goes through; and each that taking
 * over from there goes through. */
static enum test_result
any_death_at(uint16_t at, const uint16_t *shape, const struct give *how)
{
	static struct state first[MAX_STATES];
	unsigned int nr_first;
	uint16_t nr;
	int ret;

	rig_reset(at);
	for (; *shape != 0; shape++)
		TEST_ASSERT(offer(*shape));
	TEST_EQ(ring_find(at), 0);
	TEST_EQ(weir_inflight_packed_take(area, AREA_SIZE, &vr, &nr), 0);
	gives = how;
	ret = step(do_gives);
	if (ret == -EPERM)
		return test_skip("a child may not be stepped");
	TEST_EQ(ret, 0);
	TEST_ASSERT(nr_states > 4);
	nr_first = nr_states;
	memcpy(first, states, nr_first * sizeof(first[0]));
	for (unsigned int i = 0; i < nr_first; i++) {
		const __typeof__(drv) before = drv;

		TEST_EQ(state_goes_on(&first[i]), TEST_OK);
		drv = before;
		/* one in which descriptors are put back: it may die there as well */
		state_restore(&first[i]);
		TEST_EQ(take_over(&nr), 0);
		if (nr == 0)
			continue;
		state_restore(&first[i]);
		TEST_EQ(step(do_take_over), 0);
		for (unsigned int j = 0; j < nr_states; j++) {
			TEST_EQ(state_goes_on(&states[j]), TEST_OK);
			drv = before;
		}
	}
	return TEST_OK;
}

static enum test_result
place_survives_any_death(void)
{
	static const uint16_t shape[] = { 1, 3, 1, 2, 1, 1, 0 };
	static const struct give one_by_one[] = {
		{ 1, UNIT }, { 1, UNIT }, { 1, UNIT }, { 0 }
	};
	static const struct give together[] = {
		{ 1, UNIT }, { 3, UNIT }, { 2, UNIT }, { 0 }
	};
	static const struct give all[] = { { 6, UNIT }, { 0 } };
	enum test_result r = TEST_OK;

	TEST_EQ(rig_make(), 0);
	for (uint16_t i = 0; i < SIZE && r == TEST_OK; i += 3) {
		const uint16_t wrap = i % 2 == 0 ? START : 0;

		r = any_death_at(i | wrap, shape, one_by_one);
		if (r == TEST_OK)
			r = any_death_at(i | wrap, shape, together);
		if (r == TEST_OK)
			r = any_death_at(i | wrap, shape, all);
	}
	rig_free();
	return r;
}

static enum test_result
place_survives_any_death_of_a_run(void)
{
	static const uint16_t shape[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 0 };
	static const struct give runs[] = { { 2, RUN }, { 1, UNIT }, { 4, RUN }, { 0 } };
	enum test_result r;

	TEST_EQ(rig_make(), 0);
	r = any_death_at(START | 8, shape, runs);
	if (r == TEST_OK)
		r = any_death_at(1, shape, runs);
	rig_free();
	return r;
}

/* A frame that takes all descriptors there are: the place is the same, a round on. */
static enum test_result
whole_ring_survives_any_death(void)
{
	static const uint16_t shape[] = { 3, 3, 3, 2, 0 }, one[] = { 4, 4, 3, 0 };
	static const struct give all[] = { { 4, UNIT }, { 0 } },
				 three[] = { { 3, UNIT }, { 0 } };
	enum test_result r;

	TEST_EQ(rig_make(), 0);
	r = any_death_at(START, shape, all);
	if (r == TEST_OK)
		r = any_death_at(5, one, three);
	rig_free();
	return r;
}

/* A backend that uses chains in any order and dies after so many stores. */
static struct {
	uint16_t used, avail; /* places */
	uint16_t held[SIZE], entry[SIZE];
	uint16_t nr_held;
	uint64_t counter;
	unsigned int stores;
} other;

static bool
alive(void)
{
	if (other.stores == 0)
		return false;
	other.stores--;
	return true;
}

static void
other_begin(unsigned int stores)
{
	other.used = other.avail = vr.used_pos;
	other.nr_held = 0;
	other.counter = 0;
	other.stores = stores;
}

/* A store of the backend's. */
#define STORE(x, v)             \
	do {                    \
		if (!alive())   \
			return; \
		(x) = (v);      \
	} while (0)

static void
other_fetch(uint16_t which)
{
	const uint16_t old = area->heads.old_free_head;
	uint16_t nr = drv.nr[which];

	STORE(area->desc[old].num, 0);
	STORE(area->desc[old].counter, other.counter++);
	STORE(area->desc[old].inflight, 1);
	for (uint16_t i = 0; i < nr; i++) {
		const struct vring_packed_desc *d =
			&desc[vring_packed_pos(&vr, other.avail, i) & 0x7fff];
		struct weir_inflight_packed_desc *e = &area->desc[area->heads.free_head];

		if (i + 1 == nr)
			STORE(area->desc[old].last, area->heads.free_head);
		STORE(area->desc[old].num, (uint16_t)(area->desc[old].num + 1));
		STORE(e->addr, d->addr);
		STORE(e->len, d->len);
		STORE(e->flags, d->flags);
		STORE(e->id, d->id);
		STORE(area->heads.free_head, e->next);
	}
	STORE(area->heads.old_free_head, area->heads.free_head);
	other.held[other.nr_held] = which;
	other.entry[other.nr_held++] = old;
	other.avail = vring_packed_pos(&vr, other.avail, nr);
}

/* Write the used entries of those whose bit is set, the first one last. */
static void
other_used(uint64_t bits)
{
	uint16_t pos = other.used, first = UINT16_MAX;

	for (uint16_t i = 0; i < other.nr_held; i++) {
		struct vring_packed_desc *d = &desc[pos & 0x7fff];
		uint16_t flags =
			WR |
			((pos & START) != 0 ? VRING_PACKED_AVAIL | VRING_PACKED_USED : 0);

		if ((bits >> i & 1) == 0)
			continue;
		STORE(d->id, other.held[i] % SIZE);
		if (first == UINT16_MAX)
			first = flags;
		else
			STORE(d->flags, flags);
		pos = vring_packed_pos(&vr, pos, drv.nr[other.held[i]]);
	}
	STORE(desc[other.used & 0x7fff].flags, first);
	other.used = pos;
}

/* Give back the held ones whose bit is set, as one batch. */
static void
other_give(uint64_t bits)
{
	union weir_inflight_place place = area->place;
	uint16_t left = 0, nr = 0, to;

	bits &= (UINT64_C(1) << other.nr_held) - 1;
	for (uint16_t i = 0; i < other.nr_held; i++)
		if ((bits >> i & 1) != 0)
			nr = (uint16_t)(nr + drv.nr[other.held[i]]);
	/* one that leads to the place it comes from is not to be told from none */
	if (nr == 0 || nr == SIZE)
		return;
	for (uint16_t i = 0; i < other.nr_held; i++) {
		const struct weir_inflight_packed_desc *e = &area->desc[other.entry[i]];

		if ((bits >> i & 1) == 0)
			continue;
		STORE(area->desc[e->last].next, area->heads.free_head);
		STORE(area->heads.free_head, other.entry[i]);
	}
	to = vring_packed_pos(&vr, other.used, nr);
	place.used_idx = to & 0x7fff;
	place.used_wrap_counter = to >> 15;
	STORE(area->place, place);
	other_used(bits);
	for (uint16_t i = 0; i < other.nr_held; i++) {
		if ((bits >> i & 1) != 0) {
			STORE(area->desc[other.entry[i]].inflight, 0);
			continue;
		}
		other.held[left] = other.held[i];
		other.entry[left++] = other.entry[i];
	}
	STORE(area->heads.old_free_head, area->heads.free_head);
	place.old_used_idx = place.used_idx;
	place.old_used_wrap_counter = place.used_wrap_counter;
	STORE(area->place, place);
	other.nr_held = left;
}

/* What is still out comes in this order. */
static enum test_result
comes_as_fetched(const uint16_t *order, uint16_t nr_order)
{
	uint16_t nr;

	TEST_ASSERT(reap());
	TEST_EQ(take_over(&nr), 0);
	TEST_EQ(vr.used_pos, drv.used);
	for (uint16_t i = 0; i < nr_order; i++) {
		bool back = false;

		for (uint16_t j = 0; j < drv.seen; j++)
			back |= drv.back[j] == order[i];
		if (!back)
			TEST_EQ(take(), order[i]);
	}
	TEST_EQ(take(), UINT16_MAX);
	weir_vring_rewind(&vr);
	return TEST_OK;
}

/* One life of either kind, which begins with the chains in this order. */
static void
life(uint64_t *rnd, uint16_t *order, uint16_t *nr_order)
{
	uint16_t next;

	if (test_rand(rnd) % 2 == 0) {
		uint16_t n = (uint16_t)(test_rand(rnd) % 5);

		for (uint16_t i = 0; i < n; i++)
			if (take() >= UINT16_MAX - 1)
				break;
		weir_vring_publish_kept(&vr, weir_vring_unpublished(&vr));
		return;
	}
	other_begin((unsigned int)(test_rand(rnd) % 400));
	/* chains that were given back are no longer in the order */
	next = 0;
	for (unsigned int i = 0; i < 20 && other.stores != 0; i++) {
		if (test_rand(rnd) % 3 == 0)
			other_give(test_rand(rnd));
		else if (next < *nr_order)
			other_fetch(order[next++]);
	}
}

/* Those that are still out, in the order they were in. */
static void
order_shrink(uint16_t *order, uint16_t *nr_order)
{
	uint16_t left = 0;

	for (uint16_t i = 0; i < *nr_order; i++) {
		bool back = false;

		for (uint16_t j = 0; j < drv.seen; j++)
			back |= drv.back[j] == order[i];
		if (!back)
			order[left++] = order[i];
	}
	*nr_order = left;
}

static enum test_result
chains_of_another_come_first(void)
{
	uint64_t rnd = test_seed();

	TEST_EQ(rig_make(), 0);
	for (unsigned int round = 0; round < 3000; round++) {
		uint16_t order[UINT8_MAX], nr_order = 0, nr;
		uint16_t at = (uint16_t)(test_rand(&rnd) % SIZE) |
			      (test_rand(&rnd) % 2 == 0 ? START : 0);

		rig_reset(at);
		TEST_EQ(ring_find(at), 0);
		TEST_EQ(weir_inflight_packed_take(area, AREA_SIZE, &vr, &nr), 0);
		for (unsigned int i = 0; i < 6; i++) {
			while (drv.offered < 40 &&
			       offer((uint16_t)(1 + test_rand(&rnd) % 3)))
				order[nr_order++] = (uint16_t)(drv.offered - 1);
			life(&rnd, order, &nr_order);
			TEST_EQ(comes_as_fetched(order, nr_order), TEST_OK);
			order_shrink(order, &nr_order);
		}
	}
	rig_free();
	return TEST_OK;
}

static enum test_result
area_that_makes_no_sense_refused(void)
{
	struct weir_vring before;
	struct state good;
	uint16_t nr;

	TEST_EQ(rig_make(), 0);
	rig_reset(START);
	TEST_ASSERT(offer(3) && offer(1));
	TEST_EQ(weir_inflight_packed_take(area, AREA_SIZE, &vr, &nr), 0);
	TEST_EQ(area->version, WEIR_INFLIGHT_VERSION);
	other_begin(UINT32_MAX);
	other_fetch(0);
	other_fetch(1);
	state_keep(&good);
	TEST_EQ(ring_find(START), 0);
	before = vr;
#define BAD(member, value)                                                              \
	do {                                                                            \
		struct state now;                                                       \
		state_restore(&good);                                                   \
		area->member = value;                                                   \
		state_keep(&good);                                                      \
		TEST_EQ(weir_inflight_packed_take(area, AREA_SIZE, &vr, &nr), -EPROTO); \
		state_keep(&now);                                                       \
		TEST_EQ(memcmp(&now, &good, sizeof(now)), 0);                           \
		TEST_EQ(memcmp(&vr, &before, sizeof(vr)), 0);                           \
	} while (0)
#define BAD_ONCE(member, value)                \
	do {                                   \
		const struct state was = good; \
		BAD(member, value);            \
		good = was;                    \
	} while (0)
	BAD_ONCE(version, 2);
	BAD_ONCE(nr_desc, AREA_SIZE - 1);
	BAD_ONCE(place.used_idx, SIZE);
	BAD_ONCE(place.old_used_idx, SIZE);
	BAD_ONCE(desc[0].num, 0);
	BAD_ONCE(desc[0].num, SIZE); /* with the other's, longer than the ring */
	BAD_ONCE(desc[0].num, UINT16_MAX);
	BAD_ONCE(desc[1].next, AREA_SIZE); /* leads outside */
	/* a list of free entries that leads in a circle, or outside, is one all the same
	 */
	state_restore(&good);
	area->desc[5].next = 4;
	area->desc[8].next = 40000;
	TEST_EQ(weir_inflight_packed_take(area, AREA_SIZE, &vr, &nr), 0);
	TEST_EQ(nr, 2);
	rig_free();
	return TEST_OK;
}

static enum test_result
area_without_memory_unchanged(void)
{
	struct state good, now;
	unsigned int nth;
	uint16_t nr;

	TEST_EQ(rig_make(), 0);
	rig_reset(START);
	TEST_ASSERT(offer(2));
	TEST_EQ(weir_inflight_packed_take(area, AREA_SIZE, &vr, &nr), 0);
	other_begin(UINT32_MAX);
	other_fetch(0);
	state_keep(&good);
	for (nth = 1; nth < 10; nth++) {
		int ret;

		weir_fail_arm(nth);
		ret = take_over(&nr);
		if (weir_fail_armed())
			break;
		TEST_EQ(ret, -ENOMEM);
		state_keep(&now);
		TEST_EQ(memcmp(&now, &good, sizeof(now)), 0);
	}
	weir_fail_arm(0);
	TEST_EQ(nth, 4);
	TEST_EQ(nr, 1);
	rig_free();
	return TEST_OK;
}

static const struct test_case inflight_packed_cases[] = {
	{ "place_survives_any_death", place_survives_any_death },
	{ "place_survives_any_death_of_a_run", place_survives_any_death_of_a_run },
	{ "whole_ring_survives_any_death", whole_ring_survives_any_death },
	{ "chains_of_another_come_first", chains_of_another_come_first },
	{ "area_that_makes_no_sense_refused", area_that_makes_no_sense_refused },
	{ "area_without_memory_unchanged", area_without_memory_unchanged },
};
AUTOTEST(inflight_packed_autotest, inflight_packed_cases);
