/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "gen_seq.h"

static bool
seen(const struct gen_seq *s, uint64_t seq)
{
	return s->seen[seq % GEN_HISTORY / 64] >> (seq % 64) & 1;
}

static void
set_seen(struct gen_seq *s, uint64_t seq)
{
	s->seen[seq % GEN_HISTORY / 64] |= UINT64_C(1) << (seq % 64);
}

static void
clear_seen(struct gen_seq *s, uint64_t first, uint64_t nr)
{
	if (nr >= GEN_HISTORY) {
		memset(s->seen, 0, sizeof(s->seen));
		return;
	}
	for (uint64_t i = 0; i < nr; i++)
		s->seen[(first + i) % GEN_HISTORY / 64] &=
			~(UINT64_C(1) << ((first + i) % 64));
}

static struct gen_seq_note
take_late(struct gen_seq *s, uint64_t seq)
{
	struct gen_seq_note note = { 0 };

	if (s->next - seq > GEN_HISTORY || seen(s, seq)) {
		note.dup = 1;
		return note;
	}
	set_seen(s, seq);
	note.ok = 1;
	note.reordered = 1;
	note.lost = seq >= s->first ? -1 : 0;
	return note;
}

struct gen_seq_note
gen_seq_take(struct gen_seq *s, uint16_t run, uint64_t seq)
{
	struct gen_seq_note note = { .ok = 1 };

	if (!s->started || s->run != run) {
		note.restarted = s->started;
		memset(s, 0, sizeof(*s));
		s->started = true;
		s->run = run;
		s->first = seq;
		s->next = seq;
	}
	if (seq < s->next)
		return take_late(s, seq);
	note.lost = (int64_t)(seq - s->next);
	clear_seen(s, s->next, seq - s->next + 1);
	set_seen(s, seq);
	s->next = seq + 1;
	return note;
}
