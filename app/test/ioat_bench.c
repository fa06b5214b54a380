/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ioat_bench.h"
#include "sv_view.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define UNDER_TSAN 1
#endif

uint8_t *
bench_map(struct bench *b, uint64_t iova, uint64_t len, uint32_t prot)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	if (p == MAP_FAILED ||
	    weir_sim_ops.map(b->sim, iova, (uint64_t)(uintptr_t)p, len, prot) != 0)
		abort();
	return p;
}

void
bench_put(struct bench *b, size_t off, uint64_t v, int len)
{
	atomic_thread_fence(memory_order_release);
	switch (len) {
	case 1:
		*(volatile uint8_t *)(b->regs + off) = (uint8_t)v;
		break;
	case 2:
		*(volatile uint16_t *)(b->regs + off) = (uint16_t)v;
		break;
	case 4:
		*(volatile uint32_t *)(b->regs + off) = (uint32_t)v;
		break;
	default:
		*(volatile uint64_t *)(b->regs + off) = v;
	}
}

struct ioat_desc *
bench_desc(struct bench *b, unsigned int i, uint64_t src, uint64_t dst, uint32_t len)
{
	struct ioat_desc *d = &b->ring[i % RING];

	*d = (struct ioat_desc){ .len = len,
				 .ctl = IOAT_CTL_COMPLETION,
				 .src = src,
				 .dst = dst,
				 .next = desc_iova(i + 1) };
	return d;
}

int
bench_vector(struct bench *b)
{
	uint64_t buf[4];
	struct vfio_irq_set *set = (struct vfio_irq_set *)buf;
	int fd = eventfd(0, EFD_CLOEXEC);

	*set = (struct vfio_irq_set){ .argsz = sizeof(*set) + sizeof(fd),
				      .flags = VFIO_IRQ_SET_DATA_EVENTFD |
					       VFIO_IRQ_SET_ACTION_TRIGGER,
				      .index = VFIO_PCI_MSIX_IRQ_INDEX,
				      .count = 1 };
	memcpy(set->data, &fd, sizeof(fd));
	if (sv_dev_ioctl(b->d, VFIO_DEVICE_SET_IRQS, set) == 0)
		return fd;
	close(fd);
	return -1;
}

void
bench_arm(struct bench *b, unsigned int first)
{
	b->rung = 0;
	PUT(b, chainaddr, desc_iova(first));
	PUT(b, chancmp, STATUS_IOVA);
	PUT(b, chanctrl, IOAT_CHANCTRL_ERR_COMPLETION_EN);
}

void
bench_ring(struct bench *b, unsigned int more)
{
	b->rung = (uint16_t)(b->rung + more);
	PUT(b, dmacount, b->rung);
}

void
bench_recover(struct bench *b, unsigned int from)
{
	PUT(b, chanerr, GET(b, chanerr));
	PUT(b, chancmd, IOAT_CHANCMD_RESET);
	while (GET(b, chansts) != IOAT_HALTED || GET(b, chancmd) != 0)
		sched_yield();
	bench_arm(b, from);
}

void
bench_master(struct bench *b, bool on)
{
	uint16_t command = on ? PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY : 0;

	sv_pci_write(b->d, PCI_COMMAND, &command, 2);
}

static int
bench_open(struct bench *b, enum sv_regs_mode mode, uint64_t arm_ns)
{
	struct sv_spec spec = { .model = &sv_ioat,
				.bdf = "0000:00:04.0",
				.cpu = -1,
				.regs = mode,
				.arm_ns = arm_ns };
	void *regs = NULL;

	*b = (struct bench){ 0 };
	if (weir_sim_create(WEIR_SIM_TYPE1_V2, &b->sim) != 0 ||
	    sv_dev_create(&spec, &b->d) != 0 || sv_dev_open(b->d, b->sim) != 0 ||
	    sv_dev_mmap(b->d, NULL, IOAT_BAR_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, 0,
			b, &regs) != 0)
		return -1;
	b->regs = regs;
	b->ring = (void *)bench_map(b, RING_IOVA, RING * sizeof(struct ioat_desc), RW);
	b->status = (void *)bench_map(b, STATUS_IOVA, 4 * KB, RW);
	b->src = bench_map(b, SRC_IOVA, BUF_LEN, RW);
	b->dst = bench_map(b, DST_IOVA, BUF_LEN, RW);
	bench_master(b, true);
	for (uint64_t i = 0; i < BUF_LEN; i++)
		b->src[i] = (uint8_t)(i * 7 + (i >> 8));
	return 0;
}

static void
bench_close(struct bench *b)
{
	sv_views_forget(b->regs, IOAT_BAR_LEN);
	munmap(b->regs, IOAT_BAR_LEN);
	sv_dev_close(b->d);
	sv_dev_destroy(b->d);
	weir_sim_destroy(b->sim);
	munmap(b->ring, RING * sizeof(struct ioat_desc));
	munmap(b->status, 4 * KB);
	munmap(b->src, BUF_LEN);
	munmap(b->dst, BUF_LEN);
}

enum test_result
bench_run(enum test_result (*fn)(struct bench *b), enum sv_regs_mode mode,
	  uint64_t arm_ns)
{
	enum test_result res;
	struct bench b;

	TEST_EQ(bench_open(&b, mode, arm_ns), 0);
	res = fn(&b);
	bench_close(&b);
	return res;
}

enum test_result bench_run_polled(enum test_result (*fn)(struct bench *b))
{
#ifdef UNDER_TSAN
	(void)fn;
	return test_skip("TSan takes two addresses of one memory for two");
#else
	return bench_run(fn, SV_REGS_POLL, 0);
#endif
}
