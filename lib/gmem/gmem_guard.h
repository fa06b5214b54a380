/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_GMEM_GUARD_H
#define WEIR_GMEM_GUARD_H
/*
 * A peer that takes its memory back must not take us along.
 *
 * Guest memory is a file that the peer has open too. It can cut the file short
 * (ftruncate), punch holes in one of huge pages, or let a full tmpfs run out of
 * pages; the next access from here is a SIGBUS, which ends the process and with
 * it every other guest's port. Nothing that can be asked of the peer beforehand
 * prevents it: seals are not there for every kind of file.
 *
 * So each mapping is entered here, and a SIGBUS at an address of one of them
 * puts zero pages of our own over the mapping from the page of that address to
 * the end (what ftruncate() takes is always a tail), marks it as lost, and
 * writes to an eventfd. The access is repeated and finds zeroes; whoever owns
 * the mapping is told, and parts with the peer. Zeroes are bytes like any other
 * that a hostile guest may have written: nothing that reads guest memory
 * believes it in the first place.
 *
 * **The signal handler** finds the mapping without a lock: entries are never
 * freed, only used again, and each has a sequence number. It calls mmap(2),
 * write(2) and sigaction(2), no more, and keeps errno.
 *
 * **Others want SIGBUS too.** What is not ours is handed to the handler that was
 * there before. One that comes later is on top of ours; each new mapping puts
 * ours on top again. DPDK's (rte_dev_hotplug_handle_enable()) hands on what is
 * not its own, but where libc adds a flag of its own to sa_flags it calls us
 * without siginfo: that is noticed, ours goes on top, and the access is
 * repeated to reach it. While EAL allocates huge pages it has a handler that
 * jumps out of whatever it interrupts, in any thread; a SIGBUS of a guest's in
 * those microseconds is beyond our reach.
 *
 * Threads: adding and removing, any; they take a lock. An entry may be removed
 * once nobody touches its memory any more, and before it is unmapped.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gmem_guard;

/*
 * Enter a mapping; its guard is not lost and tells nobody.
 *
 * page_size: what mmap() wants the address aligned to.
 * 0; -ENOMEM; -EBUSY: ours was found below 16 different handlers so far.
 */
int gmem_guard_add(void *addr, size_t len, uint64_t page_size, struct gmem_guard **out);

void gmem_guard_del(struct gmem_guard *g);

/* Write to this eventfd, which does not block, when memory is lost; -1: none. */
void gmem_guard_notify(struct gmem_guard *g, int event_fd);

/* Any thread. */
bool gmem_guard_lost(const struct gmem_guard *g);

#endif /* WEIR_GMEM_GUARD_H */
